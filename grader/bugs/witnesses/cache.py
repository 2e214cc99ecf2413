"""Witnesses of bugs in the cache."""

from __future__ import annotations

from typing import Any

from grader.bugs.witnesses.setting import Modules, attempt, ids, in_chunks, model, some


def chunked(modules: Modules) -> Any:
    """Return logits of texts read through a cache in pieces, for models of one to three layers."""
    found = []
    for seed, (layers, chunks) in enumerate(((1, [3, 1, 2]), (2, [5, 4, 1, 1]), (3, [1, 6, 1, 3]))):
        made = model(modules, seed, n_layer=layers)
        tokens = ids(seed, 2, sum(chunks))
        found.append(attempt(lambda: some(in_chunks(modules, made, tokens, chunks, 16))))  # noqa: B023  # called at once
    return found
