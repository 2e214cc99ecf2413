"""Gradient accumulation: k micro-batches are one batch.

The model is one that can be differentiated by hand, the optimizers are torch's plain gradient descent, and
nothing is clipped; so bugs of the submission's models, optimizers and schedule do not show here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from specs import tolerances, training_draws
from specs.compare import expect, expect_close, expect_equal
from specs.law import law
from specs.oracles import training
from specs.oracles.training import Batch, Gradients, Weights
from specs.probe import Probe
from specs.strategies import seeds
from specs.training_draws import ALL, SEVERAL

CRITERION = "accumulation"

Sizes = list[tuple[int, int, int]]


@law(
    examples=12,
    cases=[{"seed": 0, "count": count, "rows": 2, "columns": 3} for count in (1, 2, 3)],
    seed=seeds,
    count=st.sampled_from([1, 2, 3, 4, 8]),
    rows=st.integers(1, 3),
    columns=st.integers(1, 4),
)
def test_equal_micro_batches_are_one_batch(
    probe: Probe, seed: int, count: int, rows: int, columns: int
) -> None:
    """The gradient of k equal micro-batches is that of the mean loss over all of their targets.

    Kills: a loss that is not divided by the number of micro-batches, one that is divided twice, only the last
    micro-batch counted.
    """
    weights = training_draws.weights(seed)
    batches = training_draws.batches(seed, [(rows, columns)] * count, [None] * count)
    got = one_step(probe, weights, batches)
    expect_gradients(got, training.gradients(weights, batches), f"with {count} equal micro-batches")


@law(
    examples=20,
    cases=[
        {"seed": 0, "sizes": [(1, 4, 1), (1, 4, 3)]},
        {"seed": 1, "sizes": [(2, 5, 10), (1, 1, 1), (3, 4, 2)]},
        {"seed": 2, "sizes": [(3, 100, 290), (1, 4, 3)]},
    ],
    seed=seeds,
    sizes=training_draws.uneven(),
)
def test_every_target_weighs_the_same(probe: Probe, seed: int, sizes: Sizes) -> None:
    """Each target that counts has the same weight in the gradient, also where few of a micro-batch count.

    Kills: the mean of the micro-batches' means, a division by the number of micro-batches, of rows, or of all
    targets instead of those that count, counts of one micro-batch used for another, or in too few bits.
    """
    weights, batches = training_draws.weights(seed), training_draws.of_sizes(seed, sizes)
    got = one_step(probe, weights, batches)
    expect_gradients(got, training.gradients(weights, batches), counts_in_words(batches))


@law(
    examples=12,
    cases=[{"seed": 0, "cut": [1, 2], "columns": 3}, {"seed": 1, "cut": [3, 1, 1], "columns": 2}],
    seed=seeds,
    cut=st.lists(st.integers(1, 3), min_size=2, max_size=4),
    columns=st.integers(1, 4),
)
def test_the_cut_does_not_matter(probe: Probe, seed: int, cut: list[int], columns: int) -> None:
    """Rows given as one batch and the same rows given in pieces move the parameters alike, and as they must.

    Kills: a step after each micro-batch, gradients thrown away between micro-batches, a learning rate that
    follows the number of micro-batches.
    """
    weights = training_draws.weights(seed)
    rows = sum(cut)
    inputs, targets = training_draws.batch(seed, rows, columns, counting=max(1, rows * columns * 2 // 3))
    edges = np.cumsum(cut)[:-1]
    pieces = list(zip(np.split(inputs, edges), np.split(targets, edges), strict=True))
    want = after_descent(weights, training.gradients(weights, [(inputs, targets)]))
    for batches, what in (([(inputs, targets)], "in one piece"), (pieces, f"in pieces of {cut} rows")):
        got = one_step(probe, weights, batches)
        expect_weights(got["steps"][0]["weights"], want, f"after a step on {rows} rows {what}")


@law(
    examples=12,
    cases=[{"seed": 0, "sizes": [(1, 3, 2), (2, 2, 3)], "place": place} for place in (0, 1, 2)],
    seed=seeds,
    sizes=st.lists(st.tuples(st.just(2), st.integers(1, 4), st.integers(1, 2)), min_size=1, max_size=3),
    place=st.integers(0, 3),
)
def test_an_ignored_micro_batch_changes_nothing(probe: Probe, seed: int, sizes: Sizes, place: int) -> None:
    """A micro-batch in which no target counts changes neither the gradient nor the loss.

    Kills: the mean over no targets, which is not a number and spoils every parameter; a division by the
    number of micro-batches.
    """
    weights, batches = training_draws.weights(seed), training_draws.of_sizes(seed, sizes)
    ignored = training_draws.batch(seed + 1, 2, 3, counting=0)
    together = [*batches[:place], ignored, *batches[place:]]
    got = one_step(probe, weights, together)
    what = f"with an ignored micro-batch at place {min(place, len(batches))} of {len(together)}"
    expect_gradients(got, training.gradients(weights, batches), what)
    expect_loss(got["steps"][0]["loss"], training.mean_loss(weights, batches), what)


@law(
    examples=5,
    cases=[{"seed": 0, "count": count, "grad_clip": clip} for count in (1, 2) for clip in (None, 1.0)],
    seed=seeds,
    count=st.integers(1, 3),
    grad_clip=st.sampled_from([None, 0.5]),
)
def test_a_step_without_targets_is_survived(
    probe: Probe, seed: int, count: int, grad_clip: float | None
) -> None:
    """If no target counts at all, the loss is 0, the gradient is zero, and the parameters stay finite.

    Kills: 0 / 0 in the loss, in the gradient, or in the factor of clipping.
    """
    weights = training_draws.weights(seed)
    batches = training_draws.batches(seed, [(2, 3)] * count, [0] * count)
    got = one_step(probe, weights, batches, grad_clip=grad_clip)
    step = got["steps"][0]
    expect_equal([step["loss"], step["grad_norm"]], [0.0, 0.0], "loss and norm of the gradient")
    expect_weights(step["weights"], weights, "after a step of gradient descent without gradient")
    for name, value in probe(
        "training.adamw_step", weights=weights, pairs=batches, grad_clip=grad_clip
    ).items():
        expect(bool(np.isfinite(value).all()), f"after a step of AdamW without targets {name} is not finite")


@law(
    examples=8,
    cases=[
        {"seed": 0, "form": form, "more": more}
        for form in ("list", "tuple", "generator", "iterable")
        for more in ([], [{"epoch": 0}], ["mask"])
    ],
    seed=seeds,
    form=st.sampled_from(["list", "tuple", "generator"]),
    more=st.sampled_from([[], [{"epoch": 0, "text": 3}], [None, 5], ["mask", {"epoch": 0}]]),
)
def test_micro_batches_may_be_any_iterable(probe: Probe, seed: int, form: str, more: list[Any]) -> None:
    """Micro-batches may come in a list or one by one, and may carry more than inputs and targets.

    They stay as they are. Kills: the length or an index asked of an iterator, one that is run through twice,
    batches unpacked into exactly two, what stands behind taken for weights, targets written into, a list that
    is sorted or emptied.
    """
    weights = training_draws.weights(seed)
    batches = training_draws.of_sizes(seed, [(1, 4, 1), (2, 3, 6), (2, 2, 3)])
    got = one_step(probe, weights, batches, form=form, more=more)
    expect_equal(got["steps"][0]["taken"], 3, f"the micro-batches taken from a {form} of 3")
    expect(not got["steps"][0]["batches_changed"], "a train step changed its micro-batches")
    expect_gradients(got, training.gradients(weights, batches), f"with micro-batches from a {form}")
    expect_loss(got["steps"][0]["loss"], training.mean_loss(weights, batches), f"of a {form}")


@law(
    examples=6,
    cases=[
        {"seed": 0, "stale": 1.0, "groups": ALL},
        {"seed": 0, "stale": -100.0, "groups": SEVERAL},
    ],
    seed=seeds,
    stale=st.sampled_from([1.0, -3.0, 1000.0]),
    groups=st.sampled_from([ALL, SEVERAL]),
)
def test_old_gradients_do_not_count(probe: Probe, seed: int, stale: float, groups: list[str]) -> None:
    """A gradient that was there before the step does not count, and none is left behind.

    Kills: gradients that are never cleared, cleared for the first optimizer only, or cleared after the
    step alone.
    """
    weights, batches = training_draws.weights(seed), training_draws.of_sizes(seed, [(2, 3, 4), (1, 2, 2)])
    got = one_step(probe, weights, batches, stale=stale, groups=groups)
    want = training.gradients(weights, batches)
    expect_gradients(got, want, f"where gradients of {stale} were before")
    norm = training.norm(want, list(training.REACHED))
    what = f"the norm of the gradient where gradients of {stale} were before"
    expect_close(np.array([got["steps"][0]["grad_norm"]]), np.array([norm]), tolerances.STEP_GRADIENT, what)
    expect_equal(got["steps"][0]["left"], [], "parameters that have a gradient after the step")


@law(
    examples=8,
    cases=[
        {"seed": 0, "sizes": [[(1, 4, 1), (1, 4, 3)], [(2, 2, 4)], [(1, 3, 3), (1, 1, 0)]], "groups": SEVERAL}
    ],
    seed=seeds,
    sizes=st.lists(training_draws.uneven(most=3), min_size=2, max_size=4),
    groups=st.sampled_from([ALL, SEVERAL]),
)
def test_steps_follow_each_other(probe: Probe, seed: int, sizes: list[Sizes], groups: list[str]) -> None:
    """Several steps in a row are steps of gradient descent, one of each optimizer for each call.

    Kills: what one step leaves for the next (gradients, counts), an optimizer that is left out, a step after
    each micro-batch.
    """
    weights = training_draws.weights(seed)
    steps = [training_draws.of_sizes(seed + place, each) for place, each in enumerate(sizes)]
    got = probe("training.steps", weights=weights, groups=groups, steps=steps)
    for seen in got["seen"]:
        expect_equal(len(seen), len(steps), f"the steps that an optimizer made in {len(steps)} train steps")
    want: Weights = dict(weights)
    for place, batches in enumerate(steps):
        expect_loss(got["steps"][place]["loss"], training.mean_loss(want, batches), f"of step {place}")
        want = after_descent(want, training.gradients(want, batches), groups)
        expect_weights(got["steps"][place]["weights"], want, f"after step {place}")


@law(
    examples=10,
    cases=[{"seed": 0, "sizes": [(1, 4, 1), (1, 4, 3)], "lr": 3.0}],
    seed=seeds,
    sizes=training_draws.uneven(),
    lr=st.sampled_from([0.0, 0.5, 3.0]),
)
def test_the_loss_is_the_mean_before_the_step(probe: Probe, seed: int, sizes: Sizes, lr: float) -> None:
    """The loss that is reported is the mean over all targets that count, before the step, as a float.

    Kills: the loss of the last micro-batch, a sum, the mean of means, the loss after the step, a tensor that
    keeps its graph.
    """
    weights, batches = training_draws.weights(seed), training_draws.of_sizes(seed, sizes)
    got = one_step(probe, weights, batches, lr=lr)["steps"][0]
    expect_loss(got["loss"], training.mean_loss(weights, batches), counts_in_words(batches))
    expect(got["floats"], "loss and norm of the gradient must be of the type float")


@law(examples=4, seed=seeds, groups=st.sampled_from([ALL, SEVERAL]), grad_clip=st.sampled_from([None, 0.1]))
def test_a_parameter_without_gradient_is_left_alone(
    probe: Probe, seed: int, groups: list[str], grad_clip: float | None
) -> None:
    """A parameter that the loss does not depend on stays as it is; no random state changes.

    Kills: a gradient taken for granted, a global random generator that is seeded for each step.
    """
    weights, batches = training_draws.weights(seed), training_draws.of_sizes(seed, [(2, 3, 4), (1, 2, 2)])
    got = one_step(probe, weights, batches, groups=groups, grad_clip=grad_clip)
    expect_equal(got["steps"][0]["weights"]["idle"], weights["idle"], "a parameter without gradient")
    expect(not got["random_states_changed"], "a train step changed the state of a global random generator")


def one_step(probe: Probe, weights: Weights, batches: Sequence[Batch], **options: Any) -> dict[str, Any]:
    """Return what the probe says of one train step, of an optimizer of all parameters by default."""
    options.setdefault("groups", ALL)
    answer: dict[str, Any] = probe("training.steps", weights=weights, steps=[list(batches)], **options)
    return answer


def seen_gradients(got: dict[str, Any], step: int = 0) -> dict[str, Any]:
    """Return the gradients that the optimizers saw in a step; LawBroken if one made no such step."""
    found: dict[str, Any] = {}
    for seen in got["seen"]:
        expect(len(seen) > step, f"an optimizer made {len(seen)} steps, want {step + 1}")
        found |= seen[step]["gradients"]
    return found


def expect_gradients(got: dict[str, Any], want: Gradients, what: str, factor: float = 1.0) -> None:
    """Require the gradients that the optimizers saw in their first step, and that there was one step each."""
    for seen in got["seen"]:
        expect_equal(len(seen), 1, f"the steps that an optimizer made {what}")
    found = seen_gradients(got)
    for name in [name for name in found if name in want]:
        expect(found[name] is not None, f"{what}: {name} has no gradient")
        expect_close(
            found[name],
            want[name] * factor,
            tolerances.STEP_GRADIENT,
            f"the gradient of {name} {what}",
            also=ratio(found[name], want[name] * factor),
        )
    if found.get("idle") is not None:
        expect_equal(
            bool(np.any(found["idle"])), False, f"whether {what} idle has a gradient other than zero"
        )


def ratio(got: Any, want: Any) -> str:
    """Say by which factor a gradient is too large, if it is by the same one everywhere."""
    if np.shape(got) != np.shape(want) or not np.isfinite(got).all() or not np.square(want).sum() > 0:
        return ""
    factor = float((got * want).sum() / np.square(want).sum())
    if not factor or np.abs(got - factor * want).max() > 1e-3 * np.abs(got).max():
        return ""
    return f"All of it is {factor:.4g} times what it must be."


def expect_weights(got: dict[str, Any], want: dict[str, Any], what: str) -> None:
    """Require all parameters to be as they must."""
    for name in training.NAMES:
        expect_close(got[name], want[name], tolerances.Tolerance(1e-4, 1e-6), f"{name} {what}")


def expect_loss(got: float, want: float, what: str) -> None:
    """Require a loss."""
    expect_close(np.array([got]), np.array([want]), tolerances.TRAINING_LOSS, f"the loss {what}")


def after_descent(
    weights: Weights, gradients: Gradients, groups: Sequence[str] = tuple(ALL), lr: float = 0.1
) -> Weights:
    """Return the parameters after a step of gradient descent by the optimizers that hold them."""
    held = [name for names in groups for name in names.split(",")]
    return {
        name: (value - lr * gradients[name]).astype(np.float32)
        if name in held and name in gradients
        else value
        for name, value in weights.items()
    }


def counts_in_words(batches: Sequence[Batch]) -> str:
    """Say how many targets of each micro-batch count."""
    counts = [f"{(targets != -1).sum()} of {targets.size}" for _, targets in batches]
    return f"with micro-batches in which {', '.join(counts)} targets count"
