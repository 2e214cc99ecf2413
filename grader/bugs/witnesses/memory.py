"""Witnesses of bugs that hold more memory than they should."""

from __future__ import annotations

from typing import Any

import torch

from grader.bugs.witnesses.setting import Modules, generator, held_bytes


def caches(modules: Modules) -> Any:
    """Return the bytes that caches hold while they grow, and after a reset."""
    found = []
    for seed, (layers, slots, chunk) in enumerate(((1, 4, 50), (2, 64, 65), (1, 256, 7))):
        held = modules["engine"].KVCache(
            batch_size=2, num_heads=2, seq_len=slots, head_dim=4, num_layers=layers
        )
        for round_ in range(2):
            for step in range(5):
                for layer in range(layers):
                    k = torch.randn(2, 2, chunk, 4, generator=generator(seed + step))
                    held.insert_kv(layer, k, k)
                found.append(held_bytes(held))
            held.reset()
            found += [round_, held_bytes(held)]
    return found
