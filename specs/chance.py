"""Comparisons by chance: verdicts that a correct program meets with a probability below 1e-9."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from specs.compare import broken
from specs.oracles import sampling


def expect_distribution(ids: Sequence[int], wanted: NDArray[np.float64], what: str) -> None:
    """Require `ids` to be independent draws from the probabilities `wanted`. Raises LawBroken."""
    stray = next((i for i in ids if not 0 <= i < len(wanted) or wanted[i] == 0.0), None)
    if stray is not None:
        broken(f"{what}: got id {stray}, which has no chance; want ids of {np.flatnonzero(wanted).tolist()}")
    counts = np.bincount(np.array(ids), minlength=len(wanted))
    cell, bound = sampling.least_likely(counts.tolist(), wanted)
    overall = sampling.tilted(counts.tolist(), wanted)
    if min(bound, overall) >= sampling.ALPHA:
        return
    possible = np.flatnonzero(wanted)
    got = np.round(counts[possible] / len(ids), 3).tolist()
    want = np.round(wanted[possible], 3).tolist()
    if bound < sampling.ALPHA:
        off = f"id {cell} came {counts[cell]:,} times, want about {wanted[cell] * len(ids):,.0f}"
    else:
        often = np.log(wanted[possible]) @ (counts[possible] / len(ids) - wanted[possible]) > 0.0
        off = f"the likelier ids came too {'often' if often else 'rarely'}, taken all together"
    broken(
        f"{what}: {off}. Correct "
        f"draws are as far off with a probability below {max(min(bound, overall), 1e-300):.0e}. "
        f"The ids {possible.tolist()} got the shares {got}, want {want}."
    )


def expect_independent(
    pairs: Mapping[str, tuple[Sequence[int], Sequence[int]]], wanted: NDArray[np.float64]
) -> None:
    """Require the two sides of each of `pairs`, drawn from `wanted`, to agree as often as by chance."""
    agree = float((wanted**2).sum())
    for what, (one, other) in pairs.items():
        hits = sum(a == b for a, b in zip(one, other, strict=True))
        if 2 * len(pairs) * sampling.chance(hits, len(one), agree) < sampling.ALPHA:
            broken(
                f"{what} got the same id in {hits:,} of {len(one):,} pairs; independent draws do so in about "
                f"{agree * len(one):,.0f}"
            )


def expect_share(hits: int, draws: int, probability: float, what: str) -> None:
    """Require something of `probability` to have come about as often as that in independent `draws`."""
    if 2 * sampling.chance(hits, draws, probability) < sampling.ALPHA:
        broken(f"{what}: came {hits:,} times in {draws:,} draws, want about {probability * draws:,.0f}")
