"""Between arrays of the judge and tensors of the submission."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from specs.probes.setting import torch_device, torch_dtype


def tensor(array: NDArray[Any], dtype: torch.dtype | None = None) -> torch.Tensor:
    """Return a fresh tensor on the submission's device; floats take the setting's dtype unless told."""
    if dtype is None:
        dtype = torch_dtype() if array.dtype.kind == "f" else torch.int64
    # Copied: a submission that writes into its inputs must not reach the judge's array.
    return torch.from_numpy(np.array(array)).to(device=torch_device(), dtype=dtype)


def values(answer: Any, what: str) -> NDArray[Any]:
    """Return a tensor's values as a NumPy array, bfloat16 as float32; TypeError if it is no tensor."""
    if not isinstance(answer, torch.Tensor):
        raise TypeError(f"{what} must be a torch.Tensor, got {type(answer).__name__}")
    # Copied before NumPy sees it: memory that has an array can never be resized, and this may be a cache's.
    # Copied again below: a submission's own kind of tensor may answer `to` with memory that it still uses.
    detached = answer.detach().to("cpu", copy=True)
    if detached.dtype == torch.bfloat16:
        detached = detached.float()
    return np.array(detached.contiguous().numpy())


def dtype_name(answer: torch.Tensor) -> str:
    """Return a tensor's dtype as the specification writes it: "float32"."""
    return str(answer.dtype).removeprefix("torch.")
