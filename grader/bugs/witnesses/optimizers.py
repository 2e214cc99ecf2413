"""Witnesses of bugs in optimizers and in how they share out parameters."""

from __future__ import annotations

import copy
from typing import Any

import torch

from grader.bugs.witnesses.setting import Modules, attempt, generator

SHAPES = ((4, 4), (6, 2), (4, 4), (2, 5))


def _some_parameters(seed: int) -> list[torch.nn.Parameter]:
    return [torch.nn.Parameter(torch.randn(shape, generator=generator(seed))) for shape in SHAPES]


def _moved(
    optimizer: torch.optim.Optimizer,
    parameters: list[torch.nn.Parameter],
    seed: int,
    steps: int = 3,
    size: float = 1.0,
) -> list[Any]:
    """Return how far parameters and gradients have come after some steps; the third has few gradients."""
    before = [parameter.detach().clone() for parameter in parameters]
    for step in range(steps):
        for place, parameter in enumerate(parameters):
            parameter.grad = torch.randn(parameter.shape, generator=generator(seed + step)) * size
            if place == 2 and step % 2:
                parameter.grad = None
        optimizer.step()
    # Enlarged: two outcomes are different from a thousandth on.
    found: list[Any] = [((now - then) * 100).tolist() for now, then in zip(parameters, before, strict=True)]
    return [*found, *(None if one.grad is None else one.grad.sum().item() / size for one in parameters)]


def _each(modules: Modules, kind: str, settings: list[dict[str, Any]], size: float) -> list[Any]:
    make = getattr(modules["optim"], kind)
    found = []
    for seed, options in enumerate(settings):
        parameters = _some_parameters(seed)
        groups: list[dict[str, Any]] = [{"params": parameters[:1], "lr": 0.3}, {"params": parameters[1:]}]
        if kind == "Muon":
            groups[0]["ns_steps"] = 3
        optimizer = make(groups, **options)
        found.append(_moved(optimizer, parameters, seed, size=size))
        copies = [torch.nn.Parameter(parameter.detach().clone()) for parameter in parameters]
        other = make([{"params": copies[:1]}, {"params": copies[1:]}])
        other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        found.append(_moved(other, copies, seed + 9, size=size))
    return found


def adamw(modules: Modules) -> Any:
    """Return how AdamW moves parameters in two settings, with gradients of the size of epsilon and of one."""
    settings: list[dict[str, Any]] = [
        {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.5},
        {"lr": 0.02, "betas": (0.9, 0.99), "eps": 1e-3, "weight_decay": 0.0},
    ]
    return _each(modules, "AdamW", settings, 1.0) + _each(modules, "AdamW", settings, 1e-3)


def muon(modules: Modules) -> Any:
    """Return how Muon moves matrices in several settings."""
    settings: list[dict[str, Any]] = [
        {"lr": 0.1},
        {"lr": 0.1, "momentum": 0.5, "nesterov": False},
        {"lr": 0.1, "ns_steps": 2},
    ]
    return _each(modules, "Muon", settings, 1.0)


def refusals(modules: Modules) -> Any:
    """Return what becomes of a Muon of parameters that are no matrices."""
    found = []
    for shape in ((3,), (2, 2, 2), ()):
        odd = torch.nn.Parameter(torch.ones(shape))
        made = attempt(lambda: type(modules["optim"].Muon([*_some_parameters(0), odd])).__name__)  # noqa: B023  # called at once
        found.append(made)
    return found


def shares(modules: Modules) -> Any:
    """Return how the optimizers of two models hold and move their parameters."""
    found: list[Any] = []
    gpt = modules["gpt"]
    for seed, (layers, width) in enumerate(((1, 32), (3, 52))):
        config = gpt.GPTConfig(
            sequence_len=8, vocab_size=11, n_layer=layers, n_head=2, n_kv_head=2, n_embd=width
        )
        model = gpt.GPT(config)
        model.init_weights()
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        try:
            optimizers = model.setup_optimizers(weight_decay=0.5)
        except Exception as error:  # noqa: BLE001  # whatever broken code raises is its outcome
            found.append(type(error).__name__)
            continue
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                held = sorted(names[id(parameter)] for parameter in group["params"])
                rates = [group["lr"], group.get("initial_lr", -1.0)]
                found.append([type(optimizer).__name__, held, rates])
        for parameter in model.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator(seed))
        for optimizer in optimizers:
            optimizer.step()
        found += [parameter.abs().sum().item() for parameter in model.parameters()]
        again = model.setup_optimizers(unembedding_lr=0.0, embedding_lr=0.0, matrix_lr=0.5)
        found.append([group["lr"] for optimizer in again for group in optimizer.param_groups])
    return found


def layouts(modules: Modules) -> Any:
    """Return how both optimizers move matrices whose gradients lie otherwise in memory."""
    found: list[Any] = []
    for seed, kind in enumerate(("AdamW", "Muon")):
        for turned in (False, True):
            matrix = torch.nn.Parameter(torch.ones(3, 4))
            gradient = torch.randn(4, 3, generator=generator(seed)).T
            matrix.grad = gradient if turned else gradient.contiguous()
            optimizer = getattr(modules["optim"], kind)([matrix], lr=0.1)
            found.append(attempt(optimizer.step))
            found.append(matrix.tolist())
    return found
