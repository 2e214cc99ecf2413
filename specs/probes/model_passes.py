"""Experiments on one GPT over several passes: what an earlier one, or a change of weights, leaves behind."""

from __future__ import annotations

import contextlib
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from specs.probes.building import build_model
from specs.probes.cache import new_cache
from specs.probes.loading import imported
from specs.probes.registry import probe
from specs.probes.setting import torch_device
from specs.probes.values import tensor, values

Arrays = dict[str, Any]

MODES = {"inference": torch.inference_mode, "no gradients": torch.no_grad, "gradients": torch.enable_grad}


@probe
def gradients_after(
    config: dict[str, int],
    weights: Arrays,
    tokens: NDArray[np.int64],
    targets: NDArray[np.int64],
    before: list[str],
    by: str,
) -> dict[str, Any]:
    """Return the gradient of the mean loss by every parameter, on a model that made the passes `before`.

    Each of them is of the same tokens, or of texts of that length: see `pass_over`. The loss is the model's
    own, or taken of its logits here, as `by` says: "loss" or "logits".
    """
    model = build_model(config, weights, dtype="float32")
    for kind in before:
        pass_over(model, config, tokens, targets, kind)
    with torch.enable_grad():
        if by == "loss":
            loss = model(tensor(tokens), tensor(targets))
        else:
            loss = F.cross_entropy(
                model(tensor(tokens)).flatten(0, 1), tensor(targets).flatten(), ignore_index=-1
            )
        if loss.requires_grad:
            loss.backward()
    return {
        name: None if parameter.grad is None else values(parameter.grad, f"the gradient of {name}")
        for name, parameter in model.named_parameters()
    }


def pass_over(
    model: Any, config: dict[str, int], tokens: NDArray[np.int64], targets: NDArray[np.int64], kind: str
) -> None:
    """Run the tokens through the model in one of `MODES`, in a step of "learning", or by "generate"."""
    if kind in MODES:
        with MODES[kind]():
            model(tensor(tokens))
            model(tensor(tokens), tensor(targets))
    elif kind == "learning":
        with torch.enable_grad():
            model(tensor(tokens), tensor(targets)).backward()
        model.zero_grad(set_to_none=True)
    else:
        # Whether these work is the business of other criteria.
        with contextlib.suppress(Exception):
            if kind == "generate":
                list(islice(model.generate(tokens[0].tolist(), 1), 2))
            else:
                with torch.inference_mode():
                    cache = new_cache(config, tokens.shape[0], config["sequence_len"])
                    model(tensor(tokens), kv_cache=cache)


@probe
def after_changes(
    config: dict[str, int],
    weights: Arrays,
    changes: list[Arrays],
    tokens: NDArray[np.int64],
    how: str,
    mode: str,
    dtype: str,
) -> list[NDArray[Any]]:
    """Return the logits of a model before and after each of several changes of its parameters.

    A change holds new values by name, brought in as `how` says; passes run in one of `MODES`.
    """
    model = build_model(config, weights, dtype=dtype)

    def logits() -> NDArray[Any]:
        with MODES[mode]():
            model(tensor(tokens), tensor(tokens))
            return values(model(tensor(tokens)), "the result of forward")

    answers = [logits()]
    for change in changes:
        change_parameters(model, change, how)
        answers.append(logits())
    return answers


def change_parameters(model: Any, change: Arrays, how: str) -> None:
    """Give parameters new values: by "copy", by "data", by a step of an "optimizer", or by "load"."""
    parameters = dict(model.named_parameters())
    new = {name: tensor(value, parameters[name].dtype) for name, value in change.items()}
    if how == "load":
        model.load_state_dict(new, strict=False)
        return
    if how == "optimizer":
        chosen = [parameters[name] for name in new]
        # Away first: what is added to zero is exact in every dtype.
        for values_ in ([torch.zeros_like(value) for value in new.values()], list(new.values())):
            for parameter, value in zip(chosen, values_, strict=True):
                parameter.grad = parameter.detach() - value
            torch.optim.SGD(chosen, lr=1.0).step()
        for parameter in chosen:
            parameter.grad = None
        return
    with torch.no_grad():
        for name, value in new.items():
            (parameters[name].data if how == "data" else parameters[name]).copy_(value)


@probe
def initialised(
    config: dict[str, int], how: str, frozen: list[str], tokens: NDArray[np.int64]
) -> dict[str, Any]:
    """Freeze parameters of a new model, fill all with NaN and initialise it; return what they are then.

    `how` is "plain", "again" for a model that was initialised before, or "meta" for one that is built on the
    meta device.
    """
    gpt = imported("nanochat.gpt")
    with torch.device("meta") if how == "meta" else contextlib.nullcontext():
        model = gpt.GPT(gpt.GPTConfig(**config))
    if how == "again":
        model.init_weights()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name not in frozen)
    model.to_empty(device=torch_device()) if how == "meta" else model.to(torch_device())
    before = dict(model.named_parameters())
    with torch.no_grad():
        for parameter in before.values():
            parameter.fill_(float("nan"))
    model.init_weights()
    after = dict(model.named_parameters())
    with torch.no_grad():
        logits = values(model(tensor(tokens)), "the result of forward")
    return {
        "kept": sorted(name for name in before if after.get(name) is before[name]),
        "frozen": sorted(name for name, parameter in after.items() if not parameter.requires_grad),
        "values": {name: values(parameter, name) for name, parameter in after.items()},
        "logits": logits,
    }
