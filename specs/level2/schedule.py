"""The learning-rate schedule: a pure function of the step, and how it reaches the optimizers."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from specs.compare import expect, expect_close, expect_equal, expect_named, expect_raised
from specs.law import law
from specs.oracles import training
from specs.probe import Probe
from specs.tolerances import SCHEDULE

CRITERION = "schedule"

Shape = dict[str, Any]


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    """Draw the arguments of a schedule, in hundredths, the two ratios at most 1 together."""
    warmup = draw(st.integers(0, 100))
    warmdown = draw(st.integers(0, 100 - warmup))
    return shape(
        draw(st.one_of(st.integers(1, 12), st.integers(1, 400))),
        warmup / 100,
        # 0.57 + 0.43 is 1, but not every such pair is: 1 - 0.57 would be 0.43 and a bit.
        warmdown / 100 if warmup / 100 + warmdown / 100 <= 1 else (warmdown - 1) / 100,
        draw(st.sampled_from([0.0, 0.05, 0.1, 0.5, 1.0])),
    )


def shape(num_steps: int, warmup: float, warmdown: float, final: float) -> Shape:
    """Return the arguments of `lr_multiplier` beside the step."""
    return {
        "num_steps": num_steps,
        "warmup_ratio": warmup,
        "warmdown_ratio": warmdown,
        "final_lr_frac": final,
    }


def curve(probe: Probe, shape: Shape, more: int = 0) -> list[float]:
    """Return the multipliers of all steps of a training, and of `more` steps behind its end."""
    answer: list[float] = probe(
        "training.multipliers",
        questions=[{"step": step, **shape} for step in range(shape["num_steps"] + more)],
    )
    return answer


def expect_allowed(got: float, allowed: set[float], step: int, shape: Shape) -> None:
    """Require a multiplier to be one of those allowed, or to lie between the two where the ramps meet."""
    low, high = min(allowed), max(allowed)
    nearest = np.array([np.clip(got, low, high)]) if np.isfinite(got) else np.array([high])
    expect_close(np.array([got]), nearest, SCHEDULE, f"the multiplier of step {step} of {described(shape)}")


def described(shape: Shape) -> str:
    """Return the arguments of a schedule in words."""
    return (
        f"{shape['num_steps']} with warmup_ratio={shape['warmup_ratio']}, "
        f"warmdown_ratio={shape['warmdown_ratio']}, final_lr_frac={shape['final_lr_frac']}"
    )


@law(
    examples=15,
    cases=[{"num_steps": 10, "ratio": 0.2}, {"num_steps": 100, "ratio": 0.1}, {"num_steps": 4, "ratio": 1.0}],
    num_steps=st.integers(2, 300),
    ratio=st.sampled_from([0.05, 0.1, 0.25, 0.3, 0.5, 0.9, 1.0]),
)
def test_warm_up_rises_to_one_from_the_first_step(probe: Probe, num_steps: int, ratio: float) -> None:
    """In the first round(warmup_ratio * num_steps) steps the multiplier is (step + 1) / their number.

    Kills: a warm-up that begins with 0, ends below 1, is a hundred times shorter or longer, or is missing.
    """
    arguments = shape(num_steps, ratio, 0.0, 0.0)
    got = curve(probe, arguments)
    warmup = round(ratio * num_steps)
    want = [(step + 1) / warmup for step in range(warmup)]
    expect_close(
        np.array(got[:warmup]),
        np.array(want),
        SCHEDULE,
        f"the warm-up of {described(arguments)}",
        ("step",),
    )


@law(
    examples=32,
    cases=[
        {"num_steps": 10, "ratio": 0.2, "final": 0.0},
        {"num_steps": 100, "ratio": 0.3, "final": 0.1},
        {"num_steps": 5, "ratio": 1.0, "final": 0.0},
        {"num_steps": 1, "ratio": 1.0, "final": 0.5},
    ],
    num_steps=st.integers(1, 300),
    ratio=st.sampled_from([0.05, 0.2, 0.25, 0.4, 0.5, 0.9, 1.0]),
    final=st.sampled_from([0.0, 0.05, 0.1, 0.5, 1.0]),
)
def test_warm_down_falls_by_equal_amounts(probe: Probe, num_steps: int, ratio: float, final: float) -> None:
    """In the last round(warmdown_ratio * num_steps) steps it falls evenly from 1 to final_lr_frac.

    Kills: a way down that is a way up, a cosine, one that begins a step early or late, one that falls to 0
    whatever the end is, one that multiplies the end instead of reaching it.
    """
    arguments = shape(num_steps, 0.0, ratio, final)
    got = curve(probe, arguments)
    warmdown = round(ratio * num_steps)
    want = [1.0 - (1.0 - final) * (place + 1) / warmdown for place in range(warmdown)]
    expect_close(
        np.array(got[num_steps - warmdown :]),
        np.array(want),
        SCHEDULE,
        f"the last {warmdown} steps of {described(arguments)}",
        ("step",),
    )


@law(
    examples=10,
    cases=[
        {"num_steps": 10, "warmup": 0.2, "warmdown": 0.3},
        {"num_steps": 7, "warmup": 0.0, "warmdown": 0.0},
    ],
    num_steps=st.integers(5, 300),
    warmup=st.sampled_from([0.0, 0.05, 0.3]),
    warmdown=st.sampled_from([0.0, 0.1, 0.5]),
)
def test_between_the_ramps_it_is_one(probe: Probe, num_steps: int, warmup: float, warmdown: float) -> None:
    """Between warm-up and warm-down the multiplier is 1, and so it is everywhere without ramps.

    Kills: ramps that are too long, a plateau at another height, a division by a ramp of no steps.
    """
    arguments = shape(num_steps, warmup, warmdown, 0.1)
    got = curve(probe, arguments)
    first, last = round(warmup * num_steps), num_steps - round(warmdown * num_steps)
    expect_close(
        np.array(got[first:last]),
        np.ones(last - first),
        SCHEDULE,
        f"the steps {first} to {last - 1} of {described(arguments)}",
        ("step",),
    )


@law(
    examples=60,
    cases=[
        {"arguments": shape(1, 0.0, 0.0, 0.0)},
        {"arguments": shape(1, 1.0, 0.0, 0.0)},
        {"arguments": shape(3, 0.5, 0.5, 0.0)},
        {"arguments": shape(2, 0.25, 0.75, 0.0)},
        {"arguments": shape(250, 0.01, 0.99, 0.05)},
    ],
    arguments=shapes(),
)
def test_every_step_has_the_multiplier_of_the_formula(probe: Probe, arguments: Shape) -> None:
    """For every number of steps and all ratios, each step has the multiplier that the contract writes down.

    Where both ramps claim a step, both values are right. Kills: ramps measured by floor or in parts of steps,
    one ramp's length used for the other.
    """
    for step, (got, allowed) in enumerate(
        zip(curve(probe, arguments), training.multipliers(*arguments.values()), strict=True)
    ):
        expect_allowed(got, allowed, step, arguments)


@law(
    examples=20,
    cases=[{"num_steps": 20, "ratio": 0.2, "final": 0.0}, {"num_steps": 3, "ratio": 0.34, "final": 0.1}],
    num_steps=st.integers(1, 500),
    ratio=st.sampled_from([0.2, 0.34, 0.5, 1.0]),
    final=st.sampled_from([0.0, 0.05, 0.1, 0.3, 1.0]),
)
def test_the_last_step_has_the_final_fraction(
    probe: Probe, num_steps: int, ratio: float, final: float
) -> None:
    """The last step that is executed, num_steps - 1, has exactly final_lr_frac.

    Kills: a way down that would reach its end only at step num_steps, which nobody executes.
    """
    if round(ratio * num_steps) == 0:
        return
    arguments = shape(num_steps, 0.0, ratio, final)
    (got,) = probe("training.multipliers", questions=[{"step": num_steps - 1, **arguments}])
    expect_close(
        np.array([got]),
        np.array([final]),
        SCHEDULE,
        f"the multiplier of the last step of {described(arguments)}",
    )


@law(
    examples=15,
    cases=[{"arguments": shape(10, 0.0, 0.2, 0.0)}, {"arguments": shape(10, 0.0, 0.5, 0.1)}],
    arguments=shapes(),
)
def test_after_the_end_it_stays(probe: Probe, arguments: Shape) -> None:
    """Every step after the last has the multiplier of the last.

    Kills: a line that goes on below zero, a way down that begins anew, an error.
    """
    num_steps = arguments["num_steps"]
    steps = [num_steps - 1, num_steps, num_steps + 1, 2 * num_steps + 3, 100 * num_steps]
    last, *after = probe("training.multipliers", questions=[{"step": step, **arguments} for step in steps])
    expect_close(
        np.array(after),
        np.full(len(after), last),
        SCHEDULE,
        f"the multipliers of the steps {steps[1:]} of {described(arguments)}",
    )


@law(
    examples=30,
    cases=[{"arguments": shape(num_steps, 0.5, 0.5, 0.0)} for num_steps in (1, 3, 7, 11)],
    arguments=shapes(),
)
def test_it_stays_between_zero_and_one(probe: Probe, arguments: Shape) -> None:
    """No multiplier is below final_lr_frac or 1 / warm-up steps, none above 1, also where the ramps meet.

    Kills: ramps that are added up, a negative learning rate, a rate of 0 in the first step.
    """
    warmup = round(arguments["warmup_ratio"] * arguments["num_steps"])
    least = min([arguments["final_lr_frac"], *([1 / warmup] if warmup else []), 1.0])
    for step, got in enumerate(curve(probe, arguments, more=3)):
        expect(
            least - 1e-9 <= got <= 1 + 1e-9,
            f"the multiplier of step {step} of {described(arguments)}: got {got}, want {least:.6g} to 1",
        )


@law(
    examples=8,
    cases=[{"arguments": shape(10, 0.3, 0.4, 0.1), "order": 1}],
    arguments=shapes(),
    order=st.integers(0, 99),
)
def test_it_depends_on_its_arguments_alone(probe: Probe, arguments: Shape, order: int) -> None:
    """The same arguments give the same multiplier, whatever was asked before, and in any order.

    Kills: a step counted inside, a value kept from the call before.
    """
    random = np.random.default_rng(order)
    questions = [{"step": step, **arguments} for step in range(arguments["num_steps"])][:40]
    questions += [{"step": 0, **shape(7, 0.5, 0.2, 0.3)}, {"step": 6, **shape(7, 0.5, 0.2, 0.3)}]
    shuffled = [int(place) for place in random.permutation(len(questions))]
    first = probe("training.multipliers", questions=questions)
    again = probe("training.multipliers", questions=[questions[place] for place in shuffled])
    expect_equal(
        again,
        [first[place] for place in shuffled],
        f"the multipliers of {described(arguments)} asked in turn",
    )


@law(
    examples=10,
    cases=[{"step": 0, "num_steps": 10}, {"step": 9, "num_steps": 10}, {"step": 4, "num_steps": 10}],
    step=st.integers(0, 60),
    num_steps=st.integers(1, 50),
)
def test_its_arguments_have_names_order_and_defaults(probe: Probe, step: int, num_steps: int) -> None:
    """The arguments may be given in order or by name; the defaults are no warm-up and 0.2 of warm-down to 0.

    It is a float everywhere, and touches no random generator. Kills: other defaults, ratios in another order,
    an integer on the plateau.
    """
    full = [step, num_steps, 0.3, 0.5, 0.1]
    named = {"step": step, **shape(num_steps, 0.3, 0.5, 0.1)}
    defaults = {"step": step, **shape(num_steps, 0.0, 0.2, 0.0)}
    for positional, keywords in ((full, named), (full[:2], defaults)):
        got = probe("training.multiplier_forms", positional=positional, named=keywords)
        expect_close(
            np.array(got["values"][:1]),
            np.array(got["values"][1:]),
            SCHEDULE,
            f"lr_multiplier{tuple(positional)} compared with the same by name, {keywords},",
        )
        expect(got["floats"], f"lr_multiplier{tuple(positional)} must be of the type float")
        expect(not got["random_states_changed"], "lr_multiplier changed the state of a global generator")


@law(
    examples=22,
    cases=[
        {"step": 0, "warmup": 0.7, "warmdown": 0.6},
        {"step": 3, "warmup": -0.1, "warmdown": 0.2},
        {"step": 3, "warmup": 0.0, "warmdown": -0.5},
        {"step": -1, "warmup": 0.1, "warmdown": 0.2},
        # Where a ramp has no step, and behind the end.
        *({"step": -1, "warmup": warmup, "warmdown": 0.0} for warmup in (0.0, 1.0)),
        {"step": -7, "warmup": 0.0, "warmdown": 1.0},
        {"step": 3, "warmup": -0.01, "warmdown": 0.2},
        {"step": 3, "warmup": 0.0, "warmdown": -0.01},
        {"step": 25, "warmup": 0.7, "warmdown": 0.6},
        {"step": 25, "warmup": 0.0, "warmdown": -0.01},
    ],
    step=st.integers(0, 9),
    warmup=st.sampled_from([0.9, 1.5]),
    warmdown=st.sampled_from([0.2, 0.9]),
)
def test_impossible_schedules_are_refused(probe: Probe, step: int, warmup: float, warmdown: float) -> None:
    """Ratios of more than 1 together, ratios below 0 and a negative step are a ValueError; 1 together is not.

    Kills: arguments that are taken as they come, or looked at only where there is a ramp, a message that does
    not say which is wrong.
    """
    arguments = {"step": step, **shape(10, warmup, warmdown, 0.0)}
    what = f"lr_multiplier of {arguments}"
    raised = expect_raised(probe.attempt("training.multipliers", questions=[arguments]), what, "ValueError")
    # Of two ratios that are too much together either will do, and their sum.
    ratios = [f"{value:g}" for value in (warmup, warmdown, warmup + warmdown)]
    expect_named(raised, ["step", str(step)] if step < 0 else ["warm", *ratios], what)
    probe("training.multipliers", questions=[{"step": abs(step), **shape(10, 0.5, 0.5, 0.0)}])


@law(
    examples=10,
    cases=[
        {"initial": initial, "multipliers": multipliers, "factor": factor, "between": between}
        | {"named": factor == 1.0}
        for initial, multipliers, factor, between in (
            ([[0.1]], [0.5], 1.0, "nothing"),
            ([[0.1]], [0.5, 0.5, 0.0, 1.0], 1.0, "nothing"),
            ([[0.1, 0.02], [3.0]], [1.0, 0.25, 1.0], 1.0, "nothing"),
            ([[0.1, 0.02], [3.0]], [0.5, 0.25], 3.0, "nothing"),
            ([[0.1, 0.02], [3.0]], [0.5, 0.5], 3.0, "nothing"),
            ([[0.1, 0.02], [3.0]], [0.5, 0.5], 1.0, "rates"),
            ([[0.1, 0.02], [3.0]], [1.0, 1.0], 1.0, "group"),
        )
    ],
    initial=st.lists(
        st.lists(st.sampled_from([1e-4, 0.02, 0.3, 2.0]), min_size=1, max_size=3), min_size=1, max_size=3
    ),
    multipliers=st.lists(st.sampled_from([0.0, 0.01, 0.5, 1.0]), min_size=1, max_size=4),
    factor=st.sampled_from([1.0, 0.5]),
    between=st.sampled_from(["nothing", "rates", "group"]),
    named=st.booleans(),
)
def test_rates_are_the_initial_ones_times_the_multiplier(
    probe: Probe,
    initial: list[list[float]],
    multipliers: list[float],
    factor: float,
    between: str,
    named: bool,
) -> None:
    """Each group of each optimizer gets its own "initial_lr" times the multiplier, whatever was set before.

    Kills: the current rate multiplied again and again, one rate for all groups, the first group or the first
    optimizer alone, the multiplier taken for the rate, other settings of the group changed, the initial rates
    of the first call kept, a multiplier that is the same as before taken for done: here initial rates are
    changed before the last, or rates by somebody else, or a group is added.
    """
    got = probe(
        "training.learning_rates",
        initial=initial,
        multipliers=multipliers,
        factor=factor,
        between=between,
        named=named,
    )
    grown = [[*rates, rates[0]] if between == "group" else rates for rates in initial]
    for place, multiplier in enumerate(multipliers):
        is_last = place == len(multipliers) - 1
        changed = factor if is_last else 1.0
        for optimizer, rates in enumerate(grown if is_last else initial):
            expect_close(
                np.array(got["rates"][place][optimizer]),
                np.array(rates) * changed * multiplier,
                SCHEDULE,
                f"the rates of optimizer {optimizer} after the multipliers {multipliers[: place + 1]}",
                ("group",),
            )
    expect_equal(
        got["kept"],
        [[[rate * factor, rate] for rate in rates] for rates in grown],
        "initial_lr and momentum of all groups",
    )
