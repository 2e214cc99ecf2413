"""KV cache consistency, the store: what was inserted comes back, in order, and nothing else.

Keys and values are random numbers and no model is involved.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from specs import draws, tolerances
from specs.compare import expect_close, expect_equal, expect_raised
from specs.law import law
from specs.probe import Probe
from specs.strategies import compositions, seeds

CRITERION = "cache"

ENTRY_AXES = ("row", "head", "position", "channel")


@law(
    examples=15,
    cases=[
        {"layers": 2, "chunks": [1, 1], "seed": 0, "slots": 4},
        {"layers": 12, "chunks": [2, 1], "seed": 0, "slots": 4},
    ],
    layers=st.integers(1, 4),
    chunks=compositions(max_total=12),
    seed=seeds,
    slots=st.sampled_from([1, 4, 16]),
)
def test_the_position_counts_what_every_layer_holds(
    probe: Probe, layers: int, chunks: list[int], seed: int, slots: int
) -> None:
    """The position is the number of tokens that every layer holds: it moves once, when the last layer is in.

    Kills: a position advanced by the first layer, by every layer, by a layer that is the last of another
    model, or by one whatever the chunk.
    """
    steps = [insertion(seed + i, layers, 1, 2, size, 4) for i, size in enumerate(chunks)]
    answers = run(probe, steps, slots)
    reached = 0
    for i, (size, answer) in enumerate(zip(chunks, answers, strict=True)):
        expect_equal(
            answer["during"],
            [reached] * layers,
            f"the position before each layer of chunk {i} of {chunks} was inserted",
        )
        reached += size
        expect_equal(answer["position"], reached, f"the position after chunk {i} of {chunks}")


@law(
    examples=16,
    cases=[
        {"layers": 2, "rows": 2, "heads": 2, "chunks": [1, 2, 1], "seed": 0, "slots": 2, "dtype": "float32"}
    ],
    layers=st.integers(1, 3),
    rows=st.integers(1, 3),
    heads=st.integers(1, 3),
    chunks=compositions(max_total=12),
    seed=seeds,
    slots=st.sampled_from([1, 2, 8, 64]),
    dtype=st.sampled_from(["float32", "bfloat16"]),
)
def test_insertion_returns_everything_so_far(
    probe: Probe, layers: int, rows: int, heads: int, chunks: list[int], seed: int, slots: int, dtype: str
) -> None:
    """After each insertion a layer gets back all its keys and values so far, in order, bit for bit.

    Kills: layers that share slots, keys and values exchanged, heads and positions exchanged, entries
    rounded or rewritten by a later step.
    """
    steps = [insertion(seed + i, layers, rows, heads, size, 4, dtype) for i, size in enumerate(chunks)]
    check_entries(run(probe, steps, slots, dtype), steps, dtype)


@law(
    examples=4,
    cases=[
        {"layers": 2, "chunks": [3, 70, 1, 130, 2], "seed": 0},
        {"layers": 2, "chunks": [128, 64, 64, 256], "seed": 0},
        {"layers": 2, "chunks": [1] * 70, "seed": 1},
    ],
    layers=st.integers(1, 3),
    chunks=st.lists(st.sampled_from([1, 2, 63, 64, 65, 128, 200]), min_size=3, max_size=6),
    seed=seeds,
)
def test_growth_keeps_what_was_stored(probe: Probe, layers: int, chunks: list[int], seed: int) -> None:
    """When a cache grows, once or several times, everything stored before stays where it was.

    Kills: growth that reinterprets memory, forgets a layer, or stops after the first time.
    """
    steps = [insertion(seed + i, layers, 2, 2, size, 2) for i, size in enumerate(chunks)]
    check_entries(run(probe, steps, 4, "float32"), steps, "float32")


@law(
    examples=8,
    seed=seeds,
    layers=st.integers(1, 3),
    chunks=compositions(max_total=8),
    slots=st.sampled_from([2, 32]),
)
def test_what_a_slot_held_before_does_not_matter(
    probe: Probe, seed: int, layers: int, chunks: list[int], slots: int
) -> None:
    """Slots that held huge numbers before a reset have no influence on what is stored afterwards.

    Kills: entries added to what a slot held, returned keys that reach beyond the tokens held.
    """
    dirt = insertion(seed, layers, 2, 2, 20, 4)
    dirt = {**dirt, "k": dirt["k"] * np.float32(1e4), "v": dirt["v"] * np.float32(1e4)}
    steps = [insertion(seed + 1 + i, layers, 2, 2, size, 4) for i, size in enumerate(chunks)]
    answers = run(probe, [dirt, {"do": "reset"}, *steps], slots, "float32")
    check_entries(answers[2:], steps, "float32")


operations = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), st.sampled_from([1, 1, 2, 5, 64])),
        st.tuples(st.just("reset"), st.just(0)),
        st.tuples(st.just("prefill"), st.integers(1, 9)),
    ),
    min_size=1,
    max_size=8,
)


@law(
    examples=20,
    cases=[
        {"layers": 2, "rows": 2, "operations": [("prefill", 3), ("insert", 1), ("reset", 0), ("insert", 2)],
         "seed": 0, "slots": 4},
        {"layers": 1, "rows": 3, "operations": [("insert", 64), ("insert", 1), ("reset", 0), ("prefill", 2)],
         "seed": 1, "slots": 4},
    ],
    layers=st.integers(1, 3),
    rows=st.integers(1, 3),
    operations=operations,
    seed=seeds,
    slots=st.sampled_from([1, 4, 64]),
)  # fmt: skip  # one case a line reads better
def test_any_history_gives_the_tokens_held(
    probe: Probe, layers: int, rows: int, operations: list[tuple[str, int]], seed: int, slots: int
) -> None:
    """After any sequence of insertions, resets and copies, a cache holds what a plain list would hold.

    Kills: what only the second use shows: stale lengths, a reset after growth, a copy into a used cache.
    """
    steps: list[dict[str, Any]] = []
    held = 0
    for i, (kind, size) in enumerate(operations):
        if kind == "prefill" and held:
            # A copy goes into an empty cache.
            steps.append({"do": "reset"})
            held = 0
        if kind == "reset":
            steps.append({"do": "reset"})
            held = 0
        else:
            filled = insertion(seed + i, layers, rows if kind == "insert" else 1, 2, size, 2)
            steps.append({**filled, "do": kind})
            held += size
    answers = probe(
        "cache.history",
        shape={"rows": rows, "heads": 2, "head_dim": 2, "layers": layers},
        slots=slots,
        steps=steps,
        dtype="float32",
    )
    check_history(answers, steps, rows)


@law(
    examples=6,
    cases=[{"seed": 0, "dtype": dtype, "slots": 1} for dtype in ("float16", "float64")],
    seed=seeds,
    dtype=st.sampled_from(["float32", "bfloat16", "float16", "float64"]),
    slots=st.sampled_from([1, 8]),
)
def test_the_cache_keeps_the_dtype(probe: Probe, seed: int, dtype: str, slots: int) -> None:
    """Keys and values come back in the dtype that they were stored in.

    Kills: a cache that is always float32 or always bfloat16, a dtype that is taken for another of its size.
    """
    steps = [insertion(seed, 2, 1, 2, size, 4, dtype) for size in (2, 1)]
    for answer in run(probe, steps, slots, dtype):
        expect_equal(answer["dtypes"], [dtype], "the dtypes of the keys and values")


RIGHT = {"rows": 2, "heads": 3, "head_dim": 4, "layers": 1}


@law(
    examples=15,
    cases=[
        *(
            {"which": which, "wrong": wrong, "held": 0, "dtype": "float32"}
            for which in ("k", "v", "kv")
            for wrong in ({"rows": 1}, {"heads": 1})
        ),
        {"which": "v", "wrong": {"tokens": 1}, "held": 0, "dtype": "float32"},
        {"which": "v", "wrong": {"heads": 1}, "held": 5, "dtype": "float32"},
    ],
    which=st.sampled_from(["k", "v", "kv"]),
    wrong=st.sampled_from(
        [{"rows": 1}, {"rows": 3}, {"heads": 1}, {"heads": 4}, {"head_dim": 1}, {"head_dim": 5}]
    ),
    held=st.sampled_from([0, 5]),
    dtype=st.just("float32"),
)
def test_keys_and_values_that_do_not_fit_are_refused(
    probe: Probe, which: str, wrong: dict[str, int], held: int, dtype: str
) -> None:
    """Keys or values of another number of rows, heads or channels, or of different lengths, are a ValueError.

    Kills: values that are not looked at, a single row or head that is stretched over all of them.
    """
    sizes = {"k": {**RIGHT, "tokens": 2}, "v": {**RIGHT, "tokens": 2}}
    given = {name: draws.normal(0, *shaped(size), dtype=dtype) for name, size in sizes.items()}
    probe("cache.insert_into", shape=RIGHT, held=held, **given)  # what fits is accepted
    for name in which:
        given[name] = draws.normal(0, *shaped({**sizes[name], **wrong}), dtype=dtype)
    outcome = probe.attempt("cache.insert_into", shape=RIGHT, held=held, **given)
    shapes = {name: list(part.shape) for name, part in given.items()}
    expect_raised(outcome, f"keys and values of shapes {shapes} in a cache of {RIGHT}", "ValueError")


COPIED = {**RIGHT, "layers": 2}

OTHER_SHAPES: list[dict[str, int]] = [
    {"rows": 2},
    {"rows": 3},
    {"layers": 1},
    {"layers": 3},
    {"heads": 1},
    {"heads": 4},
    {"head_dim": 1},
    {"head_dim": 5},
]


@law(
    examples=24,
    # Each of them alone: a cache that is not empty is refused for another reason.
    cases=[
        {"wrong": {}, "held": 5, "tokens": 3},
        *({"wrong": wrong, "held": 0, "tokens": 3} for wrong in OTHER_SHAPES),
    ],
    wrong=st.sampled_from([{}, *OTHER_SHAPES]),
    held=st.sampled_from([0, 1, 5]),
    tokens=st.sampled_from([1, 3, 70]),
)
def test_a_copy_that_does_not_fit_is_refused(
    probe: Probe, wrong: dict[str, int], held: int, tokens: int
) -> None:
    """A copy into a cache that is not empty, of several rows, or from another shape, is a ValueError.

    Kills: a copy over tokens that are held, rows taken for a prompt, a single head stretched over all.
    """
    right = {**COPIED, "rows": 1}
    got = probe("cache.prefill_from", shape=COPIED, other=right, held=0, tokens=tokens)
    expect_equal(got, tokens, "the position after a copy that fits")
    if not wrong and not held:
        return
    other = {**right, **wrong}
    outcome = probe.attempt("cache.prefill_from", shape=COPIED, other=other, held=held, tokens=tokens)
    expect_raised(
        outcome, f"a copy from a cache of {other} into one of {COPIED} with {held} tokens", "ValueError"
    )


@law(examples=3, held=st.sampled_from([1, 5, 70]))
def test_a_cache_is_no_prompt_of_its_own(probe: Probe, held: int) -> None:
    """A cache of one row that holds tokens refuses to be filled from itself, as from any other.

    Kills: a way out before the question whether the cache is empty.
    """
    got = probe("cache.prefill_from_itself", shape={**COPIED, "rows": 1}, held=held)
    want = {"refused": True, "position": held}
    expect_equal(got, want, f"a copy of a cache with {held} tokens into itself")


def shaped(sizes: dict[str, int]) -> tuple[int, int, int, int]:
    """Return the shape of keys or values of these sizes."""
    return sizes["rows"], sizes["heads"], sizes["tokens"], sizes["head_dim"]


def insertion(
    seed: int, layers: int, rows: int, heads: int, tokens: int, head_dim: int, dtype: str = "float32"
) -> dict[str, Any]:
    """Return a step that inserts random keys and values into every layer."""
    return {
        "do": "insert",
        "k": draws.normal(2 * seed, layers, rows, heads, tokens, head_dim, dtype=dtype),
        "v": draws.normal(2 * seed + 1, layers, rows, heads, tokens, head_dim, dtype=dtype),
    }


def run(
    probe: Probe, steps: list[dict[str, Any]], slots: int, dtype: str | None = None
) -> list[dict[str, Any]]:
    """Run the steps on one cache whose shape is that of the first insertion."""
    layers, rows, heads, _, head_dim = steps[0]["k"].shape
    shape = {"rows": rows, "heads": heads, "head_dim": head_dim, "layers": layers}
    answers: list[dict[str, Any]] = probe("cache.history", shape=shape, slots=slots, steps=steps, dtype=dtype)
    return answers


def check_entries(answers: list[dict[str, Any]], steps: list[dict[str, Any]], dtype: str) -> None:
    """Require every insertion to return all keys and values so far, bit for bit."""
    for i, answer in enumerate(answers):
        for name, what in (("k", "keys"), ("v", "values")):
            want = np.concatenate([step[name] for step in steps[: i + 1]], axis=3)
            for layer in range(want.shape[0]):
                expect_close(
                    answer[name][layer],
                    want[layer],
                    tolerances.EXACT,
                    f"the {what} of layer {layer} after insertion {i} ({dtype})",
                    ENTRY_AXES,
                )


def check_history(answers: list[dict[str, Any]], steps: list[dict[str, Any]], rows: int) -> None:
    """Replay the steps on plain lists, and require the cache to say the same after each."""
    held: dict[str, list[NDArray[np.float32]]] = {"k": [], "v": []}
    for i, (step, answer) in enumerate(zip(steps, answers, strict=True)):
        if step["do"] == "reset":
            held = {"k": [], "v": []}
        else:
            for name in held:
                copies = rows if step["do"] == "prefill" else 1
                held[name].append(np.repeat(step[name], copies, axis=1))
        what = f"step {i} ({step['do']})"
        expect_equal(
            answer["position"], sum(part.shape[3] for part in held["k"]), f"the position after {what}"
        )
        if step["do"] != "insert":
            continue
        for name, kind in (("k", "keys"), ("v", "values")):
            want = np.concatenate(held[name], axis=3)
            for layer in range(want.shape[0]):
                where = f"the {kind} of layer {layer} at {what}"
                expect_close(answer[name][layer], want[layer], tolerances.EXACT, where, ENTRY_AXES)
