"""What training, fine-tuning and optimizers change of the settings that everybody in a process shares.

And whether they work in another thread, where nobody can take over a signal.
"""

from __future__ import annotations

import contextlib
import itertools
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

from specs.probes.finetuning import ScriptedRenderer, numbered
from specs.probes.loading import imported
from specs.probes.registry import probe
from specs.probes.setting import torch_device
from specs.probes.shared_settings import changed_by, handlers
from specs.probes.small_model import Arrays, Pair, SmallModel, recorders, tensors
from specs.probes.traces import usual_defaults


@probe
def shared_by_training(
    weights: Arrays, groups: list[str], pairs: list[Pair], names: list[str]
) -> dict[str, list[str]]:
    """Return for each of these functions of `nanochat.train` what is to be said against a call of it."""
    train = imported("nanochat.train")
    model = SmallModel(weights)
    optimizers = recorders(model, groups, 0.1)
    batches = Watching([tensors(pair) for pair in pairs])
    token_bytes = [1 + place % 3 for place in range(model.vocabulary)]

    def broken(good: int = 1) -> Iterator[Any]:
        yield from itertools.islice(batches, good)
        raise OSError("the batches cannot be read any further")

    with usual_defaults(), tempfile.TemporaryDirectory() as folder, contextlib.chdir("."):
        taken = Path(folder) / "taken"
        calls: dict[str, Callable[[], object]] = {
            "lr_multiplier": lambda: train.lr_multiplier(3, 10, 0.2, 0.3),
            "set_learning_rates": lambda: train.set_learning_rates(optimizers, 0.5),
            "train_step": lambda: train.train_step(model, optimizers, batches, 1.0),
            "evaluate": lambda: train.evaluate(model, batches),
            "evaluate_bits_per_byte": lambda: train.evaluate_bits_per_byte(model, batches, token_bytes),
            "fit": lambda: train.fit(
                model, optimizers, batches, 2, validation=lambda: batches, on_step=batches.look
            ),
            "save_checkpoint": lambda: train.save_checkpoint(Path(folder) / "run", model, optimizers, 1),
            "load_checkpoint": lambda: train.load_checkpoint(Path(folder) / "run", model, optimizers),
            # What raises, too.
            "lr_multiplier of a step below 0": lambda: train.lr_multiplier(-1, 10),
            "train_step of batches that raise": lambda: train.train_step(model, optimizers, broken(), 1.0),
            "evaluate of batches that raise": lambda: train.evaluate(model, broken()),
            "evaluate_bits_per_byte of batches that raise": lambda: train.evaluate_bits_per_byte(
                model, broken(), token_bytes
            ),
            "fit of batches that raise": lambda: train.fit(model, optimizers, broken(), 5),
            "fit whose on_step raises": lambda: train.fit(
                model, optimizers, batches, 2, on_step=lambda entry: next(broken(0)) if entry else None
            ),
            "save_checkpoint where a file is": lambda: train.save_checkpoint(taken, model, optimizers, 1),
            "load_checkpoint from an empty directory": lambda: train.load_checkpoint(
                folder, model, optimizers
            ),
            "load_checkpoint from nowhere": lambda: train.load_checkpoint(
                Path(folder) / "nowhere", model, optimizers
            ),
        }
        taken.write_bytes(b"")
        return {name: _changed_by(calls[name], batches) for name in names}


@probe
def shared_by_optimizers(config: dict[str, int]) -> dict[str, list[str]]:
    """Return what is to be said against the making of optimizers, and against a step of each."""
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
    """Return what is to be said against the making of batches."""
    sft_batches = imported("nanochat.sft").sft_batches
    conversations, renderer = Watching(numbered(len(rows))), ScriptedRenderer(rows)
    with usual_defaults():
        return _changed_by(
            lambda: list(sft_batches(conversations, renderer, batch_size, device=torch_device())),
            conversations,
        )


class Watching:
    """What is given out one at a time, with a look at the handlers of signals each time."""

    def __init__(self, given: Iterable[Any]) -> None:
        self.given = list(given)
        self.seen: set[str] = set()

    def __iter__(self) -> Iterator[Any]:
        for each in self.given:
            self.look()
            yield each

    def look(self, _: object = None) -> None:
        """Note the handlers of signals."""
        self.seen.add(handlers())


def _changed_by(call: Callable[[], object], watching: Watching | None = None) -> list[str]:
    """Return what is to be said against a call: what it changed, also for its time, and in another thread."""
    seen = watching or Watching([])
    found: list[str] = []

    def tried() -> None:
        before = handlers()
        seen.seen = set()
        # Whether it works is asked elsewhere, and with the settings as they usually are.
        error_of(call)
        if seen.seen - {before}:
            found.append("changed the handlers of signals while it ran")

    # Torch imports parts of itself with the first optimizer, and these add a filter of warnings of their own.
    with contextlib.chdir("."):
        works = not error_of(call)
    found += [f"changed {each}" for each in changed_by(tried)]
    raised: list[str] = []
    if works:
        worker = threading.Thread(target=lambda: raised.append(error_of(call)))
        worker.start()
        worker.join()
    return found + [f"raised {name} in another thread" for name in raised if name]


def error_of(call: Callable[[], object]) -> str:
    """Return the name of what a call raises; nothing if it does not."""
    try:
        call()
    except Exception as error:  # noqa: BLE001  # it is the submission's, and asked about elsewhere
        return type(error).__name__
    return ""
