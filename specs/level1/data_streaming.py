"""What the token stream reads, holds and leaves alone."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from specs.compare import expect, expect_at_most, expect_equal, expect_named, expect_raised
from specs.datastreams import FILLER, corpora, encoded, expect_batches, setup, shaped, sizes
from specs.imports import expect_import_without_traces
from specs.law import law
from specs.oracles import stream
from specs.order import expect_any_order
from specs.probe import Probe

CRITERION = "data"

AHEAD = 64
"""Texts that may be read further than a batch needs."""

ENDLESS = 3000
"""Texts that stand for texts without end: far more than any batch here justifies."""

HELD_BYTES = 200_000
"""Less than half of what keeping every text or every id takes in the law below."""


@law(
    examples=4,
    cases=[{"lengths": [5], "size": (2, 8)}, {"lengths": [0, 30, 2], "size": (1, 4)}],
    lengths=st.lists(st.integers(0, 40), min_size=1, max_size=5),
    size=st.sampled_from([(1, 4), (2, 8), (4, 32)]),
)
def test_texts_are_read_as_they_are_needed(probe: Probe, lengths: list[int], size: tuple[int, int]) -> None:
    """After each batch, no more than 64 texts have been read beyond those that the batch needs.

    Kills: all texts read or encoded first, which never ends where they have no end; reading ahead without
    a limit.
    """
    documents = [FILLER[:length] for length in lengths]
    this = setup(documents, size)
    counted = probe("dataloader.read_ahead", setup=this, number=12, most=ENDLESS)
    ids = [len(one) for one in encoded(this)]
    for batch, read in enumerate(counted):
        # One id more: the last target.
        needed = stream.texts_needed(ids, (batch + 1) * size[0] * size[1] + 1)
        what = f"texts read after batch {batch} of {size}, which needs {needed} of them"
        expect(read >= needed, f"{what}: got {read}, so they did not come from the texts")
        expect_at_most(read, needed + AHEAD, what)


@law(
    examples=2,
    cases=[{"number": 400, "world_size": 1}, {"number": 900, "world_size": 2}],
    number=st.integers(300, 600),
    world_size=st.just(1),
)
def test_later_epochs_are_read_as_they_are_needed(probe: Probe, number: int, world_size: int) -> None:
    """In the second epoch and the third, texts are read no further ahead than in the first.

    Kills: texts that are collected once their end was seen, an epoch that is read to its end first.
    """
    documents = [FILLER[: index % 9] for index in range(number)]
    this = setup(documents, (2, 64), world_size=world_size, rank=world_size - 1)
    ids = [len(one) for one in encoded(this)]
    batches = 3 * sum(ids) // world_size // 128
    counted = probe("dataloader.read_ahead", setup=this, number=batches, most=None)
    for batch, read in enumerate(counted):
        needed = repeated_needed(ids, (batch + 1) * 128 + 1, world_size - 1, world_size)
        what = f"texts read after batch {batch} of three epochs of {number}, which needs {needed} of them"
        expect_at_most(read, needed + AHEAD * world_size, what)


def repeated_needed(lengths: list[int], ids: int, rank: int, world_size: int) -> int:
    """Return how many texts must be read for the first `ids` ids of a rank, epoch after epoch."""
    share = lengths[rank::world_size]
    epochs, rest = divmod(ids, sum(share))
    return epochs * len(lengths) + stream.texts_needed(lengths, rest, rank, world_size)


@law(examples=5, cases=[{"world_size": 3, "rank": 1}], world_size=st.integers(2, 4), rank=st.integers(0, 1))
def test_a_rank_reads_no_further_either(probe: Probe, world_size: int, rank: int) -> None:
    """A rank of several reads no further than 64 documents of its own beyond what a batch needs.

    Kills: as the law about one rank.
    """
    this = setup([FILLER[:9], FILLER[:20], ""], (2, 8), world_size=world_size, rank=rank)
    counted = probe("dataloader.read_ahead", setup=this, number=8, most=ENDLESS)
    ids = [len(one) for one in encoded(this)]
    for batch, read in enumerate(counted):
        needed = stream.texts_needed(ids, (batch + 1) * 16 + 1, rank, world_size)
        what = f"texts read by rank {rank} of {world_size} after batch {batch}, which needs {needed}"
        expect(read >= needed, f"{what}: got {read}, so they did not come from the texts")
        expect_at_most(read, needed + AHEAD * world_size, what)


@law()
def test_what_was_given_is_not_kept(probe: Probe) -> None:
    """The memory of a loader does not grow with the number of batches that it has given.

    Kills: every text or every id kept, for the next epoch or to count from.
    """
    # 200 batches of 1,024 ids: 1.6 MB as a list, 0.8 MB in an array; 5,000 texts take 0.5 MB.
    this = setup([FILLER[:40], FILLER[10:50]], (8, 128))
    early, late = probe("dataloader.memory", setup=this, numbers=[20, 220], most=40_000)
    expect_at_most(
        late - early, HELD_BYTES, "what 200 batches of 1,024 ids more add to Python's memory", " B"
    )


@law(examples=6, cases=[{"documents": ["ab", "c", FILLER], "size": (2, 4)}], documents=corpora, size=sizes)
def test_batches_stay_as_they_came(probe: Probe, documents: list[str], size: tuple[int, int]) -> None:
    """Inputs and targets hold what they held when they came, however many batches come after them.

    Kills: one buffer that is filled anew for each batch.
    """
    number = 6
    this = setup(documents, size)
    got = probe("dataloader.kept", setup=this, number=number)
    for name in ("inputs", "targets"):
        came, later = (shaped(got[when], this, number, name, "the stream") for when in ("came", "later"))
        for batch in range(number):
            expect_equal(
                later[batch].tolist(),
                came[batch].tolist(),
                f"the {name} of batch {batch} when batch {number - 1} had come, against when it came itself",
            )


@law(examples=6, cases=[{"documents": ["ab", "c", FILLER], "size": (2, 4)}], documents=corpora, size=sizes)
def test_batches_belong_to_the_caller(probe: Probe, documents: list[str], size: tuple[int, int]) -> None:
    """Whoever writes into a batch changes neither its other half nor the batches that follow.

    Kills: inputs and targets that share memory, views of a buffer whose end becomes the next beginning.
    """
    this = setup(documents, size)
    got = probe("dataloader.overwritten", setup=this, number=6)
    expect_batches(got, this, 6, "the stream of a caller who overwrites each batch")


WRONG: list[dict[str, Any]] = [
    {"B": 0},
    {"B": -3},
    {"T": 0},
    {"T": -1},
    {"world_size": 0},
    {"world_size": -2},
    {"rank": 1},
    {"rank": -1},
    {"rank": 2, "world_size": 2},
    {"rank": 7, "world_size": 3},
    {"rank": -1, "world_size": 4},
]


@law(
    examples=6,
    cases=[{"wrong": wrong} for wrong in WRONG],
    wrong=st.one_of(
        st.fixed_dictionaries({"B": st.integers(-50, 0)}),
        st.fixed_dictionaries({"T": st.integers(-50, 0)}),
        st.fixed_dictionaries({"rank": st.integers(5, 99), "world_size": st.integers(1, 5)}),
    ),
)
def test_arguments_without_sense_are_refused(probe: Probe, wrong: dict[str, Any]) -> None:
    """Sizes below 1, and ranks outside 0 ... world_size - 1, are a ValueError that names the number.

    With the call or with the first batch. Kills: empty batches, a rank that wraps around or reads nothing.
    """
    this = {**setup(["ab", "c", "d", "e"] * 30, (2, 3)), **wrong}
    said = ", ".join(f"{name}={value}" for name, value in wrong.items())
    raised = expect_raised(probe.attempt("dataloader.batches", setup=this, number=1), said, "ValueError")
    number = str(wrong.get("rank", next(iter(wrong.values()))))
    expect_named(raised, [number], said)


@law(examples=11, documents=corpora, wrong=st.sampled_from(WRONG))
def test_a_refusal_changes_nothing(probe: Probe, documents: list[str], wrong: dict[str, Any]) -> None:
    """After arguments were refused, the same texts and tokenizer serve another loader as ever.

    Kills: a state that an error leaves half made.
    """
    this = setup(documents, (2, 3))
    got = probe("dataloader.after_an_error", setup=this, wrong=wrong, number=3)
    expect_batches(got, this, 3, f"the stream after a refusal of {wrong}")


@law(
    examples=4,
    cases=[
        {"documents": ["abcdefgh"], "lengths": [0, 1, 1]},
        {"documents": ["ab", "c"], "lengths": [2, 0, 3]},
    ],
    documents=corpora,
    lengths=st.lists(st.integers(0, 3), min_size=2, max_size=4),
)
def test_whoever_goes_on_gets_the_next_batch(probe: Probe, documents: list[str], lengths: list[int]) -> None:
    """A loader is one stream, however it is taken: a second loop, or one after `next`, goes on where it was.

    Kills: an iterator that begins anew for each loop.
    """
    this = setup(documents, (1, 3))
    number = sum(lengths) + len(lengths)
    got = probe("orders.in_parts", setup=this, lengths=lengths)
    expect_batches(got, this, number, f"taken by loops of {lengths} batches and by next")


LOADERS: list[dict[str, Any]] = [
    {"setup": {"documents": documents, "B": size[0], "T": size[1], **more}, "shift": shift, "number": number}
    for documents in (["abc"], ["the abc", "ab é", ""])
    for shift in (0, 3)
    for size, number, more in (
        ((1, 4), 2, {}),
        ((2, 3), 3, {"rank": 0, "world_size": 2}),
    )
]
LOADERS += [{"setup": {"documents": ["abc"], "B": 1, "T": 4, "rank": 2}, "shift": 0, "number": 1}]
"""Few texts, and two tokenizers of one kind with the same <|bos|>; the last one is refused."""


@law(examples=1, calls=st.permutations(LOADERS))
def test_no_loader_changes_a_later_one(probe: Probe, calls: list[dict[str, Any]]) -> None:
    """A loader yields the same whatever was loaded before it, the same texts by another tokenizer too.

    Kills: ids that are kept by their text, a place or a rest that is left for the next loader.
    """
    answers = expect_any_order(
        probe,
        lambda each: probe("orders.loaders", calls=each),
        calls,
        lambda call: f"the batches of {call['setup']}, ids shifted by {call['shift']}",
    )
    by_shift: dict[str, list[Any]] = {}
    for call, answer in zip(calls, answers, strict=True):
        by_shift.setdefault(str(call["setup"]), []).append(answer)
    for said, found in by_shift.items():
        expect(len(found) == 1 or found[0] != found[1], f"two tokenizers gave the same batches of {said}")


@law(examples=2, documents=corpora, size=sizes)
def test_loading_leaves_no_traces(probe: Probe, documents: list[str], size: tuple[int, int]) -> None:
    """A loader draws from nobody's random generator and changes no setting of torch, also between batches.

    Kills: a seed that is set globally, threads or gradients that stay switched off, a default device that is
    set to put batches there, until the loader ends or for as long as it waits.
    """
    this = setup(documents, size)
    for changed in probe("dataloader.traces", setup=this, number=5):
        expect(False, f"yielding batches changed {changed}")
    # Who cannot use torch's device without memory may say so.
    outcome = probe.attempt("dataloader.traces", setup={**this, "device": "meta"}, number=5)
    for changed in outcome if isinstance(outcome, list) else []:
        expect(False, f"yielding batches on another device changed {changed}")


@law()
def test_importing_the_loader_changes_nothing(probe: Probe) -> None:
    """Importing the module starts nothing, writes nothing, and changes no setting that others share.

    Kills: a seed, the number of threads, a precision or warning filters set while the module is imported, a
    folder made for a cache.
    """
    expect_import_without_traces(probe, "nanochat.dataloader")
