"""Training that counts first: the mean loss of a micro-batch is weighed by its share of the targets."""

from __future__ import annotations

import ast
import math
from pathlib import Path

import numpy as np
import torch


def lr_multiplier(step, num_steps, warmup_ratio=0.0, warmdown_ratio=0.2, final_lr_frac=0.0):
    if step < 0:
        raise ValueError(f"there is no step {step}")
    if not (warmup_ratio >= 0 and warmdown_ratio >= 0 and warmup_ratio + warmdown_ratio <= 1):
        raise ValueError(f"ramps of {warmup_ratio} and {warmdown_ratio} of all steps do not fit")
    warmup, warmdown = round(warmup_ratio * num_steps), round(warmdown_ratio * num_steps)
    rising = np.interp(step, [-1, warmup - 1], [0.0, 1.0]) if warmup else 1.0
    end = num_steps - 1
    falling = np.interp(step, [end - warmdown, end], [1.0, final_lr_frac]) if warmdown else 1.0
    return float(min(rising, falling))


def set_learning_rates(optimizers, multiplier):
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = float(group["initial_lr"]) * float(multiplier)


def train_step(model, optimizers, micro_batches, grad_clip=None):
    batches = [(batch[0], batch[1], int(batch[1].ne(-1).sum())) for batch in micro_batches]
    counted = sum(count for *_, count in batches)
    parameters = [p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
    for parameter in [*parameters, *model.parameters()]:
        parameter.grad = None
    loss = 0.0
    for inputs, targets, count in batches:
        if count == 0:
            continue
        part = model(inputs, targets, loss_reduction="mean") * (count / counted)
        part.backward()
        loss += part.item()
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norms = torch._foreach_norm(gradients) if gradients else [torch.zeros(())]
    grad_norm = float(torch.stack(norms).square().sum().sqrt())
    if grad_clip is not None and grad_norm > grad_clip:
        torch._foreach_mul_(gradients, grad_clip / grad_norm)
    for optimizer in optimizers:
        optimizer.step()
    for parameter in parameters:
        parameter.grad = None
    model.zero_grad()
    return float(loss), grad_norm


def each(model, batches):
    """Yield (losses, targets), flat, of each batch; the model is in eval mode only while it runs."""
    for inputs, targets, *_ in batches:
        before = model.training
        model.eval()
        with torch.no_grad():
            logits = model(inputs)
        model.train(before)
        flat = logits.reshape(-1, logits.size(-1)).float()
        losses = torch.nn.functional.cross_entropy(
            flat, targets.reshape(-1), ignore_index=-1, reduction="none"
        )
        yield losses, targets.reshape(-1)


def evaluate(model, batches):
    losses, targets = together(model, batches)
    return float(losses[targets != -1].mean())


def evaluate_bits_per_byte(model, batches, token_bytes):
    losses, targets = together(model, batches)
    known = targets != -1
    sizes = np.asarray(torch.as_tensor(token_bytes).cpu())[targets[known].numpy()]
    if sizes.sum() == 0:
        return math.inf
    return float(losses[known].numpy()[sizes > 0].sum() / np.log(2) / sizes.sum())


def together(model, batches):
    """Return the losses, float64, and the targets of all batches."""
    found = [(losses.double().cpu(), targets.cpu()) for losses, targets in each(model, batches)]
    empty = (torch.zeros(0, dtype=torch.float64), torch.zeros(0, dtype=torch.int64))
    return tuple(torch.cat(parts) for parts in zip(empty, *found, strict=True))


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
    mode = model.training
    shape = (warmup_ratio, warmdown_ratio, final_lr_frac)
    try:
        made = run(
            model,
            optimizers,
            batches,
            range(first_step, num_steps),
            num_steps,
            accumulation,
            grad_clip,
            shape,
        )
        history = []
        for entry, is_last in made:
            if validation and (is_last or (validate_every and (entry["step"] + 1) % validate_every == 0)):
                entry["validation_loss"] = evaluate(model, validation())
            history.append(entry)
            if on_step:
                on_step(entry)
        return history
    finally:
        model.train(mode)


def run(model, optimizers, batches, steps, num_steps, accumulation, grad_clip, shape):
    """Yield (entry, whether it is the last by number or because batches ended within it) of each step."""
    stream = iter(batches)
    for step in steps:
        window = [batch for _, batch in zip(range(accumulation), stream, strict=False)]
        if not window:
            return
        multiplier = lr_multiplier(step, num_steps, *shape)
        set_learning_rates(optimizers, multiplier)
        model.train()
        loss, norm = train_step(model, optimizers, window, grad_clip)
        is_short = len(window) < accumulation
        yield (
            {"step": step, "loss": loss, "grad_norm": norm, "lr_multiplier": multiplier},
            is_short or step == num_steps - 1,
        )
        if is_short:
            return


def save_checkpoint(directory, model, optimizers, step, data_state=None):
    """Write every tensor into an archive of arrays, and what holds them as a Python literal beside it."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    arrays = {}

    def packed(value):
        if isinstance(value, torch.Tensor):
            name, kept = f"t{len(arrays)}", value.detach().cpu().contiguous()
            # NumPy has no bfloat16.
            short = value.dtype == torch.bfloat16
            arrays[name] = (kept.view(torch.int16) if short else kept).numpy().copy()
            return {"short": name} if short else {"tensor": name}
        if isinstance(value, dict):
            return {"dict": [(key, packed(one)) for key, one in value.items()]}
        if isinstance(value, list | tuple):
            return {type(value).__name__: [packed(one) for one in value]}
        return {"value": value}

    content = packed(
        {
            "model": dict(model.state_dict()),
            "optimizers": [o.state_dict() for o in optimizers],
            "rest": {"step": step, "data_state": data_state},
        }
    )
    np.savez(directory / "tensors.npz", **arrays)
    (directory / "structure.txt").write_text(repr(content), encoding="utf-8")


def load_checkpoint(directory, model, optimizers):
    content = ast.literal_eval((Path(directory) / "structure.txt").read_text(encoding="utf-8"))
    with np.load(Path(directory) / "tensors.npz", allow_pickle=False) as arrays:

        def unpacked(value):
            ((kind, inside),) = value.items()
            if kind == "tensor":
                return torch.from_numpy(arrays[inside])
            if kind == "short":
                return torch.from_numpy(arrays[inside]).view(torch.bfloat16)
            if kind == "dict":
                return {key: unpacked(one) for key, one in inside}
            if kind in ("list", "tuple"):
                return {"list": list, "tuple": tuple}[kind](unpacked(one) for one in inside)
            return inside

        content = unpacked(content)
    model.load_state_dict(content["model"])
    for optimizer, state in zip(optimizers, content["optimizers"], strict=True):
        optimizer.load_state_dict(state)
    return content["rest"]
