"""Muon, step by step against the formula of the contract."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from specs import draws, tolerances
from specs import optimizer_paths as paths
from specs.compare import as_numbers, expect_close, expect_raised
from specs.law import law
from specs.optimizer_paths import expect_paths, matrices
from specs.probe import Probe
from specs.strategies import seeds

CRITERION = "optimizers"


@law(
    examples=25,
    cases=[
        {"seed": seed, "shape": shape, "steps": steps, "momentum": momentum, "nesterov": seed != 1}
        | {"rate": 0.1 if in_order else 0.02, "in_order": in_order}
        for seed, shape, steps, momentum, in_order in (
            (0, (3, 3), 1, 0.95, False),
            (1, (5, 2), 4, 0.95, False),
            (2, (2, 5), 8, 0.5, True),
            (3, (320, 224), 2, 0.95, False),
        )
    ],
    seed=seeds,
    shape=matrices,
    steps=st.integers(1, 6),
    momentum=st.sampled_from([0.0, 0.5, 0.9, 0.95]),
    nesterov=st.booleans(),
    rate=st.sampled_from([0.02, 0.1]),
    in_order=st.booleans(),
)
def test_muon_follows_the_formula(
    probe: Probe,
    seed: int,
    shape: tuple[int, int],
    steps: int,
    momentum: float,
    nesterov: bool,
    rate: float,
    in_order: bool,
) -> None:
    """Each step of Muon moves a matrix by what the formula says, tall or wide, with Nesterov and without.

    Whether options are given by name or in their order. Kills: arguments in another order, the gradient
    averaged without its share, Nesterov always or never, coefficients in another order, the transpose
    forgotten, the momentum of the orthogonal matrix in place of that of the gradient.
    """
    begins = paths.starts(seed, [shape])
    given = paths.gradients(seed, [shape], steps)
    options = {"lr": rate, "momentum": momentum, "nesterov": nesterov} | ({"ns_steps": 4} if in_order else {})
    got = probe(
        "optimizers.path", kind="Muon", starts=begins, gradients=given, options=options, in_order=in_order
    )
    expect_paths("Muon", got, begins, given, [[options] * steps])


@law(
    examples=12,
    cases=[{"seed": 0, "shape": (4, 4), "ns_steps": 1, "lowest": 0.3}],
    seed=seeds,
    shape=matrices,
    ns_steps=st.integers(1, 8),
    lowest=st.sampled_from([1.0, 0.3, 0.01, 1e-4, 0.0]),
)
def test_muon_brings_singular_values_near_one(
    probe: Probe, seed: int, shape: tuple[int, int], ns_steps: int, lowest: float
) -> None:
    """After any number of Newton-Schulz steps singular values are what the polynomial makes of them.

    The gradient has singular values from 1 down to `lowest`: orthogonal at 1, singular at 0.
    Kills: steps counted wrongly or fixed, one coefficient off, the spectral norm in place of Frobenius'.
    """
    begins = paths.starts(seed, [shape])
    gradient = with_spectrum(seed, shape, lowest)
    given = [[gradient]]
    options = {"lr": 0.1, "ns_steps": ns_steps}
    got = probe("optimizers.path", kind="Muon", starts=begins, gradients=given, options=options)
    expect_paths("Muon", got, begins, given, [[options]])


@law(examples=40, seed=seeds, shape=matrices, scale=st.sampled_from([30.0, 1e3, 1e6, 1e10]))
def test_muon_does_not_feel_the_size_of_the_gradient(
    probe: Probe, seed: int, shape: tuple[int, int], scale: float
) -> None:
    """A gradient a thousand times as large, in every step, takes the same steps.

    Not a smaller one: near epsilon, 1e-7, another way to add it would show; far below it, all agree again.

    Kills: no normalisation, a norm that is squared, one over a side only, gradients clipped before it.
    """
    begins = paths.starts(seed, [shape])
    given = paths.gradients(seed, [shape], 3, scale=scale)
    got = probe("optimizers.path", kind="Muon", starts=begins, gradients=given, options={})
    expect_paths("Muon", got, begins, given, [[{}] * 3])


@law(
    examples=13,
    cases=[{"seed": 0, "shape": (6, 2), "nesterov": True}],
    seed=seeds,
    shape=st.sampled_from([(6, 2), (2, 6), (4, 1), (1, 4), (12, 3), (5, 4), (4, 4)]),
    nesterov=st.booleans(),
)
def test_muon_steps_grow_with_the_rows(
    probe: Probe, seed: int, shape: tuple[int, int], nesterov: bool
) -> None:
    """A matrix and its transpose take the same step, but for the factor sqrt(rows / columns) of the tall one.

    Kills: the factor missing, inverted, without its root, below 1 for wide matrices, taken after the
    transposition; an iteration on the longer side of the matrix, where the rest of its space is noise.
    """
    rows, columns = shape
    (gradient,) = paths.gradients(seed, [shape], 1)[0]
    begins = [np.zeros(shape, np.float32), np.zeros((columns, rows), np.float32)]
    given = [[gradient, np.ascontiguousarray(gradient.T)]]
    options = {"lr": 1.0, "nesterov": nesterov}
    straight, turned = probe("optimizers.path", kind="Muon", starts=begins, gradients=given, options=options)[
        0
    ]
    straight, turned = as_numbers(straight, "a matrix"), as_numbers(turned, "its transpose")
    factor = np.sqrt(max(1.0, rows / columns) / max(1.0, columns / rows))
    expect_close(
        straight,
        turned.T * factor,
        tolerances.newton_schulz(5).times(2),
        f"the step of a matrix of shape {shape} beside {factor:.3g} times that of its transpose",
        ("row", "column"),
    )
    expect_paths("Muon", [[straight, turned]], begins, given, [[options]] * 2)


@law(
    examples=12,
    cases=[{"seed": 0, "shape": (3, 3), "what": "zero"}, {"seed": 0, "shape": (4, 1), "what": "late zero"}],
    seed=seeds,
    shape=matrices,
    what=st.sampled_from(["zero", "late zero", "tiny", "one direction", "one value"]),
)
def test_muon_survives_degenerate_gradients(
    probe: Probe, seed: int, shape: tuple[int, int], what: str
) -> None:
    """A zero gradient does not move a matrix without history; tiny and one-directional ones move it finitely.

    After a gradient, a step with zero goes on with what is remembered of it.
    Kills: a division by a norm of zero, a zero gradient skipped, an epsilon of another size.
    """
    begins = paths.starts(seed, [shape])
    given = paths.gradients(seed, [shape], 3)
    for step in range(3):
        if what == "zero" or (what == "late zero" and step > 0):
            given[step][0] = np.zeros(shape, np.float32)
        elif what == "tiny":
            given[step][0] = given[step][0] * np.float32(1e-12)
        elif what == "one direction":
            given[step][0] = np.outer(draws.normal(seed, shape[0]), draws.normal(seed + 1, shape[1]))
        elif what == "one value":
            alone = np.zeros(shape, np.float32)
            alone[-1, -1] = -0.5
            given[step][0] = alone
    got = probe("optimizers.path", kind="Muon", starts=begins, gradients=given, options={})
    # With Nesterov, u may be formed as g - 0.9 g: it is then rounded by ten times as much for its size, and
    # what rounding adds in all directions but one grows most of all.
    rounding = 10.0 if what == "one direction" else 1.0
    expect_paths(
        "Muon", got, begins, given, [[{}] * 3], what=f" with a gradient that is {what}", rounding=rounding
    )


@law(examples=4, seed=seeds, steps=st.integers(2, 4))
def test_muon_has_the_defaults_of_the_contract(probe: Probe, seed: int, steps: int) -> None:
    """What is not said is lr 0.02, momentum 0.95, Nesterov on and five Newton-Schulz steps.

    Kills: another default of each.
    """
    shapes = [(6, 6), (8, 3)]
    begins = paths.starts(seed, shapes)
    given = paths.gradients(seed, shapes, steps)
    got = probe("optimizers.path", kind="Muon", starts=begins, gradients=given, options={})
    expect_paths("Muon", got, begins, given, [[{}] * steps] * 2, what=" without options")


@law(
    examples=11,
    cases=[{"shape": (4,), "grouped": False}, {"shape": (), "grouped": True}],
    shape=st.sampled_from([(4,), (), (1,), (2, 2, 2), (3, 1, 1), (1, 2, 1, 2)]),
    grouped=st.booleans(),
)
def test_muon_refuses_what_is_no_matrix(probe: Probe, shape: tuple[int, ...], grouped: bool) -> None:
    """A parameter that is no matrix is a ValueError when the optimizer is made, in whichever group it is.

    Kills: no check, a check of the first parameter or group only, one that comes with the first step, one
    that lets three dimensions pass.
    """
    begins: list[NDArray[Any]] = [
        np.ones((2, 3), np.float32), np.ones((3, 2), np.float32), np.ones(shape, np.float32)
    ]  # fmt: skip
    groups = [{"members": [0, 1]}, {"members": [2], "lr": 0.1}] if grouped else None
    refused = probe.attempt("optimizers.builds", kind="Muon", starts=begins, groups=groups)
    expect_raised(refused, f"Muon of a matrix and a parameter of shape {shape}", "ValueError")
    probe("optimizers.builds", kind="Muon", starts=begins[:2])


def with_spectrum(seed: int, shape: tuple[int, int], lowest: float) -> NDArray[np.float32]:
    """Return a random matrix with singular values spread evenly from 1 down to `lowest`."""
    left, values, right = np.linalg.svd(draws.normal(seed, *shape).astype(np.float64), full_matrices=False)
    values = np.linspace(1.0, lowest, len(values))
    return np.asarray((left * values) @ right, dtype=np.float32)
