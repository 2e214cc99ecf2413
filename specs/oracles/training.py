"""The right answers of training, in float64: a model small enough to differentiate by hand, and the schedule.

The model reads one token and says the next: logits = (wte[idx] * gain) @ head.T + bias. One of its parameters
is a matrix of rows looked up, one a plain matrix, two are vectors, and no loss depends on the last, `idle`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Weights = dict[str, NDArray[np.float32]]
Gradients = dict[str, NDArray[np.float64]]
Batch = tuple[NDArray[np.int64], NDArray[np.int64]]

NAMES = ("wte", "gain", "head", "bias", "idle")
REACHED = ("wte", "gain", "head", "bias")
"""The parameters that the loss depends on."""


def losses(weights: Weights, batch: Batch) -> NDArray[np.float64]:
    """Return the loss of each target of a batch, (rows, columns), 0 where it is -1."""
    idx, targets = batch
    logarithms = log_probabilities(weights, idx)
    chosen = np.take_along_axis(logarithms, np.maximum(targets, 0)[..., None], axis=-1)[..., 0]
    return np.where(targets == -1, 0.0, -chosen)


def mean_loss(weights: Weights, batches: Sequence[Batch]) -> float:
    """Return the mean loss over all targets that count, 0 if there are none."""
    total = sum(float(losses(weights, batch).sum()) for batch in batches)
    return total / max(counted(batches), 1)


def gradients(weights: Weights, batches: Sequence[Batch]) -> Gradients:
    """Return the gradient of `mean_loss` for each parameter that it depends on."""
    exact = {name: value.astype(np.float64) for name, value in weights.items()}
    sums = {name: np.zeros(exact[name].shape) for name in REACHED}
    for idx, targets in batches:
        idx, targets = idx.reshape(-1)[targets.reshape(-1) != -1], targets[targets != -1]
        rows = exact["wte"][idx]
        surplus = np.exp(log_probabilities(weights, idx))
        surplus[np.arange(len(targets)), targets] -= 1.0  # by the logits
        scaled_rows = surplus @ exact["head"]
        sums["bias"] += surplus.sum(axis=0)
        sums["head"] += surplus.T @ (rows * exact["gain"])
        sums["gain"] += (scaled_rows * rows).sum(axis=0)
        np.add.at(sums["wte"], idx, scaled_rows * exact["gain"])
    return {name: value / max(counted(batches), 1) for name, value in sums.items()}


def norm(found: Gradients, names: Sequence[str] = REACHED) -> float:
    """Return the Euclidean norm of some gradients together."""
    return float(np.sqrt(sum(float(np.square(found[name]).sum()) for name in names)))


def counted(batches: Sequence[Batch]) -> int:
    """Return how many targets count."""
    return sum(int((targets != -1).sum()) for _, targets in batches)


def log_probabilities(weights: Weights, idx: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the logarithm of the probability of each next token, (..., vocabulary)."""
    exact = {name: value.astype(np.float64) for name, value in weights.items()}
    logits = (exact["wte"][idx] * exact["gain"]) @ exact["head"].T + exact["bias"]
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def bits_per_byte(weights: Weights, batches: Sequence[Batch], token_bytes: Sequence[int]) -> float:
    """Return the loss in bits for each byte of the targets that have bytes; infinite if there are none."""
    total_loss, total_bytes = 0.0, 0
    for batch in batches:
        for loss, target in zip(losses(weights, batch).flat, batch[1].reshape(-1).tolist(), strict=True):
            if target != -1 and token_bytes[target] > 0:
                total_loss += float(loss)
                total_bytes += token_bytes[target]
    return total_loss / float(np.log(2)) / total_bytes if total_bytes else float("inf")


def multipliers(num_steps: int, warmup_ratio: float, warmdown_ratio: float, final: float) -> list[set[float]]:
    """Return, for each step of a training, the multipliers that the contract allows: two where ramps meet."""
    warmup, warmdown = round(warmup_ratio * num_steps), round(warmdown_ratio * num_steps)
    allowed = []
    for step in range(num_steps):
        values = set()
        if step < warmup:
            values.add((step + 1) / warmup)
        if step >= num_steps - warmdown:
            down = step - (num_steps - warmdown) + 1  # steps of the way down taken, this one with them
            values.add(1.0 - (1.0 - final) * down / warmdown)
        allowed.append(values or {1.0})
    return allowed
