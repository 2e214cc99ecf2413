"""Experiments on the submission's rotary embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from specs.probes.building import fresh_model
from specs.probes.layouts import laid_out
from specs.probes.loading import imported
from specs.probes.registry import probe
from specs.probes.values import dtype_name, tensor, values


@probe
def table(config: dict[str, int], how: str = "plain") -> dict[str, Any]:
    """Return the buffers cos and sin of a fresh model.

    `how` is "plain" or "meta", see `fresh_model`, or "bfloat16" for a model converted to that dtype.
    """
    model = fresh_model(config, how)
    if how == "bfloat16":
        model.to(torch.bfloat16)
    return {
        "cos": values(model.cos, "cos"),
        "sin": values(model.sin, "sin"),
        "dtypes": sorted({dtype_name(model.cos), dtype_name(model.sin)}),
    }


@probe
def moved(config: dict[str, int]) -> dict[str, str]:
    """Move a fresh model to the meta device; return on which kind of device its tables then lie."""
    model = fresh_model(config, "plain").to("meta")
    parts = {"cos": model.cos, "sin": model.sin, "the embedding": model.transformer.wte.weight}
    return {name: part.device.type for name, part in parts.items()}


@probe
def rotate(
    x: NDArray[np.float32],
    cos: NDArray[np.float32],
    sin: NDArray[np.float32],
    dtype: str = "float32",
    table_dtype: str | None = None,
    layout: str = "plain",
) -> dict[str, Any]:
    """Return `apply_rotary_emb(x, cos, sin)` in a dtype, with its dtype and whether `x` was left alone.

    `x` is (batch, position, head, channel); the tables are (position, channel / 2), of the dtype of `x`
    unless they have one of their own. `layout` is that of `x`, as for `laid_out`.
    """
    gpt = imported("nanochat.gpt")
    kind = getattr(torch, dtype)
    inputs = laid_out(x, layout, kind)
    before = inputs.clone()
    table_kind = getattr(torch, table_dtype or dtype)
    tables = [tensor(part, table_kind)[None, :, None, :] for part in (cos, sin)]
    given = [part.clone() for part in tables]
    answer = gpt.apply_rotary_emb(inputs, *tables)
    return {
        "rotated": values(answer, "the result of apply_rotary_emb"),
        "dtype": dtype_name(answer),
        "input_unchanged": bool(torch.equal(inputs, before)),
        "tables_unchanged": all(map(torch.equal, tables, given)),
    }
