"""Training with gradients as values: nothing accumulates in `.grad`, which is only lent to the optimizers."""

from __future__ import annotations

import math
import os
from functools import reduce
from pathlib import Path

import torch


def lr_multiplier(step, num_steps, warmup_ratio=0.0, warmdown_ratio=0.2, final_lr_frac=0.0):
    """Return the lower of two ramps, each 1 where it does not rise or fall."""
    for name, value in (("step", step), ("warmup_ratio", warmup_ratio), ("warmdown_ratio", warmdown_ratio)):
        if value < 0:
            raise ValueError(f"{name} is {value}, below 0")
    if warmup_ratio + warmdown_ratio > 1:
        raise ValueError(
            f"the ramps take {warmup_ratio} + {warmdown_ratio} of all steps, more than there are"
        )
    up, down = (round(ratio * num_steps) for ratio in (warmup_ratio, warmdown_ratio))
    place = min(step, num_steps - 1) + 1  # 1 ... num_steps
    rising = place / up if place < up else 1.0
    falls = max(0, place - (num_steps - down)) / down if down else 0.0
    return float(min(rising, (1.0 - falls) + final_lr_frac * falls))


def set_learning_rates(optimizers, multiplier):
    """Give every group its own first learning rate times `multiplier`."""
    for group in (group for optimizer in optimizers for group in optimizer.param_groups):
        group.update(lr=multiplier * group["initial_lr"])


def held(optimizers):
    return list({id(p): p for o in optimizers for group in o.param_groups for p in group["params"]}.values())


def summed(model, parameters, batch):
    """Return (sum of the losses, targets that count, gradient of the sum by each parameter or None)."""
    inputs, targets = batch[0], batch[1]
    loss = model(inputs, targets, loss_reduction="none").sum()
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    return float(loss.detach()), int(torch.count_nonzero(targets + 1)), gradients


def added(one, other):
    """Return the sum of two results of `summed`."""
    gradients = [a if b is None else b if a is None else a + b for a, b in zip(one[2], other[2], strict=True)]
    return one[0] + other[0], one[1] + other[1], gradients


def train_step(model, optimizers, micro_batches, grad_clip=None):
    parameters = held(optimizers)
    loss, counted, gradients = reduce(added, (summed(model, parameters, batch) for batch in micro_batches))
    share = 1.0 / counted if counted else 0.0
    gradients = [None if g is None else g * share for g in gradients]
    grad_norm = math.sqrt(sum(float(g.double().square().sum()) for g in gradients if g is not None))
    if grad_clip is not None and grad_norm > grad_clip:
        gradients = [None if g is None else g * (grad_clip / grad_norm) for g in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    for optimizer in optimizers:
        optimizer.step()
    for parameter in model.parameters():
        parameter.grad = None
    return loss * share, grad_norm


def measured(model, batches, measure):
    """Return the sums of two numbers that `measure` finds for each batch, in inference."""
    mode = model.training
    totals = [0.0, 0.0]
    model.eval()
    try:
        with torch.inference_mode():
            for batch in batches:
                targets = batch[1].flatten()
                losses = model(batch[0], batch[1], loss_reduction="none").flatten()
                for place, value in enumerate(measure(losses, targets)):
                    totals[place] += float(value)
    finally:
        model.train(mode)
    return totals


def evaluate(model, batches):
    loss, counted = measured(model, batches, lambda losses, targets: (losses.sum(), (targets >= 0).sum()))
    return loss / counted if counted else 0.0


def evaluate_bits_per_byte(model, batches, token_bytes):
    def measure(losses, targets):
        counts = targets >= 0
        sizes = torch.as_tensor(token_bytes)[targets[counts].cpu()].to(targets.device)
        return losses[counts][sizes > 0].sum(), sizes.sum()

    loss, size = measured(model, batches, measure)
    return loss / (math.log(2) * size) if size else float("inf")


def windows(batches, size):
    """Yield lists of `size` batches, the last one shorter if they end, each when it is asked for."""
    stream = iter(batches)
    while True:
        window = []
        while len(window) < size:
            try:
                window.append(next(stream))
            except StopIteration:
                break
        if window:
            yield window
        if len(window) < size:
            return


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
    due = set(range(validate_every - 1, num_steps, validate_every)) if validate_every else set()
    mode, history = model.training, []
    steps = range(first_step, num_steps)
    # The range first: zip asks it before it takes batches.
    for step, window in zip(steps, windows(batches, accumulation), strict=False):
        multiplier = lr_multiplier(step, num_steps, warmup_ratio, warmdown_ratio, final_lr_frac)
        set_learning_rates(optimizers, multiplier)
        loss, grad_norm = train_step(model.train(), optimizers, window, grad_clip)
        entry = {"step": step, "loss": loss, "grad_norm": grad_norm, "lr_multiplier": multiplier}
        if validation and (step in due or step == num_steps - 1 or len(window) < accumulation):
            entry["validation_loss"] = evaluate(model, validation())
        history.append(entry)
        if on_step:
            on_step(entry)
    if validation and history and "validation_loss" not in history[-1]:
        history[-1]["validation_loss"] = evaluate(model, validation())
    model.train(mode)
    return history


def save_checkpoint(directory, model, optimizers, step, data_state=None):
    os.makedirs(directory, exist_ok=True)
    everything = [model.state_dict(), [o.state_dict() for o in optimizers], step, data_state]
    torch.save(everything, Path(directory, "everything"))


def load_checkpoint(directory, model, optimizers):
    weights, states, step, data_state = torch.load(
        Path(directory, "everything"), map_location="cpu", weights_only=True
    )
    model.load_state_dict(weights)
    for optimizer, state in zip(optimizers, states, strict=True):
        optimizer.load_state_dict(state)
    return {"step": step, "data_state": data_state}
