"""Where and in what precision the submission of this process runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Setting:
    """What holds for every probe call of one submission."""

    submission: Path
    """The folder that holds `nanochat/`."""
    device: str = "cpu"
    """"cpu" or "cuda"."""
    dtype: str = "float32"
    """"float32" or "bfloat16"."""


_setting: Setting | None = None


def use(setting: Setting | None) -> None:
    """Let `setting` hold for the calls that follow; None for none."""
    global _setting
    _setting = setting


def get() -> Setting:
    """Return the setting that holds; LookupError when no probe has made one."""
    if _setting is None:
        raise LookupError("no submission is set: probes are called through a LocalProbe or a ProcessProbe")
    return _setting


def torch_device() -> torch.device:
    """Return the device that the submission's models run on."""
    import torch

    return torch.device(get().device)


def torch_dtype() -> torch.dtype:
    """Return the dtype that the submission's models compute in."""
    import torch

    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[get().dtype]
