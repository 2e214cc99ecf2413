"""Rotary position embeddings (Su et al. 2021, arXiv:2104.09864), half-split, in float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BASE = 10000.0


def table(positions: int, head_dim: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return cos and sin of position / 10000^(2i / head_dim), each of shape (positions, head_dim / 2)."""
    channel = np.arange(head_dim // 2, dtype=np.float64)
    frequency = BASE ** (-2.0 * channel / head_dim)
    angle = np.outer(np.arange(positions, dtype=np.float64), frequency)
    return np.cos(angle), np.sin(angle)


def rotate(x: NDArray[np.float64], cos: NDArray[np.float64], sin: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotate `x` (..., position, head, channel) by tables of shape (position, channel / 2)."""
    half = x.shape[-1] // 2
    x1, x2 = x[..., :half], x[..., half:]
    cos, sin = cos[:, None, :], sin[:, None, :]
    return np.concatenate([x1 * cos + x2 * sin, x2 * cos - x1 * sin], axis=-1)
