"""Experiments on gradients of the submission's GPT: parts that are frozen, losses that are part of others."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from specs.probes.building import build_model
from specs.probes.registry import probe
from specs.probes.setting import torch_device
from specs.probes.values import tensor, values

Arrays = dict[str, Any]


@probe
def with_frozen(
    config: dict[str, int],
    weights: Arrays,
    tokens: NDArray[np.int64],
    targets: NDArray[np.int64],
    frozen: list[str],
    by: str,
    training: bool,
) -> dict[str, Any]:
    """Return the gradient of the mean loss by every parameter where some are frozen, None where none is.

    They are asked for by "backward", or by "grad", a call that names the parameters that are not frozen.
    """
    model = build_model(config, weights, dtype="float32").train(training)
    parameters = dict(model.named_parameters())
    for name in frozen:
        parameters[name].requires_grad_(False)
    learning = {name: each for name, each in parameters.items() if name not in frozen}
    with torch.enable_grad():
        loss = model(tensor(tokens), tensor(targets))
        if not loss.requires_grad:
            found: dict[str, Any] = {}
        elif by == "grad":
            gradients = torch.autograd.grad(loss, list(learning.values()), allow_unused=True)
            found = dict(zip(learning, gradients, strict=True))
        else:
            loss.backward()
            found = {name: parameter.grad for name, parameter in parameters.items()}
    return {
        name: None if found.get(name) is None else values(found[name], f"the gradient of {name}")
        for name in parameters
    }


@probe
def of_parts(
    config: dict[str, int],
    weights: Arrays,
    tokens: NDArray[np.int64],
    targets: NDArray[np.int64],
    reduction: str,
    factors: NDArray[np.float32],
) -> list[dict[str, Any]]:
    """Return the gradients of the losses times `factors`, summed: the model's, and that of its logits here.

    There is a factor for each number that the reduction gives.
    """
    answers = []
    for own in (True, False):
        model = build_model(config, weights, dtype="float32")
        with torch.enable_grad():
            if own:
                loss = model(tensor(tokens), tensor(targets), loss_reduction=reduction)
            else:
                logits = model(tensor(tokens)).flatten(0, 1)
                loss = F.cross_entropy(
                    logits, tensor(targets).flatten(), ignore_index=-1, reduction=reduction
                )
            total = (loss.reshape(-1) * tensor(factors, torch.float32).to(torch_device())).sum()
            if total.requires_grad:
                total.backward()
        answers.append(
            {
                name: None if parameter.grad is None else values(parameter.grad, f"the gradient of {name}")
                for name, parameter in model.named_parameters()
            }
        )
    return answers
