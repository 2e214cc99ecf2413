"""Training that streams: a micro-batch is forgotten when its gradient is added, and all is scaled once."""

from __future__ import annotations

import json
import math
import shutil
from itertools import chain, islice
from pathlib import Path

import torch


class ImpossibleSchedule(ValueError):
    """The ramps do not fit into the training."""


def lr_multiplier(step, num_steps, warmup_ratio=0.0, warmdown_ratio=0.2, final_lr_frac=0.0):
    if min(step, warmup_ratio, warmdown_ratio) < 0 or warmup_ratio + warmdown_ratio > 1:
        raise ImpossibleSchedule(f"step {step}, warm-up {warmup_ratio}, warm-down {warmdown_ratio}")
    warmup, warmdown = round(num_steps * warmup_ratio), round(num_steps * warmdown_ratio)
    step = min(step, num_steps - 1)
    if step < warmup:
        return (step + 1) / warmup
    into = step - (num_steps - warmdown) + 1
    if into <= 0:
        return 1.0
    if into == warmdown:
        return float(final_lr_frac)
    return 1.0 - (1.0 - final_lr_frac) * into / warmdown


def set_learning_rates(optimizers, multiplier):
    for optimizer in optimizers:
        for i in range(len(optimizer.param_groups)):
            optimizer.param_groups[i]["lr"] = optimizer.param_groups[i]["initial_lr"] * multiplier


def train_step(model, optimizers, micro_batches, grad_clip=None):
    model.zero_grad(set_to_none=True)
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)
    counted = torch.zeros((), dtype=torch.int64)
    total = 0.0
    for inputs, targets, *_ in micro_batches:
        loss = model(inputs, targets, loss_reduction="sum")
        loss.backward()
        total += loss.item()
        counted += (targets != -1).sum().cpu()
    count = max(int(counted), 1)
    gradients = [
        parameter.grad
        for optimizer in optimizers
        for group in optimizer.param_groups
        for parameter in group["params"]
        if parameter.grad is not None
    ]
    norm_of_sum = math.hypot(*(float(torch.linalg.norm(gradient)) for gradient in gradients))
    grad_norm = norm_of_sum / count
    scale = 1.0 / count
    if grad_clip is not None and grad_norm > grad_clip:
        scale = grad_clip / norm_of_sum
    for gradient in gradients:
        gradient *= scale
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)  # zeros, not None
    return total / count, grad_norm


class Evaluating:
    """Puts a model into eval mode and every module of it back into its own."""

    def __init__(self, model):
        self.model = model

    def __enter__(self):
        self.training = [module for module in self.model.modules() if module.training]
        self.model.eval()

    def __exit__(self, *_):
        for module in self.training:
            module.training = True


def evaluate(model, batches):
    losses, counts = [], []
    with Evaluating(model), torch.no_grad():
        for inputs, targets, *_ in batches:
            count = int((targets != -1).sum())
            if count:
                losses.append(float(model(inputs, targets)) * count)
                counts.append(count)
    return math.fsum(losses) / sum(counts) if counts else float("nan")


def evaluate_bits_per_byte(model, batches, token_bytes):
    table = torch.as_tensor(token_bytes).cpu().long()
    table = torch.cat([table, table.new_zeros(1)])  # the last one is what -1 looks up
    nats = size = 0
    with Evaluating(model), torch.no_grad():
        for inputs, targets, *_ in batches:
            sizes = table[targets.cpu().reshape(-1)]
            losses = model(inputs, targets, loss_reduction="none").cpu().reshape(-1)
            nats += float((losses * (sizes > 0)).sum())
            size += int(sizes.sum())
    return nats / size / math.log(2) if size else math.inf


def counting(batches, taken):
    for batch in batches:
        taken.append(None)
        yield batch


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
    stream, history, step = iter(batches), [], first_step
    was_training = model.training
    nothing = object()

    def validated(entry):
        if validation is not None and "validation_loss" not in entry:
            entry["validation_loss"] = evaluate(model, validation())

    while step < num_steps:
        first = next(stream, nothing)
        if first is nothing:
            break
        taken = []
        micro_batches = counting(chain([first], islice(stream, accumulation - 1)), taken)
        multiplier = lr_multiplier(step, num_steps, warmup_ratio, warmdown_ratio, final_lr_frac)
        set_learning_rates(optimizers, multiplier)
        model.train(True)
        loss, norm = train_step(model, optimizers, micro_batches, grad_clip)
        history.append({"lr_multiplier": multiplier, "grad_norm": norm, "loss": loss, "step": step})
        step += 1
        ended = len(taken) < accumulation
        if ended or step == num_steps or (validate_every and step % validate_every == 0):
            validated(history[-1])
        if on_step is not None:
            on_step(history[-1])
        if ended:
            break
    if history:
        validated(history[-1])
    model.train(was_training)
    return history


def save_checkpoint(directory, model, optimizers, step, data_state=None):
    """Write one file for the model, one for each optimizer, and one for the rest, into a new folder."""
    directory = Path(directory)
    new = directory / "new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    torch.save(model.state_dict(), new / "model.pt")
    for number, optimizer in enumerate(optimizers):
        torch.save(optimizer.state_dict(), new / f"optimizer{number}.pt")
    torch.save({"data_state": data_state}, new / "data.pt")
    (new / "step.json").write_text(json.dumps(step))
    shutil.rmtree(directory / "checkpoint", ignore_errors=True)
    new.rename(directory / "checkpoint")


def load_checkpoint(directory, model, optimizers):
    folder = Path(directory) / "checkpoint"

    def read(name):
        return torch.load(folder / name, map_location="cpu", weights_only=True)

    step = json.loads((folder / "step.json").read_text())
    model.load_state_dict(read("model.pt"))
    for number, optimizer in enumerate(optimizers):
        optimizer.load_state_dict(read(f"optimizer{number}.pt"))
    return {"step": step, "data_state": read("data.pt")["data_state"]}
