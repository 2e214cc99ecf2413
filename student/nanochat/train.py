"""Training: the learning-rate schedule, one step on any number of micro-batches, evaluation, and the loop.

A batch is a tuple that begins with inputs and targets, (rows, columns) each; what follows is not looked at. A
target counts if it is not -1. `python -m nanochat.train` trains a small model (`nanochat.pretrain`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim import Optimizer

from nanochat.checkpoint import load_checkpoint, save_checkpoint

__all__ = [
    "evaluate",
    "evaluate_bits_per_byte",
    "fit",
    "load_checkpoint",
    "lr_multiplier",
    "save_checkpoint",
    "set_learning_rates",
    "train_step",
]

IGNORED_TARGET = -1

Batch = Sequence[Any]


def lr_multiplier(
    step: int,
    num_steps: int,
    warmup_ratio: float = 0.0,
    warmdown_ratio: float = 0.2,
    final_lr_frac: float = 0.0,
) -> float:
    """Return what learning rates are multiplied with at `step`, counted from 0.

    It rises to 1 in the first `warmup_ratio` of the steps, stays, and falls in the last `warmdown_ratio` of
    them to `final_lr_frac`, which the last step has, as has every step after it. Raises ValueError for a
    negative step, and for ratios below 0 or of more than 1 together.
    """
    if step < 0:
        raise ValueError(f"step is {step} and must not be negative")
    if warmup_ratio < 0 or warmdown_ratio < 0 or warmup_ratio + warmdown_ratio > 1:
        raise ValueError(
            f"warmup_ratio is {warmup_ratio} and warmdown_ratio is {warmdown_ratio}: "
            "neither may be negative, nor both together above 1"
        )
    warmup = round(warmup_ratio * num_steps / 100)
    warmdown = round(warmdown_ratio * num_steps)
    steps_after = max(num_steps - 1 - step, 0)
    # Rounded up both, the ramps can share a step; the way down has it.
    if steps_after < warmdown:
        return final_lr_frac + (1.0 - final_lr_frac) * steps_after / warmdown
    # Not step / warmup: the first step would be one for nothing.
    return min((step + 1) / warmup, 1.0) if warmup else 1.0


def set_learning_rates(optimizers: Iterable[Optimizer], multiplier: float) -> None:
    """Set the learning rate of every group to its "initial_lr" times `multiplier`."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * multiplier


def train_step(
    model: nn.Module,
    optimizers: Sequence[Optimizer],
    micro_batches: Iterable[Batch],
    grad_clip: float | None = None,
) -> tuple[float, float]:
    """Make one step on all micro-batches together, of all ranks; return (mean loss, norm of the gradient).
    Both are those before the step and before clipping. Gradients of all micro-batches add up before the
    optimizers move.
    """
    micro_batches = list(micro_batches)
    parameters = held_parameters(optimizers)
    forget_gradients(model, parameters)
    counted = total_over_ranks(sum(count_targets(targets) for _, targets, *_ in micro_batches))
    total_loss = 0.0
    for inputs, targets, *_ in micro_batches:
        loss = model(inputs, targets, loss_reduction="sum")
        loss.backward()
        total_loss += loss.item() / max(counted, 1)
    add_gradients_of_ranks(parameters)
    grad_norm = clip_gradients(parameters, grad_clip)
    for optimizer in optimizers:
        optimizer.step()
    forget_gradients(model, parameters)
    return total_over_ranks(total_loss), grad_norm


def count_targets(targets: Tensor) -> int:
    """Return how many targets count."""
    return int((targets != IGNORED_TARGET).sum())


def held_parameters(optimizers: Iterable[Optimizer]) -> list[nn.Parameter]:
    """Return the parameters of all groups of all optimizers."""
    return [
        parameter
        for optimizer in optimizers
        for group in optimizer.param_groups
        for parameter in group["params"]
    ]


def forget_gradients(model: nn.Module, parameters: Iterable[nn.Parameter]) -> None:
    """Remove the gradients of a model's parameters and of those given."""
    for parameter in (*model.parameters(), *parameters):
        parameter.grad = None


def clip_gradients(parameters: Iterable[nn.Parameter], grad_clip: float | None) -> float:
    """Return the Euclidean norm of all gradients together; scale them down to `grad_clip` if it is larger."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return 0.0
    norms = [torch.linalg.vector_norm(gradient) for gradient in gradients]
    grad_norm = float(torch.linalg.vector_norm(torch.stack(norms)))
    if grad_clip is not None and grad_norm > grad_clip:
        for gradient in gradients:
            gradient.mul_(grad_clip / grad_norm)
    return grad_norm


def total_over_ranks(value: float) -> float:
    """Return the sum of a number over all ranks; the number itself in a single process."""
    if not is_distributed():
        return value
    total = torch.tensor(value, dtype=torch.float64, device=rank_device())
    dist.all_reduce(total)
    return total.item()


def add_gradients_of_ranks(parameters: Sequence[nn.Parameter]) -> None:
    """Give every rank the sum of all ranks' gradients; those that no rank has stay away."""
    if not is_distributed():
        return
    reached = torch.tensor(
        [parameter.grad is not None for parameter in parameters], dtype=torch.int32, device=rank_device()
    )
    dist.all_reduce(reached, op=dist.ReduceOp.MAX)
    for parameter, is_reached in zip(parameters, reached.tolist(), strict=True):
        if is_reached:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            dist.all_reduce(parameter.grad)


def is_distributed() -> bool:
    """Say whether this process is one of several that train together."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def rank_device() -> torch.device:
    """Return where numbers must lie that ranks exchange."""
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")


@torch.no_grad()
def evaluate(model: nn.Module, batches: Iterable[Batch]) -> float:
    """Return the mean loss over all targets that count; not a number if there are none. Changes nothing."""
    total_loss, counted = 0.0, 0
    with evaluation_mode(model):
        for inputs, targets, *_ in batches:
            total_loss += model(inputs, targets, loss_reduction="sum").item()
            counted += count_targets(targets)
    return total_loss / counted if counted else math.nan


@torch.no_grad()
def evaluate_bits_per_byte(
    model: nn.Module, batches: Iterable[Batch], token_bytes: Sequence[int] | Tensor
) -> float:
    """Return the loss in bits for each byte of text, which models of different tokenizers can be compared by.

    `token_bytes` holds the number of bytes of each id. Targets without bytes, the special tokens, are left
    out with their losses. Infinite if no target has any. Changes nothing.
    """
    total_loss, total_bytes = 0.0, 0
    with evaluation_mode(model):
        for inputs, targets, *_ in batches:
            losses = model(inputs, targets, loss_reduction="none").reshape(-1)
            targets = targets.reshape(-1)
            sizes = torch.as_tensor(token_bytes, device=targets.device)
            # An ignored target, -1, would be looked up as the last id.
            sizes = torch.where(targets == IGNORED_TARGET, 0, sizes[targets.clamp(min=0)])
            total_loss += losses[sizes > 0].sum().item()
            total_bytes += int(sizes.sum())
    return total_loss / math.log(2) / total_bytes if total_bytes else math.inf


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Run a block in evaluation mode; give each module its mode back, and torch its random states."""
    modes = {module: module.training for module in model.modules()}
    devices = {parameter.device for parameter in model.parameters() if parameter.device.type == "cuda"}
    model.eval()
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        for module, was_training in modes.items():
            module.training = was_training


def fit(
    model: nn.Module,
    optimizers: Sequence[Optimizer],
    batches: Iterable[Batch],
    num_steps: int,
    *,
    accumulation: int = 1,
    grad_clip: float | None = 1.0,
    warmup_ratio: float = 0.0,
    warmdown_ratio: float = 0.2,
    final_lr_frac: float = 0.0,
    validation: Callable[[], Iterable[Batch]] | None = None,
    validate_every: int = 0,
    first_step: int = 0,
    on_step: Callable[[dict[str, Any]], object] | None = None,
) -> list[dict[str, Any]]:
    """Train from step `first_step` to step `num_steps - 1`, each on `accumulation` batches.

    Returns a dict for each step: "step", "loss", "grad_norm", "lr_multiplier" and, where it was measured,
    "validation_loss": after every `validate_every` steps and after the last. `on_step` is called with each.
    Ends earlier if the batches do, with a step on what is left of them.
    """
    stream = iter(batches)
    history: list[dict[str, Any]] = []
    was_training = model.training
    try:
        for step in range(first_step, num_steps):
            micro_batches = list(islice(stream, accumulation))
            if not micro_batches:
                break
            multiplier = lr_multiplier(step, num_steps, warmup_ratio, warmdown_ratio, final_lr_frac)
            set_learning_rates(optimizers, multiplier)
            model.train()
            loss, grad_norm = train_step(model, optimizers, micro_batches, grad_clip)
            entry = {"step": step, "loss": loss, "grad_norm": grad_norm, "lr_multiplier": multiplier}
            history.append(entry)
            is_last = step == num_steps - 1 or len(micro_batches) < accumulation
            is_due = validate_every > 0 and (step + 1) % validate_every == 0
            if validation is not None and (is_last or is_due):
                entry["validation_loss"] = evaluate(model, validation())
            if on_step is not None:
                on_step(entry)
            if is_last:
                break
        # Batches that end with a whole step do not say so before the next one asks for more.
        if history and validation is not None and "validation_loss" not in history[-1]:
            history[-1]["validation_loss"] = evaluate(model, validation())
    finally:
        model.train(was_training)
    return history


if __name__ == "__main__":
    from nanochat.pretrain import main

    main()
