"""A model small enough to differentiate by hand, optimizers that note what they see, and batches that count.

Properties of training do not hang on the submission's GPT, loader, tokenizer or optimizers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from specs.probes.setting import torch_device
from specs.probes.values import values

Arrays = dict[str, Any]
Pair = tuple[NDArray[np.int64], NDArray[np.int64]]


class SmallModel(nn.Module):
    """logits = (wte[idx] * gain) @ head.T + bias, with the forward of `GPT`; `idle` is part of no loss.

    It has no cache, nor anything else that training may not ask for. With `dropout` the rows are dropped out
    as in any model, in training mode only.
    """

    def __init__(self, weights: Arrays, dropout: float = 0.0) -> None:
        super().__init__()
        for name, value in weights.items():
            parameter = nn.Parameter(
                torch.tensor(np.array(value), dtype=torch.float32, device=torch_device())
            )
            self.register_parameter(name, parameter)
        vocabulary, _ = weights["head"].shape
        self.vocabulary = vocabulary
        # As deep as in any model of blocks: a mode must reach all parts, not children alone.
        self.blocks = nn.Sequential(nn.Sequential(nn.Dropout(dropout)))
        self.passes: list[dict[str, Any]] = []
        """The mode, whether gradients were asked for, and the inputs of each forward pass."""

    @property
    def dropout(self) -> nn.Module:
        """Return the part that drops out."""
        return next(part for part in self.modules() if isinstance(part, nn.Dropout))

    def mode(self) -> bool | str:
        """Say whether it is in training mode, or that parts of it are."""
        modes = {part.training for part in self.modules()}
        return modes.pop() if len(modes) == 1 else "in parts"

    def forward(self, idx: Tensor, targets: Tensor | None = None, *, loss_reduction: str = "mean") -> Tensor:
        """Return logits (B, T, V), or the loss of them against targets."""
        self.passes.append(
            {
                "training": self.mode(),
                "gradient": torch.is_grad_enabled(),
                "inputs": idx.tolist(),
            }
        )
        if bool((idx >= self.vocabulary).any()):
            # On a GPU the look-up itself would end the process.
            raise IndexError("an id is not in the vocabulary")
        weight = dict(self.named_parameters())
        rows = self.blocks(F.embedding(idx, weight["wte"]) * weight["gain"])
        # Float32 whatever the model computes in, as the contract says of GPT.
        logits: Tensor = (rows @ weight["head"].T + weight["bias"]).float()
        # In other words than the reference's: what students get holds no line that repairs a bug.
        if targets is not None:
            pairs = logits.flatten(0, 1), targets.flatten()
            return F.cross_entropy(*pairs, ignore_index=-1, reduction=loss_reduction)
        return logits

    def arrays(self) -> Arrays:
        """Return copies of the parameters."""
        return {name: values(parameter, name) for name, parameter in self.named_parameters()}


class Recorder(torch.optim.SGD):
    """Plain gradient descent that notes the gradients and the learning rates of each of its steps."""

    def __init__(self, model: SmallModel, names: str, lr: float) -> None:
        self.names = names.split(",")
        super().__init__([{"params": [model.get_parameter(name)]} for name in self.names], lr=lr)
        for group in self.param_groups:
            group["initial_lr"] = group["lr"]
        self.steps: list[dict[str, Any]] = []
        self.fails = False
        """Whether its steps raise."""

    def take(self, model: SmallModel, name: str) -> None:
        """Hold another parameter from now on, in a group of its own."""
        self.names.append(name)
        rate = self.param_groups[0]["lr"]
        self.add_param_group({"params": [model.get_parameter(name)], "lr": rate, "initial_lr": rate})

    def step(self, closure: Any = None) -> Any:
        """Note what is seen, and make the step."""
        if self.fails:
            raise ArithmeticError("a value has become too large")
        gradients = {
            name: None if parameter.grad is None else values(parameter.grad, "a gradient")
            for name, group in zip(self.names, self.param_groups, strict=True)
            for parameter in group["params"]
        }
        self.steps.append({"gradients": gradients, "lr": [float(group["lr"]) for group in self.param_groups]})
        return super().step(closure)


# torch puts a wrapper around the method of each class of optimizers with its first object, unless it bears
# this mark. It would be taken for a submission's doing: nobody may change a probe once a submission runs.
Recorder.step.hooked = True  # type: ignore[attr-defined]  # functions take attributes


class Counted:
    """Batches that are given out one at a time and counted; the first, one object, comes `times` times.

    `more` stands in each behind inputs and targets, "mask" for a mask of the targets that nobody asked for.
    """

    def __init__(self, pairs: Iterable[Pair], more: tuple[Any, ...] = (), times: int = 1) -> None:
        given = list(pairs)
        self.pairs = given[:1] * times + given[1:]
        self.more = more
        self.times = times
        self.taken = 0
        self.given: list[tuple[Tensor, Tensor]] = []

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        batch: tuple[Any, ...] = ()
        while self.taken < len(self.pairs):
            self.taken += 1
            if not 1 < self.taken <= self.times:
                self.given.append(tensors(self.pairs[self.taken - 1]))
                targets = self.given[-1][1]
                mask = (torch.arange(targets.numel(), device=targets.device) % 3 == 1).reshape(targets.shape)
                batch = (*self.given[-1], *(mask.float() if one == "mask" else one for one in self.more))
            yield batch

    def changed(self) -> bool:
        """Say whether anything that was given out is no longer what it was."""
        return any(
            not torch.equal(part, original)
            for given, pair in zip(self.given, self.pairs[self.times - 1 :], strict=False)
            for part, original in zip(given, tensors(pair), strict=True)
        )


def tensors(pair: Pair) -> tuple[Tensor, Tensor]:
    """Return inputs and targets as the data loader gives them: int32 and int64."""
    inputs, targets = pair
    return (
        torch.tensor(np.array(inputs), dtype=torch.int32, device=torch_device()),
        torch.tensor(np.array(targets), dtype=torch.int64, device=torch_device()),
    )


def recorders(model: SmallModel, groups: list[str], lr: float) -> list[Recorder]:
    """Return an optimizer for each text of names."""
    return [Recorder(model, names, lr) for names in groups]


def plain(answer: Any) -> tuple[float, bool]:
    """Return an answer that ought to be a number, and whether it is a float."""
    return float(answer), isinstance(answer, float)
