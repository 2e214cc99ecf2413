"""Experiments on the submission's `AdamW` and `Muon`, with parameters and gradients that the judge chose."""

from __future__ import annotations

import copy
import inspect
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from specs.probes.loading import imported
from specs.probes.registry import probe
from specs.probes.setting import torch_device
from specs.probes.signatures import called
from specs.probes.traces import random_states, torch_defaults, usual_defaults
from specs.probes.values import values

Array = NDArray[Any]
Group = dict[str, Any]
Gradients = list[list[Array | None]]
"""For each step, for each parameter: its gradient, or None."""
PLAIN = "plain"
ORDER = {"AdamW": ["lr", "betas", "eps", "weight_decay"], "Muon": ["lr", "momentum", "nesterov", "ns_steps"]}
"""The arguments of each behind the parameters."""


@probe
def path(
    kind: str,
    starts: list[Array],
    gradients: Gradients,
    options: dict[str, Any],
    groups: list[Group] | None = None,
    rates: list[list[float]] | None = None,
    layouts: tuple[str, str] = (PLAIN, PLAIN),
    in_order: bool = False,
    settings: list[dict[str, Any]] | None = None,
) -> list[list[Array]]:
    """Return every parameter after each step of one optimizer.

    `options` are the arguments of the optimizer. `groups` are those of its groups: "members", the places of
    its parameters in `starts`, and its own options; without, all parameters are given as a list. `rates` are
    the learning rates of the groups, or one for all of them, set before each step. `layouts` say how
    parameters and gradients lie in memory, see `laid_out`. With `in_order`, options are given without their
    names: the first ones, as many as there are. `settings` are values that every group is given before each
    step.
    """
    with usual_defaults():
        parameters = made(starts, layouts[0])
        if in_order:
            given = plain_options(options)
            arguments = {"params": list(parameters)} | {
                name: given[name] for name in ORDER[kind][: len(given)]
            }
            optimizer = called(getattr(imported("nanochat.optim"), kind), arguments, named=False)
        else:
            optimizer = optimizer_of(kind, parameters, options, groups)
        if settings is None:
            return walk(optimizer, parameters, gradients, rates, layouts[1])
        found = []
        for step, now in zip(gradients, settings, strict=True):
            for group in optimizer.param_groups:
                group.update(plain_options(now))
            found += walk(optimizer, parameters, [step], None, layouts[1])
        return found


@probe
def resumed(
    kind: str,
    starts: list[Array],
    gradients: Gradients,
    options: dict[str, Any],
    groups: list[Group] | None,
    before: int,
    other_options: dict[str, Any],
    other_gradients: Gradients,
) -> list[list[Array]]:
    """Return every parameter after each step that follows step `before`, made by another optimizer.

    It holds copies of the parameters, was made with `other_options`, has stepped with `other_gradients`, and
    was then given the state of the first.
    """
    with usual_defaults():
        parameters = made(starts)
        first = optimizer_of(kind, parameters, options, groups)
        walk(first, parameters, gradients[:before], None)
        state = copy.deepcopy(first.state_dict())

        copies = made(starts)
        other_groups = None if groups is None else [{"members": group["members"]} for group in groups]
        second = optimizer_of(kind, copies, other_options, other_groups)
        walk(second, copies, other_gradients, None)
        with torch.no_grad():
            for mine, original in zip(copies, parameters, strict=True):
                mine.copy_(original)
        second.load_state_dict(state)
        return walk(second, copies, gradients[before:], None)


@probe
def grown(
    kind: str,
    starts: list[Array],
    gradients: Gradients,
    options: dict[str, Any],
    late: dict[str, Any],
    before: int,
) -> list[list[Array]]:
    """Return every parameter after each step of an optimizer that is given another group in between.

    `late` are the options of that group, which holds the last parameter and comes after `before` steps.
    """
    with usual_defaults():
        parameters = made(starts)
        optimizer = optimizer_of(kind, parameters[:-1], options, None)
        found = walk(optimizer, parameters, gradients[:before], None)
        optimizer.add_param_group({"params": parameters[-1:]} | plain_options(late))
        return found + walk(optimizer, parameters, gradients[before:], None)


@probe
def by_closure(
    kind: str, starts: list[Array], gradients: Gradients, options: dict[str, Any]
) -> dict[str, Any]:
    """Return every parameter after each step with a closure, and what is to be seen of its calls.

    The closure gives the parameters the gradients, by differentiating sums, and returns the number of the
    step. "answers" are what the steps returned, "calls" how often the closure was called in each, and "moved"
    whether a parameter had been moved before.
    """
    with usual_defaults():
        parameters = made(starts)
        optimizer = optimizer_of(kind, parameters, options, None)
        found, answers, calls, moved = [], [], [], []
        for number, now in enumerate(gradients):
            before, times = seen(parameters), 0

            def closure(
                number: int = number, now: list[Array | None] = now, before: list[Array] = before
            ) -> float:
                nonlocal times
                times += 1
                moved.append(
                    any(not np.array_equal(*pair) for pair in zip(seen(parameters), before, strict=True))
                )
                for parameter, one in zip(parameters, now, strict=True):
                    parameter.grad = None
                    if one is not None:
                        total = (parameter * single(one)).sum()
                        (parameter.grad,) = torch.autograd.grad(total, [parameter])
                return 1.5 + number

            if inspect.signature(optimizer.step).parameters:
                answers.append(optimizer.step(closure))
            else:  # it takes none, which is free
                answers.append(closure())
                optimizer.step()
            calls.append(times)
            found.append(seen(parameters))
        return {"path": found, "answers": answers, "calls": calls, "moved": any(moved)}


@probe
def side_by_side(
    kind: str, starts: list[Array], gradients: list[Gradients], options: list[dict[str, Any]]
) -> list[list[list[Array]]]:
    """Return the paths under several optimizers, each with copies of the parameters, that step in turn."""
    with usual_defaults():
        copies = [made(starts) for _ in options]
        optimizers = [
            optimizer_of(kind, mine, chosen, None) for mine, chosen in zip(copies, options, strict=True)
        ]
        paths: list[list[list[Array]]] = [[] for _ in options]
        for step in range(len(gradients[0])):
            for place, optimizer in enumerate(optimizers):
                paths[place] += walk(optimizer, copies[place], gradients[place][step : step + 1], None)
        return paths


@probe
def traces(kind: str, starts: list[Array], gradients: Gradients, options: dict[str, Any]) -> dict[str, Any]:
    """Return what steps changed besides the values of the parameters, and where these ended."""
    with usual_defaults():
        parameters = made(starts)
        optimizer = optimizer_of(kind, parameters, options, None)
        stranger = torch.nn.Parameter(torch.ones(3, 3, device=torch_device()))
        stranger.grad = torch.ones_like(stranger)
        # Moved on first: a submission that seeds them would not change what an earlier call has seeded.
        torch.rand(1)
        shared = [random_states(), torch_defaults(), torch.get_float32_matmul_precision()]
        places = [parameter.data_ptr() for parameter in parameters]
        changed: list[str] = []
        for step in gradients:
            given = handed(parameters, step)
            kept = [None if one is None else one.clone() for one in given]
            optimizer.step()
            for parameter, one, before in zip(parameters, given, kept, strict=True):
                if parameter.grad is not one:
                    changed.append("the attribute grad")
                if one is not None and before is not None and not torch.equal(one, before):
                    changed.append("the values of a gradient")
        if places != [parameter.data_ptr() for parameter in parameters]:
            changed.append("the memory that a parameter lies in")
        if not all(parameter.requires_grad and parameter.is_leaf for parameter in parameters):
            changed.append("whether a parameter is trained")
        if [random_states(), torch_defaults(), torch.get_float32_matmul_precision()] != shared:
            changed.append("settings or random states that all of the process share")
        if not bool((stranger == 1).all()) or not bool((stranger.grad == 1).all()):
            changed.append("a tensor that the optimizer was not given")
        return {"changed": sorted(set(changed)), "parameters": seen(parameters)}


@probe
def builds(kind: str, starts: list[Array], groups: list[Group] | None = None) -> str:
    """Make an optimizer; return "accepted" if nothing was raised."""
    optimizer_of(kind, made(starts), {}, groups)
    return "accepted"


@probe
def is_torchs(kind: str) -> bool:
    """Say whether the optimizer is one of torch: what schedulers and checkpoints ask for."""
    optimizer = optimizer_of(kind, made([np.ones((2, 2), np.float32)]), {}, None)
    return isinstance(optimizer, torch.optim.Optimizer)


@probe
def is_fused(kind: str) -> bool:
    """Say whether the optimizer runs torch's fused kernel, which takes values in the order they lie in."""
    optimizer = optimizer_of(kind, made([np.ones((2, 2), np.float32)]), {}, None)
    return isinstance(optimizer, torch.optim.AdamW) and bool(optimizer.param_groups[0].get("fused"))


def optimizer_of(
    kind: str, parameters: Sequence[torch.nn.Parameter], options: dict[str, Any], groups: list[Group] | None
) -> Any:
    """Return the submission's optimizer `kind` of the parameters, in `groups` if there are any."""
    make = getattr(imported("nanochat.optim"), kind)
    chosen = plain_options(options)
    if groups is None:
        return make(list(parameters), **chosen)
    described = [
        {"params": [parameters[place] for place in group["members"]]}
        | plain_options({name: value for name, value in group.items() if name != "members"})
        for group in groups
    ]
    return make(described, **chosen)


def plain_options(options: dict[str, Any]) -> dict[str, Any]:
    """Return options with the betas as a tuple, which is what torch's own optimizers are given."""
    return {name: tuple(value) if name == "betas" else value for name, value in options.items()}


def made(starts: Sequence[Array], layout: str = PLAIN) -> list[torch.nn.Parameter]:
    """Return fresh float32 parameters: training is in float32, whatever models answer in."""
    return [torch.nn.Parameter(laid_out(single(start), layout)) for start in starts]


def laid_out(tensor: torch.Tensor, layout: str) -> torch.Tensor:
    """Return equal values that lie otherwise in memory.

    "plain" one row behind the other, "turned" one column behind the other, "spread" with gaps between them.
    """
    if layout == "turned" and tensor.ndim >= 2:
        return tensor.mT.contiguous().mT
    if layout == "spread" and tensor.ndim >= 1:
        return torch.stack([tensor, torch.full_like(tensor, 1e4)], dim=-1)[..., 0]
    return tensor


def single(array: Array) -> torch.Tensor:
    """Return a fresh float32 tensor on the submission's device."""
    return torch.tensor(array, dtype=torch.float32, device=torch_device())


def handed(
    parameters: Sequence[torch.nn.Parameter], gradients: Sequence[Array | None], layout: str = PLAIN
) -> list[torch.Tensor | None]:
    """Give the parameters their gradients and return these."""
    given = [None if one is None else laid_out(single(one), layout) for one in gradients]
    for parameter, gradient in zip(parameters, given, strict=True):
        parameter.grad = gradient
    return given


def walk(
    optimizer: Any,
    parameters: Sequence[torch.nn.Parameter],
    gradients: Gradients,
    rates: list[list[float]] | None,
    layout: str = PLAIN,
) -> list[list[Array]]:
    """Make a step for each entry of `gradients` and return all parameters after each."""
    found = []
    for step, now in itertools.zip_longest(gradients, rates or []):
        each = now * len(optimizer.param_groups) if now and len(now) == 1 else now or []
        for group, rate in zip(optimizer.param_groups, each, strict=False):
            group["lr"] = rate
        handed(parameters, step, layout)
        optimizer.step()
        found.append(seen(parameters))
    return found


def seen(parameters: Sequence[torch.nn.Parameter]) -> list[Array]:
    """Return the values of the parameters."""
    return [values(parameter, "a parameter") for parameter in parameters]
