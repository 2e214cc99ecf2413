"""Builds the submission's objects with weights and tables that the judge chose."""

from __future__ import annotations

from typing import Any

import torch

from specs.oracles import rotary
from specs.probes.loading import imported
from specs.probes.setting import torch_device, torch_dtype

_TORCH_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}


def build_model(
    config: dict[str, int], weights: dict[str, Any], *, table: str = "own", dtype: str | None = None
) -> Any:
    """Return the submission's GPT in evaluation mode, holding `weights`.

    `table` is "own" for the rotary tables that the submission computes, or "oracle" to overwrite its
    buffers with the right ones, so that a property about something else does not fail over them.
    """
    model = empty_model(config)
    load(model, weights)
    if table == "oracle":
        overwrite_tables(model, config)
    model.to(device=torch_device(), dtype=_TORCH_DTYPES[dtype] if dtype else torch_dtype())
    model.eval()
    return model


def empty_model(config: dict[str, int]) -> Any:
    """Return the submission's GPT of `config`, freshly initialised, in float32 on the CPU."""
    gpt = imported("nanochat.gpt")
    model = gpt.GPT(gpt.GPTConfig(**config))
    model.init_weights()
    return model


def load(model: Any, weights: dict[str, Any]) -> None:
    """Copy `weights` into the parameters of `model`; LookupError if the names differ."""
    parameters = dict(model.named_parameters())
    if set(parameters) != set(weights):
        raise LookupError(
            f"the model's parameters are not the contract's: missing {sorted(set(weights) - set(parameters))}, "
            f"unexpected {sorted(set(parameters) - set(weights))}"
        )
    with torch.no_grad():
        for name, value in weights.items():
            parameters[name].copy_(torch.from_numpy(value))


def overwrite_tables(model: Any, config: dict[str, int]) -> None:
    """Write the oracle's cos and sin into the model's buffers, where they have the contract's shape."""
    head_dim = config["n_embd"] // config["n_head"]
    positions = model.cos.shape[1]
    for buffer, right in zip((model.cos, model.sin), rotary.table(positions, head_dim), strict=True):
        # A table of another shape is the rotary criterion's business.
        if buffer.shape == (1, positions, 1, head_dim // 2):
            buffer.copy_(torch.from_numpy(right)[None, :, None, :])


def oracle_tables(positions: int, head_dim: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the oracle's (cos, sin) in the form that attention takes, each (1, positions, 1, head_dim / 2)."""
    cos, sin = (
        torch.from_numpy(part)[None, :, None, :].to(device=torch_device(), dtype=dtype)
        for part in rotary.table(positions, head_dim)
    )
    return cos, sin
