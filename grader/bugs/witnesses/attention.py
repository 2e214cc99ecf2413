"""Witnesses of bugs in the model: its loss, its precision, its initialisation."""

from __future__ import annotations

from typing import Any

import torch

from grader.bugs.witnesses.setting import Modules, attempt, ids, model, some


def losses(modules: Modules) -> Any:
    """Return losses with every reduction, some of the targets ignored."""
    found = []
    for seed, (rows, length) in enumerate(((1, 5), (3, 4), (2, 9))):
        made = model(modules, seed)
        tokens, targets = ids(seed, rows, length), ids(seed + 9, rows, length)
        targets[:, ::2] = -1
        targets[0, 0] = 0
        for reduction in ("mean", "sum", "none"):
            found.append(attempt(lambda: some(made(tokens, targets, loss_reduction=reduction))))  # noqa: B023  # called at once
        found.append(attempt(lambda: str(made(tokens, targets, loss_reduction="none").shape)))  # noqa: B023  # as above
    return found


def half(modules: Modules) -> Any:
    """Return dtypes and how coarse the numbers are that a bfloat16 model gives."""
    found = []
    for seed in (0, 1):
        made = model(modules, seed, n_embd=32).to(torch.bfloat16)
        tokens, targets = ids(seed, 2, 9), ids(seed + 9, 2, 9)
        for numbers in (made(tokens), made(tokens, targets), made(tokens, targets, loss_reduction="none")):
            coarse = float((numbers == numbers.bfloat16()).float().mean())
            found += [str(numbers.dtype), coarse > 0.5, some(numbers.round(decimals=1), 5)]
    return found


def sliced(modules: Modules) -> Any:
    """Return losses whose inputs and targets are slices of one text."""
    found = []
    for seed, rows in ((0, 2), (1, 3)):
        made, text = model(modules, seed), ids(seed, rows, 8)
        found.append(attempt(lambda: some(made(text[:, :-1], text[:, 1:]))))  # noqa: B023  # called at once
    return found


def flops(modules: Modules) -> Any:
    """Return the operations that models of several shapes are said to take."""
    return [
        model(modules, 0, n_head=heads, n_kv_head=shared, n_embd=4 * heads, n_layer=layers).estimate_flops()
        for heads, shared, layers in ((2, 2, 1), (4, 2, 2), (4, 1, 3))
    ]


def defaults(modules: Modules) -> Any:
    """Return the sizes of configurations that name some of them or none."""
    config = modules["gpt"].GPTConfig
    return [vars(config()), vars(config(n_layer=3))]


def refused(modules: Modules) -> Any:
    """Return which sizes are refused."""
    config = modules["gpt"].GPTConfig
    wrong: list[dict[str, int]] = [
        {"n_embd": 9, "n_head": 3, "n_kv_head": 3},
        {"n_embd": 14, "n_head": 2, "n_kv_head": 2},
        {"n_embd": 10, "n_head": 4, "n_kv_head": 4},
        {"n_head": 6, "n_kv_head": 4},
        {"n_head": 2, "n_kv_head": 4, "n_embd": 8},
        *({name: 0} for name in ("n_layer", "sequence_len", "vocab_size")),
        {"n_layer": -1},
    ]
    return [attempt(lambda: str(config(**sizes))) for sizes in wrong]  # noqa: B023  # called at once


def fresh(modules: Modules) -> Any:
    """Return how much each parameter of fresh models varies, also after construction on the meta device."""
    found: list[Any] = []
    for layers in (1, 3):
        sizes = {
            "sequence_len": 9,
            "vocab_size": 7,
            "n_layer": layers,
            "n_head": 2,
            "n_kv_head": 2,
            "n_embd": 16,
        }
        with torch.device("meta"):
            made = modules["gpt"].GPT(modules["gpt"].GPTConfig(**sizes))
        made.to_empty(device="cpu")
        with torch.no_grad():
            for part in (*made.parameters(), *made.buffers()):
                part.fill_(float("nan"))
        made.init_weights()
        # Roughly: the distribution is free.
        found += [round(float(parameter.std()), 1) for parameter in made.parameters()]
        found.append([name for name, parameter in made.named_parameters() if float(parameter.std()) == 0])
    return found


def gradients(modules: Modules) -> Any:
    """Return the size of each parameter's gradient, with shared heads and without."""
    found = []
    for seed, shared in ((0, 4), (1, 2), (2, 1)):
        made = model(modules, seed, n_head=4, n_kv_head=shared)
        made(ids(seed, 2, 9), ids(seed + 9, 2, 9)).backward()
        found.append(
            {
                name: "none" if parameter.grad is None else float(parameter.grad.double().norm())
                for name, parameter in made.named_parameters()
            }
        )
    return found


def untouched(modules: Modules) -> Any:
    """Return what passes change of a model: its parameters and its mode."""
    found = []
    for seed, training in ((0, True), (1, False)):
        made = model(modules, seed).train(training)
        before = {name: parameter.clone() for name, parameter in made.named_parameters()}
        for targets in (None, ids(seed, 1, 5)):
            with torch.no_grad():
                made(ids(seed, 1, 5), targets)
            found.append(made.training)
        found.append([name for name, part in made.named_parameters() if not torch.equal(part, before[name])])
    return found


def short(modules: Modules) -> Any:
    """Return logits of models whose embedding, or whose projections of queries, are small."""
    found = []
    for seed, scale in ((0, 0.02), (1, 0.01)):
        made = model(modules, seed)
        with torch.no_grad():
            made.transformer.wte.weight.mul_(scale)
            found.append(some(made(ids(seed, 2, 5))))
    return found


def training(modules: Modules) -> Any:
    """Return logits and losses of models in training mode."""
    found = []
    for seed, rows in ((0, 1), (1, 3)):
        made = model(modules, seed).train()
        tokens, targets = ids(seed, rows, 6), ids(seed + 9, rows, 6)
        with torch.no_grad():
            found += [some(made(tokens)), some(made(tokens, targets))]
    return found


def making(modules: Modules) -> Any:
    """Return numbers drawn from torch's own generator after a model was made."""
    found = []
    for seed, layers in ((1, 1), (2, 3)):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model(modules, seed, n_layer=layers)
            found.append(torch.rand(3).tolist())
    return found


def device(modules: Modules) -> Any:
    """Return the device that models on the meta device say they are on."""
    found = []
    for layers in (1, 2):
        with torch.device("meta"):
            made = modules["gpt"].GPT(modules["gpt"].GPTConfig(n_layer=layers))
        found.append(str(made.get_device()))
    return found


def deep(modules: Modules) -> Any:
    """Return logits of models with more layers than small ones have."""
    found = []
    for seed, layers in ((0, 10), (1, 13)):
        with torch.no_grad():
            found.append(some(model(modules, seed, n_layer=layers)(ids(seed, 2, 5))))
    return found


def many_tokens(modules: Modules) -> Any:
    """Return logits after ids of a large vocabulary."""
    found = []
    for seed, vocabulary in ((0, 50304), (1, 40000)):
        made = model(modules, seed, vocab_size=vocabulary, n_layer=1, n_embd=8)
        tokens = torch.tensor([[1, 32767, 32768, vocabulary - 1]])
        with torch.no_grad():
            found.append(attempt(lambda: some(made(tokens))))  # noqa: B023  # called at once
    return found


def reduced_gradients(modules: Modules) -> Any:
    """Return the gradient of the embedding by the sum of what each reduction gives."""
    found = []
    for seed, rows in ((0, 1), (1, 3)):
        for reduction in ("sum", "none"):
            made = model(modules, seed)
            losses_ = made(ids(seed, rows, 6), ids(seed + 9, rows, 6), loss_reduction=reduction)
            found.append(attempt(lambda: losses_.sum().backward()))  # noqa: B023  # called at once
            gradient = made.transformer.wte.weight.grad
            found.append("none" if gradient is None else some(gradient))
    return found
