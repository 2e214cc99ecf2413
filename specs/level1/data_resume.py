"""The state of the token stream: whoever goes on from it reads what would have come, wherever it was."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from specs.compare import broken, expect_at_most, expect_equal
from specs.datastreams import FILLER, corpora, encoded, expect_batches, setup, short_texts, sizes
from specs.law import law
from specs.level1.data_ranks import shared_corpora
from specs.order import another_process
from specs.outcomes import SubmissionRaised
from specs.probe import Probe

CRITERION = "data"


@law(
    examples=12,
    cases=[
        {"documents": ["ab", "c", "def"], "size": (1, 2)},
        {"documents": [FILLER, "a", ""], "size": (2, 8)},
        {"documents": ["", "", ""], "size": (1, 1)},
    ],
    documents=corpora,
    size=sizes,
)
def test_a_stream_goes_on_from_every_batch(probe: Probe, documents: list[str], size: tuple[int, int]) -> None:
    """From the state of any batch, through JSON, a new loader yields the batches that follow it.

    Kills: a state that is one batch early or late, that knows only the document or only the epoch, or is
    that of what was read ahead.
    """
    number, following = 7, 3
    this = setup(documents, size)
    got = probe("dataloader.resumed_everywhere", setup=this, number=number, following=following)
    for batch, after in enumerate(got):
        what = f"a loader from the state of batch {batch}"
        expect_batches(after, this, following, what, first=batch + 1)


@law(
    examples=10,
    cases=[{"documents": ["ab", "cde", "f"], "lengths": [1, 1, 1, 1, 1, 1, 1, 1]}],
    documents=corpora,
    lengths=st.lists(st.integers(1, 4), min_size=2, max_size=6),
)
def test_a_resumed_stream_can_be_resumed(probe: Probe, documents: list[str], lengths: list[int]) -> None:
    """A stream that is interrupted and taken up again and again is the stream, batch for batch.

    Kills: a state that counts from where the loader was taken up, and not from the beginning.
    """
    this = setup(documents, (2, 4))
    got = probe("dataloader.resumed", setup=this, lengths=lengths)
    expect_batches(got, this, sum(lengths), f"a stream interrupted after {lengths} batches")


@law(
    examples=8,
    cases=[{"documents": ["abc", "a", "abcdef"], "parts": 1}, {"documents": ["abc"], "parts": 2}],
    documents=st.lists(st.text(alphabet="abc", max_size=9), min_size=1, max_size=5),
    parts=st.sampled_from([1, 2, 3]),
)
def test_a_stream_goes_on_at_the_end_of_an_epoch(probe: Probe, documents: list[str], parts: int) -> None:
    """A state that falls on the very end of an epoch leads to the beginning of the next one.

    Documents are chosen so that a number of batches makes an epoch. Kills: the first document left out or
    the last one repeated after the border, a state beyond the last document that finds nothing.
    """
    length = sum(len(ids) for ids in encoded(setup(documents, (1, 1))))
    # An epoch of `parts` batches: fill the last document up.
    filled = [*documents[:-1], documents[-1] + "c" * (-length % parts)]
    this = setup(filled, (1, sum(len(ids) for ids in encoded(setup(filled, (1, 1)))) // parts))
    number = 2 * parts + 1
    got = probe("dataloader.resumed_everywhere", setup=this, number=number, following=parts + 1)
    for batch, after in enumerate(got):
        expect_batches(after, this, parts + 1, f"from batch {batch}, of {parts} an epoch", first=batch + 1)


@law(
    examples=8,
    cases=[{"documents": ["a", "bc", "", "abcd", "c"], "size": (1, 1)}],
    documents=st.lists(st.text(alphabet="abc", max_size=5), min_size=2, max_size=5),
    size=st.sampled_from([(1, 1), (1, 2), (3, 1)]),
)
def test_a_stream_goes_on_at_the_edge_of_a_document(
    probe: Probe, documents: list[str], size: tuple[int, int]
) -> None:
    """States before, at and behind the end of a document lead to its last id, to <|bos|>, and beyond.

    Batches are so small that every place of two epochs is the place of a state. Kills: a document begun
    anew, or left out, when a batch ends exactly with it.
    """
    this = setup(documents, size)
    length = sum(len(ids) for ids in encoded(this))
    number = 2 * length // (size[0] * size[1]) + 1
    got = probe("dataloader.resumed_everywhere", setup=this, number=number, following=2)
    for batch, after in enumerate(got):
        expect_batches(after, this, 2, f"a loader from the state of batch {batch}", first=batch + 1)


@law(
    examples=6,
    cases=[{"shared": (2, ["a", "bcd", FILLER, "e", "f"]), "lengths": [2, 1, 3]}],
    shared=shared_corpora(),
    lengths=st.lists(st.integers(1, 5), min_size=2, max_size=4),
)
def test_every_rank_goes_on_from_its_own_state(
    probe: Probe, shared: tuple[int, list[str]], lengths: list[int]
) -> None:
    """A rank of several goes on with its own share, also where the share was read several times.

    Kills: a state that counts the documents of the rank where those of all are meant, or the other way.
    """
    world_size, documents = shared
    for rank in sorted({0, world_size - 1}):
        this = setup(documents, (2, 3), rank=rank, world_size=world_size)
        got = probe("dataloader.resumed", setup=this, lengths=lengths)
        expect_batches(got, this, sum(lengths), f"rank {rank} of {world_size}, interrupted after {lengths}")


@law(
    examples=2,
    cases=[{"number": 70, "batch": 3}, {"number": 150, "batch": 11}],
    number=st.integers(65, 200),
    batch=st.integers(0, 40),
)
def test_a_stream_goes_on_among_many_documents(probe: Probe, number: int, batch: int) -> None:
    """A state among hundreds of documents leads to the next one, not to one that was read ahead.

    Kills: a state that is that of a buffer of documents, or of the last one that was encoded.
    """
    this = setup([f"{index}, " + FILLER[: index % 4] for index in range(number)], (2, 16))
    got = probe("dataloader.resumed", setup=this, lengths=[batch + 1, 2, 1])
    expect_batches(
        got, this, batch + 4, f"a stream of {number} documents, interrupted after {batch + 1} batches"
    )


@law(
    examples=2,
    cases=[{"documents": ["ab", FILLER, "c"], "batch": 4}],
    documents=corpora,
    batch=st.integers(0, 9),
)
def test_a_state_holds_all_that_is_needed(probe: Probe, documents: list[str], batch: int) -> None:
    """A state says enough for another process, which knows nothing but the state and the texts.

    Kills: a place that is kept in the module, a state that is a key to what is, or holds a hash of a text.
    """
    this = setup(documents, (2, 5))
    state = probe("dataloader.states", setup=this, number=batch + 1)["said"][-1]
    with another_process(probe):
        got = probe("dataloader.batches_elsewhere", setup=this, number=3, state=state)
    expect_batches(got, this, 3, f"another process from the state of batch {batch}", first=batch + 1)


@law(examples=6, cases=[{"documents": ["ab", FILLER], "size": (2, 5)}], documents=corpora, size=sizes)
def test_a_state_stays_as_it_was(probe: Probe, documents: list[str], size: tuple[int, int]) -> None:
    """A state is a dict that JSON can hold; later batches do not change it, nor does going on from it.

    Kills: one dict that is yielded again and again, a list in it that grows, tensors or NumPy numbers.
    """
    number = 6
    got = states_of(probe, setup(documents, size), number)
    for batch in range(number):
        expect_equal(
            got["at_the_end"][batch],
            got["said"][batch],
            f"the state of batch {batch} after {number - 1 - batch + 3} more batches",
        )
        expect_equal(type(json.loads(got["said"][batch])).__name__, "dict", f"the type of state {batch}")
    expect_equal(
        got["given"], got["said"][-1], f"the state of batch {number - 1} after a loader went on from it"
    )


@law(
    examples=2,
    cases=[{"documents": ["ab", "", "c"]}],
    documents=st.lists(short_texts, min_size=1, max_size=4),
)
def test_a_state_stays_small(probe: Probe, documents: list[str]) -> None:
    """The size of a state does not grow with the number of batches.

    Kills: a state that lists what was read, or holds all of the ids so far.
    """
    this = setup(documents, (2, 8))
    lengths = [len(text) for text in states_of(probe, this, 600)["said"]]
    # What is left over from documents may be part of it, and numbers get longer.
    ids = sum(len(one) for one in encoded(this))
    limit = 2 * max(lengths[:40]) + 8 * ids + 200
    expect_at_most(max(lengths[500:]), limit, "the characters of a state in JSON after 500 batches")


def states_of(probe: Probe, this: dict[str, Any], number: int) -> Any:
    """Return the states of the first batches; LawBroken if JSON cannot hold one."""
    outcome = probe.attempt("dataloader.states", setup=this, number=number)
    if isinstance(outcome, SubmissionRaised):
        if outcome.is_a("TypeError") and "JSON" in outcome.message:
            broken(f"a state holds what JSON does not: {outcome.message}")
        raise outcome
    return outcome


@law(
    examples=1,
    cases=[{"number": 1, "length": 70_000}, {"number": 66_000, "length": 0}],
    number=st.integers(2, 30),
    length=st.integers(2000, 6000),
)
def test_a_stream_goes_on_at_high_numbers(probe: Probe, number: int, length: int) -> None:
    """A stream goes on far into a long document, and behind tens of thousands of short ones.

    Kills: places kept in too few bits, or counted within a part of a document.
    """
    documents = [f"{index}" + "x" * length for index in range(number)]
    ids = sum(len(document) + 1 for document in documents)
    this = setup(["ab", *documents, "the end"], (1, max(1, ids // 8)))
    got = probe("dataloader.resumed", setup=this, lengths=[6, 1, 3])
    expect_batches(got, this, 10, f"the stream of {number:,} documents of {length:,} letters, taken up twice")
