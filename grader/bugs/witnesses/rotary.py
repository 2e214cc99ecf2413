"""Witnesses of bugs in rotary embeddings."""

from __future__ import annotations

from typing import Any

from grader.bugs.witnesses.setting import Modules, model, some


def tables(modules: Modules) -> Any:
    """Return numbers from the tables of models of several head sizes and lengths."""
    found = []
    for heads, length in ((1, 33), (2, 300), (4, 1025)):
        made = model(modules, 0, n_head=heads, n_kv_head=heads, sequence_len=length)
        found += [list(made.cos.shape), some(made.cos[0, 1:]), some(made.sin[0, -40:]), some(made.sin[0, :4])]
    return found
