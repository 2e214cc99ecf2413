"""The token stream of several ranks: who reads what, and that nothing is lost or read twice."""

from __future__ import annotations

from collections import Counter

from hypothesis import strategies as st

from specs.compare import expect_equal, expect_raised
from specs.datastreams import FILLER, encoded, expect_batches, setup, shaped, sizes, texts
from specs.law import law
from specs.oracles import stream
from specs.probe import Probe

CRITERION = "data"

world_sizes = st.integers(2, 8)


@st.composite
def shared_corpora(draw: st.DrawFn) -> tuple[int, list[str]]:
    """Draw a number of ranks, and documents of which each has at least one."""
    world_size = draw(world_sizes)
    return world_size, draw(st.lists(texts, min_size=world_size, max_size=3 * world_size + 1))


@law(
    examples=12,
    cases=[
        {"shared": (2, ["a", "b", "c"]), "size": (1, 2)},
        {"shared": (3, ["a", "b", "c", FILLER, "", "d", "e"]), "size": (2, 3)},
    ],
    shared=shared_corpora(),
    size=sizes,
)
def test_a_rank_reads_every_nth_document(
    probe: Probe, shared: tuple[int, list[str]], size: tuple[int, int]
) -> None:
    """Rank r of W reads the documents r, r + W, r + 2W, ... of every epoch, and no others.

    Kills: ranks that begin one document too late, blocks instead of turns, the rank ignored, a count of
    documents that goes on from epoch to epoch where W does not divide their number.
    """
    world_size, documents = shared
    for rank in sorted({0, world_size // 2, world_size - 1}):
        this = setup(documents, size, rank=rank, world_size=world_size)
        got = probe("dataloader.batches", setup=this, number=6)
        expect_batches(got, this, 6, f"the stream of rank {rank} of {world_size}")


@law(
    examples=10,
    cases=[{"number": 5, "world_size": 2}, {"number": 8, "world_size": 8}, {"number": 9, "world_size": 4}],
    number=st.integers(8, 30),
    world_size=world_sizes,
)
def test_all_ranks_read_every_document_once_an_epoch(probe: Probe, number: int, world_size: int) -> None:
    """In each of the first epochs every document is read once, by one rank, also if W does not divide them.

    Judged by the documents that stand between <|bos|> and <|bos|>, whichever rank has them.
    Kills: shares that overlap, or leave out the documents that are left over; a second epoch that begins
    where the first one ended.
    """
    documents = [f"document {index} {FILLER[: index % 5]}" for index in range(number)]
    whole = encoded(setup(documents, (1, 1)))
    shares = [stream.share(whole, rank, world_size) for rank in range(world_size)]
    lengths = [sum(len(ids) for ids in share) for share in shares]
    epochs = 3
    longest = epochs * max(lengths)
    this = setup(documents, (1, 8), world_size=world_size)
    batches = -(-longest // 8)
    ranks = probe("dataloader.together", setup=this, number=batches, stride=[1])
    seen: list[Counter[tuple[int, ...]]] = [Counter() for _ in range(epochs)]
    bos = whole[0][0]
    for rank, got in enumerate(ranks):
        ids = shaped(got, this, batches, "inputs", f"rank {rank} of {world_size}").ravel().tolist()
        for epoch in range(epochs):
            part = ids[epoch * lengths[rank] : (epoch + 1) * lengths[rank]]
            starts = [place for place, token in enumerate(part) if token == bos]
            ends = [*starts[1:], len(part)][: len(starts)]
            seen[epoch].update(tuple(part[start:end]) for start, end in zip(starts, ends, strict=True))
    for epoch in range(epochs):
        for index, ids in enumerate(whole):
            expect_equal(
                seen[epoch][tuple(ids)],
                1,
                f"how often the {world_size} ranks read document {index} of {number} in epoch {epoch}",
            )


@law(
    examples=6,
    cases=[{"shared": (2, ["a", FILLER, "c"]), "stride": [1, 2]}],
    shared=shared_corpora(),
    stride=st.lists(st.integers(1, 3), min_size=1, max_size=3),
)
def test_loaders_in_one_process_do_not_meet(
    probe: Probe, shared: tuple[int, list[str]], stride: list[int]
) -> None:
    """Loaders of several ranks over the same texts that take turns yield what each yields alone.

    Kills: places, buffers or iterators kept in the module or with the texts.
    """
    world_size, documents = shared
    got = probe(
        "dataloader.together", setup=setup(documents, (2, 3), world_size=world_size), number=6, stride=stride
    )
    for rank in range(world_size):
        this = setup(documents, (2, 3), rank=rank, world_size=world_size)
        expect_batches(got[rank], this, 6, f"rank {rank} of {world_size} that takes turns with the others")


@law(
    examples=4,
    cases=[
        {"documents": [], "rank": 0, "world_size": 1},
        {"documents": ["a"], "rank": 1, "world_size": 2},
        {"documents": ["a", "", "c"], "rank": 3, "world_size": 4},
    ],
    documents=st.lists(texts, max_size=4),
    rank=st.integers(4, 7),
    world_size=st.just(8),
)
def test_an_epoch_without_a_document_is_an_error(
    probe: Probe, documents: list[str], rank: int, world_size: int
) -> None:
    """Where an epoch has no document for a rank, a ValueError comes with the call or the first batch.

    Kills: a search without end, no batches at all, an empty or made-up batch.
    """
    outcome = probe.attempt(
        "dataloader.batches",
        setup=setup(documents, (2, 3), rank=rank, world_size=world_size),
        number=1,
    )
    expect_raised(outcome, f"rank {rank} of {world_size} with {len(documents)} documents", "ValueError")


@law(
    examples=3,
    cases=[{"documents": ["ab", "c"], "epochs": 1}, {"documents": ["", "abc"], "epochs": 2}],
    documents=st.lists(texts, min_size=1, max_size=4),
    epochs=st.integers(1, 3),
)
def test_texts_that_come_to_an_end_are_an_error(probe: Probe, documents: list[str], epochs: int) -> None:
    """Where a later epoch has no document any more, as that of a generator, that is a ValueError as well.

    Kills: a search without end, a look at the first epoch alone.
    """
    outcome = probe.attempt("dataloader.emptied", setup=setup(documents, (1, 1)), epochs=epochs)
    expect_raised(outcome, f"{len(documents)} documents for {epochs} epochs, and then none", "ValueError")


@law(examples=3, world_size=st.integers(2, 5), seed=st.integers(0, 9))
def test_one_document_is_enough_for_a_rank(probe: Probe, world_size: int, seed: int) -> None:
    """With just as many documents as ranks, each rank reads its own again and again.

    Kills: an error that asks for one document too many.
    """
    documents = [FILLER[seed : seed + index] for index in range(world_size)]
    for rank in range(world_size):
        this = setup(documents, (2, 3), rank=rank, world_size=world_size)
        got = probe("dataloader.batches", setup=this, number=4)
        expect_batches(got, this, 4, f"rank {rank} of {world_size}, with a document each")
