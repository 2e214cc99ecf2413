"""The same numbers in other places: tensors as transposes, slices and joins leave them in memory."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray

from specs.probes.values import tensor


def laid_out(array: NDArray[Any], how: str, dtype: torch.dtype) -> torch.Tensor:
    """Return the values of `array`, which has four axes, "plain", or as `how` says: see below."""
    plain = tensor(array, dtype)
    if how == "transposed":  # the middle axes, as heads and positions are
        return plain.transpose(1, 2).contiguous().transpose(1, 2)
    if how == "backwards":  # the first axis is the one that lies closest
        return plain.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)
    if how == "with gaps":  # every second channel of a wider tensor
        return plain.repeat_interleave(2, dim=-1)[..., ::2]
    if how == "a part":  # of a tensor that holds other numbers before and behind
        return torch.cat([plain + 1, plain, plain - 1], dim=-1)[..., plain.size(-1) : 2 * plain.size(-1)]
    return plain
