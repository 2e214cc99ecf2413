"""Bounded memory, of generations and of passes through a model.

Caches of one layer, or far larger than what is inserted, models of one layer wherever there is a cache, and
as many key/value heads as query heads in every real model: bugs of the cache and of grouped-query attention
do not show here. Models whose tokens matter are scripted, so bugs of rotary embeddings do not show either.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator

from hypothesis import strategies as st

from specs import draws
from specs.compare import expect, expect_at_least, expect_at_most, expect_number
from specs.law import law
from specs.measurements import Steps, growth_step, history_of, instruments
from specs.oracles.memory import BOOKKEEPING, Shape
from specs.probe import Probe
from specs.strategies import config, seeds

CRITERION = "memory"

VOCABULARY = 288
"""More than the engine's tokenizer has, as in a padded model."""

FIRST_SPECIAL = 263
"""The engine's tokenizer has its special tokens from this id on."""

MEBIBYTE = 2**20


@law(
    examples=5,
    cases=[{"rows": 2, "n_head": 8, "n_kv_head": 1}],
    rows=st.integers(1, 3),
    n_head=st.sampled_from([6, 8]),
    n_kv_head=st.just(1),
)
def test_grouped_engine_stores_no_more_heads(probe: Probe, rows: int, n_head: int, n_kv_head: int) -> None:
    """A generation holds a cache of the model's key/value heads, not of its query heads.

    Kills: an engine that makes its caches for n_head heads, or stores expanded keys and values.
    """
    model = scripted(sequence_len=64, n_head=n_head, n_kv_head=n_kv_head, head_dim=128)
    prompt, max_tokens = 58, 6
    answer = probe("memory.generation", model=model, prompt=prompt, rows=rows, max_tokens=max_tokens)
    shape = cache_shape(probe, model, rows)
    for instrument, held in instruments(answer):
        for number, got in decoding(held, max_tokens):
            allowed = shape.allowed(prompt + number, growth_step(answer)) + sampling_bytes(rows, model)
            expect_at_most(
                got,
                allowed,
                f"bytes held at token {number} after a prompt of {prompt}, by {instrument}: the model "
                f"has {n_head} query heads and {n_kv_head} key/value head, and the prompt's keys and values "
                f"take {prompt * shape.slot_bytes:,} bytes for each head",
            )


@law(examples=3, cases=[{"rows": 1}, {"rows": 3}], rows=st.integers(1, 4))
def test_decoding_holds_one_cache(probe: Probe, rows: int) -> None:
    """While rows are decoded only their own cache is held: not the one of the prompt, nor an earlier one.

    The prompt leaves room for a few tokens only, so that every choice of capacity comes to nearly the same;
    the submission's own cache, filled with the same tokens, says how much that is.
    Kills: the cache of the prompt kept after it was copied into the rows, the cache of the last generation
    kept during the next, all caches kept in a list.
    """
    prompt, max_tokens = 508, 4
    model = scripted(sequence_len=prompt + max_tokens, n_head=2, n_kv_head=2, head_dim=32)
    run = {"prompt": prompt, "rows": rows, "max_tokens": max_tokens}
    answer = probe("memory.generation", model=model, **run, before=2)
    steps: Steps = [("insert", prompt), *[("insert", 1)] * max_tokens]
    own = [
        history_of(probe, cache_shape(probe, model, rows, seq_len), steps)
        for seq_len in (64, prompt, prompt + max_tokens)
    ]
    for index, (instrument, held) in enumerate(instruments(answer)):
        one_cache = max(max(list(instruments(each))[index][1]) for each in own)
        for number, got in decoding(held, max_tokens):
            expect_at_most(
                got,
                one_cache + sampling_bytes(rows, model),
                f"bytes held at token {number} of {rows} rows after a prompt of {prompt}, by {instrument}: "
                f"the submission's own cache of these tokens holds {one_cache:,}",
            )


@law(examples=1, cases=[{"rows": 1}], rows=st.integers(1, 3))
def test_decoding_adds_only_its_tokens(probe: Probe, rows: int) -> None:
    """Each token decoded adds its keys and values and nothing else, however many tokens came before.

    Kills: the logits, probabilities or hidden states of all steps kept; cache growth left behind.
    """
    prompt, max_tokens = 6, 122
    model = scripted(sequence_len=prompt + max_tokens, n_head=1, n_kv_head=1, head_dim=8)
    answer = probe("memory.generation", model=model, prompt=prompt, rows=rows, max_tokens=max_tokens)
    shape = cache_shape(probe, model, rows)
    for instrument, held in instruments(answer):
        for number, got in decoding(held, max_tokens):
            expect_at_most(
                got,
                shape.allowed(prompt + number, growth_step(answer)) + sampling_bytes(rows, model),
                f"bytes held at token {number} of {rows} rows after a prompt of {prompt}, by {instrument}: "
                f"a token's keys and values are {shape.slot_bytes} bytes; at token 3 there were {held[2]:,}",
            )


@law(examples=1, seed=seeds)
def test_generating_again_adds_nothing(probe: Probe, seed: int) -> None:
    """Five rounds of generation after the first hold exactly what the first left, whatever the prompts.

    Every way to generate, prompts of several lengths, always new tokens.
    Kills: caches kept in a list, answers remembered by their prompt, logits or hidden states collected,
    generators kept alive, a loss or a count that is a tensor with its history.
    """
    lengths, rounds = [2, 7], 6
    shape = config(n_head=2, vocab_size=VOCABULARY, sequence_len=8)
    weights = draws.weights(shape, seed, probe.dtype)
    # Never among the five likeliest, so that no row ends early and every round does the same work.
    weights["lm_head.weight"][FIRST_SPECIAL:] = 0.0
    prompts = [
        draws.tokens({**shape, "vocab_size": 256}, seed + number, 1, length)[0]
        for number, length in enumerate(lengths * rounds)
    ]
    answer = probe("memory.rounds", config=shape, weights=weights, prompts=prompts, rows=3)
    for instrument, held in instruments(answer):
        after = held[len(lengths) - 1 :: len(lengths)]
        expect(len(after) == rounds, f"got {len(held)} readings, want {len(prompts)}")
        expect_at_most(
            max(after),
            after[0],
            f"bytes held after each of {rounds} rounds of generation, by {instrument}: {after}; the most of "
            "them, where none may exceed the first",
        )


@law(examples=3, rows=st.sampled_from([[1, 6], [1, 6, 1, 8], [2, 9]]))
def test_a_finished_generation_holds_nothing(probe: Probe, rows: list[int]) -> None:
    """After a generation of many rows no more is held than after one of few: its cache has gone with it.

    Kills: the last cache kept in the engine, to be overwritten by the next generation and by nothing else.
    """
    model = scripted(sequence_len=64, n_head=2, n_kv_head=2, head_dim=32)
    answer = probe("memory.finished", model=model, prompt=20, rows=rows)
    for instrument, held in instruments(answer):
        expect_at_most(
            max(held),
            held[0] + BOOKKEEPING,
            f"bytes held after generations of {rows} rows, by {instrument}: {held}; the most of them",
        )


ENDINGS = ["close", "drop", "raise", "unread close", "unread drop"]


@law(
    examples=2,
    cases=[{"rows": 2, "how": [*ENDINGS, "close", "drop", "unread drop", "unread close"]}],
    rows=st.integers(1, 3),
    how=st.lists(st.sampled_from(ENDINGS), min_size=3, max_size=5),
)
def test_abandoned_generations_free_their_caches(probe: Probe, rows: int, how: list[str]) -> None:
    """A generator that is closed, dropped or cancelled half-read leaves no more than one read to its end.

    Nor does one that was never read. Kills: running generations in a list that only the end of the generator
    clears, a generator that something else refers to, clean-up that an exception skips, or that belongs to a
    generator which never began.
    """
    model = scripted(sequence_len=64, n_head=2, n_kv_head=2, head_dim=32)
    answer = probe("memory.abandoned", model=model, prompt=20, rows=rows, how=how)
    for instrument, held in instruments(answer):
        for ending, got in zip(how, held[2:], strict=True):
            expect_at_most(
                got,
                held[1],
                f"bytes held after a half-read or unread generation of {rows} rows ended by {ending!r}, by "
                f"{instrument}: after ones read to the end {held[1]:,}, after the abandoned ones {held[2:]}",
            )


@law(examples=1, seed=seeds)
def test_passes_leave_nothing_behind(probe: Probe, seed: int) -> None:
    """Once its answer is dropped a pass through the model leaves nothing, nor does a backward pass.

    A pass over many rows must not leave more than one over a single row did: tables and masks, which may be
    kept, do not depend on the number of rows. Kills: attention weights or outputs kept in the module, losses
    added up with their graph, answers remembered by their tokens.
    """
    shape = config(n_layer=2, n_head=2, vocab_size=23, sequence_len=16)
    kinds = ["logits", "loss", "training", "graph", "backward"]
    answers = probe(
        "memory.passes",
        config=shape,
        weights=draws.weights(shape, seed, probe.dtype),
        kinds=kinds,
        small=draws.tokens(shape, seed, 1, 12),
        large=draws.tokens(shape, seed + 1, 8, 12),
        times=3,
    )
    for kind in kinds:
        for instrument, held in instruments(answers[kind]):
            expect_at_most(
                max(held[2:]),
                held[1],
                f'bytes held after passes over 8 rows, their answers dropped (kind of pass: "{kind}"), by '
                f"{instrument}: {held[2:]}, the most of them; after a pass over 1 row there were {held[1]:,}",
            )


@law(examples=2, seed=seeds, rows=st.sampled_from([8, 12]))
def test_cached_passes_leave_only_the_cache(probe: Probe, seed: int, rows: int) -> None:
    """A pass with a cache leaves the cache's keys and values and nothing else.

    Measured against the submission's own cache with the same tokens inserted by hand.
    Kills: queries, attention weights or hidden states kept in the module, keys and values kept twice.
    """
    chunks = [40, 1, 1, 6]
    shape = config(n_head=2, head_dim=32, vocab_size=23, sequence_len=sum(chunks))
    answer = probe(
        "memory.cached_passes",
        config=shape,
        weights=draws.weights(shape, seed, probe.dtype),
        tokens=draws.tokens(shape, seed, rows, sum(chunks)),
        chunks=chunks,
    )
    own = history_of(probe, cache_shape(probe, shape, rows), [("insert", tokens) for tokens in chunks])
    # A mask for every pair of positions, in float32, and the tables, may well be kept.
    spare = 4 * sum(chunks) ** 2 + 16 * sum(chunks) * 32 + BOOKKEEPING
    for (instrument, held), (_, alone) in zip(instruments(answer), instruments(own), strict=True):
        for number, (got, cache_alone) in enumerate(zip(held, alone[1:], strict=True)):
            expect_at_most(
                got,
                cache_alone + spare,
                f"bytes held after chunk {number} of {chunks} of {rows} rows, by {instrument}: the cache "
                f"alone, with the same tokens, holds {cache_alone:,}",
            )


PYTHON_BYTES_A_TOKEN = 1024
"""A list of ids takes 8 bytes a token and a mask as much; logits as a list of numbers would be 9,000."""

PYTHON_BYTES_A_GENERATION = 3072
"""Nothing should stay; a prompt of 800 tokens remembered as a tuple would be 6,400.

Correct engines were seen to grow by 1,076 once in a hundred runs: objects that were made before counting
began are replaced by others that count.
"""


@law()
def test_python_objects_stay_few(probe: Probe) -> None:
    """Python's own objects grow by little for each token decoded, and by nothing for each generation.

    The median over many, because now and then a table of Python's own doubles.
    Kills: logits or probabilities kept as lists of numbers, prompts and answers remembered by a cache
    without end, a history of everything in the engine.
    """
    prompt, max_tokens, times = 800, 60, 16
    model = scripted(sequence_len=prompt + max_tokens, n_head=1, n_kv_head=1, head_dim=8)
    answer = probe("memory.python_bytes", model=model, prompt=prompt, max_tokens=max_tokens, times=times)
    expect(
        len(answer["during"]) > 20,
        f"the generation gave {len(answer['during'])} tokens where {max_tokens} were asked for",
    )
    expect_at_most(
        median_growth(answer["during"][10:]),
        PYTHON_BYTES_A_TOKEN,
        "bytes that Python's objects grew by for each token decoded (median)",
    )
    expect_at_most(
        median_growth(answer["after"][4:]),
        PYTHON_BYTES_A_GENERATION,
        f"bytes that Python's objects grew by for each generation with {prompt} new tokens (median)",
    )


RESIDENT_GROWTH = 32 * MEBIBYTE
"""What the allocators of C may keep; sixteen caches of 4 MiB left behind would be twice as much."""


@law()
def test_process_does_not_grow(probe: Probe) -> None:
    """Seen from outside, the process does not grow by generating again and again.

    A wide bound, against memory that torch does not own. Kills: copies of caches or logits kept as NumPy
    arrays or lists of numbers.
    """
    prompt, max_tokens, rows, times = 124, 4, 4, 24
    model = scripted(sequence_len=prompt + max_tokens, n_head=8, n_kv_head=8, head_dim=128)
    run = {"prompt": prompt, "rows": rows, "max_tokens": max_tokens}
    probe("memory.open_engine", model=model)
    try:
        probe("memory.generate_with_open_engine", **run, times=3, seed=1)
        before = probe.resident_bytes()
        read = probe("memory.generate_with_open_engine", **run, times=times, seed=2)
        grown = probe.resident_bytes() - before
    finally:
        probe("memory.close_engine")
    expect_at_least(read, 2 * times, f"tokens that {times} generations gave to a row")
    expect_at_most(
        grown,
        RESIDENT_GROWTH,
        f"bytes that the process grew by in {times} generations with caches of "
        f"{cache_shape(probe, model, rows).slot_bytes * (prompt + max_tokens):,} bytes each",
    )


def median_growth(counts: list[int]) -> float:
    """Return the median of how much each count exceeds the one before it."""
    for count in counts:
        expect_number(count, "bytes of Python objects")
    return float(statistics.median(after - before for before, after in itertools.pairwise(counts)))


def scripted(*, sequence_len: int, n_head: int, n_kv_head: int, head_dim: int) -> dict[str, int]:
    """Return the configuration of a scripted model of one layer."""
    return config(
        n_head=n_head,
        n_kv_head=n_kv_head,
        head_dim=head_dim,
        vocab_size=VOCABULARY,
        sequence_len=sequence_len,
    )


def cache_shape(probe: Probe, model: dict[str, int], rows: int, seq_len: int | None = None) -> Shape:
    """Return the shape of a cache of `rows` for a model, of the whole context unless told otherwise."""
    return Shape(
        seq_len=model["sequence_len"] if seq_len is None else seq_len,
        batch_size=rows,
        num_heads=model["n_kv_head"],
        head_dim=model["n_embd"] // model["n_head"],
        num_layers=model["n_layer"],
        dtype=probe.dtype,
    )


def sampling_bytes(rows: int, model: dict[str, int]) -> int:
    """Return what one step of sampling may hold: a few numbers for each id of the vocabulary, and the ids."""
    return rows * (8 * 4 * model["vocab_size"] + 2 * 8 * model["sequence_len"]) + BOOKKEEPING


def decoding(held: list[int], max_tokens: int) -> Iterator[tuple[int, int]]:
    """Yield (token, bytes held at it) from the third token on: the cache of the prompt has had its time."""
    expect(len(held) > 2, f"the generation gave {len(held)} tokens where {max_tokens} were asked for")
    yield from enumerate(held[2:], start=3)
