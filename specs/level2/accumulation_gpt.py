"""A step of the submission's own GPT: what holds for a stand-in holds for it."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from specs import training_draws
from specs.compare import expect, expect_close, expect_equal
from specs.law import law
from specs.own_parts import MODEL, said_by_its_model
from specs.probe import Probe
from specs.strategies import seeds
from specs.tolerances import STEP_GRADIENT, TRAINING_LOSS

CRITERION = "accumulation"


@law(
    examples=3,
    cases=[
        {"seed": 0, "counts": [1, 9], "frozen": None, "share": None},
        {"seed": 0, "counts": [9, 2, 5], "frozen": "transformer.wte", "share": 0.5},
    ],
    seed=seeds,
    counts=st.permutations([1, 5, 10]),
    frozen=st.sampled_from([None, "transformer.wte", "transformer.h.0", "lm_head"]),
    share=st.sampled_from([None, 0.5]),
)
def test_the_own_model_takes_the_same_steps(
    probe: Probe, seed: int, counts: list[int], frozen: str | None, share: float | None
) -> None:
    """The submission's own GPT is trained like any model: each target weighs the same, frozen parts or not.

    The gradient is that of the losses that the model itself gives, position by position, over their number.
    Kills: a way of its own for the own model; gradients that need a trained embedding to flow.
    """
    batches = training_draws.batches(seed, [(2, 5)] * len(counts), counts)
    said = said_by_its_model(probe, seed, batches)
    if said is None:
        return
    want = {
        name: gradient / sum(counts)
        for name, gradient in said["gradients"].items()
        if frozen is None or not name.startswith(frozen)
    }
    norm = float(np.sqrt(sum(np.square(gradient.astype(np.float64)).sum() for gradient in want.values())))
    limit = None if share is None else share * norm
    got = probe("own_parts.step", config=MODEL, seed=seed, pairs=batches, frozen=frozen, grad_clip=limit)
    what = f"of a step of the own model with {counts} targets that count, {frozen or 'nothing'} frozen"
    mean = float(sum(losses.sum(dtype=np.float64) for losses in said["losses"])) / sum(counts)
    expect_close(np.array([got["loss"]]), np.array([mean]), TRAINING_LOSS, f"the loss {what}")
    expect_close(np.array([got["grad_norm"]]), np.array([norm]), STEP_GRADIENT, f"the norm {what}")
    expect_equal(len(got["seen"]), 1, f"the steps that the optimizer made {what}")
    seen = got["seen"][0]["gradients"]
    for name, gradient in want.items():
        expect(seen.get(name) is not None, f"{name} has no gradient {what}")
        factor = 1.0 if limit is None else limit / norm
        expect_close(seen[name], gradient * factor, STEP_GRADIENT, f"the gradient of {name} {what}")
