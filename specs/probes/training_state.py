"""A small model and optimizers of torch, whose training a checkpoint must be able to interrupt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from specs.probes.setting import torch_device
from specs.probes.values import values

Arrays = dict[str, NDArray[Any]]
Recipe = list[dict[str, Any]]
"""A list of optimizers: "kind", and "groups", each a dict of "members" (names of parameters) and options."""


class Noting(torch.optim.Optimizer):
    """Gradient descent whose step depends on plain values that it remembers: numbers and a truth.

    No text: torch takes one apart when it loads a state.
    """

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, {"lr": lr, "steps": 0})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Move each parameter by its gradient, the further the more steps it has made."""
        for group in self.param_groups:
            group["steps"] += 1
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state.update(count=0, pace=1.0, odd=False)
                state.update(count=state["count"] + 1, pace=state["pace"] / 1.1, odd=not state["odd"])
                size = state["pace"] * (1 + state["count"]) * (1.5 if state["odd"] else 1.0)
                parameter.sub_(parameter.grad, alpha=group["lr"] * size / group["steps"])
        return closure


# See specs/probes/small_model.py.
Noting.step.hooked = True  # type: ignore[attr-defined]  # functions take attributes

KINDS: dict[str, Any] = {
    "noting": Noting,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
    "adagrad": torch.optim.Adagrad,
}


class Tree(nn.Module):
    """Parameters by their dotted names, each in a module of its own, as in a larger model."""

    def __init__(self, parameters: Arrays, buffers: Arrays | None = None) -> None:
        super().__init__()
        for name, value in parameters.items():
            place, last = self._place(name)
            held = torch.tensor(value, dtype=torch.float32, device=torch_device())
            place.register_parameter(last, nn.Parameter(held))
        for name, value in (buffers or {}).items():
            place, last = self._place(name)
            place.register_buffer(last, torch.tensor(value, device=torch_device()))
        # One that is made anew with each model and is no part of its state, like GPT's rotary tables.
        self.register_buffer("table", torch.ones(1, 3, device=torch_device()), persistent=False)

    def _place(self, name: str) -> tuple[nn.Module, str]:
        """Return the module that holds what has this name, and its name there."""
        *folders, last = name.split(".")
        place: nn.Module = self
        for folder in folders:
            if not hasattr(place, folder):
                place.add_module(folder, nn.Module())
            place = getattr(place, folder)
        return place, last

    def state_buffers(self) -> dict[str, torch.Tensor]:
        """Return the buffers that are part of its state."""
        return {name: buffer for name, buffer in self.named_buffers() if name != "table"}

    def forward(self, idx: torch.Tensor) -> torch.Tensor:
        """Return the ids: nothing here is about what a model computes."""
        return idx


class Training:
    """A model, its optimizers, and steps in which each gradient depends on the values of its parameter."""

    def __init__(self, parameters: Arrays, recipe: Recipe, buffers: Arrays | None = None) -> None:
        self.model = Tree(parameters, buffers)
        named = dict(self.model.named_parameters())
        self.optimizers = [made(entry, named) for entry in recipe]

    def walk(self, gradients: Sequence[Arrays], rates: Sequence[float] = ()) -> None:
        """Step with each of `gradients`; before step i all learning rates are the initial ones x rates[i].

        A parameter that an entry leaves out has no gradient in that step. Gradients depend on the buffers, if
        there are any, and each step changes these, as running averages do.
        """
        for number, now in enumerate(gradients):
            shift = sum(float(buffer.double().mean()) for buffer in self.model.state_buffers().values())
            for name, parameter in self.model.named_parameters():
                given = now.get(name)
                parameter.grad = None
                if given is not None:
                    drawn = torch.tensor(given, dtype=torch.float32, device=torch_device())
                    parameter.grad = drawn + 0.1 * parameter.detach() + 0.1 * shift
            for optimizer in self.optimizers:
                for group in optimizer.param_groups:
                    if number < len(rates):
                        group["lr"] = group["initial_lr"] * rates[number]
                optimizer.step()
            for buffer in self.model.state_buffers().values():
                if buffer.is_floating_point():
                    buffer.mul_(0.5)
                buffer.add_(1)

    def parameters(self) -> Arrays:
        """Return the values of all parameters by name."""
        return {name: values(parameter, name) for name, parameter in self.model.named_parameters()}

    def buffers(self) -> Arrays:
        """Return the values of all buffers by name."""
        return {name: values(buffer, name) for name, buffer in self.model.state_buffers().items()}

    def rates(self) -> list[list[float]]:
        """Return [learning rate, initial one] of every group of every optimizer."""
        return [
            [float(group["lr"]), float(group["initial_lr"])]
            for optimizer in self.optimizers
            for group in optimizer.param_groups
        ]

    def memory(self) -> list[Any]:
        """Return what the optimizers remember, as tensors and plain values that nothing else changes."""
        return [
            copied(part)
            for optimizer in self.optimizers
            for part in sorted_items(optimizer.state_dict()["state"])
        ]


def made(entry: dict[str, Any], named: dict[str, nn.Parameter]) -> torch.optim.Optimizer:
    """Return an optimizer of torch; every group keeps its learning rate as "initial_lr", too."""
    groups = []
    for group in entry["groups"]:
        options = {name: value for name, value in group.items() if name != "members"}
        chosen = [named[name] for name in group["members"]]
        groups.append({"params": chosen, "initial_lr": options["lr"]} | options)
    optimizer: torch.optim.Optimizer = KINDS[entry["kind"]](groups, lr=0.1)
    return optimizer


def sorted_items(state: dict[Any, dict[str, Any]]) -> list[Any]:
    """Return [parameter, name, value] of all that an optimizer remembers, in one order."""
    return [[place, name, state[place][name]] for place in sorted(state) for name in sorted(state[place])]


def copied(part: list[Any]) -> list[Any]:
    """Return an entry of `sorted_items` with an array in place of a tensor."""
    place, name, value = part
    return [place, name, values(value, name) if isinstance(value, torch.Tensor) else value]
