"""Experiments on the submission's GPT without a cache."""

from __future__ import annotations

import contextlib
import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from specs.probes.building import build_model, empty_model, fresh_model
from specs.probes.cache import feed, new_cache
from specs.probes.loading import imported
from specs.probes.registry import probe
from specs.probes.setting import torch_device
from specs.probes.traces import random_states, torch_defaults, usual_defaults
from specs.probes.values import dtype_name, tensor, values

Arrays = dict[str, Any]


@probe
def logits(
    config: dict[str, int],
    weights: Arrays,
    batches: list[NDArray[np.int64]],
    dtype: str | None = None,
) -> list[NDArray[Any]]:
    """Return the logits of each batch of tokens, one forward pass after another on one model."""
    model = build_model(config, weights, dtype=dtype)
    with torch.no_grad():
        return [values(model(tensor(batch)), "the result of forward") for batch in batches]


@probe
def logits_of_weights(
    config: dict[str, int], variants: list[Arrays], tokens: NDArray[np.int64]
) -> list[NDArray[Any]]:
    """Return the logits of `tokens` under each of several sets of weights."""
    answers = []
    for weights in variants:
        model = build_model(config, weights)
        with torch.no_grad():
            answers.append(values(model(tensor(tokens)), "the result of forward"))
    return answers


@probe
def logits_form(
    config: dict[str, int], weights: Arrays, tokens: NDArray[np.int64], index_dtype: str, dtype: str
) -> dict[str, Any]:
    """Return dtype and values of the logits for indices of an integer dtype and a model of a float dtype."""
    model = build_model(config, weights, dtype=dtype)
    indices = tensor(tokens, getattr(torch, index_dtype))
    before = indices.clone()
    with torch.no_grad():
        answer = model(indices)
    return {
        "logits": values(answer, "the result of forward"),
        "dtype": dtype_name(answer),
        "indices_unchanged": bool(torch.equal(indices, before)),
    }


@probe
def loss(
    config: dict[str, int],
    weights: Arrays,
    tokens: NDArray[np.int64],
    targets: list[NDArray[np.int64]],
    reduction: str | None = None,
) -> list[NDArray[Any]]:
    """Return the loss for each of several sets of targets."""
    model = build_model(config, weights)
    options = {} if reduction is None else {"loss_reduction": reduction}
    with torch.no_grad():
        return [values(model(tensor(tokens), tensor(t), **options), "the loss") for t in targets]


@probe
def loss_form(
    config: dict[str, int],
    weights: Arrays,
    tokens: NDArray[np.int64],
    targets: NDArray[np.int64],
    reduction: str,
    dtype: str,
) -> dict[str, Any]:
    """Return dtype and values of the loss of a model of a float dtype."""
    model = build_model(config, weights, dtype=dtype)
    with torch.no_grad():
        answer = model(tensor(tokens), tensor(targets), loss_reduction=reduction)
    return {"loss": values(answer, "the loss"), "dtype": dtype_name(answer)}


@probe
def loss_of_text(config: dict[str, int], weights: Arrays, text: NDArray[np.int64]) -> NDArray[Any]:
    """Return the loss of each token of a text given those before it: inputs and targets are slices of it."""
    model = build_model(config, weights)
    whole = tensor(text)
    with torch.no_grad():
        return values(model(whole[:, :-1], whole[:, 1:], loss_reduction="none"), "the loss")


@probe
def gradients(
    config: dict[str, int], weights: Arrays, tokens: NDArray[np.int64], targets: NDArray[np.int64]
) -> dict[str, Any]:
    """Return the gradient of the mean loss by every parameter, in float32; None where there is none."""
    model = build_model(config, weights, dtype="float32")
    model.train()
    model(tensor(tokens), tensor(targets)).backward()
    return {
        name: None if parameter.grad is None else values(parameter.grad, f"the gradient of {name}")
        for name, parameter in model.named_parameters()
    }


@probe
def gradients_by_reduction(
    config: dict[str, int], weights: Arrays, tokens: NDArray[np.int64], targets: NDArray[np.int64]
) -> dict[str, Any]:
    """Return the gradients of the mean, the sum, and the sum of the losses one by one, by every parameter."""
    answers: dict[str, Any] = {}
    for reduction in ("mean", "sum", "none"):
        model = build_model(config, weights, dtype="float32")
        loss_ = model(tensor(tokens), tensor(targets), loss_reduction=reduction).sum()
        if not loss_.requires_grad:
            answers[reduction] = {}
            continue
        loss_.backward()
        answers[reduction] = {
            name: None if parameter.grad is None else values(parameter.grad, f"the gradient of {name}")
            for name, parameter in model.named_parameters()
        }
    return answers


@probe
def in_training_mode(
    config: dict[str, int], weights: Arrays, tokens: NDArray[np.int64], targets: NDArray[np.int64]
) -> dict[str, Any]:
    """Return the logits, and the loss of each target, of a model in training mode."""
    model = build_model(config, weights)
    model.train()
    with torch.no_grad():
        logits_ = model(tensor(tokens))
        losses = model(tensor(tokens), tensor(targets), loss_reduction="none")
    return {"logits": values(logits_, "the result of forward"), "losses": values(losses, "the loss")}


@probe
def attention(
    config: dict[str, int], weights: Arrays, x: NDArray[np.float32], starts: list[int]
) -> list[NDArray[Any]]:
    """Return the first layer's attention output of `x` (batch, position, channel) from each start position.

    Position p of `x` gets the rotary angles of position start + p.
    """
    model = build_model(config, weights, dtype="float32")
    length = x.shape[1]
    answers = []
    for start in starts:
        cos_sin = (model.cos[:, start : start + length], model.sin[:, start : start + length])
        with torch.no_grad():
            answer = model.transformer.h[0].attn(tensor(x, torch.float32), cos_sin, None)
        answers.append(values(answer, "the output of attention"))
    return answers


@probe
def attention_at(
    config: dict[str, int], weights: Arrays, x: NDArray[np.float32], positions: list[list[int]]
) -> list[NDArray[Any]]:
    """Return the first layer's attention output of `x` with each list of positions."""
    model = build_model(config, weights, dtype="float32")
    answers = []
    for chosen in positions:
        cos_sin = (model.cos[:, chosen], model.sin[:, chosen])
        with torch.no_grad():
            answer = model.transformer.h[0].attn(tensor(x, torch.float32), cos_sin, None)
        answers.append(values(answer, "the output of attention"))
    return answers


@probe
def builds(config: dict[str, int]) -> str:
    """Build a model of a configuration; return "accepted" if nothing was raised."""
    gpt = imported("nanochat.gpt")
    gpt.GPT(gpt.GPTConfig(**config))
    return "accepted"


@probe
def forward_beyond(
    config: dict[str, int], weights: Arrays, tokens: NDArray[np.int64], chunks: list[int]
) -> NDArray[Any]:
    """Return the logits of tokens that may exceed the context, fed to a cache in `chunks`, if any."""
    model = build_model(config, weights, dtype="float32")
    if chunks:
        return feed(model, new_cache(config, tokens.shape[0], config["sequence_len"]), tokens, chunks)[0]
    with torch.no_grad():
        return values(model(tensor(tokens)), "the result of forward")


@probe
def configured(given: dict[str, int]) -> dict[str, int]:
    """Return the fields of a configuration of which some are given."""
    config = imported("nanochat.gpt").GPTConfig(**given)
    names = ("sequence_len", "vocab_size", "n_layer", "n_head", "n_kv_head", "n_embd")
    return {name: int(getattr(config, name)) for name in names}


@probe
def shapes(config: dict[str, int]) -> dict[str, list[int]]:
    """Return the shape of every parameter by its name."""
    return {name: list(parameter.shape) for name, parameter in empty_model(config).named_parameters()}


@probe
def fresh(config: dict[str, int], how: str, tokens: NDArray[np.int64]) -> dict[str, Any]:
    """Return parameters and logits of a freshly initialised model; `how` as for `fresh_model`."""
    model = fresh_model(config, how)
    with torch.no_grad():
        answer = model(tensor(tokens))
    return {
        "parameters": {name: values(parameter, name) for name, parameter in model.named_parameters()},
        "logits": values(answer, "the result of forward"),
        "device": str(model.get_device().type),
    }


@probe
def side_effects(config: dict[str, int], weights: Arrays, tokens: NDArray[np.int64]) -> dict[str, Any]:
    """Return what two forward passes changed besides giving logits."""
    model = build_model(config, weights)
    before = {name: tensor_.clone() for name, tensor_ in model.state_dict().items()}
    state = torch.get_rng_state()
    with torch.no_grad():
        first = values(model(tensor(tokens)), "the result of forward")
        second = values(model(tensor(tokens)), "the result of forward")
    after = model.state_dict()
    return {
        "first": first,
        "second": second,
        "changed": sorted(name for name, held in before.items() if not torch.equal(held, after[name])),
        "random_state_kept": bool(torch.equal(state, torch.get_rng_state())),
        "training": bool(model.training),
    }


@probe
def making(config: dict[str, int], how: str) -> dict[str, Any]:
    """Return which shared settings differ after a model was made, and whether it seeded torch's generator.

    Also what default dtypes were set before others were made, and are left. `how` as for `fresh_model`.
    """
    drawn = []
    changed = set()
    with usual_defaults(), torch.random.fork_rng(devices=[]):
        fresh_model(config, how)  # what torch sets up at its first use is not the model's doing
        for seed in (1, 2):
            torch.manual_seed(seed)
            before = shared_settings()
            fresh_model(config, how)
            changed |= {name for name, value in shared_settings().items() if value != before[name]}
            drawn.append(torch.get_rng_state())
    before_, after = _dtypes_around(config, how)
    return {
        "changed": sorted(changed),
        "generator_is_set": bool(torch.equal(*drawn)),
        "dtypes_set": before_,
        "dtypes_left": after,
    }


def _dtypes_around(config: dict[str, int], how: str) -> tuple[list[str], list[str]]:
    """Return other default dtypes than the usual one, and what is left of them when a model was made."""
    unusual = [torch.float64, torch.bfloat16]
    left = []
    for kind in unusual:
        with usual_defaults():
            torch.set_default_dtype(kind)
            try:
                # Whether a model can be made with another default is free.
                with contextlib.suppress(Exception):
                    fresh_model(config, how)
                left.append(str(torch.get_default_dtype()))
            finally:
                torch.set_default_dtype(torch.float32)
    return [str(kind) for kind in unusual], left


def shared_settings() -> dict[str, object]:
    """Return what everybody in the process shares, without torch's own generator."""
    python, numpy_state, *_ = random_states()
    dtype, device, threads, gradients, inference = torch_defaults()
    return {
        "Python's random state": python,
        "NumPy's random state": numpy_state,
        "the default dtype": dtype,
        "the default device": device,
        "the number of threads": threads,
        "whether gradients are enabled": gradients,
        "inference mode": inference,
        "the warning filters": list(warnings.filters),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "the precision of float32 products": torch.get_float32_matmul_precision(),
    }


@probe
def devices(config: dict[str, int]) -> dict[str, list[str]]:
    """Return the class and the type of `get_device()`, on the meta device and on the submission's."""
    gpt = imported("nanochat.gpt")
    with torch.device("meta"):
        model = gpt.GPT(gpt.GPTConfig(**config))
    found = {}
    for name in ("meta", "placed"):
        if name == "placed":
            model.to_empty(device=torch_device())
        device = model.get_device()
        found[name] = [type(device).__name__, str(getattr(device, "type", device))]
    return found


@probe
def flops(config: dict[str, int], frozen: str | None = None) -> dict[str, Any]:
    """Return what `estimate_flops` says; parameters whose name holds `frozen` are frozen before."""
    model = empty_model(config)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(frozen is None or frozen not in name)
    return {"flops": float(model.estimate_flops())}
