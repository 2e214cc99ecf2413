"""Experiments on the submission's evaluations, with the small model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from specs.probes.loading import imported
from specs.probes.registry import probe
from specs.probes.setting import torch_device
from specs.probes.signatures import called
from specs.probes.small_model import Arrays, Counted, Pair, SmallModel, plain, tensors
from specs.probes.traces import moved_random_states, random_states


@probe
def loss_of(
    weights: Arrays,
    pairs: list[Pair],
    training: bool = True,
    dropout: float = 0.0,
    form: str = "list",
    more: list[Any] | None = None,
    times: int = 1,
    dtype: str = "float32",
    recording: bool = True,
    named: bool = False,
    fails: str | None = None,
) -> dict[str, Any]:
    """Return the loss that `evaluate` finds, and what it changed; `more` stands behind inputs and targets.

    The first batch, one object, comes `times` times. `recording` says whether gradients are recorded when it
    is called. With `named`, arguments are given by name. With `fails`, "model" or "batches", another
    evaluation comes before it, in which an error comes from there.
    """
    model = SmallModel(weights, dropout).to(getattr(torch, dtype))
    evaluate = imported("nanochat.train").evaluate
    counted = Counted(pairs, tuple(more or ()), times)

    def call(batches: Any) -> Any:
        return called(evaluate, {"model": model, "batches": batches}, named)

    return evaluated(model, counted, training, form, call, recording, fails)


@probe
def bits_per_byte(
    weights: Arrays,
    pairs: list[Pair],
    token_bytes: list[int],
    training: bool = True,
    dropout: float = 0.0,
    form: str = "list",
    as_tensor: bool = False,
    more: list[Any] | None = None,
    times: int = 1,
    dtype: str = "float32",
    recording: bool = True,
    named: bool = False,
    fails: str | None = None,
) -> dict[str, Any]:
    """Return the bits for each byte that `evaluate_bits_per_byte` finds, and what it changed."""
    model = SmallModel(weights, dropout).to(getattr(torch, dtype))
    measure = imported("nanochat.train").evaluate_bits_per_byte
    sizes = torch.tensor(token_bytes, device=torch_device()) if as_tensor else list(token_bytes)
    counted = Counted(pairs, tuple(more or ()), times)

    def call(batches: Any) -> Any:
        return called(measure, {"model": model, "batches": batches, "token_bytes": sizes}, named)

    answer = evaluated(model, counted, training, form, call, recording, fails)
    if [int(size) for size in sizes] != token_bytes:
        answer["changed"].append("the numbers of bytes")
    return answer


def evaluated(
    model: SmallModel,
    counted: Counted,
    training: bool,
    form: str,
    call: Any,
    recording: bool = True,
    fails: str | None = None,
) -> dict[str, Any]:
    """Return what a measurement of a model gives, how it was made, and what it changed.

    With `fails`, what one changed that an error ended, and what another gives after it.
    """
    model.train(training)
    model.get_parameter("idle").requires_grad_(False)
    model.get_parameter("wte").grad = torch.ones_like(model.get_parameter("wte"))
    parameters = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    trained = {name: each.requires_grad for name, each in model.named_parameters()}
    before = moved_random_states()
    with torch.set_grad_enabled(recording):
        if fails is None:
            answer = call(list(counted) if form == "list" else iter(counted))
        else:
            with contextlib.suppress(Exception):
                call(spoilt(model, [tensors(pair) for pair in counted.pairs], fails))
        recorded = torch.is_grad_enabled()
    changed = {
        "parameters": any(
            not torch.equal(parameter, parameters[name]) for name, parameter in model.named_parameters()
        ),
        "gradients": not gradients_are_as_put(model),
        "the mode of the model": model.training != training or model.dropout.training != training,
        "whether parameters want gradients": any(
            each.requires_grad != trained[name] for name, each in model.named_parameters()
        ),
        "whether gradients are recorded": recorded != recording,
        "random states": random_states() != before,
        "the batches": counted.changed(),
    }
    if fails is not None:
        for free in ("the mode of the model", "random states"):
            del changed[free]
        answer = call(list(counted))
    return {
        "value": plain(answer)[0],
        "float": plain(answer)[1],
        "changed": [what for what, is_changed in changed.items() if is_changed],
        "modes": [each["training"] for each in model.passes],
    }


def spoilt(model: SmallModel, batches: list[Any], fails: str) -> Iterator[Any]:
    """Give out batches, then raise, or with "model" give out one with an id for which the model raises."""
    yield from batches
    if fails == "batches":
        raise OSError("the batches cannot be read any further")
    yield tensors((np.full((1, 2), model.vocabulary), np.zeros((1, 2), np.int64)))


def gradients_are_as_put(model: SmallModel) -> bool:
    """Say whether `wte` has a gradient of ones and no other parameter has any."""
    return all(
        isinstance(parameter.grad, Tensor) and bool((parameter.grad == 1).all())
        if name == "wte"
        else parameter.grad is None
        for name, parameter in model.named_parameters()
    )
