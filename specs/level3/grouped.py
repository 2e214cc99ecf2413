"""Grouped-query and multi-query attention: fewer key/value heads than query heads.

The rotary tables are the oracle's. Caches have one layer, so that bugs in advancing a cache of several
layers do not show here.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from specs import draws, tolerances
from specs.compare import as_numbers, expect, expect_close, expect_differs, expect_equal, expect_raised
from specs.law import law
from specs.logits import LOGIT_AXES, expect_logits
from specs.oracles import gpt, rotary
from specs.oracles.gpt import Config, Weights
from specs.probe import Probe
from specs.strategies import GROUPED_HEADS, compositions, config, configs, seeds

CRITERION = "grouped"

heads = st.sampled_from(GROUPED_HEADS)


@law(
    examples=20,
    cases=[
        {"shape": config(n_head=n_head, n_kv_head=n_kv_head), "seed": 0, "batch": 2, "length": 9}
        for n_head, n_kv_head in [(2, 1), (4, 2), (6, 2)]
    ],
    shape=configs(grouped=True),
    seed=seeds,
    batch=st.integers(1, 3),
    length=st.integers(1, 24),
)
def test_logits_match_the_oracle(probe: Probe, shape: Config, seed: int, batch: int, length: int) -> None:
    """Query head h reads key/value head h // (n_head / n_kv_head), and the logits say so.

    Kills: the grouped flag inverted or forgotten, heads assigned in turn instead of in groups, keys and
    values expanded in different orders.
    """
    weights = draws.model(shape, seed, probe.dtype)
    tokens = draws.tokens(shape, seed, batch, length)
    (got,) = probe("model.logits", config=shape, weights=weights, batches=[tokens])
    expect_logits(got, shape, weights, tokens, probe.dtype)


@law(examples=12, pair=heads, n_layer=st.integers(1, 2), seed=seeds, length=st.integers(1, 16))
def test_a_grouped_model_is_a_full_model_with_repeated_heads(
    probe: Probe, pair: tuple[int, int], n_layer: int, seed: int, length: int
) -> None:
    """A grouped model gives the logits of a full one whose key/value heads repeat its own, group by group.

    Kills: another assignment of heads, a group size computed the wrong way round.
    """
    n_head, n_kv_head = pair
    shape = config(n_layer=n_layer, n_head=n_head, n_kv_head=n_kv_head)
    full_shape = {**shape, "n_kv_head": n_head}
    weights = draws.model(shape, seed, probe.dtype)
    tokens = draws.tokens(shape, seed, 2, length)
    (grouped,) = probe("model.logits", config=shape, weights=weights, batches=[tokens])
    (full,) = probe("model.logits", config=full_shape, weights=repeated(shape, weights), batches=[tokens])
    expect_close(
        grouped,
        as_numbers(full, "the logits"),
        tolerances.of(probe.dtype),
        "the logits of the grouped model, against repeated heads,",
        LOGIT_AXES,
    )


@law(examples=10, n_head=st.sampled_from([2, 3, 4, 8]), seed=seeds, length=st.integers(2, 16))
def test_one_head_can_serve_all(probe: Probe, n_head: int, seed: int, length: int) -> None:
    """With a single key/value head every query head reads it (Shazeer 2019, arXiv:1911.02150).

    Here a missing expansion broadcasts without an error.
    Kills: queries and keys of unequal head counts multiplied as they happen to broadcast.
    """
    shape = config(n_head=n_head, n_kv_head=1)
    weights = draws.model(shape, seed)
    x = draws.normal(seed, 2, length, shape["n_embd"])
    (got,) = probe("model.attention", config=shape, weights=weights, x=x, starts=[0])
    want = gpt.attention(shape, weights, 0, x.astype(np.float64), rotary.table(length, gpt.head_dim(shape)))
    expect_close(got, want, tolerances.FLOAT32, "the output of attention", ("row", "position", "channel"))


@law(
    examples=10,
    pair=st.sampled_from([(4, 2), (6, 2), (6, 3), (8, 4)]),
    seed=seeds,
    length=st.integers(1, 9),
    chosen=st.integers(0, 3),
)
def test_a_value_head_feeds_its_own_group_alone(
    probe: Probe, pair: tuple[int, int], seed: int, length: int, chosen: int
) -> None:
    """Changing one value head changes the outputs of the query heads of its group and of no other.

    The output projection is the identity here, so that the output's channels are those of the heads.
    Kills: a wrong assignment of heads, also where the total happens to look right.
    """
    n_head, n_kv_head = pair
    chosen %= n_kv_head
    shape = config(n_head=n_head, n_kv_head=n_kv_head)
    head = gpt.head_dim(shape)
    weights = draws.model(shape, seed)
    weights["transformer.h.0.attn.c_proj.weight"] = np.eye(shape["n_embd"], dtype=np.float32)
    edited = dict(weights)
    name = "transformer.h.0.attn.c_v.weight"
    edited[name] = weights[name].copy()
    edited[name][chosen * head : (chosen + 1) * head] *= -1
    x = draws.normal(seed, 1, length, shape["n_embd"])
    (before,) = probe("model.attention", config=shape, weights=weights, x=x, starts=[0])
    (after,) = probe("model.attention", config=shape, weights=edited, x=x, starts=[0])
    group_size = n_head // n_kv_head
    want_shape = (1, length, n_head, head)
    before, after = (
        as_numbers(before, "the output of attention"),
        as_numbers(after, "the output of attention"),
    )
    expect_equal(list(before.shape), [1, length, shape["n_embd"]], "the shape of the output of attention")
    moved = np.abs(after.reshape(want_shape) - before.reshape(want_shape)).max(axis=(0, 1, 3)) > 1e-3
    want = [query // group_size == chosen for query in range(n_head)]
    expect_equal(moved.tolist(), want, f"which query heads change with value head {chosen}")


@law(examples=8, pair=heads, seed=seeds)
def test_key_and_value_projections_are_small(probe: Probe, pair: tuple[int, int], seed: int) -> None:
    """The key and value projections have n_kv_head heads, the query projection n_head.

    Kills: full-size keys and values of which only a part is used.
    """
    n_head, n_kv_head = pair
    shape = config(n_head=n_head, n_kv_head=n_kv_head)
    got = probe("model.shapes", config=shape)
    want = {name: list(value.shape) for name, value in draws.weights(shape, seed).items()}
    for part in ("c_q", "c_k", "c_v", "c_proj"):
        name = f"transformer.h.0.attn.{part}.weight"
        expect_equal(got.get(name), want[name], f"the shape of {name}")


@law(
    examples=8,
    pair=st.sampled_from([(2, 3), (3, 2), (4, 3), (6, 4), (2, 4), (5, 2)]),
)
def test_impossible_groups_are_refused(probe: Probe, pair: tuple[int, int]) -> None:
    """A number of key/value heads that does not divide the query heads is a ValueError.

    Kills: groups rounded down, which leaves query heads without a partner.
    """
    n_head, n_kv_head = pair
    probe("model.builds", config=config())  # what is possible is accepted
    expect_raised(
        probe.attempt("model.builds", config=config(n_head=n_head, n_kv_head=n_kv_head)),
        f"n_head={n_head} with n_kv_head={n_kv_head}",
        "ValueError",
    )


@law(examples=8, n_head=st.integers(1, 8), seed=seeds)
def test_equal_head_counts_are_ordinary_attention(probe: Probe, n_head: int, seed: int) -> None:
    """With as many key/value heads as query heads, each query head reads its own.

    Kills: grouping that is applied where there is nothing to group.
    """
    shape = config(n_head=n_head)
    weights = draws.model(shape, seed, probe.dtype)
    tokens = draws.tokens(shape, seed, 1, 9)
    (got,) = probe("model.logits", config=shape, weights=weights, batches=[tokens])
    expect_logits(got, shape, weights, tokens, probe.dtype)


@law(
    examples=12,
    cases=[
        {"pair": (4, 2), "seed": 0, "chunks": [5, 1, 1, 3]},
        {"pair": (2, 1), "seed": 0, "chunks": [1, 1, 1]},
    ],
    pair=heads,
    seed=seeds,
    chunks=compositions(max_total=16),
)
def test_cached_grouped_attention_is_that_of_repeated_heads(
    probe: Probe, pair: tuple[int, int], seed: int, chunks: list[int]
) -> None:
    """Fed through a cache, in any chunks, a grouped model gives what one with repeated heads gives.

    The full model is fed in the same chunks, so that what is wrong with chunks does not show here.
    Kills: grouping that is right in one branch of attention only: prefill, one token, or a chunk.
    """
    n_head, n_kv_head = pair
    shape = config(n_head=n_head, n_kv_head=n_kv_head)
    weights = draws.model(shape, seed, probe.dtype)
    tokens = draws.tokens(shape, seed, 2, sum(chunks))
    (got,) = probe("cache.logits", config=shape, weights=weights, tokens=tokens, chunkings=[chunks])
    (want,) = probe(
        "cache.logits",
        config={**shape, "n_kv_head": n_head},
        weights=repeated(shape, weights),
        tokens=tokens,
        chunkings=[chunks],
    )
    expect_close(
        got,
        as_numbers(want, "the logits"),
        tolerances.of(probe.dtype),
        f"the logits of chunks {chunks}",
        LOGIT_AXES,
    )


@law(examples=8, pair=heads, seed=seeds)
def test_gradients_add_up_over_a_group(probe: Probe, pair: tuple[int, int], seed: int) -> None:
    """The gradient by a shared key or value head is the sum of those by the copies it stands for.

    Kills: copies detached from the head they were made of, a mean in place of the sum.
    """
    n_head, n_kv_head = pair
    shape = config(n_head=n_head, n_kv_head=n_kv_head)
    weights = draws.model(shape, seed)
    inputs = {"tokens": draws.tokens(shape, seed, 2, 9), "targets": draws.tokens(shape, seed + 1, 2, 9)}
    grouped = probe("model.gradients", config=shape, weights=weights, **inputs)
    full = probe(
        "model.gradients",
        config={**shape, "n_kv_head": n_head},
        weights=repeated(shape, weights),
        **inputs,
    )
    head = gpt.head_dim(shape)
    for part in ("c_k", "c_v"):
        name = f"transformer.h.0.attn.{part}.weight"
        expect(grouped.get(name) is not None, f"{name} gets no gradient")
        copies = as_numbers(full.get(name), f"the gradient of {name}")
        expect_equal(
            list(copies.shape), [n_head * head, shape["n_embd"]], f"the shape of the gradient of {name}"
        )
        want = copies.reshape(n_kv_head, n_head // n_kv_head, head, -1).sum(axis=1)
        expect_close(
            grouped[name],
            want.reshape(n_kv_head * head, -1),
            tolerances.GRADIENT,
            f"the gradient of {name}",
        )


@law(examples=16, pair=heads, seed=seeds, factor=st.sampled_from([0.5, 4.0]))
def test_every_key_head_is_read(probe: Probe, pair: tuple[int, int], seed: int, factor: float) -> None:
    """Changing any single key head changes the output of attention.

    Kills: key/value heads beyond the first, or beyond the first group, that nobody reads.
    """
    n_head, n_kv_head = pair
    shape = config(n_head=n_head, n_kv_head=n_kv_head)
    head = gpt.head_dim(shape)
    weights = draws.model(shape, seed)
    x = draws.normal(seed, 1, 9, shape["n_embd"])
    (before,) = probe("model.attention", config=shape, weights=weights, x=x, starts=[0])
    name = "transformer.h.0.attn.c_k.weight"
    for chosen in range(n_kv_head):
        edited = dict(weights)
        edited[name] = weights[name].copy()
        # Reversing the head's channels turns its keys; scaling alone would be undone by the QK norm.
        edited[name][chosen * head : (chosen + 1) * head] = (
            factor * weights[name][chosen * head : (chosen + 1) * head][::-1]
        )
        (after,) = probe("model.attention", config=shape, weights=edited, x=x, starts=[0])
        least = tolerances.MATTERS * float(np.std(as_numbers(before, "the output of attention")))
        expect_differs(after, before, least, f"attention with key head {chosen} changed")


def repeated(shape: Config, weights: Weights) -> Weights:
    """Return weights of the full model whose key/value heads repeat those of the grouped one."""
    head, group_size = gpt.head_dim(shape), shape["n_head"] // shape["n_kv_head"]
    full = dict(weights)
    for layer in range(shape["n_layer"]):
        for part in ("c_k", "c_v"):
            name = f"transformer.h.{layer}.attn.{part}.weight"
            split = weights[name].reshape(shape["n_kv_head"], head, -1)
            full[name] = np.ascontiguousarray(
                np.repeat(split, group_size, axis=0).reshape(shape["n_head"] * head, -1)
            )
    return full
