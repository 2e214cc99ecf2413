"""What a draw from logits must look like, in float64, and how surprising what came is.

Verdicts about chance are bounds that hold for every number of draws, not approximations: if the draws are
independent and follow the law, the probability of a verdict "broken" is below ALPHA.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ALPHA = 1e-9
"""The largest probability with which one statistical test fails a correct program."""

LEAST_SPREAD = 1e-3
"""Standard deviation of log p below which all tokens are alike, and the mean says nothing but rounding."""

TILTS = np.geomspace(1e-3, 30.0, 100).tolist()
"""Values of t to try, in units of the inverse spread: each is within 11 % of the best one between them."""

Floats = NDArray[np.float64]


def probabilities(logits: Sequence[float], temperature: float, top_k: int | None = None) -> Floats:
    """Return softmax(logits / temperature) over the `top_k` largest logits and 0 elsewhere.

    The logits around the k-th must differ: which of equal ones belong to the set is nobody's business here.
    """
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    if top_k is not None and top_k < len(scaled):
        scaled = np.where(scaled >= np.sort(scaled)[-top_k], scaled, -np.inf)
    weights = np.exp(scaled - scaled.max())
    return np.asarray(weights / weights.sum())


def divergence(share: float, probability: float) -> float:
    """Return the Kullback-Leibler divergence of a coin of `share` from one of `probability`, in nats."""
    return _term(share, probability) + _term(1.0 - share, 1.0 - probability)


def _term(share: float, probability: float) -> float:
    if share <= 0.0:
        return 0.0
    return share * math.log(share / probability) if probability > 0.0 else math.inf


def chance(hits: int, draws: int, probability: float) -> float:
    """Return a bound on the probability that `hits` of `draws` lie as far from their mean, on that side.

    Chernoff: P(share >= s) <= exp(-n KL(s, p)) for s >= p, and the same below p; for every n.
    """
    # A float32 softmax is off by 1e-7 or so of each probability: 0 and 1 stay what they are.
    return math.exp(-draws * divergence(hits / draws, probability))


def least_likely(counts: Sequence[int], wanted: Floats) -> tuple[int, float]:
    """Return the cell whose count is the least likely, and a bound on the chance that any cell is as far off.

    The bound counts every cell twice, once for each side, so it holds for the whole table.
    """
    draws = int(sum(counts))
    chances = [chance(int(c), draws, float(p)) for c, p in zip(counts, wanted, strict=True)]
    cell = int(np.argmin(chances))
    return cell, min(1.0, 2 * len(chances) * chances[cell])


def tilted(counts: Sequence[int], wanted: Floats) -> float:
    """Return a bound on the chance that the mean of log p(id) lies as far from its expectation, either side.

    That mean is what a wrong temperature moves most: from 10,000 draws it tells one that is 10 % off, for
    which single cells need 40,000. Chernoff: P(mean >= m) <= exp(-n (t m - log E exp(t X))) for every t >= 0,
    so that a search which misses the best t only makes the bound larger.
    """
    possible = np.flatnonzero(wanted)
    p, draws = wanted[possible], int(sum(counts))
    scores = np.log(p) - (p * np.log(p)).sum()
    spread = math.sqrt(float((p * scores**2).sum()))
    if spread < LEAST_SPREAD:
        return 1.0
    scores /= spread
    mean = float((np.asarray(counts)[possible] * scores).sum()) / draws
    if mean < 0.0:
        scores, mean = -scores, -mean
    rates = [t * mean - math.log(float((p * np.exp(t * scores)).sum())) for t in TILTS]
    return min(1.0, 2.0 * math.exp(-draws * max(rates)))
