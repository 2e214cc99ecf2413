"""Sampling from vocabularies and by limits of the size that they have in use."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from specs.chance import expect_share
from specs.compare import expect, expect_at_most
from specs.law import law
from specs.level3.sampling import ids_of
from specs.oracles import sampling
from specs.probe import Probe
from specs.strategies import seeds

CRITERION = "sampling"

LARGE = 8192
"""Ids: more than half precision has numbers between a half and one."""


@law(
    examples=2,
    seed=seeds,
    top_k=st.sampled_from([64, 100, 200, 250]),
    temperature=st.sampled_from([0.5, 2.0]),
)
def test_a_large_top_k_is_a_limit_too(probe: Probe, seed: int, top_k: int, temperature: float) -> None:
    """With a top_k of a hundred out of a few hundred tokens no other token is drawn.

    Kills: a limit that is heeded up to some size only.
    """
    # Nearly alike, so that what lies outside of the limit would come all the time.
    logits = np.random.default_rng(seed).permutation(np.arange(300) * 1e-3).astype(np.float32)
    (got,) = probe(
        "sampling.draw_repeated", logits=logits, rows=600, seed=seed, temperature=temperature, top_k=top_k
    )
    beyond = sorted(set(ids_of(got, 600)) - {int(i) for i in np.argsort(-logits)[:top_k]})
    expect(not beyond, f"with top_k={top_k} of 300 the ids {beyond[:5]} were drawn, which are not among them")


@law(examples=1, seed=seeds)
def test_no_token_of_a_large_vocabulary_is_favoured(probe: Probe, seed: int) -> None:
    """Among thousands of equal tokens a draw rarely repeats one that came before.

    Of n draws the i-th repeats one with a chance of at most i / V, so the bound is exact (Chernoff).
    Kills: probabilities or their sums in half precision, which merge neighbours; chance of a few bits.
    """
    rows, calls = 100, 20
    answers = probe(
        "sampling.draw_repeated", logits=np.zeros(LARGE, dtype=np.float32), rows=rows, seed=seed, calls=calls
    )
    ids = [one for answer in answers for one in ids_of(answer, rows)]
    mean = len(ids) * (len(ids) - 1) / 2 / LARGE
    limit = int(mean) + 1
    while limit * math.log(limit / mean) - limit + mean < -math.log(sampling.ALPHA):
        limit += 1
    expect_at_most(
        len(ids) - len(set(ids)),
        limit,
        f"draws that repeat an earlier one, of {len(ids):,} from {LARGE:,} equal tokens (about {mean:.0f})",
    )


@law(examples=1, seed=seeds)
def test_many_unlikely_tokens_are_likely_together(probe: Probe, seed: int) -> None:
    """Tokens a thousand times less likely than the first are drawn by the share of all of them.

    Kills: a cut below some share of the likeliest token, a cut after most of the probability, shares rounded
    to nothing.
    """
    for lead in (8.0, 11.0):
        logits = np.zeros(LARGE, dtype=np.float32)
        logits[seed % LARGE] = lead
        answers = probe("sampling.draw_repeated", logits=logits, rows=100, seed=seed, calls=6)
        ids = [one for answer in answers for one in ids_of(answer, 100)]
        others = (LARGE - 1) * math.exp(-lead)
        what = f"any of {LARGE - 1:,} tokens whose logits are {lead} behind the largest"
        hits = sum(one != seed % LARGE for one in ids)
        expect_share(hits, len(ids), others / (1.0 + others), what)
