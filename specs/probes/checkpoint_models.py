"""Checkpoints of models of unusual makes, and of directories to which something happens afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import torch

from specs.probes.checkpoint import folder, load, save
from specs.probes.registry import probe
from specs.probes.training_state import Arrays, Recipe, Training, Tree
from specs.probes.values import dtype_name, values

DTYPES = [torch.bfloat16, torch.float32, torch.float16, torch.float64]


@probe
def came_back(make: str, parameters: Arrays, other_parameters: Arrays) -> dict[str, Any]:
    """Save a model after a step, load it into one of `other_parameters`, and make another step with both.

    `make` says how the parameters are held, see `MAKES`. Return what the state of each then holds, by name.
    """
    with folder() as directory:
        first, second = Odd(make, parameters), Odd(make, other_parameters)
        first.walk_on()
        save(directory / "run", first, 1)
        saved = first.held()
        load(directory / "run", second)
        loaded = second.held()
        for each in (first, second):
            each.walk_on()
        return {
            "saved": saved,
            "loaded": loaded,
            "dtypes": [
                {name: dtype_name(tensor) for name, tensor in each.model.state_dict().items()}
                for each in (first, second)
            ],
            "uninterrupted": first.held(),
            "resumed": second.held(),
        }


@probe
def after_loading(
    parameters: Arrays, others: Arrays, recipe: Recipe, gradients: list[Arrays], what: str
) -> dict[str, dict[str, Arrays]]:
    """Load a training that has made the first step, and do something to its directory before it goes on.

    `what` is "saved again" by who has loaded it, "written over" with a training of `others`, or "removed".
    Return the parameters and those after the other steps of who has loaded, and of who loads what it saved.
    """
    with folder() as directory:
        run = directory / "run"
        first, stranger = Training(parameters, recipe), Training(others, recipe)
        first.walk(gradients[:1])
        stranger.walk(gradients)
        save(run, first, 1)
        readers = {"who has loaded it": Training(others, recipe)}
        load(run, readers["who has loaded it"])
        if what == "saved again":
            save(run, readers["who has loaded it"], 1)
            readers["who loads what was saved again"] = Training(others, recipe)
            load(run, readers["who loads what was saved again"])
        elif what == "written over":
            save(run, stranger, 3)
        else:
            shutil.rmtree(run)
        found = {}
        for who, reader in readers.items():
            loaded = reader.parameters()
            reader.walk(gradients[1:])
            found[who] = {"loaded": loaded, "later": reader.parameters()}
        return found


class Odd(Training):
    """A training of a model of some make, with gradient descent that has a momentum."""

    def __init__(self, make: str, parameters: Arrays) -> None:
        self.model = Tree(parameters)
        MAKES[make](self.model)
        descent = torch.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)
        descent.param_groups[0]["initial_lr"] = 0.1
        self.optimizers = [descent]

    def walk_on(self) -> None:
        """Make a step."""
        for place, parameter in enumerate(self.model.parameters()):
            parameter.grad = 0.1 * parameter.detach() + (1 + place) / 8
        self.optimizers[0].step()

    def held(self) -> Arrays:
        """Return the values of all that the state of the model holds."""
        return {name: values(tensor, name) for name, tensor in self.model.state_dict().items()}


def _in_other_dtypes(model: Tree) -> None:
    for place, parameter in enumerate(model.parameters()):
        parameter.data = parameter.data.to(DTYPES[place % len(DTYPES)])


def _tied(model: Tree) -> None:
    """Let the last parameter be the first one, under its own name."""
    first, *_, last = (name for name, _ in model.named_parameters())
    folder_of_last, _, name = last.rpartition(".")
    model.get_submodule(folder_of_last).register_parameter(name, model.get_parameter(first))


def _turned(model: Tree) -> None:
    """Let values lie column by column, and the last with gaps between them."""
    *most, last = model.parameters()
    for parameter in most:
        parameter.data = parameter.data.mT.contiguous().mT if parameter.ndim > 1 else parameter.data
    last.data = torch.stack([last.data, last.data], dim=-1)[..., 0]


def _in_one_memory(model: Tree) -> None:
    """Let all parameters be parts of one tensor."""
    whole = torch.cat([parameter.data.reshape(-1) for parameter in model.parameters()])
    place = 0
    for parameter in model.parameters():
        parameter.data = whole[place : place + parameter.numel()].view(parameter.shape)
        place += parameter.numel()


def _as_they_are(_: Tree) -> None:
    """Leave names and shapes to say what is unusual."""


MAKES: dict[str, Callable[[Tree], None]] = {
    "as they are": _as_they_are,
    "other dtypes": _in_other_dtypes,
    "tied": _tied,
    "turned": _turned,
    "one memory": _in_one_memory,
}
