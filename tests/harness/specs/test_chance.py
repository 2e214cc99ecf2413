"""Verdicts by chance: draws from the right distribution pass, and the bounds that say so are bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from specs.chance import expect_distribution, expect_independent, expect_share
from specs.oracles import sampling
from specs.outcomes import LawBroken

LOGITS = [0.3, -1.1, 2.0, 0.9, -0.4, 1.4, -2.2]


def drawn(temperature: float, number: int, top_k: int | None = None, seed: int = 0) -> list[int]:
    """Return independent draws."""
    chances = sampling.probabilities(LOGITS, temperature, top_k)
    return np.random.default_rng(seed).choice(len(LOGITS), number, p=chances).tolist()


def test_probabilities_by_hand() -> None:
    found = sampling.probabilities([0.0, math.log(2.0), math.log(3.0)], 1.0)
    assert np.allclose(found, [1 / 6, 2 / 6, 3 / 6])
    assert np.allclose(
        sampling.probabilities([0.0, math.log(2.0), math.log(3.0)], 0.5, 2), [0, 4 / 13, 9 / 13]
    )


def test_a_bound_is_above_the_exact_probability() -> None:
    # All 20 throws of a fair coin alike on one side: 2 to the -20, and Chernoff's bound is exact there.
    assert sampling.chance(20, 20, 0.5) == pytest.approx(2.0**-20)
    exact = sum(math.comb(20, k) for k in range(15, 21)) / 2**20
    assert exact < sampling.chance(15, 20, 0.5) < 5 * exact
    # The mean of two tokens is the same coin: both sides together, and t from a grid.
    wanted = np.array([0.25, 0.75])
    exact = sum(math.comb(40, k) * 0.25**k * 0.75 ** (40 - k) for k in range(20, 41))
    assert 2 * exact < sampling.tilted([20, 20], wanted) < 2.2 * sampling.chance(20, 40, 0.25)


def test_correct_draws_are_rarely_unlikely() -> None:
    wanted = sampling.probabilities(LOGITS, 1.0)
    seen = [
        sampling.tilted(np.bincount(drawn(1.0, 300, seed=seed), minlength=7).tolist(), wanted)
        for seed in range(500)
    ]
    assert sum(one < 0.02 for one in seen) <= 15  # at most 10 expected
    assert min(seen) < 0.5, "the bound says nothing"


@pytest.mark.parametrize(
    ("temperature", "top_k"), [(1.0, None), (0.6, None), (2.0, None), (0.5, 5), (1e30, 3)]
)
def test_correct_draws_pass(temperature: float, top_k: int | None) -> None:
    wanted = sampling.probabilities(LOGITS, temperature, top_k)
    expect_distribution(drawn(temperature, 20_000, top_k), wanted, "draws")


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (drawn(1.1, 12_000), r"the likelier ids came too rarely, taken all together"),
        (drawn(0.9, 12_000), r"the likelier ids came too often, taken all together"),
        (drawn(1.0, 2_000, 3), r"id 0 came 0 times, want about 165"),
        ([*drawn(1.0, 2_000), 7], r"got id 7, which has no chance"),
    ],
)
def test_wrong_draws_are_told(ids: list[int], said: str) -> None:
    with pytest.raises(LawBroken, match=said):
        expect_distribution(ids, sampling.probabilities(LOGITS, 1.0), "draws")


def test_draws_that_depend_on_each_other_are_told() -> None:
    wanted = sampling.probabilities(LOGITS, 1.0)
    one, other = drawn(1.0, 2_000), drawn(1.0, 2_000, seed=1)
    expect_independent({"rows 0 and 1": (one, other)}, wanted)
    with pytest.raises(LawBroken, match=r"rows 0 and 1 got the same id in 2,000 of 2,000 pairs"):
        expect_independent({"rows 0 and 1": (one, one)}, wanted)


def test_a_share_is_told() -> None:
    expect_share(510, 1_000, 0.5, "heads")
    with pytest.raises(LawBroken, match=r"heads: came 700 times in 1,000 draws, want about 500"):
        expect_share(700, 1_000, 0.5, "heads")
