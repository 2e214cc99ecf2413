"""KV cache consistency, the store: several caches at a time, and keys and values as they may be given.

Keys and values are random numbers and no model is involved.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from specs import draws, tolerances
from specs.compare import expect_close, expect_equal
from specs.law import law
from specs.level3.cache_storage import ENTRY_AXES, check_history, insertion
from specs.probe import Probe
from specs.strategies import seeds

CRITERION = "cache"

Turn = tuple[int, str, int]
"""Which cache, what it is to do, and with how many tokens."""

turns = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 2), st.just("insert"), st.sampled_from([1, 2, 5, 70])),
        st.tuples(st.integers(0, 2), st.just("reset"), st.just(0)),
        st.tuples(st.integers(0, 2), st.just("prefill"), st.integers(1, 9)),
    ),
    min_size=4,
    max_size=10,
)

MEETINGS: list[list[Turn]] = [
    [(0, "insert", 2), (0, "reset", 0), (1, "insert", 2), (0, "insert", 2), (1, "insert", 1)],
    [(0, "insert", 70), (0, "reset", 0), (1, "insert", 70), (0, "insert", 70), (1, "insert", 1)],
    [(0, "insert", 2), (0, "reset", 0), (0, "insert", 3), (1, "insert", 2), (0, "insert", 1)],
    [(0, "insert", 2), (0, "insert", 70), (1, "insert", 2), (1, "insert", 1), (0, "insert", 1)],
    [(0, "prefill", 3), (0, "reset", 0), (1, "prefill", 3), (0, "prefill", 2), (1, "insert", 1)],
]  # fmt: skip  # one a line reads better
"""A reset or a growth lets memory go, which another cache may take: whose it is then must be clear."""


@law(
    examples=4,
    cases=[{"turns": each, "seed": i, "layers": 1 + i % 2, "slots": 8} for i, each in enumerate(MEETINGS)],
    turns=turns,
    seed=seeds,
    layers=st.integers(1, 2),
    slots=st.sampled_from([1, 8, 64]),
)
def test_several_caches_hold_each_its_own(
    probe: Probe, turns: list[Turn], seed: int, layers: int, slots: int
) -> None:
    """Caches that are used in turn, with resets and copies, hold each what it would hold alone.

    What an insertion returned stays as it is while others are used. Kills: memory that is handed from one
    cache to another and used by both, storage that belongs to the class.
    """
    steps: list[dict[str, Any]] = []
    held = dict.fromkeys(range(3), 0)
    for i, (number, kind, size) in enumerate(turns):
        if kind == "reset" or (kind == "prefill" and held[number]):  # a copy goes into an empty cache
            steps.append({"cache": number, "do": "reset"})
            held[number] = 0
        if kind != "reset":
            filled = insertion(seed + i, layers, 2 if kind == "insert" else 1, 2, size, 2)
            steps.append({**filled, "cache": number, "do": kind})
            held[number] += size
    shape = {"rows": 2, "heads": 2, "head_dim": 2, "layers": layers}
    answers = probe("cache_stores.several", shape=shape, slots=slots, steps=steps)
    expect_equal(len(answers), len(steps), "the number of answers")
    for number in held:
        own = [i for i, step in enumerate(steps) if step["cache"] == number]
        check_history([answers[i] for i in own], [steps[i] for i in own], 2)
    for i, answer in enumerate(answers):
        for name, later in answer.get("later", {}).items():
            what = f"{'keys' if name == 'k' else 'values'} returned by step {i}, read again before the next"
            expect_close(later, answer[name][-1], tolerances.EXACT, f"the {what} on that cache", ENTRY_AXES)


LAYOUTS = ["plain", "transposed", "backwards", "with gaps", "a part"]


@law(
    examples=6,
    cases=[
        {"seed": 0, "k": "plain", "v": "transposed", "sizes": [3, 2], "slots": 8},
        {"seed": 0, "k": "transposed", "v": "plain", "sizes": [3, 2], "slots": 4},
        {"seed": 0, "k": "with gaps", "v": "backwards", "sizes": [3, 2], "slots": 8},
    ],
    seed=seeds,
    k=st.sampled_from(LAYOUTS),
    v=st.sampled_from(LAYOUTS),
    sizes=st.sampled_from([[3, 2], [2, 1, 4]]),
    slots=st.sampled_from([1, 8]),
)
def test_keys_and_values_may_lie_in_any_order(
    probe: Probe, seed: int, k: str, v: str, sizes: list[int], slots: int
) -> None:
    """Keys and values that are transposes or slices of others are stored like those that lie in one piece.

    They need not lie alike, and stay as they are. Kills: memory that is read by the strides of the other, or
    as if it lay in one piece.
    """
    steps = [
        tuple(draws.normal(2 * seed + 7 * i + j, 2, 3, size, 4) for j in range(2))
        for i, size in enumerate(sizes)
    ]
    answers = probe(
        "cache_stores.given_as", steps=steps, layouts=[(k, v)] * len(steps), slots=slots, dtype="float32"
    )
    for i, answer in enumerate(answers):
        expect_equal(answer["unchanged"], True, "whether what was inserted is what it was")
        for place, (name, what, how) in enumerate((("k", "keys", k), ("v", "values", v))):
            want = np.concatenate([step[place] for step in steps[: i + 1]], axis=2)
            where = f"the {what}, {how} where they were given, after insertion {i}"
            expect_close(answer[name], want, tolerances.EXACT, where, ENTRY_AXES)


PRECISIONS = ["float64", "float16", "bfloat16", "float32"]


@law(
    examples=4,
    cases=[{"seed": 0, "dtype": dtype, "slots": 2, "copied": True} for dtype in PRECISIONS],
    seed=seeds,
    dtype=st.sampled_from(PRECISIONS),
    slots=st.sampled_from([1, 8]),
    copied=st.booleans(),
)
def test_no_digit_of_keys_and_values_is_lost(
    probe: Probe, seed: int, dtype: str, slots: int, copied: bool
) -> None:
    """Keys and values come back to their last digit, in float64 too, after growth and after a copy.

    Kills: memory of another dtype than what is inserted, which is converted there and back.
    """
    random = np.random.default_rng([seed, 6])
    k, v = (random.standard_normal((1, 2, 5, 4)) for _ in range(2))
    if dtype == "float16":
        # Just what float16 can hold, some of it too small for bfloat16's digits and too large for none.
        k, v = (part.astype(np.float16).astype(np.float64) for part in (k, v))
    elif dtype != "float64":
        k, v = (draws.rounded(part, dtype).astype(np.float64) for part in (k, v))
        k[..., 0, 0] = 2.0**100  # beyond float16
    got = probe("cache_stores.in_full", k=k, v=v, dtype=dtype, slots=slots, copied=copied)
    expect_equal(got["dtypes"], [dtype], "the dtypes of keys and values")
    for name, what, want in (("k", "keys", k), ("v", "values", v)):
        where = f"the {what} in {dtype}{', copied from another cache' if copied else ''}"
        expect_close(got[name], want, tolerances.EXACT, where, ENTRY_AXES)
