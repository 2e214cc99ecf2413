"""Witnesses of bugs in checkpoints."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from grader.bugs.witnesses.setting import Modules, attempt, generator

_ran = False


class _Sets:
    """Says so when it is unpickled in full."""

    def __reduce__(self) -> Any:
        return _set, ()


def _set() -> None:
    global _ran
    _ran = True


def _training(seed: int, width: int = 3) -> tuple[nn.Module, list[torch.optim.Optimizer]]:
    model = nn.Sequential(nn.Linear(2, width), nn.Linear(width, 1))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator(seed)))
    first = torch.optim.AdamW(model[0].parameters(), lr=0.1)
    second = torch.optim.SGD(model[1].parameters(), lr=0.1, momentum=0.9)
    return model, [first, second]


def _walk(model: nn.Module, optimizers: list[torch.optim.Optimizer], seed: int, rate: float) -> None:
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator(seed))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()


def _state(model: nn.Module, optimizers: list[torch.optim.Optimizer]) -> list[Any]:
    rates = [group["lr"] for optimizer in optimizers for group in optimizer.param_groups]
    return [[parameter.tolist() for parameter in model.parameters()], rates, model.training]


def resuming(modules: Modules) -> Any:
    """Return what two trainings are after being saved, loaded over another one, and continued."""
    train = modules["train"]
    found: list[Any] = []
    for seed, steps in ((0, 2), (1, 3)):
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "a" / "run"
            training = _training(seed)
            for step in range(steps):
                _walk(*training, step, 0.1 / (step + 1))
            train.save_checkpoint(place, *training, steps + 5, {"shard": 3})
            found.append(_state(*training))
            _walk(*training, 7, 0.3)
            train.save_checkpoint(place, *training, steps, {"shard": seed, "at": [1, {"token": 2}]})
            found.append(sorted(path.name for path in place.iterdir()))
            other = _training(seed + 5)
            _walk(*other, 9, 0.7)
            answer = train.load_checkpoint(place, *other)
            found += [sorted(answer.items()), _state(*other)]
            for optimizer in other[1]:
                _set_gradients(other[0], 11)
                optimizer.step()
            found.append(_state(*other))
    return found


def _set_gradients(model: nn.Module, seed: int) -> None:
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator(seed))


def refusals(modules: Modules) -> Any:
    """Return what becomes of checkpoints that do not fit, are not there, or carry code."""
    global _ran
    train = modules["train"]
    found: list[Any] = []
    for seed, width in ((0, 2), (1, 4)):
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "run"
            found.append(attempt(lambda: train.load_checkpoint(place, *_training(seed))))  # noqa: B023  # called at once
            train.save_checkpoint(place, *_training(seed), 1)
            extra = _training(seed)
            extra[0].register_parameter("extra", nn.Parameter(torch.ones(2)))
            for other in (_training(seed, width), extra):
                try:
                    train.load_checkpoint(place, *other)
                    found.append("loaded")
                except Exception as error:  # noqa: BLE001  # whatever broken code raises is its outcome
                    found.append(["0.weight" in str(error), "extra" in str(error)])
            for file in place.iterdir():
                torch.save(_Sets(), file)
            _ran = False
            attempt(lambda: train.load_checkpoint(place, *_training(seed)))  # noqa: B023  # called at once
            found.append(_ran)
    return found


def buffers(modules: Modules) -> Any:
    """Return what becomes of a running average and a count that a model remembers."""
    train = modules["train"]
    found: list[Any] = []
    for seed, size in ((0, 2), (1, 3)):
        with tempfile.TemporaryDirectory() as folder:
            models = [_training(seed), _training(seed + 1)]
            for number, (model, _) in enumerate(models):
                model.register_buffer("average", torch.full((size,), 1.0 + number))
                model.register_buffer("count", torch.tensor(5 * number))
            train.save_checkpoint(folder, *models[0], 1)
            train.load_checkpoint(folder, *models[1])
            found += [_state(*models[1]), [buffer.tolist() for buffer in models[1][0].buffers()]]
    return found


def frozen(modules: Modules) -> Any:
    """Return what becomes of a parameter that no optimizer holds."""
    train = modules["train"]
    found: list[Any] = []
    for seed, size in ((0, 2), (1, 3)):
        with tempfile.TemporaryDirectory() as folder:
            models = [_training(seed), _training(seed + 1)]
            for number, (model, _) in enumerate(models):
                model.register_parameter("still", nn.Parameter(torch.full((size,), 1.0 + number)))
            train.save_checkpoint(folder, *models[0], 1)
            train.load_checkpoint(folder, *models[1])
            found.append(_state(*models[1]))
    return found


def options(modules: Modules) -> Any:
    """Return the groups of optimizers that were made with other values than those that are loaded."""
    train = modules["train"]
    found: list[Any] = []
    for seed, momentum in ((0, 0.3), (1, 0.5)):
        with tempfile.TemporaryDirectory() as folder:
            trainings = [_training(seed), _training(seed + 1)]
            for number, (_, optimizers) in enumerate(trainings):
                for optimizer in optimizers:
                    optimizer.param_groups[0]["initial_lr"] = 0.1 + number
                optimizers[1].param_groups[0]["momentum"] = momentum + 0.1 * number
            train.save_checkpoint(folder, *trainings[0], 1)
            train.load_checkpoint(folder, *trainings[1])
            found += [
                sorted((name, str(value)) for name, value in group.items() if name != "params")
                for optimizer in trainings[1][1]
                for group in optimizer.param_groups
            ]
    return found


def orders(modules: Modules) -> Any:
    """Return what becomes of parameters that a model registers in another order."""
    train = modules["train"]
    found: list[Any] = []
    for seed, size in ((0, 2), (1, 3)):
        with tempfile.TemporaryDirectory() as folder:
            models = [nn.Module(), nn.Module()]
            for number, (model, names) in enumerate(zip(models, ("ab", "ba"), strict=True)):
                for name in names:
                    value = torch.full((size,), 10.0 * seed + number + (name == "b") * 0.5)
                    model.register_parameter(name, nn.Parameter(value))
            train.save_checkpoint(folder, models[0], [], 1)
            train.load_checkpoint(folder, models[1], [])
            found.append(sorted((name, each.tolist()) for name, each in models[1].named_parameters()))
    return found
