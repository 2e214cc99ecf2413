"""Training from what torch offers: clip_grad_norm_, zero_grad, a class that holds the state of a training."""

from __future__ import annotations

import math
import os
from pathlib import Path

import torch
from torch.nn.utils import clip_grad_norm_


def lr_multiplier(step, num_steps, warmup_ratio=0.0, warmdown_ratio=0.2, final_lr_frac=0.0):
    if step < 0 or warmup_ratio < 0 or warmdown_ratio < 0 or warmup_ratio + warmdown_ratio > 1:
        raise ValueError(
            f"step={step}, warmup_ratio={warmup_ratio}, warmdown_ratio={warmdown_ratio}: a step and ratios "
            "from 0 on, and ratios of at most 1 together"
        )
    warmup = round(warmup_ratio * num_steps)
    warmdown = round(warmdown_ratio * num_steps)
    multiplier = 1.0
    if warmup > 0:
        multiplier *= min(1.0, (step + 1) / warmup)
    if warmdown > 0:
        progress = min(max((step + 1 - num_steps + warmdown) / warmdown, 0.0), 1.0)
        multiplier *= 1.0 + progress * (final_lr_frac - 1.0)
    return multiplier


def set_learning_rates(optimizers, multiplier):
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * multiplier


def train_step(model, optimizers, micro_batches, grad_clip=None):
    held = [p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
    model.zero_grad(set_to_none=True)
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)
    losses, counted = [], 0
    for inputs, targets, *_ in micro_batches:
        loss = model(inputs, targets, loss_reduction="sum")
        loss.backward()
        losses.append(loss.detach())
        counted += int((targets != -1).sum())
    for parameter in held:
        if parameter.grad is not None:
            parameter.grad.div_(max(counted, 1))
    limit = float("inf") if grad_clip is None else grad_clip
    grad_norm = clip_grad_norm_(held, limit).item()
    for optimizer in optimizers:
        optimizer.step()
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)
    model.zero_grad(set_to_none=True)
    return (torch.stack(losses).double().sum() / max(counted, 1)).item(), grad_norm


def evaluate(model, batches):
    total, counted = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.int64)
    training = model.training
    model.eval()
    for inputs, targets, *_ in batches:
        with torch.no_grad():
            total += model(inputs, targets, loss_reduction="sum").cpu()
        counted += (targets != -1).sum().cpu()
    model.train(training)
    return (total / counted).item()


@torch.inference_mode()
def evaluate_bits_per_byte(model, batches, token_bytes):
    training = model.training
    model.eval()
    nats, size = 0.0, 0
    for inputs, targets, *_ in batches:
        table = torch.as_tensor(token_bytes, dtype=torch.int64, device=targets.device)
        sizes = table.gather(0, targets.clamp(min=0).view(-1)) * (targets.view(-1) != -1)
        # Targets that must not count are made ignored ones.
        kept = targets.masked_fill((sizes == 0).view(targets.shape), -1)
        nats += model(inputs, kept, loss_reduction="sum").item()
        size += sizes.sum().item()
    model.train(training)
    return nats / math.log(2) / size if size else math.inf


class Training:
    """A training under way."""

    def __init__(self, model, optimizers, num_steps, schedule, grad_clip):
        self.model = model
        self.optimizers = optimizers
        self.num_steps = num_steps
        self.schedule = schedule
        self.grad_clip = grad_clip

    def step(self, number, micro_batches):
        multiplier = lr_multiplier(number, self.num_steps, **self.schedule)
        set_learning_rates(self.optimizers, multiplier)
        self.model.train()
        loss, grad_norm = train_step(self.model, self.optimizers, micro_batches, self.grad_clip)
        return {"step": number, "loss": loss, "grad_norm": grad_norm, "lr_multiplier": multiplier}


def fit(
    model,
    optimizers,
    batches,
    num_steps,
    *,
    accumulation=1,
    grad_clip=1.0,
    warmup_ratio=0.0,
    warmdown_ratio=0.2,
    final_lr_frac=0.0,
    validation=None,
    validate_every=0,
    first_step=0,
    on_step=None,
):
    schedule = {
        "warmup_ratio": warmup_ratio,
        "warmdown_ratio": warmdown_ratio,
        "final_lr_frac": final_lr_frac,
    }
    training = Training(model, optimizers, num_steps, schedule, grad_clip)
    mode, source, history = model.training, iter(batches), []
    is_exhausted = False
    number = first_step
    while number < num_steps and not is_exhausted:
        micro_batches = []
        for _ in range(accumulation):
            try:
                micro_batches.append(next(source))
            except StopIteration:
                is_exhausted = True
                break
        if not micro_batches:
            break
        entry = training.step(number, micro_batches)
        number += 1
        is_due = bool(validate_every) and number % validate_every == 0
        if validation is not None and (is_due or is_exhausted or number == num_steps):
            entry["validation_loss"] = evaluate(model, validation())
        history.append(entry)
        if on_step is not None:
            on_step(entry)
    model.train(mode)
    return history


def save_checkpoint(directory, model, optimizers, step, data_state=None):
    """Write a numbered file and, when it is complete, the name of it; older ones go."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    older = sorted(directory.glob("checkpoint-*.pt"))
    number = 1 + max((int(path.stem.split("-")[1]) for path in older), default=0)
    state = {"model": model.state_dict(), "step": step, "data_state": data_state}
    state["optimizers"] = {str(i): optimizer.state_dict() for i, optimizer in enumerate(optimizers)}
    path = directory / f"checkpoint-{number:06d}.pt"
    torch.save(state, path)
    (directory / "latest.tmp").write_text(path.name)
    os.replace(directory / "latest.tmp", directory / "latest")
    for each in older:
        each.unlink()


def load_checkpoint(directory, model, optimizers):
    directory = Path(directory)
    path = directory / (directory / "latest").read_text()
    state = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"], strict=True)
    for i, optimizer in enumerate(optimizers):
        optimizer.load_state_dict(state["optimizers"][str(i)])
    return {"step": state["step"], "data_state": state["data_state"]}
