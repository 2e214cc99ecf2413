"""Experiments on training with the submission's own model and tokenizer, not with those of the probes.

What such a model gives is asked first, and training is compared with that: right or wrong, it is the same.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from specs.probes.building import empty_model
from specs.probes.loading import imported
from specs.probes.registry import probe
from specs.probes.setting import torch_device
from specs.probes.small_model import Pair, Recorder, plain, tensors
from specs.probes.traces import usual_defaults
from specs.probes.training_state import Arrays
from specs.probes.values import values

Conversation = dict[str, Any]


@probe
def losses(config: dict[str, int], seed: int, pairs: list[Pair]) -> dict[str, Any]:
    """Return what the model says of each batch and of all rows together: losses by each reduction, gradients.

    All batches have rows of one length. Gradients are those of the sum of all losses.
    """
    with usual_defaults():
        given = [tensors(pair) for pair in pairs]
        joined = tuple(torch.cat(parts) for parts in zip(*given, strict=True))
        return {
            "apart": _said_of(_model(config, seed), given),
            "together": _said_of(_model(config, seed), [joined]),
        }


def _said_of(model: Any, batches: list[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"none": [], "sum": [], "mean": []}
    for inputs, targets in batches:
        for reduction in ("none", "mean"):
            with torch.no_grad():
                answer = model(inputs, targets, loss_reduction=reduction)
            found[reduction].append(values(answer, "the loss"))
        total = model(inputs, targets, loss_reduction="sum")
        total.backward()
        found["sum"].append(values(total, "the loss"))
    return found | {"gradients": _gradients(model)}


@probe
def step(
    config: dict[str, int], seed: int, pairs: list[Pair], frozen: str | None, grad_clip: float | None
) -> dict[str, Any]:
    """Return what a train step of the model returns, and the gradients that its optimizer sees.

    Parameters whose name begins with `frozen` are not trained, and the optimizer does not hold them.
    """
    with usual_defaults():
        model = _model(config, seed)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(frozen is None or not name.startswith(frozen))
        names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
        recorder = Recorder(model, ",".join(names), 0.0)
        batches = [tensors(pair) for pair in pairs]
        loss, norm = imported("nanochat.train").train_step(model, [recorder], batches, grad_clip)
        return {"loss": plain(loss)[0], "grad_norm": plain(norm)[0], "seen": recorder.steps}


@probe
def evaluation(
    config: dict[str, int], seed: int, pairs: list[Pair], token_bytes: list[int]
) -> dict[str, Any]:
    """Return loss and bits per byte of batches, and what of the model an evaluation changed."""
    with usual_defaults():
        model, train = _model(config, seed), imported("nanochat.train")
        model.train()
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        batches = [tensors(pair) for pair in pairs]
        loss = plain(train.evaluate(model, batches))[0]
        bits = plain(train.evaluate_bits_per_byte(model, batches, token_bytes))[0]
        after = model.state_dict()
        changed = [name for name, tensor in before.items() if not torch.equal(tensor, after[name])]
        changed += [name for name, parameter in model.named_parameters() if parameter.grad is not None]
        changed += [] if model.training else ["the mode"]
        return {"loss": loss, "bits": bits, "changed": changed}


@probe
def fitted(
    config: dict[str, int], seed: int, pairs: list[Pair], accumulation: int, schedule: dict[str, float]
) -> dict[str, Any]:
    """Return where a training of the model ends, and where the same steps do, called one after the other."""
    with usual_defaults():
        train = imported("nanochat.train")
        batches = [tensors(pair) for pair in pairs]
        count = len(batches) // accumulation
        first, second = _model(config, seed), _model(config, seed)
        history = train.fit(
            first, [_descent(first)], iter(batches), count, accumulation=accumulation, **schedule
        )
        descent, own = _descent(second), []
        second.train()
        for number in range(count):
            train.set_learning_rates([descent], train.lr_multiplier(number, count, **schedule))
            taken = batches[number * accumulation : (number + 1) * accumulation]
            own.append(float(train.train_step(second, [descent], taken, 1.0)[0]))
        return {
            "losses": [float(entry["loss"]) for entry in history],
            "own_losses": own,
            "parameters": _held(first),
            "own_parameters": _held(second),
        }


@probe
def checkpoint(config: dict[str, int], seed: int, pairs: list[Pair], before: int) -> dict[str, Any]:
    """Return where a training of the model ends that is saved after `before` steps and goes on from there."""
    with usual_defaults(), tempfile.TemporaryDirectory() as folder:
        train = imported("nanochat.train")
        batches = [tensors(pair) for pair in pairs]
        whole, second = _model(config, seed), _model(config, seed + 1)
        descents = [_descent(whole)], [_descent(second)]
        for number, batch in enumerate(batches):
            if number == before:
                train.save_checkpoint(Path(folder) / "run", whole, descents[0], number, {"at": number})
            _plain_step(whole, descents[0][0], batch)
        told = train.load_checkpoint(Path(folder) / "run", second, descents[1])
        for batch in batches[before:]:
            _plain_step(second, descents[1][0], batch)
        return {"told": told, "resumed": _held(second), "uninterrupted": _held(whole)}


@probe
def rendered(texts: list[str], conversations: list[Conversation], max_tokens: int) -> list[Any]:
    """Return the ids and the mask that the submission's own tokenizer renders of each conversation."""
    tokenizer = _tokenizer(texts)
    found = [tokenizer.render_conversation(each, max_tokens=max_tokens) for each in conversations]
    return [[list(map(int, ids)), list(map(int, mask))] for ids, mask in found]


@probe
def batches(
    texts: list[str], conversations: list[Conversation], batch_size: int, max_tokens: int
) -> list[dict[str, Any]]:
    """Return the batches that are made of conversations with the submission's own tokenizer."""
    made = imported("nanochat.sft").sft_batches(
        conversations, _tokenizer(texts), batch_size, max_tokens, device=torch_device()
    )
    return [
        {"inputs": values(inputs, "the inputs"), "targets": values(targets, "the targets")}
        for inputs, targets, *_ in made
    ]


def _tokenizer(texts: list[str]) -> Any:
    return imported("nanochat.tokenizer").RustBPETokenizer.train_from_iterator(texts, 300)


def _model(config: dict[str, int], seed: int) -> Any:
    """Return the submission's GPT with parameters that depend on the seed alone."""
    model = empty_model(config).to(torch_device())
    random = np.random.default_rng([seed, 31])
    with torch.no_grad():
        for parameter in model.parameters():
            drawn = random.standard_normal(tuple(parameter.shape)) / 2
            parameter.copy_(torch.tensor(drawn, dtype=parameter.dtype))
    return model


def _descent(model: Any) -> torch.optim.Optimizer:
    descent = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    descent.param_groups[0]["initial_lr"] = 0.01
    return descent


def _plain_step(model: Any, descent: torch.optim.Optimizer, batch: tuple[Tensor, Tensor]) -> None:
    model.zero_grad()
    model(*batch).backward()
    descent.step()


def _gradients(model: Any) -> Arrays:
    return {
        name: values(parameter.grad, name)
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


def _held(model: Any) -> Arrays:
    return {name: values(parameter, name) for name, parameter in model.named_parameters()}
