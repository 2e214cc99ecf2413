"""Validation in the training loop: when it happens, on what, in which mode; training does not notice."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from specs import training_draws
from specs.compare import expect, expect_close, expect_equal
from specs.law import law
from specs.level2.loop import PLAIN, begins, fit, stream
from specs.oracles import training
from specs.oracles.training import NAMES, Batch
from specs.probe import Probe
from specs.strategies import seeds
from specs.tolerances import TRAINING_LOSS

CRITERION = "loop"


def held_out(seed: int) -> list[Batch]:
    """Return batches for validation, in which different numbers of targets count."""
    return training_draws.of_sizes(seed + 77, [(2, 4, 7), (1, 5, 1)])


@law(
    examples=15,
    cases=[
        {"seed": 0, "num_steps": 6, "every": 2, "first": 0},
        {"seed": 0, "num_steps": 5, "every": 2, "first": 0},
        {"seed": 0, "num_steps": 4, "every": 0, "first": 0},
        {"seed": 0, "num_steps": 4, "every": 9, "first": 0},
        {"seed": 0, "num_steps": 7, "every": 3, "first": 2},
        {"seed": 0, "num_steps": 2, "every": 1, "first": 2},
    ],
    seed=seeds,
    num_steps=st.integers(1, 8),
    every=st.integers(0, 4),
    first=st.integers(0, 3),
)
def test_it_happens_after_the_steps_that_it_is_due(
    probe: Probe, seed: int, num_steps: int, every: int, first: int
) -> None:
    """Validation comes after each step s with (s + 1) % validate_every == 0 and after the last, once each.

    `on_step` is told what it has found. Where all steps have been made there is none.
    Kills: s % validate_every, no last validation where none is due or where validate_every is 0, two after
    the last step, steps counted from where training began anew, on_step called before it, a last entry asked
    for where there is none.
    """
    first = min(first, num_steps)
    got = fit(
        probe,
        seed,
        stream(seed, num_steps),
        num_steps,
        options={**PLAIN, "validate_every": every, "first_step": first},
        validation=held_out(seed),
    )
    due = [
        step
        for step in range(first, num_steps)
        if (every and (step + 1) % every == 0) or step == num_steps - 1
    ]
    what = f"of the steps {first} to {num_steps - 1} with validate_every={every}"
    measured = [entry["step"] for entry in got["history"] if "validation_loss" in entry]
    expect_equal(measured, due, f"the steps with a validation loss {what}")
    expect_equal(
        got["told"], got["history"], f"what on_step was called with {what}, compared with the history"
    )
    # A step is its batch; what comes before the next batch belongs to it.
    step, calls = first - 1, []
    for kind, *_ in got["events"]:
        step += kind == "batch"
        if kind == "validation":
            calls.append(step)
    expect_equal(calls, due, f"the steps after which validation was called {what}")


@law(
    examples=9,
    cases=[{"seed": 0, "num_steps": 4, "every": 1}],
    seed=seeds,
    num_steps=st.integers(1, 5),
    every=st.integers(1, 2),
)
def test_it_is_the_loss_on_the_validation_batches(
    probe: Probe, seed: int, num_steps: int, every: int
) -> None:
    """A validation loss is the mean over the targets of the validation batches, with its step's parameters.

    Kills: the loss on batches of training, a mean of means, the loss before the step, one that is measured
    once and repeated.
    """
    pairs, validation = stream(seed, num_steps), held_out(seed)
    got = fit(
        probe,
        seed,
        pairs,
        num_steps,
        options={**PLAIN, "validate_every": every},
        validation=validation,
        lr=0.5,
    )
    for entry, snapshot in zip(got["history"], got["snapshots"], strict=True):
        if "validation_loss" in entry:
            want = training.mean_loss(snapshot, validation)
            what = f"the validation loss after step {entry['step']}"
            expect_close(np.array([entry["validation_loss"]]), np.array([want]), TRAINING_LOSS, what)


@law(
    examples=8,
    cases=[
        {"seed": 0, "training": training, "every": every, "rests": rests}
        for training, every, rests in ((True, 1, False), (False, 1, False), (True, 0, True))
    ],
    seed=seeds,
    training=st.booleans(),
    every=st.integers(0, 2),
    rests=st.booleans(),
)
def test_steps_train_and_validation_does_not(
    probe: Probe, seed: int, training: bool, every: int, rests: bool
) -> None:
    """Every step runs in training mode, every evaluation in eval mode, and the mode before is that after.

    Kills: a training that goes on in eval mode after the first validation, dropout in validation, a model
    that comes back in another mode than it went in, training mode for the first step alone, where `on_step`
    samples from the model in eval mode.
    """
    pairs, validation = stream(seed, 3), held_out(seed)
    got = fit(
        probe,
        seed,
        pairs,
        3,
        options={**PLAIN, "validate_every": every},
        validation=validation,
        training=training,
        dropout=0.2,
        rests=rests,
    )
    of_validation = [row for inputs, _ in validation for row in inputs.tolist()]
    for each in got["passes"]:
        is_validation = any(begins(row, one) for row in each["inputs"] for one in of_validation)
        expect(
            each["training"] is (not is_validation),
            f"a forward pass on a batch of {'validation' if is_validation else 'training'} ran in "
            f"{'training' if each['training'] else 'eval'} mode",
        )
    expect_equal(got["mode"], [training, training], "the mode of the model, and of its dropout, after fit")


@law(
    examples=8,
    cases=[{"seed": 0, "num_steps": 4, "every": 1, "accumulation": 1}],
    seed=seeds,
    num_steps=st.integers(1, 4),
    every=st.integers(1, 2),
    accumulation=st.integers(1, 2),
)
def test_training_does_not_notice_validation(
    probe: Probe, seed: int, num_steps: int, every: int, accumulation: int
) -> None:
    """A training with validation ends with the same parameters, losses and norms as one without.

    Kills: gradients of validation, batches taken from training, parameters or optimizers that an evaluation
    moves.
    """
    pairs = stream(seed, num_steps * accumulation)
    options: dict[str, Any] = {**PLAIN, "accumulation": accumulation}
    without = fit(probe, seed, pairs, num_steps, options=options)
    among = fit(
        probe, seed, pairs, num_steps, options={**options, "validate_every": every}, validation=held_out(seed)
    )
    for name in NAMES:
        expect_equal(
            among["weights"][name], without["weights"][name], f"{name} after training with validation"
        )
    for name in ("step", "loss", "grad_norm"):
        expect_equal(
            [entry.get(name) for entry in among["history"]],
            [entry.get(name) for entry in without["history"]],
            f'"{name}" of all steps of a training with validation, compared with one without',
        )


@law(
    examples=6,
    cases=[{"seed": 0, "left": 1, "accumulation": 2}],
    seed=seeds,
    left=st.integers(1, 2),
    accumulation=st.integers(3, 4),
)
def test_an_early_end_is_validated_too(probe: Probe, seed: int, left: int, accumulation: int) -> None:
    """A training that ends in the middle of a step because its batches do, has its last step validated.

    Kills: a last step that is known by its number alone.
    """
    pairs = stream(seed, accumulation + left)
    options = {**PLAIN, "accumulation": accumulation}
    got = fit(probe, seed, pairs, 9, options=options, validation=held_out(seed))
    expect_equal(
        ["validation_loss" in entry for entry in got["history"]],
        [False, True],
        f"whether steps have a validation loss, where the second and last has {left} of {accumulation}",
    )
