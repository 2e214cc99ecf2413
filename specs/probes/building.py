"""Builds the submission's objects with weights and tables that the judge chose."""

from __future__ import annotations

from typing import Any

import torch

from specs.probes.loading import imported
from specs.probes.setting import torch_device, torch_dtype

TABLES = ("cos", "sin")
_TORCH_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}


def build_model(config: dict[str, int], weights: dict[str, Any], *, dtype: str | None = None) -> Any:
    """Return the submission's GPT in evaluation mode, holding `weights`.

    `weights` may hold "cos" and "sin" (position, head_dim / 2) beside the parameters. The model's rotary
    buffers are then overwritten by them, so that a property about something else does not fail over what the
    submission computed there.
    """
    model = empty_model(config)
    load(model, {name: value for name, value in weights.items() if name not in TABLES})
    for name in TABLES:
        if name in weights:
            overwrite(getattr(model, name), weights[name])
    model.to(device=torch_device(), dtype=_TORCH_DTYPES[dtype] if dtype else torch_dtype())
    model.eval()
    return model


def empty_model(config: dict[str, int]) -> Any:
    """Return the submission's GPT of `config`, freshly initialised, in float32 on the CPU."""
    gpt = imported("nanochat.gpt")
    model = gpt.GPT(gpt.GPTConfig(**config))
    model.init_weights()
    return model


def fresh_model(config: dict[str, int], how: str = "plain") -> Any:
    """Return the submission's GPT of `config`, freshly initialised, on the submission's device.

    `how` is "plain", or "meta" for a model built on the meta device, given memory full of NaN, and then
    initialised, which is how large models are built.
    """
    if how != "meta":
        return empty_model(config).to(torch_device())
    gpt = imported("nanochat.gpt")
    with torch.device("meta"):
        model = gpt.GPT(gpt.GPTConfig(**config))
    model.to_empty(device=torch_device())
    with torch.no_grad():
        for held in [*model.parameters(), *model.buffers()]:
            if held.is_floating_point():
                held.fill_(float("nan"))
    model.init_weights()
    return model


def load(model: Any, weights: dict[str, Any]) -> None:
    """Copy `weights` into the parameters of `model`; LookupError if the names differ."""
    parameters = dict(model.named_parameters())
    if set(parameters) != set(weights):
        raise LookupError(
            "the model's parameters are not the contract's: "
            f"missing {sorted(set(weights) - set(parameters))}, "
            f"unexpected {sorted(set(parameters) - set(weights))}"
        )
    with torch.no_grad():
        for name, value in weights.items():
            parameters[name].copy_(torch.from_numpy(value))


def overwrite(buffer: torch.Tensor, table: Any) -> None:
    """Write `table` (position, head_dim / 2) into a rotary buffer, as far as it reaches."""
    positions, pairs = table.shape
    # A buffer of another shape is the rotary criterion's business.
    if buffer.ndim == 4 and buffer.shape[1] >= positions and buffer.shape[3] == pairs:
        buffer[:, :positions].copy_(torch.from_numpy(table)[None, :, None, :])
