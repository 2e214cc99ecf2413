"""What a model remembers beside its parameters, in a checkpoint."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from specs import draws
from specs.compare import expect_equal
from specs.law import law
from specs.level2.checkpoint import expect_parameters, interrupted, recipes
from specs.probe import Probe
from specs.strategies import seeds

CRITERION = "checkpoint"


@law(
    examples=6,
    cases=[{"seed": 0, "recipe": "AdamW", "before": 2, "after": 1, "stepped": 0}],
    seed=seeds,
    recipe=recipes,
    before=st.integers(0, 3),
    after=st.integers(1, 2),
    stepped=st.integers(0, 2),
)
def test_the_buffers_of_a_model_come_back(
    probe: Probe, seed: int, recipe: str, before: int, after: int, stepped: int
) -> None:
    """What a model remembers beside its parameters, a running average or a count, is part of a checkpoint.

    That is, the buffers that its `state_dict` holds; others, which are made with each model, do not matter.
    Kills: parameters saved alone, all as floats, a buffer that is no part of the state missed on loading.
    """
    got = interrupted(
        probe,
        seed,
        recipe,
        before,
        after,
        stepped,
        buffers=buffers(seed),
        other_buffers=buffers(seed + 1),
    )
    for name, saved in got["saved_buffers"].items():
        loaded = got["loaded_buffers"][name]
        expect_equal(loaded.dtype.name, saved.dtype.name, f"the dtype of buffer {name} after loading")
    expect_parameters(got["loaded_buffers"], got["saved_buffers"], "after loading", "buffer")
    also = f"after {before} steps, a checkpoint, and {after} more, with a model that has buffers"
    expect_parameters(got["resumed"], got["uninterrupted"], also)


def buffers(seed: int) -> dict[str, NDArray[np.generic]]:
    """Return a running average and a count, at places of their own."""
    return {
        "blocks.0.average": draws.normal(seed + 500, 4),
        "seen": np.array(1000 + seed % 1000, dtype=np.int64),
    }
