"""Experiments on copies: of a model, and of a configuration with other sizes."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from specs.probes.building import build_model, load
from specs.probes.loading import imported
from specs.probes.registry import probe
from specs.probes.values import tensor, values

Arrays = dict[str, Any]


@probe
def copied(
    config: dict[str, int], weights: list[Arrays], tokens: NDArray[np.int64], used: bool
) -> dict[str, Any] | None:
    """Copy a model deeply, and give first the original and then the copy other parameters.

    Three sets of `weights` are needed; `used` has the original make a pass before. Returns the logits of both
    after each change, and whose parameters have gradients when the copy, and then the original, has learned;
    None where a model cannot be copied.
    """
    original = build_model(config, weights[0], dtype="float32")
    if used:
        with torch.no_grad():
            original(tensor(tokens))
    try:
        double = copy.deepcopy(original)
    except Exception:  # noqa: BLE001  # that it works is not promised
        return None
    both = {"original": original, "copy": double}

    def logits() -> dict[str, Any]:
        with torch.no_grad():
            return {
                name: values(model(tensor(tokens)), "the result of forward") for name, model in both.items()
            }

    passes = [logits()]
    for model, later in zip((original, double), weights[1:], strict=True):
        load(model, {name: value for name, value in later.items() if name not in ("cos", "sin")})
        passes.append(logits())
    learned = []
    for model in (double, original):
        with torch.enable_grad():
            loss = model(tensor(tokens), tensor(tokens))
            if loss.requires_grad:
                loss.backward()
        learned.append(
            {
                name: sum(parameter.grad is not None for parameter in each.parameters())
                for name, each in both.items()
            }
        )
    return {"passes": passes, "learned": learned, "parameters": len(list(original.parameters()))}


@probe
def replaced(config: dict[str, int], changes: dict[str, int], used: bool) -> dict[str, Any]:
    """Return the sizes of a configuration of which some were replaced, and the shapes of its model.

    `used` has a model made of the first one before.
    """
    gpt = imported("nanochat.gpt")
    first = gpt.GPTConfig(**config)
    if used:
        gpt.GPT(first)
    second = dataclasses.replace(first, **changes)
    model = gpt.GPT(second)
    model.init_weights()
    return {
        "first": {name: int(getattr(first, name)) for name in config},
        "second": {name: int(getattr(second, name)) for name in config},
        "of the model": {name: int(getattr(model.config, name)) for name in config},
        "parameters": {name: list(parameter.shape) for name, parameter in model.named_parameters()},
        "pairs": [int(model.cos.shape[-1]), int(model.sin.shape[-1])],
    }
