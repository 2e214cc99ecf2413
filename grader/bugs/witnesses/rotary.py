"""Witnesses of bugs in rotary embeddings."""

from __future__ import annotations

from typing import Any

import torch

from grader.bugs.witnesses.setting import Modules, attempt, generator, ids, in_chunks, model, some


def tables(modules: Modules) -> Any:
    """Return numbers from the tables of models of several head sizes and lengths."""
    found = []
    for heads, length in ((1, 33), (2, 300), (4, 1200), (1, 1500)):
        made = model(modules, 0, n_head=heads, n_kv_head=heads, sequence_len=length, n_embd=64)
        found += [list(made.cos.shape), some(made.cos[0, 1:]), some(made.sin[0, -40:]), some(made.sin[0, :4])]
    return found


def meta(modules: Modules) -> Any:
    """Return numbers from the tables of models that were given their memory late."""
    found = []
    for heads, length in ((1, 9), (2, 70)):
        with torch.device("meta"):
            made = modules["gpt"].GPT(
                modules["gpt"].GPTConfig(
                    sequence_len=length, vocab_size=7, n_layer=1, n_head=heads, n_kv_head=heads, n_embd=16
                )
            )
        made.to_empty(device="cpu")
        with torch.no_grad():
            for part in (*made.parameters(), *made.buffers()):
                part.fill_(7.0)
        made.init_weights()
        found += [some(made.cos), some(made.sin)]
    return found


def aliasing(modules: Modules) -> Any:
    """Return what becomes of tensors that were rotated, in two precisions."""
    found = []
    for seed, dtype in ((0, torch.float32), (1, torch.bfloat16), (2, torch.float32)):
        x = torch.randn(1, 3, 2, 8, generator=generator(seed)).to(dtype)
        angles = torch.rand(1, 3, 1, 4, generator=generator(seed + 1))
        with torch.inference_mode():
            rotated = modules["gpt"].apply_rotary_emb(x, angles.cos(), angles.sin())
        found += [some(x), some(rotated), str(rotated.dtype)]
    return found


def beyond(modules: Modules) -> Any:
    """Return what becomes of texts that are longer than the context, with and without a cache."""
    found = []
    for seed, over in ((0, 1), (1, 3)):
        made = model(modules, seed, sequence_len=8)
        tokens = ids(seed, 1, 8 + over)
        found.append(attempt(lambda: some(made(tokens))))  # noqa: B023  # called at once
        chunks = [6, 2, *[1] * over]
        found.append(attempt(lambda: some(in_chunks(modules, made, tokens, chunks, 32))))  # noqa: B023  # as above
    return found


def places(modules: Modules) -> Any:
    """Return where the tables and a parameter of models lie that were moved to another device."""
    found = []
    for seed, length in ((0, 5), (1, 64)):
        made = model(modules, seed, sequence_len=length).to("meta")
        found += [part.device.type for part in (made.cos, made.sin, made.lm_head.weight)]
    return found
