"""AdamW, step by step against the formula of the contract."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from specs import optimizer_paths as paths
from specs.law import law
from specs.optimizer_paths import expect_paths, shapes
from specs.probe import Probe
from specs.strategies import seeds

CRITERION = "optimizers"

betas = st.sampled_from([(0.9, 0.999), (0.8, 0.95), (0.5, 0.9), (0.9, 0.5), (0.0, 0.99), (0.99, 0.9)])


@law(
    examples=25,
    cases=[
        {"seed": 0, "shape": (3,), "steps": 1, "beta": (0.9, 0.999), "decay": 0.0, "rate": 0.01, "size": 1.0}
        | {"in_order": False},
        {
            "seed": 1,
            "shape": (5, 4),
            "steps": 12,
            "beta": (0.8, 0.95),
            "decay": 0.1,
            "rate": 0.1,
            "size": 1e4,
            "in_order": True,
        },
    ],
    seed=seeds,
    shape=shapes,
    steps=st.integers(1, 10),
    beta=betas,
    decay=st.sampled_from([0.0, 0.01, 0.1, 2.0]),
    rate=st.sampled_from([1e-3, 0.01, 0.1]),
    size=st.sampled_from([1.0, 1e-3, 1e4]),
    in_order=st.booleans(),
)
def test_adamw_follows_the_formula(
    probe: Probe,
    seed: int,
    shape: tuple[int, ...],
    steps: int,
    beta: tuple[float, float],
    decay: float,
    rate: float,
    size: float,
    in_order: bool,
) -> None:
    """Each step of AdamW moves each value by exactly what the formula says, for any betas and weight decay.

    Whether these are given by name or in their order. Kills: arguments in another order, betas exchanged, a
    correction missing or of the wrong step, averages that begin with the first gradient, the gradient added
    and not averaged, decay of the wrong sign.
    """
    begins = paths.starts(seed, [shape])
    given = paths.gradients(seed, [shape], steps, scale=size)
    options = {"lr": rate, "betas": beta, "eps": 1e-8, "weight_decay": decay}
    got = probe(
        "optimizers.path", kind="AdamW", starts=begins, gradients=given, options=options, in_order=in_order
    )
    expect_paths("AdamW", got, begins, given, [[options] * steps])


@law(examples=10, seed=seeds, shape=shapes, beta=betas, steps=st.integers(1, 4))
def test_adamw_steps_are_of_one_size(
    probe: Probe, seed: int, shape: tuple[int, ...], beta: tuple[float, float], steps: int
) -> None:
    """Gradients of one size and sign move each value by the learning rate, be they 1e-6 or 1e6.

    Both averages are corrected for having begun at zero, so the first step is as long as any other.
    Kills: a correction of one average only, no root, step sizes that follow the gradient, gradients clipped.
    """
    begins = paths.starts(seed, [shape])
    one = paths.gradients(seed, [shape], 1, spread=6.0)
    given = one * steps
    options = {"lr": 0.01, "betas": beta, "eps": 1e-12, "weight_decay": 0.0}
    got = probe("optimizers.path", kind="AdamW", starts=begins, gradients=given, options=options)
    expect_paths("AdamW", got, begins, given, [[options] * steps])


@law(
    examples=15,
    seed=seeds,
    shape=shapes,
    beta=betas,
    steps=st.integers(1, 6),
    eps=st.sampled_from([1e-10, 1e-8, 1e-4, 0.1]),
    size=st.sampled_from([0.01, 0.3, 3.0]),
)
def test_adamw_adds_epsilon_to_the_corrected_root(
    probe: Probe,
    seed: int,
    shape: tuple[int, ...],
    beta: tuple[float, float],
    steps: int,
    eps: float,
    size: float,
) -> None:
    """Epsilon is added to the root of the corrected average: gradients as small as it take smaller steps.

    The gradients are `size` times epsilon. Kills: epsilon under the root, added before the correction, left
    out, or a fixed one.
    """
    begins = paths.starts(seed, [shape])
    given = paths.gradients(seed, [shape], steps, scale=size * eps)
    options = {"lr": 0.1, "betas": beta, "eps": eps, "weight_decay": 0.0}
    got = probe("optimizers.path", kind="AdamW", starts=begins, gradients=given, options=options)
    expect_paths("AdamW", got, begins, given, [[options] * steps])


@law(
    examples=10,
    seed=seeds,
    shape=shapes,
    steps=st.integers(1, 6),
    decay=st.sampled_from([0.01, 0.1, 1.0, 5.0]),
    rate=st.sampled_from([0.01, 0.1]),
    moving=st.booleans(),
)
def test_adamw_decay_is_decoupled(
    probe: Probe, seed: int, shape: tuple[int, ...], steps: int, decay: float, rate: float, moving: bool
) -> None:
    """Weight decay shrinks a parameter by lr x weight_decay of itself, whatever its gradient, zero included.

    Kills: decay added to the gradient (which the root then undoes), decay without the learning rate, decay
    only where there is a gradient, decay after the update.
    """
    begins = paths.starts(seed, [shape], size=1.0)
    given = paths.gradients(seed, [shape], steps, scale=1e-3 if moving else 0.0)
    options = {"lr": rate, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": decay}
    got = probe("optimizers.path", kind="AdamW", starts=begins, gradients=given, options=options)
    expect_paths("AdamW", got, begins, given, [[options] * steps])


@law(examples=3, seed=seeds, steps=st.integers(12, 14))
def test_adamw_has_the_defaults_of_torch(probe: Probe, seed: int, steps: int) -> None:
    """What is not said is lr 1e-3, betas (0.9, 0.999), eps 1e-8 and weight decay 0.01.

    Kills: another default of each.
    """
    # Values of ten for the decay, gradients of the size of epsilon for epsilon, and a first gradient that is
    # large beside the others for the betas: how fast is it forgotten?
    begins = paths.starts(seed, [(4,), (4,)], size=10.0)
    plain, small = (paths.gradients(seed, [(4,)], steps, scale=scale) for scale in (1.0, 1e-8))
    given = [
        [first * np.float32(1 if step else 30), second * np.float32(1 if step else 30)]
        for step, ((first,), (second,)) in enumerate(zip(plain, small, strict=True))
    ]
    got = probe("optimizers.path", kind="AdamW", starts=begins, gradients=given, options={})
    expect_paths("AdamW", got, begins, given, [[{}] * steps] * 2, what=" without options")
    small_begins = [np.zeros_like(one) for one in begins]
    got = probe("optimizers.path", kind="AdamW", starts=small_begins, gradients=given, options={})
    expect_paths("AdamW", got, small_begins, given, [[{}] * steps] * 2, what=" without options")
