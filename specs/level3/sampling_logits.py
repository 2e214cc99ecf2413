"""Sampling: where the logits come from, and how they lie in memory."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from specs.compare import expect, expect_equal
from specs.law import law
from specs.level3.sampling import ids_of, spaced
from specs.probe import Probe
from specs.strategies import seeds

CRITERION = "sampling"

LAYOUTS = [
    "one behind the other",
    "columns first",
    "cut out of wider rows",
    "every second column",
    "every second row",
    "part of a graph",
    "made in inference mode",
]
"""How they may lie in memory, and where they may come from: `specs.probes.generation_conduct` makes them."""


@law(examples=3, temperature=st.sampled_from([0.0, 0.5, 1.0, 2.0]), height=st.integers(1, 6), seed=seeds)
def test_logits_may_lie_and_come_as_they_like(
    probe: Probe, temperature: float, height: int, seed: int
) -> None:
    """Rows are drawn from logits of every layout in memory, in a graph or made without gradients, alike.

    In each row one token is nearly certain. Kills: a view that needs rows one behind the other, another row's
    numbers read, logits changed in place, a conversion that refuses a tensor which needs gradients.
    """
    logits = spaced(seed, height, 9, gap=0.5)
    certain = np.random.default_rng(seed).integers(0, 9, height)
    logits[np.arange(height), certain] += 60 * temperature + 9
    for layout in LAYOUTS:
        for top_k in (None, 3):
            got = probe(
                "generation_conduct.draw_laid_out",
                logits=logits,
                layout=layout,
                seed=seed,
                temperature=temperature,
                top_k=top_k,
            )
            what = f"logits that lie or come so: {layout}, at temperature {temperature} with top_k={top_k}"
            expect_equal(ids_of(got["ids"], height), certain, f"the ids of {what}")
            expect(not got["changed"], f"a draw changed {what}")


@law(
    examples=4,
    cases=[{"high": high, "top_k": top_k, "seed": 0} for high in (40.0, -40.0) for top_k in (1, 2, 3)],
    high=st.sampled_from([3.0, 1e3, -1e3]),
    top_k=st.integers(1, 5),
    seed=seeds,
)
def test_each_row_has_its_own_top_k(probe: Probe, high: float, top_k: int, seed: int) -> None:
    """Each row draws from its own k largest logits, also where those of another row are all far away.

    Kills: the bound or the candidates of one row, or of all together, used for another.
    """
    random = np.random.default_rng(seed)
    rows = np.array([random.permutation(6) * 0.1, random.permutation(6) * 0.1 + high]).astype(np.float32)
    logits = np.repeat(rows, 200, axis=0)
    (got,) = probe("sampling.draw", logits=logits, seed=seed, top_k=top_k)
    drawn = np.array(ids_of(got, 400)).reshape(2, 200)
    for row, ids in zip(rows, drawn, strict=True):
        largest = sorted(int(i) for i in np.argsort(-row)[:top_k])
        what = f"the different ids in 200 draws from {row.round(1).tolist()} with top_k={top_k}"
        expect_equal(sorted({int(i) for i in ids}), largest, f"{what}, beside rows {-high:g} away")
