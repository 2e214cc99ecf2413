"""Witnesses of bugs in grouped-query attention."""

from __future__ import annotations

from typing import Any

from grader.bugs.witnesses.setting import Modules, attempt, ids, model, some


def logits(modules: Modules) -> Any:
    """Return logits of models with several numbers of key/value heads."""
    found = []
    for seed, (heads, shared) in enumerate(((4, 2), (4, 1), (6, 3), (6, 2), (3, 3))):
        made = model(modules, seed, n_head=heads, n_kv_head=shared, n_embd=4 * heads)
        tokens = ids(seed, 2, 9)
        found.append(attempt(lambda: some(made(tokens))))  # noqa: B023  # called at once
    return found
