"""KV cache consistency: a cache changes how logits are computed, never what they are.

There are as many key/value heads as query heads, so that bugs of grouped-query attention do not show here,
and the rotary tables are the submission's own on both sides of a comparison, or the oracle's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from specs import draws, tolerances
from specs.compare import as_numbers, expect, expect_close, expect_equal
from specs.law import law
from specs.oracles import gpt
from specs.oracles.gpt import Config
from specs.probe import Probe
from specs.strategies import compositions, config, configs, seeds

CRITERION = "cache"

LOGIT_AXES = ("row", "position", "token")
ENTRY_AXES = ("row", "head", "position", "channel")
SHORTEST = [[1, 1], [2, 1], [1, 2], [1, 1, 1], [1, 2, 1], [2, 2]]
"""The compositions at which most caches break: two steps, and a chunk of several after the first."""


@law(
    examples=25,
    cases=[{"shape": config(n_layer=2), "seed": 0, "batch": 1, "chunks": chunks} for chunks in SHORTEST],
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


@law(examples=3, length=st.integers(2, 5), n_layer=st.integers(1, 3), seed=seeds)
def test_all_splits_of_a_short_sequence_agree(
    probe: Probe, length: int, n_layer: int, seed: int
) -> None:
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
def test_cached_logits_match_the_oracle(
    probe: Probe, shape: Config, seed: int, chunks: list[int]
) -> None:
    """The cached logits are those of the architecture written out in float64, right rotary tables given.

    Kills: a bug that the cached and the uncached path share.
    """
    weights = draws.weights(shape, seed, probe.dtype)
    tokens = draws.tokens(shape, seed, 2, sum(chunks))
    (got,) = probe(
        "cache.logits", config=shape, weights=weights, tokens=tokens, chunkings=[chunks], table="oracle"
    )
    expect_close(
        got,
        gpt.logits(shape, weights, tokens),
        tolerances.of(probe.dtype),
        f"the cached logits of chunks {chunks}",
        LOGIT_AXES,
    )


@law(
    examples=4,
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
    examples=15,
    cases=[{"layers": 2, "chunks": [1, 1], "seed": 0, "slots": 4}],
    layers=st.integers(1, 4),
    chunks=compositions(max_total=12),
    seed=seeds,
    slots=st.sampled_from([1, 4, 16]),
)
def test_the_position_counts_what_every_layer_holds(
    probe: Probe, layers: int, chunks: list[int], seed: int, slots: int
) -> None:
    """The position is the number of tokens that every layer holds: it moves once, when the last layer is in.

    Kills: a position advanced by the first layer, by every layer, or by one whatever the chunk.
    """
    steps = [insertion(seed + i, layers, 1, 2, size, 4) for i, size in enumerate(chunks)]
    answers = run(probe, steps, slots)
    reached = 0
    for i, (size, answer) in enumerate(zip(chunks, answers, strict=True)):
        expect_equal(
            answer["during"],
            [reached] * layers,
            f"the position before each layer of chunk {i} of {chunks} was inserted",
        )
        reached += size
        expect_equal(answer["position"], reached, f"the position after chunk {i} of {chunks}")


@law(
    examples=15,
    cases=[{"layers": 2, "rows": 2, "heads": 2, "chunks": [1, 2, 1], "seed": 0, "slots": 2, "dtype": "float32"}],
    layers=st.integers(1, 3),
    rows=st.integers(1, 3),
    heads=st.integers(1, 3),
    chunks=compositions(max_total=12),
    seed=seeds,
    slots=st.sampled_from([1, 2, 8, 64]),
    dtype=st.sampled_from(["float32", "bfloat16"]),
)
def test_insertion_returns_everything_so_far(
    probe: Probe, layers: int, rows: int, heads: int, chunks: list[int], seed: int, slots: int, dtype: str
) -> None:
    """After each insertion a layer gets back all its keys and values so far, in order, bit for bit.

    Kills: layers that share slots, keys and values exchanged, heads and positions exchanged, entries
    rounded or rewritten by a later step.
    """
    steps = [insertion(seed + i, layers, rows, heads, size, 4, dtype) for i, size in enumerate(chunks)]
    check_entries(run(probe, steps, slots, dtype), steps, dtype)


@law(
    examples=4,
    cases=[{"layers": 2, "chunks": [3, 70, 1, 130, 2], "seed": 0}, {"layers": 2, "chunks": [1] * 70, "seed": 1}],
    layers=st.integers(1, 3),
    chunks=st.lists(st.sampled_from([1, 2, 63, 64, 65, 200]), min_size=3, max_size=6),
    seed=seeds,
)
def test_growth_keeps_what_was_stored(
    probe: Probe, layers: int, chunks: list[int], seed: int
) -> None:
    """When a cache grows, once or several times, everything stored before stays where it was.

    Kills: growth that reinterprets memory, forgets a layer, or stops after the first time.
    """
    steps = [insertion(seed + i, layers, 2, 2, size, 2) for i, size in enumerate(chunks)]
    check_entries(run(probe, steps, 4, "float32"), steps, "float32")


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
    examples=8,
    seed=seeds,
    layers=st.integers(1, 3),
    chunks=compositions(max_total=8),
    slots=st.sampled_from([2, 32]),
)
def test_what_a_slot_held_before_does_not_matter(
    probe: Probe, seed: int, layers: int, chunks: list[int], slots: int
) -> None:
    """Slots that held huge numbers before a reset have no influence on what is stored afterwards.

    Kills: entries added to what a slot held, returned keys that reach beyond the tokens held.
    """
    dirt = insertion(seed, layers, 2, 2, 20, 4)
    dirt = {**dirt, "k": dirt["k"] * np.float32(1e4), "v": dirt["v"] * np.float32(1e4)}
    steps = [insertion(seed + 1 + i, layers, 2, 2, size, 4) for i, size in enumerate(chunks)]
    answers = run(probe, [dirt, {"do": "reset"}, *steps], slots, "float32")
    check_entries(answers[2:], steps, "float32")


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
        answer["source"], want[:1], tolerance, "the logits of the source, after the rows were used,", LOGIT_AXES
    )


@law(examples=8, seed=seeds, n_layer=st.integers(1, 3), batch=st.integers(1, 2), length=st.integers(1, 8))
def test_caches_do_not_meet(
    probe: Probe, seed: int, n_layer: int, batch: int, length: int
) -> None:
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


operations = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), st.sampled_from([1, 1, 2, 5, 64])),
        st.tuples(st.just("reset"), st.just(0)),
        st.tuples(st.just("prefill"), st.integers(1, 9)),
    ),
    min_size=1,
    max_size=8,
)


@law(
    examples=20,
    cases=[
        {"layers": 2, "rows": 2, "operations": [("prefill", 3), ("insert", 1), ("reset", 0), ("insert", 2)],
         "seed": 0, "slots": 4},
        {"layers": 1, "rows": 3, "operations": [("insert", 64), ("insert", 1), ("reset", 0), ("prefill", 2)],
         "seed": 1, "slots": 4},
    ],
    layers=st.integers(1, 3),
    rows=st.integers(1, 3),
    operations=operations,
    seed=seeds,
    slots=st.sampled_from([1, 4, 64]),
)  # fmt: skip  # one case a line reads better
def test_any_history_gives_the_tokens_held(
    probe: Probe, layers: int, rows: int, operations: list[tuple[str, int]], seed: int, slots: int
) -> None:
    """After any sequence of insertions, resets and copies, a cache holds what a plain list would hold.

    Kills: what only the second use shows: stale lengths, a reset after growth, a copy into a used cache.
    """
    steps: list[dict[str, Any]] = []
    held = 0
    for i, (kind, size) in enumerate(operations):
        if kind == "prefill" and held:
            # A copy goes into an empty cache.
            steps.append({"do": "reset"})
            held = 0
        if kind == "reset":
            steps.append({"do": "reset"})
            held = 0
        else:
            filled = insertion(seed + i, layers, rows if kind == "insert" else 1, 2, size, 2)
            steps.append({**filled, "do": kind})
            held += size
    answers = probe(
        "cache.history",
        shape={"rows": rows, "heads": 2, "head_dim": 2, "layers": layers},
        slots=slots,
        steps=steps,
        dtype="float32",
    )
    check_history(answers, steps, rows)


@law(examples=6, seed=seeds, dtype=st.sampled_from(["float32", "bfloat16"]), slots=st.sampled_from([1, 8]))
def test_the_cache_keeps_the_dtype(probe: Probe, seed: int, dtype: str, slots: int) -> None:
    """Keys and values come back in the dtype that they were stored in.

    Kills: a cache that is always float32 or always bfloat16.
    """
    steps = [insertion(seed, 2, 1, 2, size, 4, dtype) for size in (2, 1)]
    for answer in run(probe, steps, slots, dtype):
        expect_equal(answer["dtypes"], [dtype], "the dtypes of the keys and values")


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


def insertion(
    seed: int, layers: int, rows: int, heads: int, tokens: int, head_dim: int, dtype: str = "float32"
) -> dict[str, Any]:
    """Return a step that inserts random keys and values into every layer."""
    return {
        "do": "insert",
        "k": draws.normal(2 * seed, layers, rows, heads, tokens, head_dim, dtype=dtype),
        "v": draws.normal(2 * seed + 1, layers, rows, heads, tokens, head_dim, dtype=dtype),
    }


def run(
    probe: Probe, steps: list[dict[str, Any]], slots: int, dtype: str | None = None
) -> list[dict[str, Any]]:
    """Run the steps on one cache whose shape is that of the first insertion."""
    layers, rows, heads, _, head_dim = steps[0]["k"].shape
    shape = {"rows": rows, "heads": heads, "head_dim": head_dim, "layers": layers}
    answers: list[dict[str, Any]] = probe("cache.history", shape=shape, slots=slots, steps=steps, dtype=dtype)
    return answers


def check_entries(answers: list[dict[str, Any]], steps: list[dict[str, Any]], dtype: str) -> None:
    """Require every insertion to return all keys and values so far, bit for bit."""
    for i, answer in enumerate(answers):
        for name, what in (("k", "keys"), ("v", "values")):
            want = np.concatenate([step[name] for step in steps[: i + 1]], axis=3)
            for layer in range(want.shape[0]):
                expect_close(
                    answer[name][layer],
                    want[layer],
                    tolerances.EXACT,
                    f"the {what} of layer {layer} after insertion {i} ({dtype})",
                    ENTRY_AXES,
                )


def check_history(answers: list[dict[str, Any]], steps: list[dict[str, Any]], rows: int) -> None:
    """Replay the steps on plain lists, and require the cache to say the same after each."""
    held: dict[str, list[NDArray[np.float32]]] = {"k": [], "v": []}
    for i, (step, answer) in enumerate(zip(steps, answers, strict=True)):
        if step["do"] == "reset":
            held = {"k": [], "v": []}
        else:
            for name in held:
                copies = rows if step["do"] == "prefill" else 1
                held[name].append(np.repeat(step[name], copies, axis=1))
        what = f"step {i} ({step['do']})"
        expect_equal(answer["position"], sum(part.shape[3] for part in held["k"]), f"the position after {what}")
        if step["do"] != "insert":
            continue
        for name, kind in (("k", "keys"), ("v", "values")):
            want = np.concatenate(held[name], axis=3)
            for layer in range(want.shape[0]):
                expect_close(
                    answer[name][layer], want[layer], tolerances.EXACT, f"the {kind} of layer {layer} at {what}",
                    ENTRY_AXES,
                )  # fmt: skip  # one statement, two lines


def all_compositions(total: int) -> list[list[int]]:
    """Return every ordered list of positive sizes that add up to `total`."""
    if total == 0:
        return [[]]
    return [[first, *rest] for first in range(1, total + 1) for rest in all_compositions(total - first)]
