"""Training and evaluation of the submission's own GPT: what holds for a stand-in holds for it."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from specs import training_draws
from specs.compare import expect_close, expect_equal
from specs.law import law
from specs.level2.loop_evaluation import BYTES
from specs.own_parts import MODEL, said_by_its_model
from specs.probe import Probe
from specs.strategies import seeds
from specs.tolerances import STEP_GRADIENT, TRAINING_LOSS

CRITERION = "loop"


@law(
    examples=3,
    cases=[{"seed": 0, "counts": [1, 9]}],
    seed=seeds,
    counts=st.permutations([1, 4, 10]),
)
def test_the_own_model_is_evaluated_alike(probe: Probe, seed: int, counts: list[int]) -> None:
    """The submission's own GPT is evaluated like any model: by the losses that it gives itself.

    Kills: a way of its own for the own model.
    """
    batches = training_draws.batches(seed, [(2, 5)] * len(counts), counts)
    said = said_by_its_model(probe, seed, batches)
    if said is None:
        return
    losses = np.concatenate(said["losses"]).astype(np.float64)
    targets = np.concatenate([pair[1].reshape(-1) for pair in batches])
    sizes = np.where(targets == -1, 0, np.array(BYTES)[targets])
    got = probe("own_parts.evaluation", config=MODEL, seed=seed, pairs=batches, token_bytes=BYTES)
    what = f"of the own model with {counts} targets that count"
    mean = losses.sum() / sum(counts)
    expect_close(np.array([got["loss"]]), np.array([mean]), TRAINING_LOSS, f"the loss {what}")
    if sizes.sum():
        bits = losses[sizes > 0].sum() / np.log(2) / sizes.sum()
        expect_close(np.array([got["bits"]]), np.array([bits]), TRAINING_LOSS, f"the bits per byte {what}")
    expect_equal(got["changed"], [], f"what an evaluation changed {what}")


@law(
    examples=2,
    cases=[{"seed": 0, "accumulation": 2}],
    seed=seeds,
    accumulation=st.integers(1, 2),
)
def test_the_own_model_is_trained_by_train_steps(probe: Probe, seed: int, accumulation: int) -> None:
    """A training of the submission's own GPT is its train steps, one after the other.

    Kills: a way of its own for the own model.
    """
    batches = training_draws.batches(
        seed, [(2, 5)] * (3 * accumulation), [1, 9, 4, 10, 3, 7][: 3 * accumulation]
    )
    if said_by_its_model(probe, seed, batches) is None:
        return
    schedule = {"warmup_ratio": 0.3, "warmdown_ratio": 0.4, "final_lr_frac": 0.1}
    got = probe(
        "own_parts.fitted",
        config=MODEL,
        seed=seed,
        pairs=batches,
        accumulation=accumulation,
        schedule=schedule,
    )
    what = f"of a training of the own model, {accumulation} batches a step"
    expect_close(
        np.array(got["losses"]), np.array(got["own_losses"]), STEP_GRADIENT, f"the losses {what}", ("step",)
    )
    for name, want in got["own_parameters"].items():
        expect_close(got["parameters"][name], want, STEP_GRADIENT, f"{name} at the end {what}")
