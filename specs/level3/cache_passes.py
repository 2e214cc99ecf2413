"""KV cache consistency: passes under torch's modes, through layers that are called alone, and after failures.

There are as many key/value heads as query heads, so that bugs of grouped-query attention do not show here,
and the rotary tables are the oracle's.
"""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import strategies as st

from specs import draws, tolerances
from specs.compare import expect_close, expect_equal
from specs.law import law
from specs.logits import expect_logits
from specs.oracles import gpt, rotary
from specs.probe import Probe
from specs.strategies import config, seeds

CRITERION = "cache"


@law(
    examples=5,
    cases=[
        {"seed": 0, "n_layer": 2, "modes": [mode] * 3, "training": [training] * 3}
        for mode, training in itertools.product(["gradients", "no gradients", "inference"], [True, False])
    ],
    seed=seeds,
    n_layer=st.integers(1, 2),
    modes=st.lists(st.sampled_from(["gradients", "no gradients"]), min_size=3, max_size=3),
    training=st.lists(st.booleans(), min_size=3, max_size=3),
)
def test_a_cache_is_used_in_every_mode(
    probe: Probe, seed: int, n_layer: int, modes: list[str], training: list[bool]
) -> None:
    """With a cache tokens are added and read back in training and in evaluation, with gradients and without.

    Kills: a cache that is left out while the model trains or gradients are kept.
    """
    shape = config(n_layer=n_layer)
    weights = draws.model(shape, seed, probe.dtype)
    chunks = [3, 1, 2]
    tokens = draws.tokens(shape, seed, 2, sum(chunks))
    got = probe(
        "cache_passes.in_modes",
        config=shape, weights=weights, tokens=tokens, chunks=chunks, modes=modes, training=training,
    )  # fmt: skip
    what = f"of chunks {chunks} with a cache, under {modes}, in training: {training}"
    expect_equal(got["positions"], [3, 4, 6], f"the positions after each {what}")
    expect_logits(got["logits"], shape, weights, tokens, probe.dtype, f"the logits {what}")


@law(
    examples=2,
    cases=[
        {"seed": 0, "splits": [[2, 2], [1, 3], [3, 1], [1, 1, 2], [4]]},
        {"seed": 0, "splits": [[4, 16], [14, 6], [20], [3, 3, 9], [2, 1, 1], [1, 19]]},
    ],
    seed=seeds,
    splits=st.permutations([[2, 3], [1, 4], [3, 2], [1, 2, 2], [5], [4, 1], [2, 9], [9, 2], [7], [1, 7]]),
)
def test_a_split_does_not_remember_the_last(probe: Probe, seed: int, splits: list[list[int]]) -> None:
    """Texts that are cut in different ways, one after another on one model, each give their logits.

    Kills: a mask that is kept by the number of keys alone, or by that of queries, or cut out of a larger one.
    """
    shape = config(n_layer=1)
    weights = draws.model(shape, seed, probe.dtype)
    tokens = draws.tokens(shape, seed, 1, max(map(sum, splits)))
    answers = probe("cache.logits", config=shape, weights=weights, tokens=tokens, chunkings=splits)
    for chunks, got in zip(splits, answers, strict=True):
        what = f"the cached logits of chunks {chunks}"
        expect_logits(got, shape, weights, tokens[:, : sum(chunks)], probe.dtype, what)


@law(
    examples=6,
    cases=[{"seed": 0, "n_layer": 1, "chunks": [2, 4]}, {"seed": 0, "n_layer": 2, "chunks": [3, 1, 2]}],
    seed=seeds,
    n_layer=st.integers(1, 3),
    chunks=st.sampled_from([[6], [1, 5], [2, 2, 2], [1, 1, 4]]),
)
def test_layers_called_alone_read_their_cache(
    probe: Probe, seed: int, n_layer: int, chunks: list[int]
) -> None:
    """An attention layer that is called alone with a cache gives, chunk by chunk, what it gives at once.

    Kills: a mask, a position or a cache that the model hands over behind the arguments of the layer, so that
    a chunk sees its own future where the layer is called alone.
    """
    shape = config(n_layer=n_layer)
    weights = draws.model(shape, seed)
    length = sum(chunks)
    xs = [draws.normal(seed + layer, 2, length, shape["n_embd"]) for layer in range(n_layer)]
    got = probe("cache_passes.layers_alone", config=shape, weights=weights, xs=xs, chunks=chunks)
    table = rotary.table(length, gpt.head_dim(shape))
    for layer, x in enumerate(xs):
        want = gpt.attention(shape, weights, layer, x.astype(np.float64), table)
        what = f"the output of attention of layer {layer}, alone with a cache, in chunks {chunks}"
        expect_close(got[layer], want, tolerances.FLOAT32, what, ("row", "position", "channel"))


FAILURES = ["rows", "more rows", "heads", "channels", "context"]


@law(
    examples=4,
    cases=[{"seed": 0, "n_layer": 2, "held": 3, "failing": FAILURES}],
    seed=seeds,
    n_layer=st.integers(1, 2),
    held=st.integers(1, 4),
    failing=st.sampled_from([[each] for each in FAILURES]),
)
def test_a_pass_that_failed_leaves_nothing_behind(
    probe: Probe, seed: int, n_layer: int, held: int, failing: list[str]
) -> None:
    """After passes that were refused, a pass without a cache knows of none, and one with it goes on.

    Kills: a cache, a position or a mask that a model keeps for the length of a pass, which an error ends.
    """
    shape = config(n_layer=n_layer)
    weights = draws.model(shape, seed, probe.dtype)
    tokens = draws.tokens(shape, seed, 2, held + 3)
    got = probe(
        "cache_passes.after_failed_passes",
        config=shape, weights=weights, tokens=tokens, held=held, failing=failing,
    )  # fmt: skip
    what = f"after passes that were refused for their {' and '.join(failing)}"
    expect_logits(got["plain"], shape, weights, tokens, probe.dtype, f"the logits without a cache {what}")
    if "cached" in got:  # whether they are refused is the business of another law
        expect_logits(got["cached"], shape, weights, tokens, probe.dtype, f"the logits with a cache {what}")
