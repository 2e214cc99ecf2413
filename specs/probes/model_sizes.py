"""Experiments on models of unusual sizes, and on one model in several dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from specs.probes.building import build_model, fresh_model
from specs.probes.loading import imported
from specs.probes.registry import probe
from specs.probes.signatures import takes_in_order
from specs.probes.values import tensor, values

Arrays = dict[str, Any]


@probe
def logits_and_losses(
    config: dict[str, int], weights: Arrays, tokens: NDArray[np.int64], targets: NDArray[np.int64]
) -> dict[str, Any]:
    """Return the logits by the dtype of the ids, and the loss of each target."""
    model = build_model(config, weights)
    with torch.no_grad():
        logits = {
            name: values(model(tensor(tokens, getattr(torch, name))), "the result of forward")
            for name in ("int32", "int64")
        }
        losses = model(tensor(tokens), tensor(targets), loss_reduction="none")
    return {**logits, "losses": values(losses, "the loss")}


@probe
def converted(
    config: dict[str, int], weights: Arrays, tokens: NDArray[np.int64], dtypes: list[str]
) -> list[NDArray[Any]]:
    """Return the logits of one model that is converted to each dtype in turn."""
    model = build_model(config, weights, dtype=dtypes[0])
    answers = []
    for dtype in dtypes:
        model.to(getattr(torch, dtype))
        with torch.no_grad():
            answers.append(values(model(tensor(tokens)), "the result of forward"))
    return answers


@probe
def in_order(config: dict[str, int], tokens: NDArray[np.int64]) -> dict[str, Any]:
    """Return the fields of a configuration and the shape of losses, of arguments given by their order.

    None stands for what takes some of these arguments by their names alone.
    """
    gpt = imported("nanochat.gpt")
    fields = None
    if takes_in_order(gpt.GPTConfig, len(config)):
        made = gpt.GPTConfig(*config.values())
        fields = {name: getattr(made, name) for name in config}
    model = fresh_model(config)
    losses = None
    if takes_in_order(model.forward, 4):
        with torch.no_grad():
            losses = list(model(tensor(tokens), tensor(tokens), None, "none").shape)
    return {"fields": fields, "losses": losses}
