"""The model of the contract, written out in NumPy float64: no cache, no fused attention, no cleverness."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from specs.oracles import rotary

Config = dict[str, int]
Weights = dict[str, NDArray[Any]]
Floats = NDArray[np.float64]

EPSILON = float(np.finfo(np.float32).eps)
"""What torch's rms_norm adds to the mean square of float32 inputs when it is given none."""

LARGEST_EPSILON = 1e-5
"""What the contract allows."""


def logits_and_slack(config: Config, weights: Weights, tokens: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return the logits, and by how much the epsilon of the norms, which is free, may move each of them.

    It matters where the residual stream or a head is short by chance.
    """
    want = logits(config, weights, tokens)
    return want, 1.5 * np.abs(logits(config, weights, tokens, LARGEST_EPSILON) - want)


def logits(config: Config, weights: Weights, tokens: NDArray[np.int64], epsilon: float = EPSILON) -> Floats:
    """Return the capped logits (batch, position, vocabulary) of `tokens` (batch, position)."""
    x = normalised(weight(weights, "transformer.wte")[tokens], epsilon)
    table = rotary.table(tokens.shape[1], head_dim(config))
    for layer in range(config["n_layer"]):
        x = x + attention(config, weights, layer, normalised(x, epsilon), table, epsilon)
        x = x + mlp(weights, layer, normalised(x, epsilon))
    raw: Floats = normalised(x, epsilon) @ weight(weights, "lm_head").T
    return capped(raw)


def attention(
    config: Config,
    weights: Weights,
    layer: int,
    x: Floats,
    table: tuple[Floats, Floats],
    epsilon: float = EPSILON,
) -> Floats:
    """Return causal grouped-query attention of `x` (batch, position, channel), after its projection."""
    batch, length, _ = x.shape
    name = f"transformer.h.{layer}.attn."
    q, k, v = (
        (x @ weight(weights, name + part).T).reshape(batch, length, -1, head_dim(config))
        for part in ("c_q", "c_k", "c_v")
    )
    q, k = (normalised(rotary.rotate(part, *table), epsilon) for part in (q, k))
    # Query head h reads key/value head h // group size.
    group_size = config["n_head"] // config["n_kv_head"]
    k, v = np.repeat(k, group_size, axis=2), np.repeat(v, group_size, axis=2)
    scores = np.einsum("bihd,bjhd->bhij", q, k) / np.sqrt(head_dim(config))
    scores = np.where(np.tril(np.ones((length, length), dtype=bool)), scores, -np.inf)
    mixed = np.einsum("bhij,bjhd->bihd", softmax(scores), v)
    projected: Floats = mixed.reshape(batch, length, -1) @ weight(weights, name + "c_proj").T
    return projected


def mlp(weights: Weights, layer: int, x: Floats) -> Floats:
    """Return the feed-forward block with the square of ReLU (So et al. 2021, arXiv:2109.08668)."""
    name = f"transformer.h.{layer}.mlp."
    hidden = np.maximum(x @ weight(weights, name + "c_fc").T, 0.0) ** 2
    projected: Floats = hidden @ weight(weights, name + "c_proj").T
    return projected


def capped(raw: Floats) -> Floats:
    """Return logits capped smoothly at +-15."""
    smooth: Floats = 15.0 * np.tanh(raw / 15.0)
    return smooth


def normalised(x: Floats, epsilon: float = EPSILON) -> Floats:
    """Return `x` over its root mean square along the last axis (Zhang and Sennrich 2019), without gain."""
    normal: Floats = x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + epsilon)
    return normal


def softmax(x: Floats) -> Floats:
    """Return the softmax over the last axis."""
    shifted = np.exp(x - x.max(axis=-1, keepdims=True))
    normal: Floats = shifted / shifted.sum(axis=-1, keepdims=True)
    return normal


def loss_of_each(logit: Floats, targets: NDArray[np.int64]) -> Floats:
    """Return the cross-entropy (batch, position) of each target, zero where the target is -1."""
    peak = logit.max(axis=-1, keepdims=True)
    log_normaliser = np.log(np.exp(logit - peak).sum(axis=-1)) + peak[..., 0]
    chosen = np.take_along_axis(logit, np.maximum(targets, 0)[..., None], axis=-1)[..., 0]
    return np.where(targets == -1, 0.0, log_normaliser - chosen)


def head_dim(config: Config) -> int:
    """Return the number of channels of one head."""
    return config["n_embd"] // config["n_head"]


def weight(weights: Weights, name: str) -> Floats:
    """Return one weight matrix (out, in) in float64."""
    return weights[name + ".weight"].astype(np.float64)
