"""What holds for both optimizers: groups, missing gradients, what they remember and what they leave alone."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from specs import optimizer_paths as paths
from specs.compare import expect_close, expect_equal
from specs.law import law
from specs.optimizer_paths import expect_paths, kinds
from specs.probe import Probe
from specs.strategies import seeds
from specs.tolerances import EXACT

CRITERION = "optimizers"

layouts = st.sampled_from(["plain", "turned", "spread"])

MATRICES = [(4, 4), (2, 5), (4, 4), (6, 3)]
"""Two of one shape among them: what is kept by shape and not by parameter would be shared."""

OPTIONS: dict[str, list[dict[str, Any]]] = {
    "AdamW": [
        {"lr": 0.01, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.3},
        {"lr": 0.1, "betas": (0.6, 0.9), "eps": 1e-2, "weight_decay": 0.0},
        {"lr": 0.03, "betas": (0.8, 0.95), "eps": 1e-10, "weight_decay": 1.0},
    ],
    "Muon": [
        {"lr": 0.02, "momentum": 0.95, "nesterov": True, "ns_steps": 5},
        {"lr": 0.2, "momentum": 0.5, "nesterov": False, "ns_steps": 3},
        {"lr": 0.05, "momentum": 0.8, "nesterov": True, "ns_steps": 4},
    ],
}
"""Three that differ in everything, for each kind."""


@law(
    examples=10,
    cases=[{"seed": 0, "kind": kind, "steps": 2, "own": True} for kind in OPTIONS],
    seed=seeds,
    kind=kinds,
    steps=st.integers(1, 4),
    own=st.booleans(),
)
def test_each_group_has_its_own_options(probe: Probe, seed: int, kind: str, steps: int, own: bool) -> None:
    """Parameters in groups are moved by the options of their group, and by the optimizer's where it has none.

    Kills: the options of the first or the last group for all, only the learning rate of a group, only the
    first group moved.
    """
    begins = paths.starts(seed, MATRICES)
    given = paths.gradients(seed, MATRICES, steps, scale=0.05)
    first, second, base = OPTIONS[kind]
    groups: list[dict[str, Any]] = [{"members": [1, 3]} | first, {"members": [0]}, {"members": [2]} | second]
    if not own:
        groups = [{"members": [1, 3], "lr": first["lr"]}, {"members": [0]}, {"members": [2]}]
    got = probe("optimizers.path", kind=kind, starts=begins, gradients=given, options=base, groups=groups)
    of_group = [
        base | {name: value for name, value in group.items() if name != "members"} for group in groups
    ]
    options = [[of_group[group]] * steps for group in (1, 0, 2, 0)]
    expect_paths(kind, got, begins, given, options)


@law(examples=9, seed=seeds, kind=kinds, steps=st.integers(2, 5), grouped=st.booleans())
def test_the_learning_rate_is_read_at_each_step(
    probe: Probe, seed: int, kind: str, steps: int, grouped: bool
) -> None:
    """A learning rate that is changed between steps, as a schedule does, holds from the next step on.

    Kills: the learning rate of the constructor kept, one rate for all groups.
    """
    begins = paths.starts(seed, MATRICES[:3])
    given = paths.gradients(seed, MATRICES[:3], steps)
    base = OPTIONS[kind][2]
    groups = [{"members": [0, 2]}, {"members": [1], "lr": 0.5}] if grouped else None
    # One for all groups where none were given: an optimizer may group a list by itself.
    rates = [[0.1 / (step + 1), 0.02 * step][: 1 + grouped] for step in range(steps)]
    got = probe(
        "optimizers.path", kind=kind, starts=begins, gradients=given, options=base, groups=groups, rates=rates
    )
    options = [
        [base | {"lr": rates[step][place == 1 and grouped]} for step in range(steps)] for place in range(3)
    ]
    expect_paths(kind, got, begins, given, options)


CHANGES: dict[str, list[dict[str, Any]]] = {
    "AdamW": [
        {"lr": 0.01, "betas": (0.6, 0.7), "eps": 1e-8, "weight_decay": 0.3},
        {"lr": 0.1, "betas": (0.3, 0.4), "eps": 1e-2, "weight_decay": 0.0},
        {"lr": 0.03, "betas": (0.5, 0.6), "eps": 1e-4, "weight_decay": 1.0},
    ],
    "Muon": OPTIONS["Muon"],
}
BEFORE = {"AdamW": 60, "Muon": 1}
"""Steps before the first change. So many for AdamW that its averages are whole: by powers of which betas they
are corrected before is free."""


@law(
    examples=4,
    cases=[{"seed": 0, "kind": kind, "steps": 4, "first": 0} for kind in OPTIONS],
    seed=seeds,
    kind=kinds,
    steps=st.integers(3, 5),
    first=st.integers(0, 2),
)
def test_the_values_of_a_group_are_read_at_each_step(
    probe: Probe, seed: int, kind: str, steps: int, first: int
) -> None:
    """Any value of a group that is changed between steps, betas or momentum too, holds from the next step on.

    Each of the last steps has others than the one before, as a schedule of the momentum makes them.
    Kills: values kept from the constructor or the first step.
    """
    count = BEFORE[kind] + steps
    begins = paths.starts(seed, MATRICES[:3])
    given = paths.gradients(seed, MATRICES[:3], count, scale=0.05)
    each = [CHANGES[kind][(first + max(0, step - BEFORE[kind] + 1)) % 3] for step in range(count)]
    got = probe("optimizers.path", kind=kind, starts=begins, gradients=given, options=each[0], settings=each)
    expect_paths(kind, got, begins, given, [each] * 3, what=" with values that change between steps")


@law(
    examples=6,
    cases=[
        {"seed": 0, "kind": kind, "parameters": parameters, "gradients": gradients}
        for kind in OPTIONS
        for parameters, gradients in (("plain", "turned"), ("turned", "plain"), ("plain", "spread"))
    ],
    seed=seeds,
    kind=kinds,
    parameters=layouts,
    gradients=layouts,
)
def test_how_values_lie_in_memory_does_not_matter(
    probe: Probe, seed: int, kind: str, parameters: str, gradients: str
) -> None:
    """Steps are the same for values that lie column by column in memory, or with gaps, as gradients may.

    Kills: a view that only contiguous values have, values taken in the order in which they lie.
    """
    begins = paths.starts(seed, MATRICES)
    given = paths.gradients(seed, MATRICES, 2)
    options = OPTIONS[kind][0]
    if (parameters != gradients or parameters == "spread") and probe("optimizers.is_fused", kind=kind):
        # torch's fused kernel takes both in the order in which they lie; autograd never hands it any others.
        parameters = gradients = "turned"
    got = probe(
        "optimizers.path",
        kind=kind,
        starts=begins,
        gradients=given,
        options=options,
        layouts=(parameters, gradients),
    )
    what = f" of {parameters} parameters and {gradients} gradients"
    expect_paths(kind, got, begins, given, [[options] * 2] * len(MATRICES), what=what)


@law(
    examples=12,
    cases=[
        {"seed": 0, "kind": "AdamW", "missing": [[True, False], [False, False], [True, True]]},
        {"seed": 0, "kind": "Muon", "missing": [[False, False], [True, False], [False, False]]},
        {"seed": 3, "kind": "AdamW", "missing": [[False, False], [True, False], [False, False]]},
        {"seed": 1, "kind": "AdamW", "missing": [[False, True], [False, True], [False, False]]},
    ],
    seed=seeds,
    kind=kinds,
    missing=st.lists(st.lists(st.booleans(), min_size=2, max_size=2), min_size=1, max_size=5),
)
def test_a_missing_gradient_is_no_step(probe: Probe, seed: int, kind: str, missing: list[list[bool]]) -> None:
    """A parameter without a gradient stays as it is, decay included, and the step is not one of its steps.

    Kills: one count of steps for all parameters, that of the parameter that has made most, decay without a
    gradient, missing gradients taken for zero, a step that ends at the first parameter without one.
    """
    shapes = [(3, 4), (3, 4)]
    begins = paths.starts(seed, shapes)
    given: paths.Gradients = [
        [None if gone else one for one, gone in zip(now, lacks, strict=True)]
        for now, lacks in zip(paths.gradients(seed, shapes, len(missing)), missing, strict=True)
    ]
    options = OPTIONS[kind][0]
    got = probe("optimizers.path", kind=kind, starts=begins, gradients=given, options=options)
    expect_paths(kind, got, begins, given, [[options] * len(given)] * 2)
    for place, begin in enumerate(begins):
        before = begin
        for step, lacks in enumerate(missing):
            if lacks[place]:
                expect_close(
                    got[step][place],
                    before,
                    EXACT,
                    f"parameter {place} after step {step + 1}, without gradient",
                )
            before = got[step][place]


@law(
    examples=20,
    cases=[
        {"seed": 0, "kind": "AdamW", "before": 3, "after": 2, "grouped": True},
        *({"seed": 0, "kind": kind, "before": 0, "after": 2, "grouped": False} for kind in OPTIONS),
    ],
    seed=seeds,
    kind=kinds,
    before=st.integers(0, 5),
    after=st.integers(1, 4),
    grouped=st.booleans(),
)
def test_a_loaded_state_goes_on_where_it_was(
    probe: Probe, seed: int, kind: str, before: int, after: int, grouped: bool
) -> None:
    """An optimizer that is given the state of another goes on as that one would, whatever it was before.

    Its options were others, and it had made steps of its own; the other may have made none, or none yet with
    the last parameter. Kills: averages or the count of steps kept elsewhere than in the state, options not
    carried over, a state that is added to what there is.
    """
    begins = paths.starts(seed, MATRICES)
    given: paths.Gradients = [[*now] for now in paths.gradients(seed, MATRICES, before + after)]
    for now in given[:before]:
        now[-1] = None
    first, second, base = OPTIONS[kind]
    groups = [{"members": [0, 1]} | first, {"members": [3, 2], "lr": 0.5}] if grouped else None
    got = probe(
        "optimizers.resumed",
        kind=kind,
        starts=begins,
        gradients=given,
        options=base,
        groups=groups,
        before=before,
        other_options=second,
        other_gradients=paths.gradients(seed + 1, MATRICES, 2),
    )
    steps = before + after
    options = [[base] * steps] * 4
    if grouped:
        options = [[base | first] * steps] * 2 + [[base | {"lr": 0.5}] * steps] * 2
    expect_paths(kind, got, begins, given, options, skip=before, what=" with a loaded state")


@law(examples=8, seed=seeds, kind=kinds, steps=st.integers(1, 4))
def test_optimizers_do_not_meet(probe: Probe, seed: int, kind: str, steps: int) -> None:
    """Two optimizers that step in turn move their parameters as each would alone.

    Kills: state kept by the class, in the module, by shape or by name.
    """
    begins = paths.starts(seed, MATRICES[:2])
    each = [paths.gradients(seed + number, MATRICES[:2], steps) for number in range(2)]
    chosen = OPTIONS[kind][:2]
    got = probe("optimizers.side_by_side", kind=kind, starts=begins, gradients=each, options=chosen)
    for number in range(2):
        expect_paths(
            kind,
            got[number],
            begins,
            each[number],
            [[chosen[number]] * steps] * 2,
            what=f" number {number + 1}",
        )


@law(
    examples=8,
    cases=[{"seed": 0, "kind": kind, "steps": 3} for kind in OPTIONS],
    seed=seeds,
    kind=kinds,
    steps=st.integers(1, 3),
)
def test_a_step_changes_parameters_alone(probe: Probe, seed: int, kind: str, steps: int) -> None:
    """A step changes the values of the parameters, where they lie, and nothing else; gradients stay.

    Kills: gradients scaled or averaged in place, gradients dropped,
    parameters replaced, a global setting changed for speed.
    """
    begins = paths.starts(seed, MATRICES)
    given = paths.gradients(seed, MATRICES, steps)
    options = OPTIONS[kind][0]
    answer = probe("optimizers.traces", kind=kind, starts=begins, gradients=given, options=options)
    expect_paths(kind, [answer["parameters"]], begins, given, [[options] * steps] * 4, skip=steps - 1)
    expect_equal(
        answer["changed"], [], f"what {steps} steps of {kind} changed beside the values of parameters"
    )


@law(examples=2, cases=[{"kind": "AdamW"}, {"kind": "Muon"}], kind=kinds)
def test_they_are_optimizers_of_torch(probe: Probe, kind: str) -> None:
    """AdamW and Muon are torch.optim.Optimizer, so that whatever works with one of torch works with them.

    Kills: a class of its own that only looks like one.
    """
    expect_equal(probe("optimizers.is_torchs", kind=kind), True, f"whether {kind} is a torch.optim.Optimizer")
