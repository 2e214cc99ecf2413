"""The oracle of the optimizers against other code that says the same, and the comparison built on it."""

from __future__ import annotations

import contextlib
import pickle  # noqa: TID251  # its exception: nothing is unpickled with it
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from specs import optimizer_paths, tolerances
from specs.optimizer_paths import expect_paths, gradients, starts
from specs.oracles import optimizers
from specs.outcomes import LawBroken
from specs.probes import bombs

SHAPE = (4, 3)
OPTIONS: dict[str, Any] = {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.2}


def adamw_of_torch(begin: NDArray[Any], given: list[NDArray[Any] | None]) -> list[NDArray[Any]]:
    """Return the path of a parameter under torch's AdamW, in float64."""
    parameter = torch.nn.Parameter(torch.tensor(begin, dtype=torch.float64))
    optimizer = torch.optim.AdamW([parameter], **OPTIONS)
    places = []
    for gradient in given:
        parameter.grad = None if gradient is None else torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
        places.append(parameter.detach().numpy().copy())
    return places


@pytest.mark.parametrize("size", [1.0, 1e-3, 1e6])
def test_adamw_is_that_of_torch(size: float) -> None:
    (begin,) = starts(0, [SHAPE])
    given: list[NDArray[Any] | None] = [now[0] for now in gradients(1, [SHAPE], 6, scale=size)]
    given[2] = None
    got = optimizers.path("AdamW", begin, given, [OPTIONS] * 6).places
    for mine, torchs in zip(got, adamw_of_torch(begin, given), strict=True):
        np.testing.assert_allclose(mine, torchs, rtol=1e-12)


@pytest.mark.parametrize("shape", [(3, 3), (5, 2), (2, 5), (1, 4), (1, 1)])
@pytest.mark.parametrize("steps", [1, 5])
def test_the_iteration_by_singular_values_is_that_by_products(shape: tuple[int, int], steps: int) -> None:
    x = matrix = np.random.default_rng(0).standard_normal(shape)
    x = x / (np.linalg.norm(x) + 1e-7)
    for _ in range(steps):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    np.testing.assert_allclose(optimizers.orthogonal(matrix, steps), x, atol=1e-12)


def test_five_steps_bring_singular_values_near_one() -> None:
    values = np.diag(np.linspace(0.02, 1.0, 40))
    found = np.linalg.svd(optimizers.orthogonal(values, 5), compute_uv=False)
    assert 0.6 < found.min() < found.max() < 1.2


def test_no_error_grows_faster_than_the_tolerance_says() -> None:
    """An error of one in each step, grown by the slope or by the ratio, along the way of every value."""
    a, b, c = optimizers.NEWTON_SCHULZ
    x = np.linspace(1e-9, 1.0, 200_001)
    grown = np.ones_like(x)
    for steps in range(1, 9):
        slope, ratio = np.abs(a + 3 * b * x**2 + 5 * c * x**4), np.abs(a + b * x**2 + c * x**4)
        grown = grown * np.maximum(slope, ratio) + 1
        x = a * x + b * x**3 + c * x**5
        assert grown.max() * 10 * 2.0**-24 <= tolerances.newton_schulz(steps).relative * (1 + 1e-9)


@pytest.mark.parametrize("kind", ["AdamW", "Muon"])
def test_a_path_that_is_right_is_accepted_and_another_is_not(kind: str) -> None:
    (begin,) = starts(0, [SHAPE])
    given = gradients(1, [SHAPE], 3)
    right = [
        [place.astype(np.float32)]
        for place in optimizers.path(kind, begin, [g[0] for g in given], [{}] * 3).places
    ]
    expect_paths(kind, right, [begin], given, [[{}] * 3])
    wrong = [[place * 1.0] for (place,) in right]
    wrong[2][0][1, 2] += 0.1 * (wrong[2][0][1, 2] - begin[1, 2])
    with pytest.raises(LawBroken, match=r"moved parameter 0, of shape \(4, 3\), after step 3.*\[1, 2\]"):
        expect_paths(kind, wrong, [begin], given, [[{}] * 3])
    with pytest.raises(LawBroken, match="no place of each parameter after each step"):
        expect_paths(kind, right[:2], [begin], given, [[{}] * 3])
    with pytest.raises(LawBroken, match=r"has shape \(3,\)"):
        expect_paths(kind, [[begin[0]]] * 3, [begin], given, [[{}] * 3])
    with pytest.raises(LawBroken, match="want an array of numbers"):
        expect_paths(kind, [["here"]] * 3, [begin], given, [[{}] * 3])


def test_gradients_of_a_spread_keep_their_sizes_over_the_steps() -> None:
    first, second = (now[0] for now in gradients(3, [(200,)], 2, spread=6.0))
    assert np.abs(first).max() / np.abs(first).min() > 1e6
    assert np.corrcoef(np.log(np.abs(first)), np.log(np.abs(second)))[0, 1] > 0.8
    assert optimizer_paths.gradients(3, [()], 1)[0][0].shape == ()


@pytest.mark.parametrize("plant", bombs.KINDS)
def test_a_bomb_goes_off_where_it_is_read_carelessly(plant: Any, tmp_path: Path) -> None:
    file = tmp_path / "file"
    plant(file)
    assert not bombs.went_off()
    if plant is bombs.of_numpy:
        np.load(file, allow_pickle=True)
    elif plant is bombs.pickled:
        np.load(file, allow_pickle=True)  # which takes any plain pickle, too
    else:
        torch.load(file, weights_only=False)
    assert bombs.went_off()
    assert not bombs.went_off()


@pytest.mark.parametrize("plant", bombs.KINDS)
def test_a_bomb_does_not_go_off_where_it_is_read_with_care(plant: Any, tmp_path: Path) -> None:
    plant(tmp_path / "file")
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "file", weights_only=True)
    with contextlib.suppress(ValueError):  # a zip file is opened, and none of its members read
        np.load(tmp_path / "file", allow_pickle=False)
    assert not bombs.went_off()
