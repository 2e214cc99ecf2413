"""Weights, batches and masks for the properties of training: values from a seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from specs.oracles.training import Batch, Weights

VOCABULARY = 11
WIDTH = 4

SEVERAL = ["wte,gain", "head,bias"]
"""How parameters are shared out among two optimizers; `idle` to neither."""

ALL = ["wte,gain,head,bias,idle"]
"""One optimizer that holds every parameter."""


def weights(seed: int, scale: float = 1.0, width: int = WIDTH) -> Weights:
    """Return every parameter of the small model, float32; logits have a size of about `scale`."""
    random = np.random.default_rng([seed, 11])
    return {
        "wte": random.standard_normal((VOCABULARY, width)).astype(np.float32),
        "gain": (1.0 + 0.3 * random.standard_normal(width)).astype(np.float32),
        "head": (random.standard_normal((VOCABULARY, width)) * scale / np.sqrt(width)).astype(np.float32),
        "bias": (random.standard_normal(VOCABULARY) * 0.3).astype(np.float32),
        "idle": random.standard_normal((3, 2)).astype(np.float32),
    }


def batch(seed: int, rows: int, columns: int, counting: int | None = None) -> Batch:
    """Return inputs and targets (rows, columns), of which `counting` targets count, by default all."""
    random = np.random.default_rng([seed, 12, rows, columns])
    inputs = random.integers(0, VOCABULARY, (rows, columns))
    targets = random.integers(0, VOCABULARY, (rows, columns))
    if counting is not None:
        places = random.permutation(targets.size)[counting:]
        targets.reshape(-1)[places] = -1
    return inputs, targets


def batches(seed: int, shapes: Sequence[tuple[int, int]], counting: Sequence[int | None]) -> list[Batch]:
    """Return a batch for each shape."""
    return [
        batch(seed * 31 + place, rows, columns, count)
        for place, ((rows, columns), count) in enumerate(zip(shapes, counting, strict=True))
    ]


@st.composite
def uneven(draw: st.DrawFn, *, least: int = 2, most: int = 5) -> list[tuple[int, int, int]]:
    """Draw (rows, columns, targets that count) for each of several micro-batches, not all the same count."""
    sizes = []
    for _ in range(draw(st.integers(least, most))):
        rows, columns = draw(st.integers(1, 3)), draw(st.integers(1, 5))
        sizes.append((rows, columns, draw(st.integers(0, rows * columns))))
    if len({counting for *_, counting in sizes}) == 1:
        sizes[0] = (2, 4, 8 if sizes[1][2] != 8 else 1)
    return sizes


def of_sizes(seed: int, sizes: Sequence[tuple[int, int, int]]) -> list[Batch]:
    """Return a batch for each (rows, columns, targets that count)."""
    return batches(seed, [size[:2] for size in sizes], [size[2] for size in sizes])
