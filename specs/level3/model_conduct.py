"""What a model does beside the logits of one pass: its derivative, its modes, and what it leaves alone.

The rotary tables are the oracle's, there is no cache, and there are as many key/value heads as query
heads, so that bugs of these do not show here.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from specs import draws, tolerances
from specs.compare import as_numbers, expect, expect_close, expect_equal
from specs.law import law
from specs.level3.loss import loss_tolerance, masked_targets
from specs.logits import LOGIT_AXES, expect_logits
from specs.oracles import gpt
from specs.oracles.gpt import Config
from specs.probe import Probe
from specs.strategies import config, configs, seeds

CRITERION = "attention"

DIRECTIONS = 2
"""For each parameter."""


@law(
    examples=3,
    cases=[{"shape": config(n_layer=2), "seed": 0}],
    shape=configs(max_layers=2),
    seed=seeds,
)
def test_the_gradient_is_the_slope_of_the_loss(probe: Probe, shape: Config, seed: int) -> None:
    """Moving a parameter a little changes the loss by as much as its gradient says, in every direction.

    A path that is cut still leaves a gradient by the others, and every parameter learns, the wrong thing.
    Kills: a norm whose divisor is detached, an input detached on its way to one projection, gradients scaled
    or clipped inside the model.
    """
    tokens, targets = draws.tokens(shape, seed, 2, 9), masked_targets(shape, seed, 2, 9)
    weights = draws.model(shape, seed)
    answer = probe("model.gradients", config=shape, weights=weights, tokens=tokens, targets=targets)
    random = np.random.default_rng([seed, 5])
    for name in draws.weights(shape, seed):
        gradient = as_numbers(answer.get(name), f"the gradient of {name}")
        expect_equal(list(gradient.shape), list(weights[name].shape), f"the shape of the gradient of {name}")
        moves = [random.standard_normal(gradient.shape) for _ in range(DIRECTIONS)]
        want = np.array([slope(shape, weights, tokens, targets, name, move) for move in moves])
        loose = np.array(
            [slope(shape, weights, tokens, targets, name, move, gpt.LARGEST_EPSILON) for move in moves]
        )
        # Slopes along random directions are as large as the gradient is long, but for chance.
        length = float(np.linalg.norm(gradient))
        expect_close(
            np.array([float((gradient * move).sum()) for move in moves]),
            want,
            tolerances.Tolerance(tolerances.GRADIENT.relative, tolerances.GRADIENT.absolute, floor=length),
            f"the slope of the loss along random directions of {name}, by its gradient,",
            slack=1.5 * np.abs(loose - want),
        )


@law(examples=6, shape=configs(max_layers=2), seed=seeds, batch=st.integers(1, 3), length=st.integers(1, 9))
def test_training_mode_computes_the_same(
    probe: Probe, shape: Config, seed: int, batch: int, length: int
) -> None:
    """In training mode the logits and the loss are what they are in evaluation: nothing is dropped out.

    Kills: dropout, targets that are smoothed, noise in training.
    """
    tokens, targets = draws.tokens(shape, seed, batch, length), masked_targets(shape, seed, batch, length)
    weights = draws.model(shape, seed, probe.dtype)
    got = probe("model.in_training_mode", config=shape, weights=weights, tokens=tokens, targets=targets)
    expect_logits(got["logits"], shape, weights, tokens, probe.dtype, "the logits in training mode")
    expect_close(
        as_numbers(got["losses"], "the losses").reshape(-1),
        gpt.loss_of_each(gpt.logits(shape, weights, tokens), targets).reshape(-1),
        loss_tolerance(probe.dtype),
        "the loss of each target in training mode",
    )


@law(
    examples=12,
    cases=[{"seed": 0, "part": "wte", "factor": 0.005, "dtype": dtype} for dtype in ("float32", "bfloat16")],
    seed=seeds,
    part=st.sampled_from(["wte", "c_q", "c_k"]),
    factor=st.sampled_from([0.005, 0.01, 0.05, 100.0]),
    dtype=st.sampled_from(["float32", "bfloat16"]),
)
def test_short_vectors_are_normalised_like_long_ones(
    probe: Probe, seed: int, part: str, factor: float, dtype: str
) -> None:
    """A vector is divided by its root mean square however short it is: only the epsilon may show.

    How far an epsilon of up to 1e-5 moves each logit is allowed for, in bfloat16 as in float32.
    Kills: a divisor with a floor, an epsilon added outside of the root or a hundred times too large, that of
    the dtype of the model.
    """
    shape = config()
    tokens = draws.tokens(shape, seed, 2, 7)
    weights = draws.scaled(draws.model(shape, seed, dtype), part, factor)
    weights = {name: draws.rounded(value, dtype) for name, value in weights.items()}
    (got,) = probe("model.logits", config=shape, weights=weights, batches=[tokens], dtype=dtype)
    want, slack = gpt.logits_and_slack(shape, weights, tokens)
    expect_close(
        got,
        want,
        tolerances.FLOAT32.times(20) if dtype == "float32" else tolerances.BFLOAT16,
        f"the logits in {dtype} with {part} scaled by {factor}",
        LOGIT_AXES,
        slack=slack,
    )


@law(examples=4, n_layer=st.integers(1, 2), how=st.sampled_from(["plain", "meta"]))
def test_making_a_model_changes_no_setting(probe: Probe, n_layer: int, how: str) -> None:
    """Making a model may draw from torch's generator, and changes nothing else that everybody shares.

    The generator may move on, but not to a place that does not depend on where it was: whoever seeded it
    would draw the same numbers after every model.
    Kills: a seed set on the way, a default dtype, a device or a number of threads left set, or set to what
    is usual where it was not.
    """
    answer = probe("model.making", config=config(n_layer=n_layer), how=how)
    expect_equal(answer["changed"], [], "what making a model changed")
    expect_equal(answer["dtypes_left"], answer["dtypes_set"], "the default dtypes after models were made")
    expect(
        not answer["generator_is_set"],
        "after making a model torch's generator stands at the same place, whatever its seed was before: "
        "the model may draw from it, but not seed it",
    )


@law(examples=2, n_layer=st.integers(1, 2))
def test_the_device_is_that_of_the_parameters(probe: Probe, n_layer: int) -> None:
    """get_device is a torch.device, that of the parameters: meta as long as a model has no memory.

    Kills: the CPU whatever the model, a device remembered from the constructor, a text in place of a device.
    """
    got = probe("model.devices", config=config(n_layer=n_layer))
    expect_equal(got, {"meta": ["device", "meta"], "placed": ["device", probe.device]}, "get_device")


def slope(
    shape: Config,
    weights: gpt.Weights,
    tokens: np.ndarray,
    targets: np.ndarray,
    name: str,
    move: np.ndarray,
    epsilon: float = gpt.EPSILON,
) -> float:
    """Return the derivative of the mean loss along `move` of one parameter, by a difference in float64."""
    # The loss curves on the scale of the weights, and float64 keeps 1e-16: the error is near 1e-10.
    step = 1e-5 * float(np.abs(weights[name]).max())
    losses = []
    for sign in (1.0, -1.0):
        moved = {**weights, name: weights[name].astype(np.float64) + sign * step * move}
        each = gpt.loss_of_each(gpt.logits(shape, moved, tokens, epsilon), targets)
        losses.append(float(each.sum() / (targets != -1).sum()))
    return (losses[0] - losses[1]) / (2.0 * step)
