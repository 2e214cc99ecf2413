"""Fine-tuning batches of scripted conversations: which target stands where, in which order, in which shape.

The tokenizer follows a script, so that any ids and any mask can be had; bugs of the submission's tokenizer do
not show here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from specs.compare import expect, expect_at_most, expect_equal, expect_named, expect_raised
from specs.law import law
from specs.probe import Probe

CRITERION = "finetuning"

VOCABULARY = 50
BYTES = 256
"""Ids that every vocabulary has: padding may be any of them, also where texts use fewer."""
Row = tuple[list[int], list[int]]


@st.composite
def rows(
    draw: st.DrawFn, *, least: int = 1, most: int = 7, shortest: int = 2, longest: int = 12
) -> list[Row]:
    """Draw the ids and the masks of several conversations, of which one at least has something to learn."""
    made = []
    for _ in range(draw(st.integers(least, most))):
        length = draw(st.integers(shortest, longest))
        random = np.random.default_rng(draw(st.integers(0, 2**16)))
        density = draw(st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0]))
        # Of few ids in some rows: an id that pads is a token like any other, 0 above all.
        ids = random.integers(0, draw(st.sampled_from([1, 3, VOCABULARY])), length).tolist()
        made.append((ids, (random.random(length) < density).astype(int).tolist()))
    return made


def wanted(row: Row, max_tokens: int = 2048) -> Row:
    """Return the inputs and the targets of a row, without padding."""
    ids, mask = row[0][:max_tokens], row[1][:max_tokens]
    return ids[:-1], [token if counts else -1 for token, counts in zip(ids[1:], mask[1:], strict=True)]


def expect_rows(got: dict[str, Any], rows: list[Row], batch_size: int, max_tokens: int = 2048) -> None:
    """Require the batches to hold these rows, in their order, with nothing but padding behind each."""
    sizes = [len(rows[start : start + batch_size]) for start in range(0, len(rows), batch_size)]
    expect_equal(
        [np.shape(batch["inputs"])[0] for batch in got["batches"]],
        sizes,
        f"the rows of the batches of {len(rows)}",
    )
    number = 0
    for batch in got["batches"]:
        expect_equal(np.shape(batch["targets"]), np.shape(batch["inputs"]), "the shape of the targets")
        for inputs, targets in zip(batch["inputs"].tolist(), batch["targets"].tolist(), strict=True):
            want_inputs, want_targets = wanted(rows[number], max_tokens)
            length = len(want_inputs)
            what = f"conversation {number}, {length} places and padding behind them"
            expect_equal(inputs[:length], want_inputs, f"the inputs of {what}")
            expect_equal(targets[:length], want_targets, f"the targets of {what}")
            expect_equal(set(targets[length:]) - {-1}, set(), f"the targets of the padding of {what}")
            number += 1


@law(
    examples=20,
    cases=[
        {"made": [([5, 6, 7, 8], [0, 0, 1, 1])]},
        {"made": [([5, 6, 7, 8], [1, 0, 1, 0])]},
        {"made": [([5, 6, 7], [0, 0, 0])]},
        {"made": [([9, 9, 9, 9], [0, 1, 0, 1])]},
        {"made": [([1, 0, 2, 0, 0], [0, 1, 1, 0, 1])]},
    ],
    made=rows(most=1),
)
def test_a_target_is_the_next_id_where_its_mask_is_one(probe: Probe, made: list[Row]) -> None:
    """The target of each place is the id that follows if the mask of that id is 1, and -1 if it is 0.

    Also where that id is 0, which is a token. Kills: an inverted mask, no mask, the mask of the input instead
    of the target's, targets that are not shifted, shifted twice or in the other direction, an id of 0 taken
    for no target.
    """
    expect_rows(probe("finetuning.scripted", rows=made, batch_size=1), made, 1)


@law(
    examples=20,
    cases=[
        {"made": [([5, 6, 7], [0, 1, 1]), ([5, 6, 7, 8, 9], [0, 0, 1, 0, 1])], "batch_size": 2},
        {"made": [([5, 6, 7, 8, 9], [1] * 5), ([5, 6], [1] * 2)], "batch_size": 2},
        {"made": [([0, 0, 4, 0, 0], [1] * 5), ([0, 0], [1] * 2), ([4, 4, 0], [1] * 3)], "batch_size": 3},
        {"made": [([5, 6, 7, 8, 9], [1] * 5), ([5], [1]), ([5, 6, 7], [0, 1, 1])], "batch_size": 3},
    ],
    made=rows(least=2),
    batch_size=st.integers(2, 5),
)
def test_padding_is_never_learned(probe: Probe, made: list[Row], batch_size: int) -> None:
    """Shorter rows are padded at their end, with targets of -1 and inputs that are ids of the vocabulary.

    Kills: padding that counts, targets padded with the id that pads the inputs, padding at the front, an
    input of -1 that no embedding has, rows cut to the shortest, an id like that which pads taken for padding.
    """
    got = probe("finetuning.scripted", rows=made, batch_size=batch_size)
    expect_rows(got, made, batch_size)
    for batch in got["batches"]:
        ids = np.asarray(batch["inputs"])
        expect(
            ids.size == 0 or (ids.min() >= 0 and ids.max() < BYTES),
            f"inputs must be ids of the vocabulary, padding too: got ids from {ids.min(initial=0)} to "
            f"{ids.max(initial=0)}, want 0 to {BYTES - 1}",
        )


@law(
    examples=17,
    cases=[
        {"made": [([5 + n, 6, 7], [0, 1, 1]) for n in range(count)], "batch_size": size, "form": form}
        for count, size, form in (
            *((5, size, "list") for size in (1, 2, 5, 8)),
            *((40, size, form) for size in (1, 3) for form in ("passing", "refilled")),
        )
    ],
    made=rows(least=3, most=9),
    batch_size=st.integers(1, 10),
    form=st.sampled_from(["list", "iterator", "passing", "refilled"]),
)
def test_each_conversation_comes_once_in_order(
    probe: Probe, made: list[Row], batch_size: int, form: str
) -> None:
    """Batches hold `batch_size` conversations each, the last one what is left, each once and in order.

    Also where nobody keeps the conversations, or where a dict whose batch was given is filled anew.
    Kills: an incomplete last batch dropped or filled up again, rows sorted by length, an empty batch at the
    end, conversations read by index or run through twice, rows kept by the identity of conversations.
    """
    got = probe("finetuning.scripted", rows=made, batch_size=batch_size, form=form)
    expect_rows(got, made, batch_size)


@law(
    examples=6,
    cases=[{"made": [([5, 6, 7], [0, 1, 1]), ([5, 6], [0, 1])], "batch_size": 2}],
    made=rows(least=2),
    batch_size=st.integers(1, 3),
)
def test_inputs_are_int32_and_targets_int64(probe: Probe, made: list[Row], batch_size: int) -> None:
    """Inputs are int32 and targets int64, both (rows, columns), on the device named, "cpu" by default.

    Where there is no GPU, torch's device without memory is named; who cannot use that may say so.
    Kills: a dtype left to torch, tensors left on another device, one of the two or both.
    """
    for batch in probe("finetuning.scripted", rows=made, batch_size=batch_size)["batches"]:
        expect_equal(batch["dtypes"], ["int32", "int64"], "the dtypes of inputs and targets")
        expect(batch["on_device"], "inputs and targets must be on the device that was named")
        expect_equal(np.ndim(batch["inputs"]), 2, "the number of axes of the inputs")
    device = "cuda" if probe.device == "cuda" else "meta"
    by_default = probe("finetuning.forms", rows=made, batch_size=batch_size, device=None)
    ask = probe.attempt if device == "meta" else probe
    named = ask("finetuning.forms", rows=made, batch_size=batch_size, device=device)
    for there, batches in (("cpu", by_default), (device, named if isinstance(named, list) else [])):
        for number, batch in enumerate(batches):
            want = [
                {"dtype": dtype, "shape": by_default[number][0]["shape"], "device": there}
                for dtype in ("int32", "int64")
            ]
            expect_equal(batch, want, f"inputs and targets of batch {number} on the device {there}")


@law(
    examples=12,
    cases=[
        {"made": [([5, 6, 7, 8, 9, 10], [0, 1, 1, 1, 0, 1])] * 2, "max_tokens": limit} | {"named": limit != 4}
        for limit in (2, 4, 6, 7)
    ],
    made=rows(least=2, most=4),
    max_tokens=st.integers(2, 13),
    named=st.booleans(),
)
def test_rows_are_cut_to_max_tokens(probe: Probe, made: list[Row], max_tokens: int, named: bool) -> None:
    """A conversation is cut after `max_tokens` ids: one input fewer, and the last id is still a target.

    Whether arguments are given by name or in their order.
    Kills: a limit that is not handed on, one place more or less, inputs and targets cut apart.
    """
    got = probe("finetuning.scripted", rows=made, batch_size=2, max_tokens=max_tokens, named=named)
    expect_rows(got, made, 2, max_tokens)


@law(
    examples=4,
    cases=[{"length": 2047}, {"length": 2048}, {"length": 2049}],
    length=st.integers(2040, 2060),
)
def test_the_default_limit_is_2048(probe: Probe, length: int) -> None:
    """Without `max_tokens` a row is cut after 2048 ids, and with a higher limit after no fewer.

    Kills: another default, no limit, a limit that only lowers the default.
    """
    made: list[Row] = [
        ([1 + n % 40 for n in range(length)], [int(n % 3 < 2 or n > 2000) for n in range(length)])
    ]
    got = probe("finetuning.scripted", rows=made, batch_size=1)
    (batch,) = got["batches"]
    _, want_targets = wanted(made[0])
    expect_at_most(
        int(np.sum(np.asarray(batch["targets"]) != -1)),
        sum(target != -1 for target in want_targets),
        f"the targets that count of a conversation of {length} ids",
    )
    expect_rows(got, made, 1)
    expect_rows(probe("finetuning.scripted", rows=made, batch_size=1, max_tokens=4096), made, 1, 4096)


@law(
    examples=10,
    cases=[
        {"made": [([5, 6, 7], [0, 1, 1]), ([8, 9], [0, 1]), ([1, 2, 3, 4], [0, 0, 1, 1])], "sizes": (1, 3)}
    ],
    made=rows(least=2, most=8),
    sizes=st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_the_size_of_a_batch_changes_no_row(probe: Probe, made: list[Row], sizes: tuple[int, int]) -> None:
    """What is learned from a conversation does not depend on how many others share its batch.

    Kills: a mask of the whole batch taken from one row, padding that depends on a neighbour and counts,
    rows written over by a later batch.
    """
    learned = []
    for size in sizes:
        got = probe("finetuning.scripted", rows=made, batch_size=size)
        learned.append(
            [
                [
                    [i, one, another]
                    for i, (one, another) in enumerate(zip(*pair, strict=True))
                    if another != -1
                ]
                for batch in got["batches"]
                for pair in zip(batch["inputs"].tolist(), batch["targets"].tolist(), strict=True)
            ]
        )
    expect_equal(
        learned[0],
        learned[1],
        f"place, input and target that count, by row, with batches of {sizes[0]} and {sizes[1]}",
    )
    want = [
        [
            [i, one, another]
            for i, (one, another) in enumerate(zip(*wanted(row), strict=True))
            if another != -1
        ]
        for row in made
    ]
    expect_equal(learned[0], want, f"place, input and target that count, by row, with batches of {sizes[0]}")


@law(examples=4, cases=[{"batch_size": 1}, {"batch_size": 8}], batch_size=st.integers(1, 16))
def test_conversations_are_read_as_they_are_needed(probe: Probe, batch_size: int) -> None:
    """Before a batch is asked for, no more conversations have been read than a few batches need.

    Kills: a list made of a data set that does not fit, an endless one read to its end.
    """
    made: list[Row] = [([1, 2 + n % 40, 3], [0, 1, 1]) for n in range(700)]
    counts = probe("finetuning.taken", rows=made, batch_size=batch_size, batches=3)
    for place, count in enumerate(counts):
        # Some read ahead, to prepare a batch while another is trained on.
        limit = (place + 1) * batch_size + 256
        expect_at_most(count, limit, f"the conversations read after {place} batches of {batch_size}")


@law(
    examples=6,
    cases=[{"made": [([5, 6, 7], [0, 1, 1]), ([5, 6], [0, 1])], "batch_size": 2}],
    made=rows(),
    batch_size=st.integers(1, 3),
)
def test_conversations_are_not_changed(probe: Probe, made: list[Row], batch_size: int) -> None:
    """Making batches changes neither the conversations nor anybody's random generator, and reads each once.

    Kills: messages taken out of a conversation, a global seed set to shuffle.
    """
    got = probe("finetuning.scripted", rows=made, batch_size=batch_size)
    expect(not got["conversations_changed"], "making batches changed the conversations")
    expect(not got["random_states_changed"], "making batches changed the state of a global random generator")
    expect_equal(sorted(set(got["asked"])), list(range(len(made))), "the conversations that were rendered")


@law(
    examples=22,
    cases=[{"batch_size": 0, "conversations": 3}, {"batch_size": -1, "conversations": 1}],
    batch_size=st.integers(-5, 0),
    conversations=st.integers(1, 4),
)
def test_an_impossible_batch_size_is_refused(probe: Probe, batch_size: int, conversations: int) -> None:
    """A `batch_size` below 1 is a ValueError; no conversations give no batches.

    Kills: a loop without end, no batches without a word, one empty batch for no conversations, a message
    that does not say what is wrong.
    """
    what = f"a batch_size of {batch_size}"
    raised = expect_raised(
        probe.attempt("finetuning.first_batch", batch_size=batch_size, conversations=conversations),
        what,
        "ValueError",
    )
    expect_named(raised, ["batch", str(batch_size)], what)
    expect_equal(
        probe("finetuning.first_batch", batch_size=2, conversations=0), 0, "the batches of no conversations"
    )
