"""The training loop: batches taken, steps made, rates set, and what is reported.

Whether a train step or the schedule is right does not matter here: the loop is compared with the submission's
own train steps and its own schedule, called one after the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from specs import training_draws
from specs.compare import expect, expect_close, expect_equal
from specs.law import law
from specs.oracles.training import NAMES, Batch
from specs.probe import Probe
from specs.strategies import seeds
from specs.tolerances import SCHEDULE, STEP_GRADIENT
from specs.training_draws import ALL, SEVERAL

CRITERION = "loop"

PLAIN: dict[str, Any] = {"grad_clip": None, "warmdown_ratio": 0.0}
"""Options with which the schedule is 1 everywhere and nothing is clipped."""

ANSWERS: list[list[Any]] = [[True], [False], [1, "stop"], [{"loss": 0.0, "step": 1}]]
"""What `on_step` may return in turn: nobody asks for it."""

SCHEDULES: list[dict[str, float]] = [
    {"warmup_ratio": 0.0, "warmdown_ratio": 0.0, "final_lr_frac": 0.0},
    {"warmup_ratio": 0.5, "warmdown_ratio": 0.25, "final_lr_frac": 0.1},
    {"warmup_ratio": 0.25, "warmdown_ratio": 0.75, "final_lr_frac": 0.5},
]


def stream(seed: int, count: int) -> list[Batch]:
    """Return so many batches of (2, 3), in which all targets count."""
    return training_draws.batches(seed, [(2, 3)] * count, [None] * count)


def fit(probe: Probe, seed: int, pairs: list[Batch], num_steps: int, **more: Any) -> dict[str, Any]:
    """Return what the probe says of a training; options of `fit` go by `options`."""
    more.setdefault("options", PLAIN)
    more.setdefault("groups", ALL)
    more.setdefault("weights", training_draws.weights(seed))
    answer: dict[str, Any] = probe("training.fit", pairs=pairs, num_steps=num_steps, **more)
    return answer


@law(
    examples=12,
    cases=[
        {"seed": 0, "num_steps": 3, "accumulation": 1, "validate": False},
        {"seed": 0, "num_steps": 3, "accumulation": 2, "validate": True},
        {"seed": 0, "num_steps": 1, "accumulation": 4, "validate": False},
    ],
    seed=seeds,
    num_steps=st.integers(1, 6),
    accumulation=st.integers(1, 4),
    validate=st.booleans(),
)
def test_it_takes_the_batches_that_it_needs(
    probe: Probe, seed: int, num_steps: int, accumulation: int, validate: bool
) -> None:
    """A step takes `accumulation` batches, when its turn comes, and no batch is taken that no step needs.

    The batches are an iterable, that begins anew each time it is iterated.
    Kills: a batch fetched ahead and lost, one too few or too many, accumulation that is ignored, validation
    that takes batches from training, the first batches again in each step.
    """
    needed = num_steps * accumulation
    pairs, held_out = stream(seed, needed + 5), stream(seed + 1, 2)
    got = fit(
        probe,
        seed,
        pairs,
        num_steps,
        options={**PLAIN, "accumulation": accumulation, "validate_every": 2},
        validation=held_out if validate else None,
    )
    events = [event for event in got["events"] if event[0] in ("batch", "step")]
    want: list[list[Any]] = []
    for step in range(num_steps):
        want += [["batch", step * accumulation + place] for place in range(accumulation)] + [["step", step]]
    expect_equal(events, want, "batches taken and steps reported, in their order")
    # Row by row: whether micro-batches run one by one or joined is free.
    trained = [row for each in got["passes"] if each["gradient"] for row in each["inputs"]]
    given = [row for inputs, _ in pairs[:needed] for row in inputs.tolist()]
    strange = [row for row in trained if not any(begins(row, one) for one in given)]
    expect_equal(strange, [], "the rows trained on that do not come from the batches")
    for number, (inputs, _) in enumerate(pairs[:needed]):
        missing = [one for one in inputs.tolist() if not any(begins(row, one) for row in trained)]
        expect(not missing, f"batch {number} was taken and its row {missing[:1]} not trained on")


def begins(row: list[int], with_row: list[int]) -> bool:
    """Say whether a row that the model was given is `with_row`, which may have padding behind it."""
    return row[: len(with_row)] == with_row


@law(
    examples=10,
    cases=[
        {"seed": 0, "steps": 2, "left": 0, "accumulation": 2},
        {"seed": 0, "steps": 2, "left": 1, "accumulation": 3},
        {"seed": 0, "steps": 0, "left": 1, "accumulation": 2},
        {"seed": 0, "steps": 0, "left": 0, "accumulation": 1},
    ],
    seed=seeds,
    steps=st.integers(0, 4),
    left=st.integers(0, 3),
    accumulation=st.integers(1, 4),
)
def test_it_ends_when_the_batches_end(
    probe: Probe, seed: int, steps: int, left: int, accumulation: int
) -> None:
    """If the batches end early, the last step has what is left of them, and training ends without an error.

    Kills: what is left thrown away, a step on nothing, StopIteration let out, a search without end.
    """
    left = min(left, accumulation - 1)
    pairs = stream(seed, steps * accumulation + left)
    got = fit(probe, seed, pairs, steps + 5, options={**PLAIN, "accumulation": accumulation})
    want = [
        [*range(place, min(place + accumulation, len(pairs)))] for place in range(0, len(pairs), accumulation)
    ]
    expect_equal([entry["step"] for entry in got["history"]], list(range(len(want))), "the steps reported")
    expect_own_steps(
        probe, seed, got, [[pairs[number] for number in step] for step in want], steps + 5, PLAIN
    )


@law(
    examples=12,
    cases=[
        {"seed": 0, "num_steps": 4, "accumulation": 1, "clip": 0.05, "shape": SCHEDULES[0], "groups": ALL}
        | {"named": True},
        {
            "seed": 0,
            "num_steps": 4,
            "accumulation": 2,
            "clip": None,
            "shape": SCHEDULES[1],
            "groups": SEVERAL,
            "named": False,
        },
    ],
    seed=seeds,
    num_steps=st.integers(1, 6),
    accumulation=st.integers(1, 3),
    clip=st.sampled_from([None, 0.05, 0.3]),
    shape=st.sampled_from(SCHEDULES),
    groups=st.sampled_from([ALL, SEVERAL]),
    named=st.booleans(),
)
def test_its_steps_are_train_steps(
    probe: Probe,
    seed: int,
    num_steps: int,
    accumulation: int,
    clip: float | None,
    shape: dict[str, float],
    groups: list[str],
    named: bool,
) -> None:
    """Loss, norm and parameters are those of the submission's own train steps on the same batches.

    Whether the model, optimizers, batches and number of steps are given by name or in their order.
    Kills: a limit of the gradient that is not handed on, steps on other batches than reported, an optimizer
    left out, losses reported of another step.
    """
    pairs = stream(seed, num_steps * accumulation)
    options = {**shape, "grad_clip": clip, "accumulation": accumulation}
    got = fit(probe, seed, pairs, num_steps, options=options, groups=groups, named=named)
    cut = [pairs[place : place + accumulation] for place in range(0, len(pairs), accumulation)]
    expect_own_steps(probe, seed, got, cut, num_steps, {**shape, "grad_clip": clip}, groups)


def expect_own_steps(
    probe: Probe,
    seed: int,
    got: dict[str, Any],
    steps: list[list[Batch]],
    num_steps: int,
    options: dict[str, Any],
    groups: list[str] = ALL,
    weights: Any = None,
) -> None:
    """Require a training to be what the submission's own steps are, called one after the other."""
    own = probe(
        "training.own_steps",
        weights=training_draws.weights(seed) if weights is None else weights,
        groups=groups,
        steps=steps,
        num_steps=num_steps,
        schedule={name: value for name, value in options.items() if name != "grad_clip"},
        grad_clip=options["grad_clip"],
    )
    expect_equal(len(got["history"]), len(steps), "the number of steps reported")
    for place, (entry, want) in enumerate(zip(got["history"], own["entries"], strict=True)):
        for name in ("loss", "grad_norm", "lr_multiplier"):
            expect(name in entry, f"the entry of step {place} has no {name}")
            expect_close(
                np.array([entry[name]]),
                np.array([want[name]]),
                STEP_GRADIENT,
                f'"{name}" of step {place}, compared with that of train_step',
            )
    for name in NAMES:
        expect_close(
            got["weights"][name], own["weights"][name], STEP_GRADIENT, f"{name} after {len(steps)} steps"
        )


@law(
    examples=10,
    cases=[
        {"seed": 0, "num_steps": 8, "first": 0, "shape": SCHEDULES[1]},
        {"seed": 0, "num_steps": 8, "first": 3, "shape": SCHEDULES[1]},
        {"seed": 0, "num_steps": 4, "first": 0, "shape": {}},
    ],
    seed=seeds,
    num_steps=st.integers(4, 10),
    first=st.integers(0, 3),
    shape=st.sampled_from(SCHEDULES),
)
def test_each_step_has_the_rates_of_its_number(
    probe: Probe, seed: int, num_steps: int, first: int, shape: dict[str, float]
) -> None:
    """The optimizers make step s with the rates of step s of num_steps, also in a training gone on with.

    Kills: rates set after the step, a step counted from where training began anew, arguments of the schedule
    that are not handed on or have other defaults.
    """
    pairs = stream(seed, num_steps - first)
    options = {**shape, "grad_clip": None, "first_step": first}
    got = fit(probe, seed, pairs, num_steps, options=options, groups=SEVERAL)
    own = probe(
        "training.own_steps",
        weights=training_draws.weights(seed),
        groups=SEVERAL,
        steps=[[pair] for pair in pairs],
        num_steps=num_steps,
        schedule=shape or {"warmup_ratio": 0.0, "warmdown_ratio": 0.2, "final_lr_frac": 0.0},
        grad_clip=None,
        first_step=first,
    )
    for optimizer, (rates, want) in enumerate(zip(got["rates"], own["rates"], strict=True)):
        expect_equal(len(rates), len(want), f"the steps of optimizer {optimizer}")
        expect_close(
            np.array(rates),
            np.array(want),
            SCHEDULE,
            f"the learning rates of optimizer {optimizer} from step {first} of {num_steps} on",
            ("step", "group"),
        )
    expect_close(
        np.array([entry["lr_multiplier"] for entry in got["history"]]),
        np.array([entry["lr_multiplier"] for entry in own["entries"]]),
        SCHEDULE,
        'the "lr_multiplier" of each step',
    )


@law(
    examples=8,
    cases=[
        {"seed": 0, "num_steps": 3, "first": 0, "answers": [None]},
        {"seed": 0, "num_steps": 7, "first": 4, "answers": [None]},
        {"seed": 0, "num_steps": 3, "first": 3, "answers": [None]},
        *({"seed": 0, "num_steps": 3, "first": 0, "answers": answers} for answers in ANSWERS),
    ],
    seed=seeds,
    num_steps=st.integers(3, 7),
    first=st.integers(0, 4),
    answers=st.sampled_from(ANSWERS),
)
def test_the_history_tells_every_step_once(
    probe: Probe, seed: int, num_steps: int, first: int, answers: list[Any]
) -> None:
    """There is an entry for each step from first_step to num_steps - 1, and on_step is told each.

    None where all steps have been made. `on_step` may keep what it is called with, and return anything.
    Kills: steps counted from 0 or 1 when training goes on, the last one missing or made again, on_step called
    before the parameters have moved or with another entry, a seed set, a batch taken for no step, one dict
    that is filled again for each step, a training that its answer ends.
    Nothing is measured where no validation was given.
    """
    first = min(first, num_steps)
    pairs = stream(seed, num_steps)
    got = fit(probe, seed, pairs, num_steps, options={**PLAIN, "first_step": first}, answers=answers)
    expect_equal(
        [entry["step"] for entry in got["history"]], list(range(first, num_steps)), "the steps reported"
    )
    expect_equal(
        sum(event[0] == "batch" for event in got["events"]), num_steps - first, "the batches that were taken"
    )
    expect_equal(got["told"], got["history"], "what on_step was called with, compared with the history")
    expect_equal(got["kept"], got["history"], "what on_step has kept at the end, compared with the history")
    expect(not got["random_states_changed"], "a training changed the state of a global random generator")
    expect_equal(
        ["validation_loss" in entry for entry in got["history"]],
        [False] * (num_steps - first),
        "whether a validation loss is reported where no validation was given",
    )
    before = training_draws.weights(seed)
    for place, snapshot in enumerate(got["snapshots"]):
        moved = any(not np.array_equal(snapshot[name], before[name]) for name in NAMES)
        expect(moved, f"on_step of step {first + place} was called before the parameters had moved")
        before = snapshot
    for name in NAMES:
        expect_equal(
            got["weights"][name], before[name], f"{name} at the end, compared with after the last step"
        )


@law(
    examples=6,
    cases=[{"seed": 0, "scale": 40.0}, {"seed": 0, "scale": 1.0}],
    seed=seeds,
    scale=st.sampled_from([1.0, 20.0, 60.0]),
)
def test_gradients_are_clipped_to_one_unless_told_otherwise(probe: Probe, seed: int, scale: float) -> None:
    """Without further arguments a step takes one batch, and its gradient is clipped to 1.0.

    Kills: another default, or none.
    """
    weights = training_draws.weights(seed)
    weights["wte"] *= np.float32(scale)  # a gradient far above 1 for the head
    pairs = stream(seed, 3)
    # Tiny steps: after large ones of such a model, rounding decides where it is.
    got = fit(probe, seed, pairs, 3, options={"warmdown_ratio": 0.0}, weights=weights)
    options = {"warmdown_ratio": 0.0, "grad_clip": 1.0}
    expect_own_steps(probe, seed, got, [[pair] for pair in pairs], 3, options, weights=weights)


@law(
    examples=6,
    cases=[{"seed": 0, "num_steps": 5, "split": 2, "accumulation": 1}],
    seed=seeds,
    num_steps=st.integers(2, 6),
    split=st.integers(1, 5),
    accumulation=st.integers(1, 2),
)
def test_going_on_is_not_having_stopped(
    probe: Probe, seed: int, num_steps: int, split: int, accumulation: int
) -> None:
    """A training that stops at a step and goes on from it ends where one without a stop ends.

    Kills: a schedule or a count that begins anew, a first step that is made twice or left out.
    """
    split = min(split, num_steps - 1)
    got = probe(
        "training.fit_twice",
        weights=training_draws.weights(seed),
        groups=ALL,
        pairs=stream(seed, num_steps * accumulation),
        num_steps=num_steps,
        split=split,
        options={**SCHEDULES[1], "accumulation": accumulation, "grad_clip": 0.5},
    )
    whole, resumed = got["whole"], got["resumed"]
    what = f"of a training of {num_steps} steps that was stopped after {split}"
    expect_equal(
        [entry["step"] for entry in resumed["history"]],
        [entry["step"] for entry in whole["history"]],
        f"the steps {what}",
    )
    for name in NAMES:
        expect_close(resumed["weights"][name], whole["weights"][name], STEP_GRADIENT, f"{name} {what}")
