"""Sampling: one token for each row of logits, by temperature and top-k.

No model and no engine: the judge makes the logits. Laws about chance use bounds that a correct program
breaks with a probability below 1e-9 (`specs.chance`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from specs.chance import expect_distribution, expect_independent, expect_share
from specs.compare import broken, expect, expect_equal, quoted
from specs.law import law
from specs.oracles import sampling
from specs.probe import Probe
from specs.strategies import seeds

CRITERION = "sampling"

DRAWS = 20_000
"""Enough to tell a temperature that is off by 10 % from the right one, and few enough to take a second."""

ROWS = 5_000
"""A call. Drawn one by one on a GPU, 40,000 take a correct program longer than a call may take."""

temperatures = st.sampled_from([0.25, 0.7, 1.0, 1.5, 3.0])
widths = st.sampled_from([2, 3, 8, 50, 257])
rows = st.sampled_from([1, 2, 3, 8])


@law(
    examples=31,
    cases=[
        {"width": 8, "height": 1, "top_k": None, "seed": 0, "gap": 1.0},
        {"width": 8, "height": 4, "top_k": 3, "seed": 1, "gap": 1.0},
        {"width": 3, "height": 2, "top_k": 3, "seed": 2, "gap": 1.0},
        {"width": 50, "height": 8, "top_k": None, "seed": 3, "gap": 0.01},
        {"width": 8, "height": 4, "top_k": 3, "seed": 4, "gap": 1e-6},
        {"width": 8, "height": 4, "top_k": None, "seed": 4, "gap": 1e-6},
    ],
    width=widths,
    height=rows,
    top_k=st.sampled_from([None, 1, 2, 3, 50, 1000]),
    seed=seeds,
    gap=st.sampled_from([1.0, 0.01, 1e-6]),
)
def test_temperature_zero_takes_the_largest_logit(
    probe: Probe, width: int, height: int, top_k: int | None, seed: int, gap: float
) -> None:
    """At temperature 0 each row gets its largest logit, for every top-k and seed, as ids of shape (rows, 1).

    Also where the next one is close behind. Kills: temperature 0 falling into sampling, a small temperature
    in its place, a division by zero, only the first row decided, ids of another shape or of a type that is
    no index.
    """
    logits = spaced(seed, height, width, gap)
    (got,) = probe("sampling.draw", logits=logits, seed=seed, temperature=0.0, top_k=top_k)
    expect(got.shape == (height, 1), f"the ids have shape {got.shape}, want (rows, 1) = {(height, 1)}")
    expect(str(got.dtype) == "int64", f"the ids have dtype {got.dtype}, want int64")
    expect_equal(ids_of(got, height), logits.argmax(axis=1), f"the ids at temperature 0 with top_k={top_k}")


@law(examples=29, width=widths, height=rows, temperature=temperatures, seed=seeds)
def test_top_k_of_one_takes_the_largest_logit(
    probe: Probe, width: int, height: int, temperature: float, seed: int
) -> None:
    """With top_k=1 each row gets its largest logit, at every temperature.

    Kills: top-k left out, k + 1 candidates, the k smallest, a filter made of the first row only.
    """
    logits = spaced(seed, height, width, gap=0.1)
    (got,) = probe("sampling.draw", logits=logits, seed=seed, temperature=temperature, top_k=1)
    expect_equal(
        ids_of(got, height), logits.argmax(axis=1), f"the ids with top_k=1 at temperature {temperature}"
    )


@law(
    examples=47,
    cases=[
        {"width": 8, "top_k": 8, "temperature": 1.0, "seed": 0},
        {"width": 8, "top_k": 9, "temperature": 1.0, "seed": 1},
        {"width": 8, "top_k": 7, "temperature": 1.0, "seed": 2},
        {"width": 2, "top_k": None, "temperature": 2.0, "seed": 3},
    ],
    width=st.sampled_from([2, 3, 8, 16]),
    top_k=st.sampled_from([None, 1, 2, 3, 5, 15, 16, 17, 100]),
    temperature=temperatures,
    seed=seeds,
)
def test_top_k_leaves_exactly_the_k_largest(
    probe: Probe, width: int, top_k: int | None, temperature: float, seed: int
) -> None:
    """With top_k=k the k tokens with the largest logits are drawn, each of them and no other.

    Without k, and with a k of the vocabulary's size or more, every token is drawn. Kills: k off by one,
    the filter as a mask of the wrong side, a k beyond the vocabulary that raises, the last or the largest
    token never drawn.
    """
    # Spread over one unit of logits / T: the least likely of 16 tokens has a chance above 0.03.
    logits = spaced(seed, 1, width, gap=temperature / width)[0]
    (got,) = probe(
        "sampling.draw_repeated", logits=logits, rows=1500, seed=seed, temperature=temperature, top_k=top_k
    )
    wanted = np.sort(np.argsort(-logits)[: width if top_k is None else top_k])
    expect_equal(
        sorted(set(ids_of(got, 1500))),
        wanted,
        f"the different ids in 1,500 draws from {width} logits with top_k={top_k}",
        f"From the largest logit to the smallest the ids are {np.argsort(-logits).tolist()}.",
    )


CASES: list[tuple[float, int | None]] = [(1.0, None), (0.6, None), (2.0, None), (1.0, 3), (0.5, 5), (1.7, 4)]


@law(seed=seeds, examples=1)
def test_draws_follow_the_distribution(probe: Probe, seed: int) -> None:
    """Tokens are drawn from softmax(logits / temperature) over the k largest logits.

    Kills: temperature ignored, squared, multiplied instead of divided, or applied twice; probabilities
    left as they were before the top-k cut; the largest always taken; uniform draws over the k.
    """
    logits = np.array([0.3, -1.1, 2.0, 0.9, -0.4, 1.4, -2.2], dtype=np.float32)
    logits = np.random.default_rng(seed).permutation(logits)
    for temperature, top_k in CASES:
        ids: list[int] = []
        for part in range(DRAWS // ROWS):
            (got,) = probe(
                "sampling.draw_repeated",
                logits=logits,
                rows=ROWS,
                seed=seed + part,
                temperature=temperature,
                top_k=top_k,
            )
            ids += ids_of(got, ROWS)
        expect_distribution(
            ids,
            sampling.probabilities(logits.tolist(), temperature, top_k),
            f"{DRAWS:,} draws from {logits.tolist()} at temperature {temperature} with top_k={top_k}",
        )


@law(seed=seeds, examples=1)
def test_a_constant_added_to_the_logits_changes_nothing(probe: Probe, seed: int) -> None:
    """Adding the same number to all logits leaves the distribution as it is, however large the number.

    Kills: exp without subtracting the largest logit, logits taken for probabilities, weights that
    depend on the sign of a logit.
    """
    logits = np.array([0.5, -1.0, 1.25, 0.0], dtype=np.float32)
    for constant in (-10_000.0, -3.0, 500.0, 10_000.0):
        # Exact: these sums are multiples of 1/4 below 2^24.
        (got,) = probe(
            "sampling.draw_repeated", logits=logits + np.float32(constant), rows=4000, seed=seed, top_k=3
        )
        expect_distribution(
            ids_of(got, 4000),
            sampling.probabilities(logits.tolist(), 1.0, 3),
            f"4,000 draws from {logits.tolist()} + {constant:,} with top_k=3",
        )


@law(seed=seeds, examples=1)
def test_draws_are_independent(probe: Probe, seed: int) -> None:
    """Equal rows are drawn independently of each other, and so are draws that follow one another.

    Kills: one draw broadcast to all rows or to pairs of rows, one random number shared by the rows, a
    generator seeded again for each call.
    """
    logits = np.array([0.4, 0.0, -0.4, 0.2, -0.7], dtype=np.float32)
    height = 6000
    first, second = (
        ids_of(ids, height)
        for ids in probe("sampling.draw_repeated", logits=logits, rows=height, seed=seed, calls=2)
    )
    half = height // 2
    pairs = {
        "neighbouring rows": (first[0::2], first[1::2]),
        "rows half a batch apart": (first[:half], first[half:]),
        "a row and the same row of the next draw": (first, second),
    }
    expect_independent(pairs, sampling.probabilities(logits.tolist(), 1.0))


@law(
    examples=37,
    height=st.integers(2, 8),
    width=st.sampled_from([8, 20]),
    temperature=temperatures,
    top_k=st.sampled_from([None, 2, 4, 100]),
    seed=seeds,
)
def test_each_row_has_its_own_logits(
    probe: Probe, height: int, width: int, temperature: float, top_k: int | None, seed: int
) -> None:
    """Each row is drawn from its own logits: a token that is nearly certain in a row comes out in that row.

    Kills: the logits, the candidates or the threshold of one row used for all, candidate numbers
    returned instead of ids, rows in another order.
    """
    random = np.random.default_rng(seed)
    logits = spaced(seed, height, width, gap=0.5)
    certain = random.integers(0, width, height)
    logits[np.arange(height), certain] += 60 * temperature + width
    # Rows at levels of their own: what is large in one is small in another.
    logits += 500 * random.permutation(height)[:, None].astype(np.float32)
    (got,) = probe("sampling.draw", logits=logits, seed=seed, temperature=temperature, top_k=top_k)
    expect_equal(
        ids_of(got, height), certain, f"the ids of rows in which one token each is certain, top_k={top_k}"
    )


@law(
    examples=15,
    temperature=temperatures,
    top_k=st.sampled_from([None, 12, 1000]),
    seed=seeds,
    step=st.integers(1, 1000),
)
def test_the_seed_decides(probe: Probe, temperature: float, top_k: int | None, seed: int, step: int) -> None:
    """The same state of the generator gives the same ids; another seed, or the next draw, gives others.

    Kills: a generator that is ignored, a generator seeded again inside, another source of chance.
    """
    # 12 ids at least, all equally likely, 40 rows: two draws agree with a chance of 12^-40.
    logits = np.zeros((40, 12), dtype=np.float32)
    draws = [
        [
            ids_of(ids, 40)
            for ids in probe(
                "sampling.draw", logits=logits, seed=s, temperature=temperature, top_k=top_k, calls=2
            )
        ]
        for s in (seed, seed, seed + step)
    ]
    expect_equal(draws[1], draws[0], f"two draws of 40 rows with seed {seed}, made a second time")
    expect(
        draws[2][0] != draws[0][0],
        f"seeds {seed} and {seed + step} gave the same 40 ids: {quoted(draws[0][0])}",
    )
    expect(draws[0][1] != draws[0][0], f"two draws in a row gave the same 40 ids: {quoted(draws[0][0])}")


@law(
    examples=23,
    width=st.sampled_from([3, 8, 50]),
    temperature=st.sampled_from([0.0, 0.25, 1.0, 3.0]),
    top_k=st.sampled_from([None, 1, 2, 7, 100]),
    below=st.sampled_from([0.0, 5e4, 1e6]),
    seed=seeds,
)
def test_minus_infinity_is_never_drawn(
    probe: Probe, width: int, temperature: float, top_k: int | None, below: float, seed: int
) -> None:
    """A token whose logit is minus infinity is never drawn, not even when top-k has room for it.

    All other logits may be far below zero, too. Kills: NaN from minus infinity, candidates filled up with
    excluded tokens, a large negative number that stands for minus infinity.
    """
    random = np.random.default_rng(seed)
    logits = spaced(seed, 200, width, gap=0.1) - np.float32(below)
    excluded = random.random((200, width)) < 0.6
    excluded[np.arange(200), random.integers(0, width, 200)] = False
    logits[excluded] = -np.inf
    (got,) = probe("sampling.draw", logits=logits, seed=seed, temperature=temperature, top_k=top_k)
    drawn = np.array(ids_of(got, 200))
    for row in np.flatnonzero(~((drawn >= 0) & (drawn < width)) | excluded[np.arange(200), drawn % width]):
        broken(
            f"row {row} got id {drawn[row]} of logits near {-below:g} at temperature {temperature} with "
            f"top_k={top_k}; "
            f"only {np.flatnonzero(~excluded[row]).tolist()} are above minus infinity"
        )


@law(
    examples=29,
    cases=[{"scale": 1e6, "temperature": 1e-5, "top_k": None, "seed": 0}],
    scale=st.sampled_from([1e-3, 1.0, 1e3, 1e4, 1e6]),
    # Logits over temperature stay far below what float32 holds: code that just divides is right.
    temperature=st.sampled_from([1e-5, 0.1, 1.0, 5.0]),
    top_k=st.sampled_from([None, 1, 2, 5, 100]),
    seed=seeds,
)
def test_huge_logits_and_small_temperatures_are_survived(
    probe: Probe, scale: float, temperature: float, top_k: int | None, seed: int
) -> None:
    """Where the largest logit leads by hundreds of temperatures it is drawn, however large the numbers are.

    Kills: exp that overflows, infinity minus infinity, probabilities that no longer sum to one.
    """
    scale = max(scale, 300 * temperature)
    logits = spaced(seed, 6, 5) * np.float32(scale)
    (got,) = probe("sampling.draw", logits=logits, seed=seed, temperature=temperature, top_k=top_k)
    expect_equal(
        ids_of(got, 6),
        logits.argmax(axis=1),
        f"the ids of logits {scale:g} apart at temperature {temperature} with top_k={top_k}",
    )


@law(seed=seeds, examples=1)
def test_a_small_temperature_is_no_zero(probe: Probe, seed: int) -> None:
    """Down to a temperature of 1e-5 logits that are about as close as that are all drawn, by their shares.

    Kills: the largest always taken below some temperature, a temperature with a floor under it or with a
    small number added to it.
    """
    steps = np.random.default_rng(seed).permutation(np.array([1.5, 0.8, 0.0, -0.6]))
    for temperature, top_k in ((1e-5, None), (1e-4, 3), (1e-3, None), (0.01, 2)):
        logits = (steps * temperature).astype(np.float32)
        (got,) = probe(
            "sampling.draw_repeated",
            logits=logits,
            rows=4000,
            seed=seed,
            temperature=temperature,
            top_k=top_k,
        )
        expect_distribution(
            ids_of(got, 4000),
            sampling.probabilities(logits.tolist(), temperature, top_k),
            f"4,000 draws from {logits.tolist()} at temperature {temperature:g} with top_k={top_k}",
        )


@law(seed=seeds, examples=1)
def test_a_huge_temperature_makes_all_candidates_alike(probe: Probe, seed: int) -> None:
    """At a temperature far above the logits all candidates are equally likely, and only they are drawn.

    Kills: a temperature capped or overflowing, weights that are no longer numbers.
    """
    for temperature, top_k in ((1e30, None), (1e30, 3), (1e6, 3)):
        logits = np.random.default_rng(seed).permutation(np.arange(6) * 0.25).astype(np.float32)
        (got,) = probe(
            "sampling.draw_repeated",
            logits=logits,
            rows=4000,
            seed=seed,
            temperature=temperature,
            top_k=top_k,
        )
        expect_distribution(
            ids_of(got, 4000),
            sampling.probabilities(logits.tolist(), temperature, top_k),
            f"4,000 draws from {logits.tolist()} at temperature {temperature:g} with top_k={top_k}",
        )


@law(seed=seeds, examples=1)
def test_a_tie_at_the_kth_place_admits_no_more_than_k(probe: Probe, seed: int) -> None:
    """When several logits tie for the last of the k places, still only k tokens take part in a draw.

    Which of the tied ones take part is free, and may differ from draw to draw: what is checked is how
    often the tokens above the tie come. Kills: a cut by threshold, which lets all tied tokens in.
    """
    order = np.random.default_rng(seed).permutation(6)
    for above, tied, top_k in ((1, 5, 2), (2, 4, 3), (1, 3, 2), (2, 3, 4)):
        values = np.array([1.0] * above + [0.0] * tied + [-1.0] * (6 - above - tied), dtype=np.float32)
        logits = np.zeros(6, dtype=np.float32)
        logits[order] = values
        (got,) = probe("sampling.draw_repeated", logits=logits, rows=4000, seed=seed, top_k=top_k)
        hits = sum(i in set(order[:above].tolist()) for i in ids_of(got, 4000))
        weight = above * float(np.e)
        share = weight / (weight + top_k - above)
        expect_share(hits, 4000, share, f"the {above} largest of {logits.tolist()} with top_k={top_k}")


@law(
    examples=13,
    cases=[
        {"temperature": 1.0, "top_k": None, "seed": 0},
        {"temperature": 0.5, "top_k": 3, "seed": 0},
        {"temperature": 0.0, "top_k": None, "seed": 0},
        {"temperature": 0.0, "top_k": 3, "seed": 0},
    ],
    temperature=st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    top_k=st.sampled_from([None, 1, 3, 100]),
    seed=seeds,
)
def test_a_draw_leaves_no_traces(probe: Probe, temperature: float, top_k: int | None, seed: int) -> None:
    """A draw changes the state of the generator it is given, and nothing else; temperature 0 not even that.

    Kills: logits scaled or masked in place, chance taken from a generator that everybody shares, the
    global generator seeded, a draw that is thrown away at temperature 0.
    """
    changed = probe(
        "sampling.traces", logits=spaced(seed, 3, 9), seed=seed, temperature=temperature, top_k=top_k
    )
    for what, is_changed in changed.items():
        expect(not is_changed, f"a draw at temperature {temperature} with top_k={top_k} changed {what}")


def spaced(seed: int, height: int, width: int, gap: float = 1.0) -> NDArray[np.float32]:
    """Return rows of logits `gap` apart, each row in an order of its own."""
    ladder = (np.arange(width) - width // 2) * gap
    random = np.random.default_rng([seed, 5])
    return np.array([random.permutation(ladder) for _ in range(height)], dtype=np.float32)


def ids_of(answer: Any, height: int) -> list[int]:
    """Return the ids that a draw of `height` rows answered; an answer of another form breaks the law."""
    if not isinstance(answer, np.ndarray) or answer.dtype != np.int64 or answer.shape != (height, 1):
        kind = f", {answer.dtype}" if isinstance(answer, np.ndarray) else ""
        broken(
            f"a draw from {height} rows: got {quoted(answer)}{kind}, want ids of shape ({height}, 1), int64"
        )
    return [int(i) for i in answer.reshape(-1)]
