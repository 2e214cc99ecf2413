"""Checkpoints: training goes on as if it had never stopped.

The model is a small module of the probes and its optimizers are torch's own, so that bugs of the submission's
optimizers and of its model do not show here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from specs import draws
from specs.compare import broken, expect, expect_close, expect_equal, expect_named, expect_raised
from specs.law import law
from specs.probe import Probe
from specs.strategies import seeds
from specs.tolerances import EXACT

CRITERION = "checkpoint"

SHAPES: dict[str, tuple[int, ...]] = {
    "embedding.weight": (5, 3),
    "blocks.0.first.weight": (4, 3),
    "blocks.0.first.bias": (4,),
    "blocks.1.first.weight": (4, 3),
    "gain": (1,),
    "frozen.weight": (2, 2),
}
"""The last is in no optimizer: a checkpoint must carry it all the same."""

ADAMW = {"kind": "adamw", "groups": [{"members": list(SHAPES)[:5], "lr": 0.05}]}
RECIPES: dict[str, list[dict[str, Any]]] = {
    "AdamW": [ADAMW],
    "momentum": [{"kind": "sgd", "groups": [{"members": list(SHAPES)[:5], "lr": 0.05, "momentum": 0.9}]}],
    "two": [
        {
            "kind": "adamw",
            "groups": [
                {"members": ["embedding.weight"], "lr": 0.2, "betas": (0.8, 0.95), "weight_decay": 0.1},
                {"members": ["gain", "blocks.0.first.bias"], "lr": 0.004},
            ],
        },
        {
            "kind": "sgd",
            "groups": [
                {"members": ["blocks.1.first.weight", "blocks.0.first.weight"], "lr": 0.02, "momentum": 0.95}
            ],
        },
    ],
    "alike": [
        {"kind": "adamw", "groups": [{"members": ["blocks.0.first.weight"], "lr": 0.2}]},
        {"kind": "adamw", "groups": [{"members": ["blocks.1.first.weight"], "lr": 0.004}]},
        {"kind": "adamw", "groups": [{"members": ["gain", "blocks.0.first.bias"], "lr": 0.02}]},
    ],
    "others": [
        {"kind": "rmsprop", "groups": [{"members": ["gain"], "lr": 0.01, "momentum": 0.5, "centered": True}]},
        {"kind": "adagrad", "groups": [{"members": ["embedding.weight"], "lr": 0.1}]},
        {"kind": "adamw", "groups": [{"members": ["blocks.0.first.bias"], "lr": 0.1, "amsgrad": True}]},
    ],
    "plain values": [
        {
            "kind": "noting",
            "groups": [{"members": ["embedding.weight"], "lr": 0.1}, {"members": ["gain"], "lr": 0.02}],
        }
    ],
}
"""Optimizers of torch: one or more, with one group or more, each with another kind of memory; and several of
one class, two of them for parameters of one shape. The last remembers no tensor, but numbers."""

recipes = st.sampled_from(list(RECIPES))

plain_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**62), 2**62),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(codec="utf-8"), max_size=8),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text("abc_ .", max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
data_states = st.one_of(st.none(), st.dictionaries(st.text("abc", max_size=4), plain_values, max_size=4))


@law(
    examples=10,
    cases=[
        {"seed": 0, "recipe": "AdamW", "before": 2, "after": 2},
        {"seed": 1, "recipe": "momentum", "before": 1, "after": 1},
        {"seed": 2, "recipe": "two", "before": 0, "after": 3},
        {"seed": 3, "recipe": "others", "before": 3, "after": 2},
        {"seed": 4, "recipe": "alike", "before": 2, "after": 1},
        {"seed": 5, "recipe": "plain values", "before": 3, "after": 2},
    ],
    seed=seeds,
    recipe=recipes,
    before=st.integers(0, 4),
    after=st.integers(1, 3),
)
def test_training_goes_on_as_if_never_stopped(
    probe: Probe, seed: int, recipe: str, before: int, after: int
) -> None:
    """Training that is interrupted, saved, loaded and continued ends at the same parameters, bit for bit.

    Kills: what an optimizer remembers is lost or rounded, all of it but tensors is, the second optimizer is
    forgotten, one of two of a class, the count of steps begins anew.
    """
    check_resumed(probe, seed, recipe, before, after, stepped=0)


@law(
    examples=10,
    cases=[{"seed": 0, "recipe": "two", "before": 1, "after": 2, "stepped": 3}],
    seed=seeds,
    recipe=recipes,
    before=st.integers(0, 3),
    after=st.integers(1, 3),
    stepped=st.integers(1, 4),
)
def test_what_was_there_before_does_not_matter(
    probe: Probe, seed: int, recipe: str, before: int, after: int, stepped: int
) -> None:
    """A checkpoint may be loaded into a training that has made steps of its own: it goes on as the saved one.

    Kills: memory of the optimizers merged or kept where the checkpoint has none, learning rates kept.
    """
    check_resumed(probe, seed, recipe, before, after, stepped)


@law(
    examples=3,
    cases=[{"seed": 0, "recipe": "two", "before": 2}],
    seed=seeds,
    recipe=recipes,
    before=st.integers(0, 3),
)
def test_another_process_reads_it(probe: Probe, seed: int, recipe: str, before: int) -> None:
    """A checkpoint can be read by another process, which has nothing but its files.

    Kills: files that are written when the process ends or a while later, a file that says where in memory the
    rest is.
    """
    steps, rates = gradients(seed, before + 2), rates_of(before + 2)
    files = probe(
        "checkpoint.written",
        parameters=parameters(seed),
        recipe=RECIPES[recipe],
        gradients=steps[:before],
        rates=rates[:before],
    )
    probe.renew()
    got = probe(
        "checkpoint.read",
        files=files,
        parameters=parameters(seed),
        other_parameters=parameters(seed + 1),
        recipe=RECIPES[recipe],
        gradients=steps,
        rates=rates,
        before=before,
    )
    also = f"after {before} steps, a checkpoint, and 2 more in another process"
    expect_parameters(got["resumed"], got["uninterrupted"], also)


@law(examples=12, seed=seeds, recipe=recipes, before=st.integers(1, 3))
def test_a_checkpoint_is_what_is_in_its_directory(probe: Probe, seed: int, recipe: str, before: int) -> None:
    """A checkpoint that is copied to another directory is as good as it was.

    Kills: what is kept in memory and not written, absolute paths, files written beside the directory.
    """
    check_resumed(probe, seed, recipe, before, 2, stepped=1, moved=True)


@law(examples=14, seed=seeds, recipe=recipes, before=st.integers(1, 3), stepped=st.integers(0, 2))
def test_learning_rates_come_back(probe: Probe, seed: int, recipe: str, before: int, stepped: int) -> None:
    """Every group has the learning rate that it was saved with, and its initial one beside it.

    Kills: learning rates of the constructor, one for all groups, initial rates lost.
    """
    answer = interrupted(probe, seed, recipe, before, 0, stepped)
    want = [
        [float(group["lr"]) * rates_of(before)[-1], float(group["lr"])]
        for optimizer in RECIPES[recipe]
        for group in optimizer["groups"]
    ]
    expect_close(
        np.asarray(answer["loaded_rates"]), np.asarray(want), EXACT, "learning rates", ("group", "kind")
    )


@law(examples=6, seed=seeds, recipe=recipes, before=st.integers(0, 3), stepped=st.integers(0, 2))
def test_parameters_come_back(probe: Probe, seed: int, recipe: str, before: int, stepped: int) -> None:
    """Every parameter is what it was when it was saved, also one that no optimizer holds.

    Kills: parameters rounded or forgotten, those of the first save kept, only those of the optimizers saved.
    """
    answer = interrupted(probe, seed, recipe, before, 0, stepped)
    expect_parameters(answer["loaded"], answer["saved"], "after loading")
    (alone,) = probe(
        "checkpoint.straight",
        parameters=parameters(seed),
        recipe=RECIPES[recipe],
        walks=[gradients(seed, 0)],
    )
    expect_parameters({"frozen.weight": answer["loaded"]["frozen.weight"]}, {
        "frozen.weight": alone["frozen.weight"]
    }, "after loading")  # fmt: skip


@law(
    examples=15,
    cases=[
        {"saves": [{"step": 7, "data_state": {"epoch": 1, "at": [3, {"token": 12}]}}], "nested": "run"}
        | {"named": False},
        {"saves": [{"step": 0, "data_state": None}], "nested": "a/b/c", "named": True},
        {"saves": [{"step": 5, "data_state": {"x": 1}}, {"step": 6, "data_state": None}], "nested": "run"}
        | {"named": True},
        *(
            {
                "saves": [{"step": step, "data_state": None} for step in steps],
                "nested": nested,
                "named": False,
            }
            for steps, nested in (
                ((9, 10), "lr[0.1] *?"),
                ((10, 9), "~/$HOME/%s {step}.pt"),
                ((99, 100, 7), ".step=10/-"),
            )
        ),
    ],
    saves=st.lists(
        st.fixed_dictionaries({"step": st.integers(0, 10**12), "data_state": data_states}),
        min_size=1,
        max_size=3,
    ),
    nested=st.sampled_from(["run", "a/b/c", "with space/ü", "[1]"]),
    named=st.booleans(),
)
def test_step_and_data_state_come_back(
    probe: Probe, saves: list[dict[str, Any]], nested: str, named: bool
) -> None:
    """Loading returns the step and the state of the data that were saved last, equal in value and type.

    The directory is made, with those above it, and may be a `str` or a `Path`. With `named`, arguments are
    given by their names.
    Kills: a step off by one, a state turned into text, what was saved first or has the highest step, an empty
    state taken for none, a directory's name that is read as a pattern, a variable or a format.
    """
    got = probe(
        "checkpoint.returned",
        parameters=parameters(0),
        recipe=RECIPES["AdamW"],
        saves=saves,
        nested=nested,
        named=named,
    )
    for number, (answer, given) in enumerate(zip(got, saves, strict=True)):
        expect(isinstance(answer, dict), f"load_checkpoint returned {answer!r:.100}, want a dict")
        for name, value in given.items():
            expect_equal(answer.get(name), value, f'"{name}" after {number + 1} saves')


@law(
    examples=7,
    cases=[{"seed": 0, "recipe": "two", "count": 2, "separate": False}],
    seed=seeds,
    recipe=recipes,
    count=st.integers(2, 3),
    separate=st.booleans(),
)
def test_what_was_saved_stays(probe: Probe, seed: int, recipe: str, count: int, separate: bool) -> None:
    """A checkpoint stays what it is: training on changes nothing in it, only saving there again does.

    Two directories hold two checkpoints, and one that is read twice gives the same twice.
    Kills: tensors saved by reference, the first save kept, old and new mixed, one file for all directories.
    """
    states = [parameters(seed + number) for number in range(count)]
    given = gradients(seed, 3)
    got = probe(
        "checkpoint.versions", recipe=RECIPES[recipe], states=states, gradients=given, separate=separate
    )
    numbers = range(count) if separate else [count - 1]
    if not isinstance(got, list) or len(got) != 2 * len(numbers):
        broken("got no two answers for each directory")
    for position, number in enumerate(numbers):
        saved, later = probe(
            "checkpoint.straight",
            parameters=states[number],
            recipe=RECIPES[recipe],
            walks=[given[: number + 1], given],
        )
        for answer in got[2 * position : 2 * position + 2]:
            expect_equal(answer["step"], number, "the step")
            expect_parameters(answer["loaded"], saved, f"loaded from save {number + 1} of {count}")
            expect_parameters(answer["later"], later, f"trained on from save {number + 1} of {count}")


@law(examples=8, seed=seeds, recipe=recipes, training_mode=st.booleans())
def test_saving_and_loading_leave_no_traces(
    probe: Probe, seed: int, recipe: str, training_mode: bool
) -> None:
    """Saving changes neither model nor optimizers, and loading nothing but what was saved.

    Kills: a model left in evaluation mode, optimizers' memory moved away, parameters replaced or thawed.
    """
    changed = probe(
        "checkpoint.traces",
        parameters=parameters(seed),
        recipe=RECIPES[recipe],
        gradients=gradients(seed, 2),
        training_mode=training_mode,
    )
    expect_equal(changed, [], "what was changed")


@law(
    examples=10,
    cases=[{"seed": 0, "recipe": "AdamW", "name": "blocks.1.first.weight", "how": "shape"}],
    seed=seeds,
    recipe=recipes,
    name=st.sampled_from(list(SHAPES)),
    how=st.sampled_from(["shape", "transposed", "spread", "missing", "unknown"]),
)
def test_another_model_is_refused_by_name(probe: Probe, seed: int, recipe: str, name: str, how: str) -> None:
    """A model with other parameters raises, and the message names one that differs.

    In shape, also where values would fit or spread, or because one of the two has a parameter more.
    Kills: what fits is loaded and the rest ignored, values broadcast or reshaped, a message without the name.
    """
    mine, others = parameters(seed), parameters(seed + 1)
    if how in ("missing", "unknown"):
        # One that no optimizer holds, so that these fit each other.
        name = "frozen.weight"
        (others if how == "missing" else mine).pop(name)
    elif how == "transposed" and mine[name].ndim == 2 and len(set(mine[name].shape)) == 2:
        others[name] = np.ascontiguousarray(others[name].T)
    elif how == "spread":
        mine[name] = mine[name][:1]
        others[name] = np.concatenate([others[name], others[name]])
    else:
        others[name] = np.concatenate([others[name], others[name]])
    refused = probe.attempt(
        "checkpoint.load_into_another",
        parameters=mine,
        others=others,
        recipe=RECIPES[recipe],
        gradients=gradients(seed, 1, mine),
        there="saved",
    )
    raised = expect_raised(refused, f"loading into a model whose {name} differs")
    expect_named(raised, [name], f"loading into a model whose {name} differs")


@law(
    examples=2, cases=[{"there": "empty"}, {"there": "missing"}], there=st.sampled_from(["empty", "missing"])
)
def test_no_checkpoint_raises(probe: Probe, there: str) -> None:
    """Loading from a directory that holds no checkpoint, or that is not there, raises.

    Kills: training that silently begins anew.
    """
    question = {"parameters": parameters(0), "others": parameters(1), "recipe": RECIPES["AdamW"]}
    refused = probe.attempt(
        "checkpoint.load_into_another", **question, gradients=gradients(0, 1), there=there
    )
    expect_raised(refused, f"loading from a directory that is {there}")
    loaded = probe("checkpoint.load_into_another", **question, gradients=gradients(0, 0), there="saved")
    expect_parameters(loaded, parameters(0), "loaded from a directory with a checkpoint")


@law(examples=2, seed=seeds, recipe=st.sampled_from(["AdamW", "two"]))
def test_reading_runs_no_code(probe: Probe, seed: int, recipe: str) -> None:
    """Loading a file that carries code does not run it.

    Each file of a checkpoint is replaced by one that sets a flag when it is unpickled in full.
    Kills: pickle.load, torch.load with weights_only=False, numpy.load with allow_pickle.
    """
    answer = probe(
        "checkpoint.code_run",
        parameters=parameters(seed),
        recipe=RECIPES[recipe],
        gradients=gradients(seed, 1),
    )
    expect(answer["files"] > 0, "save_checkpoint wrote no file into the directory")
    expect_equal(answer["ran"], [], "the kinds of files whose code was run")


def check_resumed(
    probe: Probe, seed: int, recipe: str, before: int, after: int, stepped: int, moved: bool = False
) -> None:
    """Require interrupted training to end where uninterrupted training does."""
    answer = interrupted(probe, seed, recipe, before, after, stepped, moved)
    also = f"after {before} steps, a checkpoint, and {after} more"
    expect_parameters(answer["resumed"], answer["uninterrupted"], also)


def interrupted(
    probe: Probe,
    seed: int,
    recipe: str,
    before: int,
    after: int,
    stepped: int,
    moved: bool = False,
    **more: Any,
) -> Any:
    """Return what became of a training that was interrupted after `before` steps."""
    more.setdefault("other_parameters", parameters(seed + 1))
    return probe(
        "checkpoint.resumed",
        parameters=parameters(seed),
        recipe=RECIPES[recipe],
        gradients=gradients(seed, before + after),
        rates=rates_of(before + after),
        before=before,
        other_gradients=gradients(seed + 1, stepped),
        moved=moved,
        **more,
    )


def parameters(seed: int) -> dict[str, NDArray[np.float32]]:
    """Return the parameters of a model."""
    return {
        name: draws.normal(seed + 20 * place, *shape) for place, (name, shape) in enumerate(SHAPES.items())
    }


def gradients(
    seed: int, steps: int, of: dict[str, NDArray[np.float32]] | None = None
) -> list[dict[str, NDArray[np.float32]]]:
    """Return gradients for each step; the gain has none in the first, so that its count of steps differs."""
    found = []
    for step in range(steps):
        random = np.random.default_rng([seed, 7, step])
        now = {
            name: random.standard_normal(value.shape).astype(np.float32)
            for name, value in (of or parameters(seed)).items()
            if name != "frozen.weight"
        }
        if step == 0:
            now.pop("gain", None)
        found.append(now)
    return found


def rates_of(steps: int) -> list[float]:
    """Return by what the learning rates are multiplied in each step, as a schedule might."""
    return [1.0 - 0.125 * (step % 6) for step in range(steps)]


def expect_parameters(got: Any, want: dict[str, NDArray[Any]], when: str, kind: str = "parameter") -> None:
    """Require the same parameters, bit for bit."""
    for name, value in want.items():
        expect_close(got[name], value, EXACT, f"{kind} {name} {when}")
