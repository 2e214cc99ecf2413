"""What properties of optimizers share: gradients to draw, and paths to compare with the oracle's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from specs import draws, tolerances
from specs.compare import broken, expect_close
from specs.oracles import optimizers

Arrays = list[NDArray[np.float32]]
Gradients = list[list[NDArray[np.float32] | None]]

matrices = st.sampled_from([(3, 3), (5, 2), (2, 5), (1, 4), (4, 1), (1, 1), (8, 8), (16, 4), (4, 12), (9, 7)])
"""Shapes of matrices: square, tall, wide, a row, a column, a number."""

shapes = st.sampled_from([(3,), (), (2, 3), (1,), (5, 4), (2, 2, 3), (1, 7), (40,)])
"""Shapes of parameters of any number of dimensions."""

kinds = st.sampled_from(["AdamW", "Muon"])


def starts(seed: int, shapes: Sequence[tuple[int, ...]], size: float = 0.1) -> Arrays:
    """Return a parameter of each shape, small values: so that steps are seen beside them."""
    # `asarray`: times a number, an array without dimensions becomes a number.
    return [
        np.asarray(draws.normal(seed + 10 * place, *shape) * np.float32(size))
        for place, shape in enumerate(shapes)
    ]


def gradients(
    seed: int, shapes: Sequence[tuple[int, ...]], steps: int, scale: float = 1.0, spread: float = 0.0
) -> list[Arrays]:
    """Return a gradient for each parameter of each step, normal values of size `scale`.

    With `spread`, each value is multiplied by 10 to a power between minus `spread` and `spread`: another one
    for each value, but the same in all steps.
    """
    found = []
    for step in range(steps):
        now = []
        for place, shape in enumerate(shapes):
            power = np.random.default_rng([seed, 6, place]).uniform(-spread, spread, shape)
            value = np.random.default_rng([seed, 5, step, place]).standard_normal(shape)
            now.append(np.asarray(value * scale * 10.0**power, dtype=np.float32))
        found.append(now)
    return found


def expect_paths(
    kind: str,
    got: Any,
    begins: Sequence[NDArray[Any]],
    given: Sequence[Sequence[NDArray[Any] | None]],
    options: Sequence[Sequence[Mapping[str, Any]]],
    *,
    skip: int = 0,
    what: str = "",
    rounding: float = 1.0,
) -> None:
    """Require the parameters after each step to be where the oracle says, step by step.

    `options` holds those of each parameter for each step. `skip` steps were made before the first of `got`.
    What Muon rounds may be `rounding` times what it usually is.
    """
    steps = len(given)
    if not isinstance(got, list) or len(got) != steps - skip or any(len(one) != len(begins) for one in got):
        broken(f"{kind}{what}: got no place of each parameter after each step")
    for place, begin in enumerate(begins):
        wanted = optimizers.path(kind, begin, [step[place] for step in given], options[place])
        for step in range(skip, steps):
            expect_step(
                kind, got[step - skip][place], begin, wanted, options[place], step, place, what, rounding
            )


def expect_step(
    kind: str,
    got: Any,
    begin: NDArray[Any],
    wanted: optimizers.Path,
    options: Sequence[Mapping[str, Any]],
    step: int,
    place: int | str,
    what: str = "",
    rounding: float = 1.0,
) -> None:
    """Require one parameter to have moved by what the oracle says after `step`, counted from 0.

    Changes are compared, not places: beside the values of the parameter a wrong step may be small.
    """
    begun = begin.astype(np.float64)
    change, travelled = wanted.places[step] - begun, wanted.travelled[step]
    if isinstance(got, np.ndarray) and got.shape != begun.shape:
        broken(f"{kind}{what}: parameter {place} has shape {got.shape}, want {begun.shape}")
    # `asarray`: the difference of two arrays without dimensions is a number.
    moved = np.asarray(got - begun) if isinstance(got, np.ndarray) and got.dtype.kind == "f" else got
    largest = float(np.abs(np.stack([begun, *wanted.places[: step + 1]])).max(initial=0.0))
    slack = (step + 1) * tolerances.PLACE_ROUNDING * largest
    if kind == "AdamW":
        bound: NDArray[np.float64] | float = tolerances.ADAMW_STEP * travelled + slack
    else:
        most = max(int((optimizers.MUON | dict(one))["ns_steps"]) for one in options)
        bound = rounding * tolerances.newton_schulz(most).bound(travelled) + slack
    expect_close(
        moved,
        change,
        tolerances.EXACT,
        f"how far {kind}{what} has moved parameter {place}, of shape {begun.shape}, after step {step + 1}",
        slack=bound,
    )
