"""A step on many micro-batches, and on one that comes more than once."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from specs import training_draws
from specs.compare import expect_close
from specs.law import law
from specs.level2.accumulation import expect_gradients, expect_loss
from specs.oracles import training
from specs.probe import Probe
from specs.strategies import seeds
from specs.tolerances import STEP_GRADIENT
from specs.training_draws import ALL

CRITERION = "accumulation"


@law(
    examples=4,
    cases=[{"seed": 0, "times": times} for times in (2, 3, 300)],
    seed=seeds,
    times=st.integers(2, 40),
)
def test_a_micro_batch_counts_as_often_as_it_comes(probe: Probe, seed: int, times: int) -> None:
    """A micro-batch that comes several times, the same object, counts so often, and another after it once.

    Kills: micro-batches taken for the same dropped, a number of micro-batches after which a step ends.
    """
    weights = training_draws.weights(seed)
    again, last = training_draws.batch(seed, 1, 3), training_draws.batch(seed + 1, 3, 4)
    got = probe("training.steps", weights=weights, groups=ALL, steps=[[again, last]], times=times)
    batches = [again] * times + [last]
    what = f"with a micro-batch that comes {times} times and one more"
    expect_gradients(got, training.gradients(weights, batches), what)
    expect_loss(got["steps"][0]["loss"], training.mean_loss(weights, batches), what)


@law(
    examples=4, cases=[{"seed": 0, "limit": 1}, {"seed": 0, "limit": 3}], seed=seeds, limit=st.integers(1, 5)
)
def test_a_limit_may_be_an_integer(probe: Probe, seed: int, limit: int) -> None:
    """A gradient longer than a whole number is shortened to it, as to any other.

    Kills: limits that are asked for their type, a division without its remainder.
    """
    weights = training_draws.weights(seed)
    # The logits stay what they are, the gradient of the head grows.
    weights["wte"], weights["head"] = weights["wte"] * np.float32(60), weights["head"] / np.float32(60)
    batches = [training_draws.batch(seed, 2, 3)]
    gradients = training.gradients(weights, batches)
    norm = training.norm(gradients)
    got = probe("training.steps", weights=weights, groups=ALL, steps=[batches], grad_clip=limit)
    expect_gradients(
        got, gradients, f"with a norm of {norm:.4g} and a limit of {limit}", factor=min(1.0, limit / norm)
    )
    expect_close(
        np.array([got["steps"][0]["grad_norm"]]),
        np.array([norm]),
        STEP_GRADIENT,
        "the norm of the gradient before it is clipped",
    )
