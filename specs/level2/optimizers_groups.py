"""How `GPT.setup_optimizers` shares out the parameters of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from specs import optimizer_paths as paths
from specs import tolerances
from specs.compare import broken, expect, expect_close, expect_equal
from specs.law import law
from specs.optimizer_paths import expect_step
from specs.oracles import optimizers
from specs.oracles.gpt import Config
from specs.probe import Probe
from specs.strategies import config, seeds

CRITERION = "optimizers"

MODELS = [
    config(),
    config(n_layer=3, n_head=2, head_dim=4, vocab_size=7),
    config(n_layer=2, n_head=5, head_dim=4, vocab_size=50),
    # The head and a matrix of a block have one shape: what is told apart by shape is not told apart.
    config(n_layer=1, n_head=1, head_dim=16, vocab_size=16),
    config(n_layer=1, n_head=2, head_dim=8, vocab_size=64),
    config(n_layer=5, n_head=3, head_dim=2, vocab_size=5),
]
"""As many key/value heads as query heads, so that bugs of grouped models do not show here. Widths that divide
768 and others: 20 does not, nor does it go into 768 by a rounded number of times."""
WIDER = config(n_layer=1, n_head=1, head_dim=800, vocab_size=5)
"""Wider than 768, where rates are below those asked for."""

models = st.sampled_from(MODELS)
rates = st.fixed_dictionaries(
    {
        "unembedding_lr": st.sampled_from([0.004, 0.01, 0.2, 0.0]),
        "embedding_lr": st.sampled_from([0.2, 0.3, 0.05, 0.0]),
        "matrix_lr": st.sampled_from([0.02, 0.04, 0.003, 0.0]),
    }
)
NOTHING_MOVES = {"unembedding_lr": 0.0, "embedding_lr": 0.0, "matrix_lr": 0.0}
DEFAULTS = {"unembedding_lr": 0.004, "embedding_lr": 0.2, "matrix_lr": 0.02, "weight_decay": 0.0}


@law(examples=8, model=models)
def test_every_parameter_has_one_optimizer(probe: Probe, model: Config) -> None:
    """Every parameter of the model is in exactly one group of one optimizer, and nothing else is.

    Kills: the last block, the head or the keys forgotten, a parameter in two groups, so that it steps twice.
    """
    answer = probe("sharing.groups", config=model, options={})
    held = [name for group in answer["groups"] for name in group["parameters"]]
    twice = sorted({name for name in held if held.count(name) > 1})
    expect(not twice, f"in more than one group: {', '.join(twice[:5])}")
    lost = sorted(set(answer["names"]) - set(held))
    expect(not lost, f"{len(lost)} parameters are in no group, {', '.join(lost[:5])} among them")
    expect_equal(sorted(held), answer["names"], "the parameters in all groups")


@law(examples=8, model=models)
def test_matrices_of_the_blocks_go_to_muon(probe: Probe, model: Config) -> None:
    """The matrices of the blocks have a Muon; the embedding and the head, matrices too, have an AdamW.

    Kills: the two exchanged, all matrices to Muon, a choice by shape or by number of dimensions.
    """
    answer = probe("sharing.groups", config=model, options={})
    parts = [
        "transformer.wte.",
        "lm_head.",
        *(f"transformer.h.{block}." for block in range(model["n_layer"])),
    ]
    absent = [part for part in parts if not any(name.startswith(part) for name in answer["names"])]
    expect(not absent, f"the model has no parameter in {', '.join(absent[:5])}")
    for group in answer["groups"]:
        for name in group["parameters"]:
            want = "Muon" if name.startswith("transformer.h.") else "AdamW"
            expect(group["kind"] == want, f"{name} has a {group['kind']}, want {want}")
    expect(any(group["parameters"] for group in answer["groups"]), "no group holds a parameter")


@law(
    examples=6,
    cases=[{"model": model, "chosen": {}, "earlier": None} for model in (*MODELS, WIDER)]
    + [{"model": config(), "chosen": NOTHING_MOVES, "earlier": {}}],
    model=models,
    chosen=st.one_of(st.just({}), rates),
    earlier=st.one_of(st.none(), rates),
)
def test_learning_rates_follow_the_width(
    probe: Probe, model: Config, chosen: dict[str, float], earlier: dict[str, float] | None
) -> None:
    """Embedding and head have their learning rate times (n_embd / 768)^-0.5; the blocks have matrix_lr.

    For any width, rates of zero too, and whatever optimizers the model had before: they do not count.
    Kills: the two exchanged, no scale, its inverse, its square, a width divided without its remainder, a
    scale that only grows or only shrinks, matrices scaled too, another default, the first optimizers kept.
    """
    answer = probe("sharing.groups", config=model, options=chosen, earlier=earlier)
    seen = set()
    for group in answer["groups"]:
        for name in group["parameters"]:
            seen.add(name)
            expect_rate(group["lr"], rate_of(name, model, chosen), f"the learning rate of {name}")
    expect_equal(sorted(seen), answer["names"], "the parameters that have a learning rate")


@law(examples=6, model=models, chosen=st.one_of(st.just({}), rates))
def test_initial_learning_rates_are_kept(probe: Probe, model: Config, chosen: dict[str, float]) -> None:
    """Every group has its learning rate a second time as "initial_lr", from which a schedule begins.

    Kills: it is missing in one optimizer, or is the rate before it was scaled.
    """
    answer = probe("sharing.groups", config=model, options=chosen)
    expect(bool(answer["groups"]), "there are no groups")
    for group in answer["groups"]:
        what = f'"initial_lr" of the group with {", ".join(group["parameters"][:2])}'
        expect_rate(group["initial_lr"], group["lr"], what)


@law(
    examples=10,
    cases=[
        {"seed": 0, "model": config(), "chosen": {}, "decay": decay, "scale": scale, "times": times}
        | {"in_order": in_order}
        for decay, scale, times, in_order in (
            (None, 1.0, 1, False),
            (0.5, 1e-10, 1, False),
            (None, 1.0, 2, False),
            (0.5, 1.0, 1, True),
        )
    ],
    seed=seeds,
    model=models,
    chosen=st.one_of(st.just({}), rates),
    decay=st.sampled_from([None, 0.1, 1.0]),
    scale=st.sampled_from([1.0, 1e-10]),
    times=st.integers(1, 2),
    in_order=st.booleans(),
)
def test_every_parameter_moves_as_its_optimizer_should(
    probe: Probe,
    seed: int,
    model: Config,
    chosen: dict[str, float],
    decay: float | None,
    scale: float,
    times: int,
    in_order: bool,
) -> None:
    """Steps move each parameter as Muon, or AdamW with betas (0.8, 0.95), eps 1e-10 and the decay given.

    And with half of the learning rates by half as much, also where optimizers that were made earlier have
    stepped, and where the rates are given in their order. Kills: options that are not handed on, the decay on
    the blocks or on none, default betas, a learning rate that the optimizer does not read, optimizers handed
    out again with what they remember, rates in another order.
    """
    starts = starts_of(probe, model, seed)
    shapes = [value.shape for value in starts.values()]
    # Gradients near eps for AdamW alone: in Muon's formula another epsilon would be felt.
    sizes = {name: 1.0 if name.startswith("transformer.h.") else scale for name in starts}
    given = [
        {name: one * one.dtype.type(sizes[name]) for name, one in zip(starts, now, strict=True)}
        for now in paths.gradients(seed, shapes, 2)
    ]
    options = chosen if decay is None else chosen | {"weight_decay": decay}
    if in_order:
        options = DEFAULTS | options
    multipliers = [1.0, 0.5]
    got = probe(
        "sharing.walk",
        config=model,
        options=options,
        starts=starts,
        gradients=given,
        multipliers=multipliers,
        times=times,
        in_order=in_order,
    )
    for name, start in starts.items():
        kind, base = optimizer_of(name, model, options)
        each = [base | {"lr": base["lr"] * multiplier} for multiplier in multipliers]
        wanted = optimizers.path(kind, start, [now[name] for now in given], each)
        for step, after in enumerate(got):
            if name not in after:
                broken(f"the model has no parameter {name}")
            expect_step(kind, after[name], start, wanted, each, step, name, " of setup_optimizers")


@law(examples=6, seed=seeds, model=models)
def test_making_optimizers_changes_nothing(probe: Probe, seed: int, model: Config) -> None:
    """Making optimizers leaves the parameters, their gradients and the mode of the model as they were.

    Kills: parameters replaced by copies, which would then be trained in place of the model's.
    """
    answer = probe("sharing.side_effects", config=model, starts=starts_of(probe, model, seed))
    expect_equal(answer, [], "what setup_optimizers changed of the model")


def starts_of(probe: Probe, model: Config, seed: int) -> dict[str, NDArray[np.float32]]:
    """Return values for all parameters of the model, whatever shapes it gave them: those are level 3's."""
    shapes = probe("sharing.shapes", config=model)
    drawn = paths.starts(seed, [tuple(shape) for shape in shapes.values()])
    return dict(zip(shapes, drawn, strict=True))


def rate_of(name: str, model: Config, chosen: Mapping[str, float]) -> float:
    """Return the learning rate of a parameter."""
    options = DEFAULTS | dict(chosen)
    if name.startswith("transformer.h."):
        return options["matrix_lr"]
    base = options["unembedding_lr" if name.startswith("lm_head") else "embedding_lr"]
    return float(base * (model["n_embd"] / 768) ** -0.5)


def optimizer_of(name: str, model: Config, chosen: Mapping[str, float]) -> tuple[str, dict[str, Any]]:
    """Return kind and options of the optimizer that a parameter should have."""
    rate = rate_of(name, model, chosen)
    if name.startswith("transformer.h."):
        return "Muon", {"lr": rate}
    decay = (DEFAULTS | dict(chosen))["weight_decay"]
    return "AdamW", {"lr": rate, "betas": (0.8, 0.95), "eps": 1e-10, "weight_decay": decay}


def expect_rate(got: Any, want: float, what: str) -> None:
    """Require a learning rate, which may have been kept in float32."""
    expect_close(np.asarray(got), np.asarray(want), tolerances.LEARNING_RATE, what)
