"""Checkpoints: what training needs to go on as if it had never stopped."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

FILE = "checkpoint.pt"


def save_checkpoint(
    directory: str | Path,
    model: nn.Module,
    optimizers: Sequence[Optimizer],
    step: int,
    data_state: dict[str, Any] | None = None,
) -> None:
    """Write model, optimizers, `step` and `data_state` into `directory`, which is made if need be.

    What was saved there before is replaced in one go: whoever is interrupted here keeps the old checkpoint.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    content = {
        "model": model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "step": step,
        "data_state": data_state,
    }
    unfinished = directory / f"{FILE}.unfinished"
    torch.save(content, unfinished)
    os.replace(unfinished, directory / FILE)


def load_checkpoint(
    directory: str | Path, model: nn.Module, optimizers: Sequence[Optimizer]
) -> dict[str, Any]:
    """Fill model and optimizers from `directory`; return {"step": ..., "data_state": ...} as they were saved.

    Raises FileNotFoundError without a checkpoint, RuntimeError that names the parameter for a model with
    others, ValueError for other optimizers.
    """
    # weights_only: the file may come from anywhere, and what is pickled in full may run anything.
    content = torch.load(Path(directory) / FILE, map_location="cpu", weights_only=True)
    if len(content["optimizers"]) != len(optimizers):
        raise ValueError(
            f"the checkpoint holds {len(content['optimizers'])} optimizers and there are {len(optimizers)}"
        )
    model.load_state_dict(content["model"])
    for optimizer, state in zip(optimizers, content["optimizers"], strict=True):
        optimizer.load_state_dict(state)
    return {"step": content["step"], "data_state": content["data_state"]}
