"""Witnesses of bugs in grouped-query attention."""

from __future__ import annotations

from typing import Any

from grader.bugs.witnesses.setting import Modules, attempt, ids, in_chunks, model, some


def logits(modules: Modules) -> Any:
    """Return logits of models with several numbers of key/value heads."""
    found = []
    for seed, (heads, shared) in enumerate(((4, 2), (4, 1), (6, 3), (6, 2), (3, 3))):
        made = model(modules, seed, n_head=heads, n_kv_head=shared, n_embd=4 * heads)
        tokens = ids(seed, 2, 9)
        found.append(attempt(lambda: some(made(tokens))))  # noqa: B023  # called at once
    return found


def chunks(modules: Modules) -> Any:
    """Return logits of grouped models that read their text through a cache in pieces."""
    found = []
    for seed, (heads, shared, sizes) in enumerate(((4, 2, [3, 1, 1]), (4, 1, [2, 3]), (6, 3, [1, 2, 1, 4]))):
        made = model(modules, seed, n_head=heads, n_kv_head=shared, n_embd=4 * heads, n_layer=1)
        tokens = ids(seed, 2, sum(sizes))
        found.append(attempt(lambda: some(in_chunks(modules, made, tokens, sizes, 16))))  # noqa: B023  # called at once
    return found


def shapes(modules: Modules) -> Any:
    """Return the shapes of the parameters of models with shared heads."""
    return [
        {
            name: list(parameter.shape)
            for name, parameter in model(modules, 0, n_head=heads, n_kv_head=shared).named_parameters()
        }
        for heads, shared in ((4, 2), (2, 1))
    ]
