"""Hypothesis strategies for structure: configurations, lengths, splits. Values come from `specs.draws`."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st

from specs.oracles.gpt import Config

seeds = st.integers(0, 2**16)
"""Seeds of weights and activations."""


def config(
    *,
    n_layer: int = 1,
    n_head: int = 2,
    n_kv_head: int | None = None,
    head_dim: int = 8,
    vocab_size: int = 23,
    sequence_len: int = 32,
) -> Config:
    """Return the fields of a `GPTConfig`; as many key/value heads as query heads unless told otherwise."""
    return {
        "sequence_len": sequence_len,
        "vocab_size": vocab_size,
        "n_layer": n_layer,
        "n_head": n_head,
        "n_kv_head": n_head if n_kv_head is None else n_kv_head,
        "n_embd": n_head * head_dim,
    }


@st.composite
def configs(
    draw: st.DrawFn,
    *,
    grouped: bool = False,
    min_layers: int = 1,
    max_layers: int = 3,
    sequence_len: int = 32,
) -> Config:
    """Draw small configurations; with `grouped`, fewer key/value heads than query heads."""
    if grouped:
        n_head, n_kv_head = draw(st.sampled_from(GROUPED_HEADS))
    else:
        n_head = draw(st.sampled_from([1, 2, 3, 4]))
        n_kv_head = n_head
    return config(
        n_layer=draw(st.integers(min_layers, max_layers)),
        n_head=n_head,
        n_kv_head=n_kv_head,
        # Below 8 a head is sometimes so short by chance that the epsilon of the norm, which is free, shows.
        head_dim=draw(st.sampled_from([8, 10, 16])),
        vocab_size=draw(st.sampled_from([2, 7, 23, 50])),
        sequence_len=sequence_len,
    )


GROUPED_HEADS = [(2, 1), (4, 2), (3, 1), (4, 1), (6, 2), (6, 3), (8, 4), (5, 1)]
"""(query heads, key/value heads), the smallest first: group sizes 2 to 5, several groups and one."""


@st.composite
def compositions(draw: st.DrawFn, *, max_total: int = 24) -> list[int]:
    """Draw an ordered list of chunk sizes: a way to feed a sequence into a cache."""
    total = draw(st.integers(1, max_total))
    cuts = draw(st.sets(st.integers(1, total - 1), max_size=total - 1)) if total > 1 else set()
    edges = [0, *sorted(cuts), total]
    return [end - start for start, end in pairwise(edges)]
