"""`python -m nanochat.train`: train a small model on a text, from tokenizer to checkpoint, in about a minute.

    python -m nanochat.train [--steps 300] [--checkpoint DIR] [--text FILE]

Run again with the same `--checkpoint` it goes on from there.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from nanochat.checkpoint import load_checkpoint, save_checkpoint
from nanochat.dataloader import TextFiles, split_texts, token_batches
from nanochat.gpt import GPT, GPTConfig
from nanochat.tokenizer import RustBPETokenizer
from nanochat.train import Batch, evaluate_bits_per_byte, fit

TEXT = Path(__file__).resolve().parents[1] / "data" / "stories.txt"
ROWS, COLUMNS = 8, 64
ACCUMULATION = 2
VALIDATION_BATCHES = 4
VALIDATE_EVERY = 50


class Places:
    """Batches of the data loader, and the state behind the last that was taken."""

    def __init__(self, batches: Iterable[tuple[Any, Any, dict[str, int]]]) -> None:
        self.batches = batches
        self.state: dict[str, int] | None = None

    def __iter__(self) -> Iterator[Batch]:
        for inputs, targets, state in self.batches:
            self.state = state
            yield inputs, targets


def main(arguments: list[str] | None = None) -> None:
    """Train a tokenizer and a model on a text; show the losses on the way and bits per byte at the end."""
    options = parsed(arguments)
    screen = Console()
    training, validation = split_texts(TextFiles([options.text]))
    tokenizer = RustBPETokenizer.train_from_iterator(training, vocab_size=512)
    torch.manual_seed(0)
    model = GPT(GPTConfig(COLUMNS, tokenizer.get_vocab_size(), n_layer=2, n_head=4, n_kv_head=2, n_embd=64))
    model.init_weights()
    optimizers = model.setup_optimizers()
    first_step, data_state = resumed(options.checkpoint, model, optimizers)
    if first_step >= options.steps:
        raise SystemExit(f"{options.checkpoint} is of step {first_step}: ask for more --steps to go on")
    places = Places(token_batches(training, tokenizer, ROWS, COLUMNS, state=data_state))

    def held_out() -> list[Batch]:
        return list(islice(token_batches(validation, tokenizer, ROWS, COLUMNS), VALIDATION_BATCHES))

    size = sum(parameter.numel() for parameter in model.parameters())
    screen.print(
        f"{size:,} parameters, {tokenizer.get_vocab_size()} tokens, steps {first_step} to {options.steps}"
    )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen) as progress:
        bar = progress.add_task("training", total=options.steps, completed=first_step)

        def on_step(entry: dict[str, Any]) -> None:
            progress.update(bar, advance=1, description=f"loss {entry['loss']:.3f}")
            if "validation_loss" in entry:
                progress.print(
                    f"step {entry['step'] + 1:4}: training loss {entry['loss']:.3f}, "
                    f"validation loss {entry['validation_loss']:.3f}"
                )
                if options.checkpoint:
                    save_checkpoint(options.checkpoint, model, optimizers, entry["step"] + 1, places.state)

        fit(
            model,
            optimizers,
            places,
            options.steps,
            accumulation=ACCUMULATION,
            warmup_ratio=0.02,
            warmdown_ratio=0.4,
            validation=held_out,
            validate_every=VALIDATE_EVERY,
            first_step=first_step,
            on_step=on_step,
        )
    bits = evaluate_bits_per_byte(model, held_out(), tokenizer.get_token_bytes())
    screen.print(f"validation: {bits:.3f} bits per byte")
    prompt = tokenizer.encode("The ", prepend="<|bos|>")
    screen.print(
        tokenizer.decode(prompt[1:] + list(model.generate(prompt, 40, temperature=0.8))), markup=False
    )


def resumed(checkpoint: Path | None, model: GPT, optimizers: Any) -> tuple[int, dict[str, int] | None]:
    """Return the step and the place in the data to go on from: those of the checkpoint, if there is one."""
    if checkpoint is None or not checkpoint.exists():
        return 0, None
    found = load_checkpoint(checkpoint, model, optimizers)
    return found["step"], found["data_state"]


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m nanochat.train", description="Train a small model on a text."
    )
    parser.add_argument("--steps", type=int, default=300, help="steps of the whole training (default: 300)")
    parser.add_argument(
        "--checkpoint", type=Path, metavar="DIR", help="save into DIR, and go on from what is there"
    )
    parser.add_argument(
        "--text", type=Path, default=TEXT, metavar="FILE", help="text to learn (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    if options.steps < 1:
        parser.error(f"--steps: got {options.steps}, want at least 1")
    if not options.text.is_file():
        parser.error(f"--text: there is no file {options.text}")
    return options
