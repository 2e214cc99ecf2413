"""The oracle of training against torch's differentiation, and its schedule against numbers by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from specs import training_draws
from specs.compare import expect_close
from specs.level2.accumulation import expect_gradients
from specs.level2.schedule import expect_allowed, shape
from specs.oracles import training
from specs.outcomes import LawBroken
from specs.tolerances import Tolerance


@pytest.mark.parametrize("counting", [0, 1, 4, 6])
def test_gradients_are_those_of_torch(counting: int) -> None:
    """Loss and gradient of several micro-batches are those of torch in float64."""
    weights = training_draws.weights(counting)
    batches = [training_draws.batch(1, 2, 3, counting), training_draws.batch(2, 1, 4, 2)]
    tensors = {
        name: torch.tensor(value, dtype=torch.float64, requires_grad=True) for name, value in weights.items()
    }
    total = torch.zeros((), dtype=torch.float64)
    for inputs, targets in batches:
        logits = (tensors["wte"][torch.tensor(inputs)] * tensors["gain"]) @ tensors["head"].T + tensors[
            "bias"
        ]
        total = total + F.cross_entropy(
            logits.flatten(0, 1), torch.tensor(targets).flatten(), ignore_index=-1, reduction="sum"
        )
    loss = total / (counting + 2)
    loss.backward()
    assert training.mean_loss(weights, batches) == pytest.approx(loss.item(), rel=1e-12)
    for name, value in training.gradients(weights, batches).items():
        gradient = tensors[name].grad
        assert gradient is not None
        expect_close(value, gradient.numpy(), Tolerance(1e-12, 1e-12), name)


def test_the_schedule_is_the_one_by_hand() -> None:
    """Ten steps with two of warm-up and four of warm-down, and the step that two ramps share."""
    assert [sorted(each) for each in training.multipliers(10, 0.2, 0.4, 0.2)] == [
        [0.5], [1.0], [1.0], [1.0], [1.0], [1.0], [pytest.approx(0.8)], [pytest.approx(0.6)],
        [pytest.approx(0.4)], [pytest.approx(0.2)],
    ]  # fmt: skip
    assert training.multipliers(3, 0.5, 0.5, 0.0)[1] == {1.0, 0.5}


def test_bits_leave_out_ignored_and_special_targets() -> None:
    """Of three targets, one is ignored and one has no bytes: the third pays for its two bytes."""
    weights = training_draws.weights(0)
    inputs, targets = np.array([[1, 2, 3]]), np.array([[-1, 0, 5]])
    sizes = [0, 1, 1, 1, 1, 2, 1, 1, 1, 1, 9]
    want = float(training.losses(weights, (inputs, targets))[0, 2]) / np.log(2) / 2
    assert training.bits_per_byte(weights, [(inputs, targets)], sizes) == pytest.approx(want)
    assert training.bits_per_byte(weights, [], sizes) == float("inf")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda gradients: {**gradients, "head": gradients["head"] * 2}, "2 times what it must be"),
        (lambda gradients: {**gradients, "bias": gradients["bias"] + 0.01}, "the gradient of bias"),
        (lambda gradients: {**gradients, "wte": None}, "wte has no gradient"),
        (lambda gradients: {**gradients, "idle": np.ones((3, 2))}, "idle has a gradient"),
    ],
)
def test_wrong_gradients_are_noticed(spoil: Any, message: str) -> None:
    """The check of gradients accepts the right ones and says what is wrong with others."""
    weights, batches = training_draws.weights(0), [training_draws.batch(0, 2, 3)]
    right = training.gradients(weights, batches)
    expect_gradients({"seen": [[{"gradients": right}]]}, right, "here")
    with pytest.raises(LawBroken, match=message):
        expect_gradients({"seen": [[{"gradients": spoil(right)}]]}, right, "here")
    with pytest.raises(LawBroken, match="the steps that an optimizer made"):
        expect_gradients({"seen": [[{"gradients": right}] * 2]}, right, "here")


def test_wrong_multipliers_are_noticed() -> None:
    """Anything between two allowed values is accepted, and nothing beyond them."""
    expect_allowed(0.7, {0.5, 1.0}, 1, shape(3, 0.5, 0.5, 0.0))
    for wrong in (0.4, 1.01, float("nan")):
        with pytest.raises(LawBroken, match="the multiplier of step 1"):
            expect_allowed(wrong, {0.5, 1.0}, 1, shape(3, 0.5, 0.5, 0.0))
