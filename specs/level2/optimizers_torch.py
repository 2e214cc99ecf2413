"""What both optimizers can do because any optimizer of torch can: take a group, call a closure, and hooks."""

from __future__ import annotations

from hypothesis import strategies as st

from specs import optimizer_paths as paths
from specs.compare import expect, expect_equal
from specs.law import law
from specs.level2.optimizers_state import MATRICES, OPTIONS
from specs.optimizer_paths import expect_paths, kinds
from specs.probe import Probe
from specs.strategies import seeds

CRITERION = "optimizers"


@law(
    examples=6,
    cases=[{"seed": 0, "kind": kind, "before": before, "own": True} for kind in OPTIONS for before in (0, 2)],
    seed=seeds,
    kind=kinds,
    before=st.integers(0, 3),
    own=st.booleans(),
)
def test_a_group_may_be_added_later(probe: Probe, seed: int, kind: str, before: int, own: bool) -> None:
    """A group that is added later, also after steps, is moved from then on like one of the beginning.

    By its own options, and by the optimizer's where it has none; the other groups go on as they were.
    Kills: parameters or groups listed when the optimizer is made or at its first step, one count of steps.
    """
    begins = paths.starts(seed, MATRICES)
    given: paths.Gradients = [[*now] for now in paths.gradients(seed, MATRICES, before + 2)]
    for now in given[:before]:
        now[-1] = None
    first, _, base = OPTIONS[kind]
    late = first if own else {}
    got = probe(
        "optimizers.grown",
        kind=kind,
        starts=begins,
        gradients=given,
        options=base,
        late=late,
        before=before,
    )
    options = [[base] * len(given)] * (len(MATRICES) - 1) + [[base | late] * len(given)]
    expect_paths(kind, got, begins, given, options, what=f" with a group added after {before} steps")


@law(
    examples=4,
    cases=[{"seed": 0, "kind": kind, "steps": 2} for kind in OPTIONS],
    seed=seeds,
    kind=kinds,
    steps=st.integers(1, 3),
)
def test_a_step_may_have_a_closure(probe: Probe, seed: int, kind: str, steps: int) -> None:
    """A step that takes a closure calls it once, before it moves anything, and returns what it answers.

    Kills: a closure that is not called, or while gradients are switched off, one called after the step, an
    answer that is lost.
    """
    begins = paths.starts(seed, MATRICES)
    given = paths.gradients(seed, MATRICES, steps)
    options = OPTIONS[kind][0]
    got = probe("optimizers.by_closure", kind=kind, starts=begins, gradients=given, options=options)
    expect_paths(kind, got["path"], begins, given, [[options] * steps] * 4, what=" with a closure")
    expect_equal(got["calls"], [1] * steps, f"how often {kind} called the closure of each step")
    expect_equal(got["answers"], [1.5 + step for step in range(steps)], f"what the steps of {kind} returned")
    expect(not got["moved"], f"{kind} moved a parameter before it called the closure")


@law(
    examples=3,
    cases=[{"seed": 0, "kind": kind, "steps": 2, "removed": 2} for kind in OPTIONS],
    seed=seeds,
    kind=kinds,
    steps=st.integers(2, 4),
    removed=st.integers(1, 3),
)
def test_a_step_calls_its_hooks(probe: Probe, seed: int, kind: str, steps: int, removed: int) -> None:
    """What was registered to be called before and after a step is, until it is removed, and once each step.

    As `register_step_pre_hook` and `register_step_post_hook` of torch's optimizers say.
    Kills: a step that goes around what torch puts before and behind it.
    """
    begins = paths.starts(seed, MATRICES)
    given = paths.gradients(seed, MATRICES, steps)
    options = OPTIONS[kind][0]
    got = probe(
        "optimizers_torch.by_hooks",
        kind=kind,
        starts=begins,
        gradients=given,
        options=options,
        removed=removed,
    )
    expect_paths(kind, got["path"], begins, given, [[options] * steps] * 4, what=" with hooks")
    want = [["before", False], ["after", True]] * min(removed, steps)
    expect_equal(got["calls"], want, f"the hooks called in {steps} steps of {kind}, and whether it had moved")


FORMS = [
    *("list", "tuple", "generator", "groups", "added later"),
]


@law(
    examples=16,
    cases=[{"seed": 0, "kind": kind, "form": form} for kind in OPTIONS for form in FORMS],
    seed=seeds,
    kind=kinds,
    form=st.sampled_from(FORMS),
)
def test_parameters_may_come_in_any_form(probe: Probe, seed: int, kind: str, form: str) -> None:
    """Parameters may come as a list, a tuple, a generator or in groups, at first or later.

    Kills: a generator that a look at it leaves empty, so that nothing is trained; groups counted or indexed.
    """
    begins = paths.starts(seed, MATRICES)
    given = paths.gradients(seed, MATRICES, 2)
    options = OPTIONS[kind][0]
    got = probe(
        "optimizers_torch.given_as", kind=kind, starts=begins, gradients=given, options=options, form=form
    )
    expect_paths(kind, got, begins, given, [[options] * 2] * 4, what=f" of parameters given as {form}")
