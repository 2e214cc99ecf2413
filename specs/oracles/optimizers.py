"""AdamW and Muon as the contract writes them down, in NumPy float64, one parameter at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Options = Mapping[str, Any]

ADAMW: dict[str, Any] = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01}
MUON: dict[str, Any] = {"lr": 0.02, "momentum": 0.95, "nesterov": True, "ns_steps": 5}

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


@dataclass(frozen=True)
class Path:
    """Where a parameter is after each step, and how far it went to get there."""

    places: list[Floats]
    travelled: list[Floats]
    """Sum of the sizes of all changes so far, value by value: what rounding errors are in proportion to."""


def path(
    kind: str, start: NDArray[Any], gradients: Sequence[NDArray[Any] | None], options: Sequence[Options]
) -> Path:
    """Return the path of a parameter under the optimizer `kind`, "AdamW" or "Muon".

    `options` holds those of each step; what is not given has its default.
    """
    return (adamw if kind == "AdamW" else muon)(start, gradients, options)


def adamw(start: NDArray[Any], gradients: Sequence[NDArray[Any] | None], options: Sequence[Options]) -> Path:
    """Return the path of a parameter under AdamW; a step without a gradient does not count."""
    place = start.astype(np.float64)
    travelled = np.zeros_like(place)
    mean, square, step = np.zeros_like(place), np.zeros_like(place), 0
    walked = Path([], [])
    for gradient, given in zip(gradients, options, strict=True):
        if gradient is not None:
            chosen = ADAMW | dict(given)
            (beta1, beta2), lr = chosen["betas"], chosen["lr"]
            g = gradient.astype(np.float64)
            step += 1
            decay = lr * chosen["weight_decay"] * place
            mean = beta1 * mean + (1 - beta1) * g
            square = beta2 * square + (1 - beta2) * g**2
            change = lr * (mean / (1 - beta1**step)) / (np.sqrt(square / (1 - beta2**step)) + chosen["eps"])
            place = place - decay - change
            travelled = travelled + np.abs(decay) + np.abs(change)
        walked.places.append(place)
        walked.travelled.append(travelled)
    return walked


def muon(start: NDArray[Any], gradients: Sequence[NDArray[Any] | None], options: Sequence[Options]) -> Path:
    """Return the path of a matrix under Muon; a step without a gradient does not count."""
    place = start.astype(np.float64)
    travelled = np.zeros_like(place)
    average = np.zeros_like(place)
    rows, columns = place.shape
    walked = Path([], [])
    for gradient, given in zip(gradients, options, strict=True):
        if gradient is not None:
            chosen = MUON | dict(given)
            momentum = chosen["momentum"]
            g = gradient.astype(np.float64)
            average = momentum * average + (1 - momentum) * g
            smoothed = momentum * average + (1 - momentum) * g if chosen["nesterov"] else average
            change = (
                chosen["lr"] * np.sqrt(max(1.0, rows / columns)) * orthogonal(smoothed, chosen["ns_steps"])
            )
            place = place - change
            travelled = travelled + np.abs(change)
        walked.places.append(place)
        walked.travelled.append(travelled)
    return walked


def orthogonal(matrix: Floats, steps: int) -> Floats:
    """Return the matrix after `steps` Newton-Schulz steps, through its singular values.

    The polynomial of the contract acts on each of them alone; no product of matrices as implementations have
    it is formed here.
    """
    a, b, c = NEWTON_SCHULZ
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    values = values / (float(np.sqrt(np.sum(np.square(matrix)))) + 1e-7)
    for _ in range(steps):
        values = a * values + b * values**3 + c * values**5
    return np.asarray((left * values) @ right)
