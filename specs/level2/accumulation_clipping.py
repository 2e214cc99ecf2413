"""The norm of a step's gradient, and clipping by it: once, of everything, when everything has been added."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from specs import training_draws
from specs.compare import expect, expect_close
from specs.law import law
from specs.level2.accumulation import Sizes, counts_in_words, expect_gradients, one_step
from specs.oracles import training
from specs.probe import Probe
from specs.strategies import seeds
from specs.tolerances import STEP_GRADIENT
from specs.training_draws import ALL, SEVERAL

CRITERION = "accumulation"

GROUPS = [ALL, SEVERAL, ["wte", "gain,idle", "head", "bias"], ["head,wte"]]
"""Ways to share out the parameters among optimizers; the last leaves some to nobody."""


@law(
    examples=10,
    cases=[
        *({"seed": 0, "sizes": [(1, 4, 1), (2, 4, 6)], "groups": groups, "width": 4} for groups in GROUPS),
        {"seed": 0, "sizes": [(2, 4, 6)], "groups": ["gain", "wte"], "width": 1},
        {"seed": 0, "sizes": [(2, 4, 6)], "groups": SEVERAL, "width": 3000},
    ],
    seed=seeds,
    sizes=training_draws.uneven(),
    groups=st.sampled_from(GROUPS),
    width=st.sampled_from([1, 4]),
)
def test_the_norm_is_of_all_that_the_optimizers_hold(
    probe: Probe, seed: int, sizes: Sizes, groups: list[str], width: int
) -> None:
    """The norm reported is that of the gradients of all parameters of all optimizers together, and no others.

    Kills: the norm of one optimizer or of the last parameter, a sum of norms, parameters that no optimizer
    holds, the norm of the last micro-batch, parameters of a single number left out, another sum for many
    numbers.
    """
    weights, batches = training_draws.weights(seed, width=width), training_draws.of_sizes(seed, sizes)
    held = [name for name in training.REACHED if name in ",".join(groups).split(",")]
    want = training.norm(training.gradients(weights, batches), held)
    got = one_step(probe, weights, batches, groups=groups)["steps"][0]["grad_norm"]
    what = f"the norm of the gradient of {', '.join(held)}"
    expect_close(np.array([got]), np.array([want]), STEP_GRADIENT, what)


@law(
    examples=12,
    cases=[
        {"seed": 0, "sizes": [(1, 4, 1), (2, 4, 6)], "groups": groups, "share": 0.5}
        | {"named": len(groups) == 1}
        for groups in GROUPS
    ],
    seed=seeds,
    sizes=training_draws.uneven(),
    groups=st.sampled_from(GROUPS),
    share=st.sampled_from([0.01, 0.3, 0.9]),
    named=st.booleans(),
)
def test_a_large_gradient_is_scaled_to_the_limit(
    probe: Probe, seed: int, sizes: Sizes, groups: list[str], share: float, named: bool
) -> None:
    """A gradient longer than `grad_clip` is shortened to it in its direction; the norm reported is before it.

    Whether arguments are given by name or in their order. Kills: clipping of each micro-batch, each optimizer
    or each parameter alone, of the sum and not the mean, values cut off one by one, the norm after clipping
    reported.
    """
    weights, batches = training_draws.weights(seed), training_draws.of_sizes(seed, sizes)
    held = [name for name in training.REACHED if name in ",".join(groups).split(",")]
    gradients = training.gradients(weights, batches)
    norm = training.norm(gradients, held)
    if not norm:
        return
    got = one_step(probe, weights, batches, groups=groups, grad_clip=share * norm, named=named)
    what = f"clipped to {share} of its norm, {counts_in_words(batches)}"
    expect_gradients(got, {name: gradients[name] for name in held}, what, factor=share)
    expect_close(
        np.array([got["steps"][0]["grad_norm"]]),
        np.array([norm]),
        STEP_GRADIENT,
        "the norm of the gradient before it is clipped",
    )


@law(
    examples=13,
    cases=[
        {"seed": 0, "sizes": [(1, 4, 1), (2, 4, 6)], "limit": limit, "scale": scale}
        for limit, scale in ((1.1, 1.0), (100.0, 1.0), (None, 1.0), (None, 30.0), (None, 1e5))
    ],
    seed=seeds,
    sizes=training_draws.uneven(),
    limit=st.sampled_from([1.01, 1.5, 1000.0, None]),
    scale=st.sampled_from([0.1, 1.0, 30.0, 1e5]),
)
def test_a_small_gradient_is_left_as_it_is(
    probe: Probe, seed: int, sizes: Sizes, limit: float | None, scale: float
) -> None:
    """A gradient no longer than `grad_clip` is not changed, nor is any without `grad_clip`.

    Kills: every gradient scaled to the limit, a limit where none was given, the limit compared with the
    gradient of the sum, a step left out because its gradient is large.
    """
    weights, batches = training_draws.weights(seed), training_draws.of_sizes(seed, sizes)
    # The logits stay what they are, the gradient of the head grows.
    weights["wte"], weights["head"] = weights["wte"] * np.float32(scale), weights["head"] / np.float32(scale)
    gradients = training.gradients(weights, batches)
    grad_clip = None if limit is None else limit * training.norm(gradients)
    if grad_clip == 0.0:
        return
    got = one_step(probe, weights, batches, grad_clip=grad_clip)
    above = "without a limit" if limit is None else f"with a limit {limit} times its norm"
    expect_gradients(got, gradients, above)


@law(
    examples=4,
    cases=[{"seed": 0, "size": size, "limit": limit} for size, limit in ((1e-4, None), (1e-6, 1.0))],
    seed=seeds,
    size=st.sampled_from([1e-3, 1e-5]),
    limit=st.sampled_from([None, 1.0]),
)
def test_a_step_is_made_however_small_its_gradient(
    probe: Probe, seed: int, size: float, limit: float | None
) -> None:
    """Every optimizer makes its step, and sees the gradient as it is, also where that is next to nothing.

    Kills: a step left out because its gradient is small, a gradient that is rounded off or brought to a size.
    """
    weights, batches = training_draws.weights(seed), [training_draws.batch(seed, 2, 3)]
    # What is before the head has a gradient as small as the head; its own is not held.
    weights["head"] = weights["head"] * np.float32(size)
    gradients = training.gradients(weights, batches)
    groups = ["wte", "gain,idle"]
    got = one_step(probe, weights, batches, groups=groups, grad_clip=limit)
    # Beside 1 all of it would be right: measured by its own size.
    seen = {name: value for each in got["seen"] for name, value in each[0]["gradients"].items()}
    expect_gradients(got, {name: gradients[name] for name in ("wte", "gain")}, f"of a head of size {size}")
    for name in ("wte", "gain"):
        expect_close(
            seen[name] / np.float64(size),
            gradients[name] / size,
            STEP_GRADIENT,
            f"the gradient of {name} over {size}",
        )


@law(
    examples=6,
    seed=seeds,
    rows=st.lists(st.integers(1, 3), min_size=2, max_size=4),
    share=st.sampled_from([0.2, 0.7]),
)
def test_clipping_does_not_see_the_cut(probe: Probe, seed: int, rows: list[int], share: float) -> None:
    """With clipping on, a batch in pieces still moves every parameter as the batch in one piece does.

    Kills: a limit for each micro-batch, a norm that is taken before everything has been added.
    """
    weights = training_draws.weights(seed)
    inputs, targets = training_draws.batch(seed, sum(rows), 3, counting=max(2, sum(rows)))
    edges = np.cumsum(rows)[:-1]
    pieces = list(zip(np.split(inputs, edges), np.split(targets, edges), strict=True))
    grad_clip = share * training.norm(training.gradients(weights, [(inputs, targets)]))
    whole, cut = (
        one_step(probe, weights, batches, groups=SEVERAL, grad_clip=grad_clip)["steps"][0]
        for batches in ([(inputs, targets)], pieces)
    )
    for name in training.REACHED:
        change, same = cut["weights"][name] - weights[name], whole["weights"][name] - weights[name]
        expect_close(change, same, STEP_GRADIENT, f"the step of {name} on pieces of {rows} rows")
        expect(bool(np.any(same)), f"{name} did not move at all")
