"""What training, fine-tuning and optimizers change of the settings that everybody in a process shares."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from specs.probes.finetuning import ScriptedRenderer, numbered
from specs.probes.loading import imported
from specs.probes.registry import probe
from specs.probes.setting import torch_device
from specs.probes.shared_settings import changed_by
from specs.probes.small_model import Arrays, Pair, SmallModel, recorders, tensors
from specs.probes.traces import usual_defaults


@probe
def shared_by_training(
    weights: Arrays, groups: list[str], pairs: list[Pair], names: list[str]
) -> dict[str, list[str]]:
    """Return for each of these functions of `nanochat.train` which shared settings a call of it changes."""
    train = imported("nanochat.train")
    model = SmallModel(weights)
    optimizers = recorders(model, groups, 0.1)
    batches = [tensors(pair) for pair in pairs]
    token_bytes = [1 + place % 3 for place in range(model.config.vocab_size)]
    with usual_defaults(), tempfile.TemporaryDirectory() as folder, contextlib.chdir("."):
        calls: dict[str, Callable[[], object]] = {
            "lr_multiplier": lambda: train.lr_multiplier(3, 10, 0.2, 0.3),
            "set_learning_rates": lambda: train.set_learning_rates(optimizers, 0.5),
            "train_step": lambda: train.train_step(model, optimizers, batches, 1.0),
            "evaluate": lambda: train.evaluate(model, batches),
            "evaluate_bits_per_byte": lambda: train.evaluate_bits_per_byte(model, batches, token_bytes),
            "fit": lambda: train.fit(model, optimizers, batches, 2, validation=lambda: batches),
            "save_checkpoint": lambda: train.save_checkpoint(Path(folder) / "run", model, optimizers, 1),
            "load_checkpoint": lambda: train.load_checkpoint(Path(folder) / "run", model, optimizers),
        }
        return {name: _changed_by(calls[name]) for name in names}


@probe
def shared_by_optimizers(config: dict[str, int]) -> dict[str, list[str]]:
    """Return which shared settings the making of optimizers changes, and which a step of each."""
    optim, gpt = imported("nanochat.optim"), imported("nanochat.gpt")
    with usual_defaults():
        model = gpt.GPT(gpt.GPTConfig(**config)).to(torch_device())
        parameters = [torch.nn.Parameter(torch.ones(2, 3, device=torch_device())) for _ in range(2)]
        for parameter in parameters:
            parameter.grad = torch.ones_like(parameter)

        def steps(kind: Any) -> Callable[[], object]:
            return lambda: kind(parameters, lr=0.1).step()

        calls: dict[str, Callable[[], object]] = {
            "setup_optimizers": lambda: model.setup_optimizers(),
            "AdamW": steps(optim.AdamW),
            "Muon": steps(optim.Muon),
        }
        return {name: _changed_by(call) for name, call in calls.items()}


@probe
def shared_by_finetuning(rows: list[Any], batch_size: int) -> list[str]:
    """Return which shared settings the making of batches changes."""
    sft_batches = imported("nanochat.sft").sft_batches
    conversations, renderer = numbered(len(rows)), ScriptedRenderer(rows)
    with usual_defaults():
        return _changed_by(
            lambda: list(sft_batches(conversations, renderer, batch_size, device=torch_device()))
        )


def _changed_by(call: Callable[[], object]) -> list[str]:
    def tried() -> None:
        # Whether it works is asked elsewhere, and with the settings as they usually are.
        with contextlib.suppress(Exception):
            call()

    # Torch imports parts of itself with the first optimizer, and these add a filter of warnings of their own.
    with contextlib.chdir("."):
        tried()
    return changed_by(tried)
