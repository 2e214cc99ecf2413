"""KV cache consistency, under a model: a cache changes how logits are computed, never what they are.

There are as many key/value heads as query heads, so that bugs of grouped-query attention do not show here,
and the rotary tables are the submission's own on both sides of a comparison, or the oracle's.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from specs import draws, tolerances
from specs.compare import as_numbers, expect, expect_close, expect_equal
from specs.law import law
from specs.logits import LOGIT_AXES, expect_logits
from specs.oracles.gpt import Config
from specs.probe import Probe
from specs.strategies import compositions, config, configs, seeds

CRITERION = "cache"


SHORTEST = [[1, 1], [2, 1], [1, 2], [1, 1, 1], [1, 2, 1], [2, 2]]
"""The compositions at which most caches break: two steps, and a chunk of several after the first."""


@law(
    examples=25,
    cases=[
        *({"shape": config(n_layer=2), "seed": 0, "batch": 1, "chunks": chunks} for chunks in SHORTEST),
        *({"shape": config(), "seed": 0, "batch": batch, "chunks": [2, 3]} for batch in (5, 17)),
    ],
    shape=configs(max_layers=4),
    seed=seeds,
    batch=st.integers(1, 3),
    chunks=compositions(),
)
def test_every_split_equals_uncached(
    probe: Probe, shape: Config, seed: int, batch: int, chunks: list[int]
) -> None:
    """However a sequence is cut into chunks, the cached logits are the uncached ones at every position.

    Kills: a position advanced by the wrong layer, decode one position off, a mask for a chunk aligned to
    the wrong corner, a chunk that sees its own future, keys stored before rotation and rotated again.
    """
    weights = draws.weights(shape, seed, probe.dtype)
    tokens = draws.tokens(shape, seed, batch, sum(chunks))
    answer = probe(
        "cache.cached_and_uncached", config=shape, weights=weights, tokens=tokens, chunkings=[chunks]
    )
    expect_close(
        answer["cached"][0],
        as_numbers(answer["uncached"], "the logits"),
        tolerances.of(probe.dtype),
        f"the cached logits of chunks {chunks}",
        LOGIT_AXES,
    )


@law(
    examples=3,
    cases=[{"length": 4, "n_layer": 2, "seed": 0}],
    length=st.integers(2, 5),
    n_layer=st.integers(1, 3),
    seed=seeds,
)
def test_all_splits_of_a_short_sequence_agree(probe: Probe, length: int, n_layer: int, seed: int) -> None:
    """All 2^(T-1) ways of cutting T tokens into chunks give the same logits.

    Kills: what one particular split breaks.
    """
    shape = config(n_layer=n_layer)
    tokens = draws.tokens(shape, seed, 2, length)
    weights = draws.weights(shape, seed, probe.dtype)
    splits = all_compositions(length)
    answer = probe(
        "cache.cached_and_uncached", config=shape, weights=weights, tokens=tokens, chunkings=splits
    )
    for chunks, got in zip(splits, answer["cached"], strict=True):
        expect_close(
            got,
            as_numbers(answer["uncached"], "the logits"),
            tolerances.of(probe.dtype),
            f"the cached logits of chunks {chunks}",
            LOGIT_AXES,
        )


@law(
    examples=15,
    cases=[{"shape": config(n_layer=2), "seed": 0, "chunks": [3, 1, 2, 1]}],
    shape=configs(max_layers=3),
    seed=seeds,
    chunks=compositions(),
)
def test_cached_logits_match_the_oracle(probe: Probe, shape: Config, seed: int, chunks: list[int]) -> None:
    """The cached logits are those of the architecture written out in float64, right rotary tables given.

    Kills: a bug that the cached and the uncached path share.
    """
    weights = draws.model(shape, seed, probe.dtype)
    tokens = draws.tokens(shape, seed, 2, sum(chunks))
    (got,) = probe("cache.logits", config=shape, weights=weights, tokens=tokens, chunkings=[chunks])
    expect_logits(got, shape, weights, tokens, probe.dtype, f"the cached logits of chunks {chunks}")


@law(
    examples=6,
    cases=[{"seed": 0, "n_layer": 2, "length": 70}],
    seed=seeds,
    n_layer=st.integers(1, 2),
    length=st.sampled_from([66, 100, 140]),
)
def test_long_decoding_equals_uncached(probe: Probe, seed: int, n_layer: int, length: int) -> None:
    """One token at a time, far beyond the cache's first length, gives the uncached logits.

    Kills: entries lost or displaced when the cache grows for the first or the second time.
    """
    shape = config(n_layer=n_layer, sequence_len=length)
    weights = draws.weights(shape, seed, probe.dtype)
    tokens = draws.tokens(shape, seed, 1, length)
    cached, whole = probe(
        "cache.logits",
        config=shape,
        weights=weights,
        tokens=tokens,
        chunkings=[[1] * length, [length]],
        slots=[4, length],
    )
    expect_close(
        cached,
        as_numbers(whole, "the logits"),
        tolerances.of(probe.dtype),
        "the logits decoded one token at a time from a cache of 4 slots",
        LOGIT_AXES,
    )


@law(examples=10, shape=configs(max_layers=3), seed=seeds, chunks=compositions(), first=st.integers(1, 5))
def test_the_first_length_does_not_matter(
    probe: Probe, shape: Config, seed: int, chunks: list[int], first: int
) -> None:
    """A cache gives the same logits whatever length it was first made for.

    Kills: growth that scrambles, unused slots that take part in attention.
    """
    weights = draws.weights(shape, seed, probe.dtype)
    total = sum(chunks)
    tokens = draws.tokens(shape, seed, 2, total)
    small, *others = probe(
        "cache.logits",
        config=shape,
        weights=weights,
        tokens=tokens,
        chunkings=[chunks] * 4,
        slots=[first, total, total + 1, 4 * total],
    )
    for slots, got in zip([total, total + 1, 4 * total], others, strict=True):
        expect_close(
            got,
            as_numbers(small, "the logits"),
            tolerances.of(probe.dtype),
            f"the logits of a cache made for {slots} tokens, against one made for {first},",
            LOGIT_AXES,
        )


@law(
    examples=12,
    cases=[{"n_layer": 2, "lengths": [12], "chunks": [2, 1, 1], "seed": 0, "slots": 16}],
    n_layer=st.integers(1, 3),
    lengths=st.lists(st.integers(1, 20), min_size=1, max_size=3),
    chunks=compositions(max_total=10),
    seed=seeds,
    slots=st.sampled_from([1, 8, 16, 64]),
)
def test_a_reset_cache_is_as_good_as_new(
    probe: Probe, n_layer: int, lengths: list[int], chunks: list[int], seed: int, slots: int
) -> None:
    """After reset a cache is empty: a second, shorter sequence gives what a new cache gives.

    Kills: entries of the last sequence that are still attended to, a position that is not set back.
    """
    shape = config(n_layer=n_layer)
    answer = probe(
        "cache.after_reset",
        config=shape,
        weights=draws.weights(shape, seed, probe.dtype),
        first=[draws.tokens(shape, seed + 1 + i, 2, length) for i, length in enumerate(lengths)],
        second=draws.tokens(shape, seed, 2, sum(chunks)),
        chunks=chunks,
        slots=slots,
    )
    expect_equal(answer["positions"], [0] * len(lengths), "the position after each reset")
    expect_close(
        answer["used"],
        as_numbers(answer["new"], "the logits"),
        tolerances.of(probe.dtype),
        "the logits of a cache that was used and reset, against a new one,",
        LOGIT_AXES,
    )


@law(
    examples=12,
    cases=[{"n_layer": 2, "rows": 2, "prompt": 3, "length": 3, "seed": 0, "slots": [16, 16]}],
    n_layer=st.integers(1, 3),
    rows=st.integers(1, 4),
    prompt=st.integers(1, 10),
    length=st.integers(1, 6),
    seed=seeds,
    slots=st.sampled_from([[16, 16], [4, 16], [16, 4], [64, 1]]),
)
def test_rows_copied_from_one_prompt_go_their_own_ways(
    probe: Probe, n_layer: int, rows: int, prompt: int, length: int, seed: int, slots: list[int]
) -> None:
    """A prompt prefilled once and copied into all rows serves each row as if it had been prefilled there.

    The rows then differ, and the cache that they were copied from is not touched by them.
    Kills: rows that share memory, a copy of the first layer or row only, a position not taken over,
    writing to the copy reaching the source.
    """
    shape = config(n_layer=n_layer)
    answer = probe(
        "cache.rows_from_one",
        config=shape,
        weights=draws.weights(shape, seed, probe.dtype),
        prompt=draws.tokens(shape, seed, 1, prompt),
        continuations=draws.tokens(shape, seed + 1, rows, length),
        slots=slots,
    )
    want = as_numbers(answer["uncached"], "the logits")
    expect_equal(answer["position"], prompt, "the position after the copy")
    tolerance = tolerances.of(probe.dtype)
    expect_close(answer["copied"], want, tolerance, "the logits of the copied rows", LOGIT_AXES)
    expect_close(
        answer["source"],
        want[:1],
        tolerance,
        "the logits of the source, after the rows were used,",
        LOGIT_AXES,
    )


@law(
    examples=8,
    cases=[{"n_layer": 2, "rows": 1, "prompt": 3, "length": 3, "seed": 0, "slots": [16, 16]}],
    n_layer=st.integers(1, 3),
    rows=st.integers(1, 3),
    prompt=st.integers(1, 10),
    length=st.integers(2, 5),
    seed=seeds,
    slots=st.sampled_from([[16, 16], [4, 16], [16, 4], [64, 64]]),
)
def test_copy_and_source_go_their_own_ways(
    probe: Probe, n_layer: int, rows: int, prompt: int, length: int, seed: int, slots: list[int]
) -> None:
    """A cache that was copied into rows, and the rows, go on with different tokens in turn and stay apart.

    Kills: a copy into one row that is no copy, memory that both write to until one of them grows.
    """
    shape = config(n_layer=n_layer)
    answer = probe(
        "cache.copy_in_turn",
        config=shape,
        weights=draws.weights(shape, seed, probe.dtype),
        prompt=draws.tokens(shape, seed, 1, prompt),
        continuations=draws.tokens(shape, seed + 1, rows, length),
        own=draws.tokens(shape, seed + 2, 1, length),
        slots=slots,
    )
    for got, want, what in zip(answer["cached"], answer["uncached"], ("copied rows", "source"), strict=True):
        expect_close(
            got,
            as_numbers(want, "the logits"),
            tolerances.of(probe.dtype),
            f"the logits of the {what}, used in turn,",
            LOGIT_AXES,
        )


@law(examples=8, seed=seeds, n_layer=st.integers(1, 3), batch=st.integers(1, 2), length=st.integers(1, 8))
def test_caches_do_not_meet(probe: Probe, seed: int, n_layer: int, batch: int, length: int) -> None:
    """Two caches used in turn on one model, with uncached passes in between, stay apart.

    Kills: state kept in the model or the class, a cache remembered from the last call.
    """
    shape = config(n_layer=n_layer)
    tokens = [draws.tokens(shape, seed, batch, length), draws.tokens(shape, seed + 1, 1, length)]
    answer = probe(
        "cache.interleaved",
        config=shape,
        weights=draws.weights(shape, seed, probe.dtype),
        tokens=tokens,
        length=length,
    )
    for i, name in enumerate(("first", "second")):
        expect_close(
            answer["cached"][i],
            as_numbers(answer["uncached"][i], "the logits"),
            tolerances.of(probe.dtype),
            f"the logits of the {name} of two caches",
            LOGIT_AXES,
        )


@law(
    examples=6,
    cases=[{"n_layer": 2, "seed": 0, "prompt": 4, "count": 8}],
    n_layer=st.integers(2, 3),
    seed=seeds,
    prompt=st.integers(1, 8),
    count=st.integers(2, 12),
)
def test_the_engine_decodes_what_the_model_says(
    probe: Probe, n_layer: int, seed: int, prompt: int, count: int
) -> None:
    """Greedy tokens of the engine are the best tokens of uncached passes over the same sequence.

    Compared only where the best is ahead by more than rounding.
    Kills: a prefill that is copied wrongly, a token fed twice or not at all.
    """
    # Ids below the tokenizer's special ones, so that no row ends early and no tool is called.
    shape = config(n_layer=n_layer, vocab_size=200, sequence_len=prompt + count)
    weights = draws.weights(shape, seed, probe.dtype)
    answer = probe(
        "cache.greedy",
        config=shape,
        weights=weights,
        prompt=draws.tokens(shape, seed, 1, prompt)[0].tolist(),
        count=count,
    )
    tokens, logits = answer["tokens"], as_numbers(answer["logits"], "the logits")
    expect_equal(len(tokens), count, "the number of tokens generated")
    expect_equal(list(logits.shape), [1, prompt + count, 200], "the shape of the logits")
    margin = 4 * tolerances.of(probe.dtype).bound(logits)
    for i, token in enumerate(tokens):
        row = logits[0, prompt - 1 + i]
        best = int(np.argmax(row))
        expect(
            row[token] >= row[best] - margin,
            f"token {i} is {token} with logit {row[token]:.5g}, want {best} with logit {row[best]:.5g}",
        )


def all_compositions(total: int) -> list[list[int]]:
    """Return every ordered list of positive sizes that add up to `total`."""
    if total == 0:
        return [[]]
    return [[first, *rest] for first in range(1, total + 1) for rest in all_compositions(total - first)]
