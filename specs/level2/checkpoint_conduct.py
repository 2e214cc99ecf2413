"""What a checkpoint is loaded into: other options, another order, what a refused load has left."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from specs import draws
from specs.compare import expect_close, expect_equal
from specs.law import law
from specs.level2.checkpoint import (
    RECIPES,
    expect_parameters,
    gradients,
    interrupted,
    parameters,
    rates_of,
    recipes,
)
from specs.level2.checkpoint_buffers import buffers
from specs.level2.loop_conduct import expect_no_setting_changed
from specs.probe import Probe
from specs.strategies import seeds
from specs.tolerances import EXACT

CRITERION = "checkpoint"

OTHER_OPTIONS: dict[str, dict[str, Any]] = {
    "adamw": {"betas": (0.5, 0.6), "weight_decay": 0.3, "eps": 1e-3},
    "sgd": {"momentum": 0.4, "weight_decay": 0.1},
    "rmsprop": {"momentum": 0.2, "alpha": 0.5},
    "adagrad": {"weight_decay": 0.2},
    "noting": {"steps": 5},
}


@law(
    examples=15,
    cases=[{"seed": 0, "recipe": recipe, "before": 1, "after": 2, "stepped": 1} for recipe in RECIPES],
    seed=seeds,
    recipe=recipes,
    before=st.integers(0, 3),
    after=st.integers(1, 2),
    stepped=st.integers(0, 2),
)
def test_the_values_of_groups_come_back(
    probe: Probe, seed: int, recipe: str, before: int, after: int, stepped: int
) -> None:
    """Optimizers made with other values go on with those saved: rates, initial rates, momentum, decay, all.

    Kills: a list of values of which one is missing, initial rates of the new optimizers from which the
    schedule goes on.
    """
    got = interrupted(
        probe, seed, recipe, before, after, stepped, other_recipe=with_other_values(RECIPES[recipe])
    )
    want = [
        [float(group["lr"]) * (rates_of(before)[-1] if before else 1.0), float(group["lr"])]
        for optimizer in RECIPES[recipe]
        for group in optimizer["groups"]
    ]
    what = "learning rates, loaded into optimizers made with others"
    expect_close(np.asarray(got["loaded_rates"]), np.asarray(want), EXACT, what, ("group", "kind"))
    also = f"after {before} steps, a checkpoint, and {after} more by optimizers made with other values"
    expect_parameters(got["resumed"], got["uninterrupted"], also)


@law(examples=1, seed=seeds)
def test_a_large_parameter_comes_back_to_the_last_digit(probe: Probe, seed: int) -> None:
    """A parameter of thousands of numbers, and what its optimizer remembers, come back like a small one.

    Kills: large tensors stored in fewer bits, or cut into parts of which one is lost.
    """
    large = parameters(seed) | {"embedding.weight": draws.normal(seed + 9, 700, 100)}
    got = probe(
        "checkpoint.resumed",
        parameters=large,
        recipe=RECIPES["AdamW"],
        gradients=gradients(seed, 3, of=large),
        rates=rates_of(3),
        before=2,
        other_parameters=large,
        other_gradients=gradients(seed + 1, 1, of=large),
    )
    expect_parameters(got["loaded"], got["saved"], "after loading")
    expect_parameters(got["resumed"], got["uninterrupted"], "after 2 steps, a checkpoint, and 1 more")


@law(
    examples=11,
    cases=[{"seed": 0, "recipe": "AdamW", "before": 1}],
    seed=seeds,
    recipe=recipes,
    before=st.integers(0, 2),
)
def test_parameters_go_by_their_names(probe: Probe, seed: int, recipe: str, before: int) -> None:
    """Parameters and buffers are found by their names, in whichever order a model registers them.

    Two parameters here have one shape. Kills: values handed out in the order in which they were saved.
    """
    got = interrupted(
        probe,
        seed,
        recipe,
        before,
        1,
        0,
        other_parameters=turned(parameters(seed + 1)),
        buffers=buffers(seed),
        other_buffers=turned(buffers(seed + 1)),
    )
    expect_parameters(got["loaded"], got["saved"], "loaded into a model that registers them in another order")
    expect_parameters(got["loaded_buffers"], got["saved_buffers"], "loaded into such a model", "buffer")
    expect_parameters(got["resumed"], got["uninterrupted"], "after another step of such a model")


@law(
    examples=9,
    cases=[{"seed": 0, "recipe": "two", "refused": refused} for refused in ("missing", "empty", "another")],
    seed=seeds,
    recipe=recipes,
    refused=st.sampled_from(["missing", "empty", "another"]),
)
def test_a_refused_load_spoils_nothing(probe: Probe, seed: int, recipe: str, refused: str) -> None:
    """After a load that raised, a checkpoint can be loaded into the same model and optimizers as into others.

    The model's mode, what is frozen and the settings that all share are as before. Kills: a model put aside
    and not back, optimizers that are emptied before the checkpoint has been read, a working folder left.
    """
    given = gradients(seed, 3)
    got = probe(
        "checkpoint.after_a_refusal",
        parameters=parameters(seed),
        others=parameters(seed + 1),
        recipe=RECIPES[recipe],
        gradients=given,
        refused=refused,
    )
    expect_equal(got["changed"], [], "what a load that raised changed")
    saved, later = probe(
        "checkpoint.straight", parameters=parameters(seed), recipe=RECIPES[recipe], walks=[given, given]
    )
    expect_parameters(got["loaded"], saved, "loaded after a load that raised")
    expect_parameters(got["later"], later, "after steps that follow such a load")


@law(
    examples=10,
    cases=[
        {"seed": 0, "recipe": recipe, "what": what}
        for recipe in ("AdamW", "momentum")
        for what in ("saved again", "written over", "removed")
    ],
    seed=seeds,
    recipe=recipes,
    what=st.sampled_from(["saved again", "written over", "removed"]),
)
def test_what_was_loaded_stays(probe: Probe, seed: int, recipe: str, what: str) -> None:
    """What was loaded stays, whatever becomes of the directory: it is saved there again, or others are.

    Kills: files that are mapped and written over, values read when they are first used.
    """
    given = gradients(seed, 3)
    got = probe(
        "checkpoint_models.after_loading",
        parameters=parameters(seed),
        others=parameters(seed + 1),
        recipe=RECIPES[recipe],
        gradients=given,
        what=what,
    )
    saved, later = probe(
        "checkpoint.straight",
        parameters=parameters(seed),
        recipe=RECIPES[recipe],
        walks=[given[:1], given[1:]],
    )
    for who, found in got.items():
        expect_parameters(found["loaded"], saved, f"of {who}, where the directory was {what}")
        expect_parameters(found["later"], later, f"of {who} after further steps, where it was {what}")


@law(examples=1, cases=[{"seed": 0}], seed=seeds)
def test_checkpoints_change_no_setting(probe: Probe, seed: int) -> None:
    """Saving and loading change no setting that all of the process share, the working folder among them.

    They work in any thread, and change none either where they raise. Kills: a checkpoint written by going to
    its folder, a seed, warning filters that are set for good, signals held back while a file is written.
    """
    raising = [
        "save_checkpoint where a file is",
        "load_checkpoint from an empty directory",
        "load_checkpoint from nowhere",
    ]
    expect_no_setting_changed(probe, seed, ["save_checkpoint", "load_checkpoint", *raising])


def with_other_values(recipe: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a recipe whose groups have the same members and other values."""
    return [
        entry
        | {
            "groups": [
                group | OTHER_OPTIONS[entry["kind"]] | {"lr": 3.0 * group["lr"]} for group in entry["groups"]
            ]
        }
        for entry in recipe
    ]


def turned(named: dict[str, Any]) -> dict[str, Any]:
    """Return the same in the opposite order."""
    return dict(reversed(named.items()))
