"""Sampling from vocabularies and by limits of the size that they have in use."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from specs.chance import expect_distribution, expect_share
from specs.compare import expect, expect_at_least, expect_at_most, expect_equal
from specs.law import law
from specs.level3.sampling import ids_of
from specs.oracles import sampling
from specs.probe import Probe
from specs.strategies import seeds
from specs.streams import BOS, SIZE, full_columns

CRITERION = "sampling"

LARGE = 8192
"""Ids: more than half precision has numbers between a half and one."""


@law(
    examples=2,
    cases=[{"seed": 0, "top_k": 1100, "temperature": 1.0}],
    seed=seeds,
    top_k=st.sampled_from([64, 100, 200, 250]),
    temperature=st.sampled_from([0.5, 2.0]),
)
def test_a_large_top_k_is_a_limit_too(probe: Probe, seed: int, top_k: int, temperature: float) -> None:
    """With a top_k of hundreds out of somewhat more tokens about all of these are drawn, and no other.

    Kills: a limit that is heeded up to some size only, a limit below the one that was asked for.
    """
    # Nearly alike, so that what lies outside of the limit would come all the time.
    size, rows = (300, 600) if top_k < 300 else (1300, 3300)
    logits = np.random.default_rng(seed).permutation(np.linspace(0, 0.3, size)).astype(np.float32)
    # A tenth of 250 ids is missed by 600 draws in the mean; twice as many is five standard deviations away.
    expect_the_largest(probe, logits, rows, seed, temperature, top_k, share=0.8)


@law(
    examples=5,
    cases=[{"seed": 0, "size": 1e7, "temperature": 1e-3, "top_k": None}],
    seed=seeds,
    size=st.sampled_from([1e6, 1e7, -1e7]),
    temperature=st.sampled_from([1e-3, 1.0]),
    top_k=st.sampled_from([None, 3]),
)
def test_large_logits_are_drawn_by_their_differences(
    probe: Probe, seed: int, size: float, temperature: float, top_k: int | None
) -> None:
    """Of logits near ten million those that are equal are equally likely, and others by their differences.

    Kills: noise that drowns in the logits, sums in which the differences are rounded away.
    """
    # Whole numbers of this size are exact in float32; divided by 0.001 first, only equal ones stay so.
    steps = [0.0, 0.0, 0.0, -40.0] if temperature < 1 else [1.0, 0.0, 0.0, -2.0]
    logits = np.float32(size) + np.random.default_rng(seed).permutation(steps).astype(np.float32)
    (got,) = probe(
        "sampling.draw_repeated", logits=logits, rows=4000, seed=seed, temperature=temperature, top_k=top_k
    )
    expect_distribution(
        ids_of(got, 4000),
        sampling.probabilities(logits.tolist(), temperature, top_k),
        f"4,000 draws from {logits.tolist()} at temperature {temperature:g} with top_k={top_k}",
    )


@law(
    examples=4,
    cases=[{"seed": 0, "size": 2}, {"seed": 0, "size": 50}],
    seed=seeds,
    size=st.sampled_from([3, 5, 12, 30]),
)
def test_all_but_one_is_a_limit(probe: Probe, seed: int, size: int) -> None:
    """With a top_k of one less than there are tokens, the least likely token is never drawn, and others are.

    Kills: a limit near the whole vocabulary taken for none, a comparison with the size that is off by one.
    """
    logits = np.random.default_rng(seed).permutation(np.arange(size) * 1e-3).astype(np.float32)
    expect_the_largest(probe, logits, 1000, seed, 1.0, size - 1, share=0.9)


SIZES = [
    *(
        (12, 8),
        (40, 24),
        (90, 48),
        (200, 150),
        (512, 384),
        (1000, 700),
        (2500, 1500),
        (5000, 3000),
        (9000, 6000),
    ),
    *((3000, beside) for beside in (None, 2999, 3000, 3001, 30_000)),
]
"""Vocabularies, and a limit for each: half as much again as a round number that might be its bound."""


@law(examples=1, seed=seeds)
def test_a_limit_of_any_size_is_heeded(probe: Probe, seed: int) -> None:
    """With top_k=k the k largest logits take part and no others, for k from eight to thousands.

    Without k, or with as many as there are tokens, more, or one less, all of that many take part. Kills: a
    limit that has a limit, a number of candidates rounded to what a kernel can do.
    """
    for number, (width, top_k) in enumerate(SIZES):
        logits = np.random.default_rng([seed, number]).permutation(np.linspace(0, 0.2, width))
        (got,) = probe(
            "sampling.draw_repeated", logits=logits.astype(np.float32), rows=120, seed=seed, top_k=top_k
        )
        expect_every_rank(ids_of(got, 120), logits, top_k, "sample_next_token")


def expect_every_rank(
    ids: Sequence[int], logits: NDArray[np.floating[Any]], top_k: int | None, what: str
) -> None:
    """Require 120 draws to be of the `top_k` largest of nearly equal logits, some from each quarter of these.

    A quarter has a share of a fifth at least where the logits lie within 0.2: 120 draws miss it with a
    probability below 1e-11.
    """
    size = min(top_k or len(logits), len(logits))
    ranks = {int(i): rank for rank, i in enumerate(np.argsort(-logits))}
    said = f"{what} with top_k={top_k} of {len(logits):,} tokens"
    beyond = [i for i in ids if ranks.get(i, size) >= size]
    expect(not beyond, f"{said} drew the ids {beyond[:5]}, which are not among the {size:,} largest")
    quarters = {4 * ranks[i] // size for i in ids}
    expect_equal(
        sorted(quarters),
        [0, 1, 2, 3],
        f"which quarters of the {size:,} candidates come: {said}, {len(ids)} draws",
    )


@law(examples=1, seed=seeds)
def test_minus_infinity_is_never_drawn_from_a_large_vocabulary(probe: Probe, seed: int) -> None:
    """Where nearly all of 50,304 logits are minus infinity, none of these ids is ever drawn.

    Kills: a smallest probability for all, or a small number added to each: together they are many.
    """
    # Of 250 draws a dozen are others where each of these ids has a chance of a millionth.
    size, rows = 50_304, 50
    finite = np.random.default_rng(seed).choice(size, 3, replace=False)
    logits = np.full(size, -np.inf, dtype=np.float32)
    logits[finite] = [0.0, 0.5, -0.5]
    question = {"logits": logits, "rows": rows}
    answers = [probe("sampling.draw_repeated", **question, seed=seed + i)[0] for i in range(5)]
    drawn = {one for answer in answers for one in ids_of(answer, rows)}
    expect_equal(sorted(drawn), sorted(finite.tolist()), "the different ids in 250 draws")


def expect_the_largest(
    probe: Probe,
    logits: NDArray[np.float32],
    rows: int,
    seed: int,
    temperature: float,
    top_k: int,
    share: float,
) -> None:
    """Require `rows` draws to give a share of the `top_k` largest logits at least, and no other id."""
    (got,) = probe(
        "sampling.draw_repeated", logits=logits, rows=rows, seed=seed, temperature=temperature, top_k=top_k
    )
    drawn, among = set(ids_of(got, rows)), {int(i) for i in np.argsort(-logits)[:top_k]}
    beyond = sorted(drawn - among)
    what = f"with top_k={top_k} of {len(logits)}"
    expect(not beyond, f"{what} the ids {beyond[:5]} were drawn, which are not among them")
    expect_at_least(len(drawn), share * top_k, f"the number of ids that {rows} draws {what} gave")


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


@law(
    examples=17,
    temperature=st.sampled_from([0, 0.0, 0.5, 1, 3.0]),
    top_k=st.sampled_from([None, 1, 2]),
    height=st.sampled_from([1, 3]),
)
def test_the_only_token_is_drawn(probe: Probe, temperature: float, top_k: int | None, height: int) -> None:
    """From a vocabulary of one token each row gets that one, as ids of shape (rows, 1).

    Kills: an axis squeezed away with the vocabulary, an answer of its own for a single candidate.
    """
    logits = np.full((height, 1), -2.5, dtype=np.float32)
    (got,) = probe("sampling.draw", logits=logits, temperature=temperature, top_k=top_k)
    what = f"the ids at temperature {temperature} with top_k={top_k} where there is one token"
    expect_equal(ids_of(got, height), [0] * height, what)


@law(examples=10, seed=seeds, temperature=st.integers(0, 4), top_k=st.sampled_from([None, 5]))
def test_a_temperature_may_be_an_int(probe: Probe, seed: int, temperature: int, top_k: int | None) -> None:
    """A temperature of 2 draws what one of 2.0 draws from the same generator.

    Kills: whole numbers taken for a switch, or divided by as such.
    """
    logits = np.random.default_rng(seed).standard_normal((20, 50)).astype(np.float32)
    drawn = [
        ids_of(probe("sampling.draw", logits=logits, seed=seed, temperature=each, top_k=top_k)[0], 20)
        for each in (temperature, float(temperature))
    ]
    expect_equal(drawn[0], drawn[1], f"the ids at temperature {temperature}, against {float(temperature)}")


@law(
    examples=11,
    cases=[{"seed": 0, "size": 1e7, "temperature": 1.0, "top_k": top_k} for top_k in (None, 3)],
    seed=seeds,
    size=st.sampled_from([1e7, -1e7, 1e5]),
    temperature=st.sampled_from([0.5, 1.0, 2.0]),
    top_k=st.sampled_from([None, 2, 8]),
)
def test_a_row_is_drawn_the_same_beside_a_larger_one(
    probe: Probe, seed: int, size: float, temperature: float, top_k: int | None
) -> None:
    """Rows of ordinary logits are drawn by their shares, also where the rows between them are millions away.

    Kills: the largest logit of the batch taken from all rows, so that small ones lose their digits; any
    other number of the batch that stands in for one of the row.
    """
    ordinary = np.random.default_rng(seed).permutation(np.arange(5) * 0.4).astype(np.float32)
    logits = np.tile(ordinary, (600, 1))
    logits[1::2] += np.float32(size)
    (got,) = probe("sampling.draw", logits=logits, seed=seed, temperature=temperature, top_k=top_k)
    wanted = sampling.probabilities(ordinary.tolist(), temperature, top_k)
    what = f"300 draws from {ordinary.round(1).tolist()} beside rows that are {size:g} larger"
    expect_distribution(ids_of(got, 600)[::2], wanted, what)


@law(examples=3, seed=seeds, top_k=st.sampled_from([60, 100, 120]))
def test_an_engine_draws_from_all_of_a_large_top_k(probe: Probe, seed: int, top_k: int) -> None:
    """Where an engine is told a top_k of a hundred, about all of these come in the long run, and no others.

    Kills: a limit of the engine's own below the one that was asked for.
    """
    logits = np.full(SIZE, -1e4)
    candidates = np.random.default_rng(seed).permutation(200)
    logits[candidates] = np.arange(200) * -1e-3
    options = {"num_samples": 20, "max_tokens": 40, "top_k": top_k, "seed": seed}
    (got,) = probe("generation.stream", prompt=[BOS], script={"logits": logits}, options=options)
    drawn = {token for column in full_columns(got, 20) for token in column}
    among = {int(i) for i in candidates[:top_k]}
    expect(drawn <= among, f"with top_k={top_k} ids were drawn that are not among the {top_k} largest")
    # Of 120 about equal ids 800 draws miss one with a probability of 0.13 %; a tenth of them, never.
    what = f"the number of ids that 800 draws with top_k={top_k} gave"
    expect_at_least(len(drawn), 0.9 * top_k, what)
