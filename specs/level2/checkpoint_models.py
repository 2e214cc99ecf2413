"""Checkpoints of models and optimizers of any make: names, shapes, dtypes, places in memory, and numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from specs import draws, training_draws
from specs.compare import expect_equal
from specs.law import law
from specs.level2.checkpoint import expect_parameters, gradients, rates_of
from specs.own_parts import MODEL, said_by_its_model
from specs.probe import Probe
from specs.strategies import seeds

CRITERION = "checkpoint"

PLAIN: dict[str, tuple[int, ...]] = {
    "wte.weight": (6, 4),
    "gain": (4,),
    "mlp.weight": (4, 6),
    "head.weight": (6, 4),
}
NAMES = [
    *(
        "weight",
        "module.weight",
        "module.module.weight",
        "_orig_mod.weight",
        "model.weight",
    ),
    *("optimizers.0.weight", "parameters_.weight", "h.10.weight", "h.2.weight"),
]
"""Those of wrappers, and of what else a file may hold; some are others' with something before them."""

MODELS: dict[str, tuple[str, dict[str, tuple[int, ...]]]] = {
    "whose names others begin or end with": ("as they are", dict.fromkeys(NAMES, (3, 2))),
    "with a parameter that is a single number": (
        "as they are",
        PLAIN | {"scale": ()},
    ),
    "in several dtypes": ("other dtypes", PLAIN),
    "two of whose parameters are one": ("tied", PLAIN),
    "whose values lie in other orders and with gaps": ("turned", PLAIN),
    "whose parameters are parts of one tensor": ("one memory", PLAIN),
}


@law(
    examples=6,
    cases=[{"seed": 0, "kind": kind} for kind in MODELS],
    seed=seeds,
    kind=st.sampled_from(list(MODELS)),
)
def test_a_model_of_any_make_comes_back(probe: Probe, seed: int, kind: str) -> None:
    """Whatever names, shapes and dtypes its parameters have, and however they lie, a model comes back.

    Two parameters may be one, as the embedding and the head of many models are, or lie in one memory.
    Kills: prefixes of wrappers taken off, tensors in one memory saved once, dtypes that NumPy has not, values
    in the order in which they lie, names that the file has a use for.
    """
    make, shapes = MODELS[kind]
    model, other = (
        {
            name: draws.normal(seed + 30 * place + add, *shape)
            for place, (name, shape) in enumerate(shapes.items())
        }
        for add in (0, 1)
    )
    got = probe("checkpoint_models.came_back", make=make, parameters=model, other_parameters=other)
    expect_equal(sorted(got["saved"]), sorted(model), f"the names that the state of a model {kind} holds")
    expect_parameters(got["loaded"], got["saved"], f"of a model {kind} after loading")
    expect_equal(got["dtypes"][1], got["dtypes"][0], f"the dtypes of a model {kind} after loading")
    expect_parameters(got["resumed"], got["uninterrupted"], f"of a model {kind} after another step")


@law(
    examples=2,
    cases=[{"seed": 0, "count": 12, "before": 2}],
    seed=seeds,
    count=st.integers(10, 13),
    before=st.integers(1, 3),
)
def test_many_optimizers_come_back(probe: Probe, seed: int, count: int, before: int) -> None:
    """More than ten optimizers, groups of one or parameters of one group all come back, each in its place.

    Kills: files or entries in the order of their names as texts, in which 10 comes before 2.
    """
    names = [f"h.{place}.{part}" for part in ("alone", "grouped", "shared") for place in range(count)]
    model, other = (
        {name: draws.normal(seed + 30 * place + add, 2, 2) for place, name in enumerate(names)}
        for add in (0, 1)
    )
    alone, grouped, shared = (names[part * count : (part + 1) * count] for part in range(3))
    recipe: list[dict[str, Any]] = [
        {"kind": "sgd", "groups": [{"members": [name], "lr": 0.01 * (1 + place), "momentum": 0.9}]}
        for place, name in enumerate(alone)
    ]
    recipe += [
        {
            "kind": "adamw",
            "groups": [{"members": [name], "lr": 0.02 * (1 + place)} for place, name in enumerate(grouped)],
        },
        {"kind": "adamw", "groups": [{"members": shared, "lr": 0.03}]},
    ]
    got = probe(
        "checkpoint.resumed",
        parameters=model,
        recipe=recipe,
        gradients=gradients(seed, before + 1, of=model),
        rates=rates_of(before + 1),
        before=before,
        other_parameters=other,
        other_gradients=[],
    )
    expect_equal(
        np.shape(got["loaded_rates"]), (2 * count + 1, 2), "the groups that have rates after loading"
    )
    expect_equal(got["loaded_rates"], got["saved_rates"], "[rate, initial rate] of each group after loading")
    expect_parameters(got["loaded"], got["saved"], "after loading")
    also = f"after {before} steps, a checkpoint, and another, with {count} optimizers and two of {count}"
    expect_parameters(got["resumed"], got["uninterrupted"], also)


@law(examples=2, cases=[{"seed": 0, "before": 2}], seed=seeds, before=st.integers(0, 2))
def test_the_own_model_comes_back(probe: Probe, seed: int, before: int) -> None:
    """A training of the submission's own GPT that is interrupted ends where it would have, bit for bit.

    Kills: a way of its own for the own model, of which something is left out.
    """
    batches = training_draws.batches(seed, [(2, 5)] * 3, [9, 10, 4])
    if said_by_its_model(probe, seed, batches) is None:
        return
    got = probe("own_parts.checkpoint", config=MODEL, seed=seed, pairs=batches, before=before)
    expect_equal(got["told"], {"step": before, "data_state": {"at": before}}, "what loading returned")
    also = f"of the own model after {before} steps, a checkpoint, and {3 - before} more"
    expect_parameters(got["resumed"], got["uninterrupted"], also)
