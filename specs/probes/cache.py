"""Experiments on the submission's KVCache, alone and under a model."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from specs.probes.building import build_model
from specs.probes.byte_tokenizer import ByteTokenizer
from specs.probes.loading import imported
from specs.probes.registry import probe
from specs.probes.setting import torch_device, torch_dtype
from specs.probes.values import dtype_name, tensor, values

Arrays = dict[str, Any]


def new_cache(config: dict[str, int], rows: int, slots: int) -> Any:
    """Return an empty cache for a model of `config`."""
    return imported("nanochat.engine").KVCache(
        batch_size=rows,
        num_heads=config["n_kv_head"],
        seq_len=slots,
        head_dim=config["n_embd"] // config["n_head"],
        num_layers=config["n_layer"],
    )


def feed(
    model: Any, cache: Any, tokens: NDArray[np.int64], chunks: list[int]
) -> tuple[NDArray[Any], list[int]]:
    """Feed `tokens` (row, position) in chunks; return their logits and the cache's position after each."""
    pieces, positions, start = [], [], 0
    for size in chunks:
        with torch.no_grad():
            answer = model(tensor(tokens[:, start : start + size]), kv_cache=cache)
        pieces.append(values(answer, "the result of forward"))
        positions.append(int(cache.get_pos()))
        start += size
    return np.concatenate(pieces, axis=1), positions


@probe
def logits(
    config: dict[str, int],
    weights: Arrays,
    tokens: NDArray[np.int64],
    chunkings: list[list[int]],
    slots: list[int] | None = None,
) -> list[NDArray[Any]]:
    """Return the logits of `tokens` fed to a new cache, once for each way to cut them into chunks.

    `slots` gives each cache's initial length, the context's if there is none.
    """
    model = build_model(config, weights)
    answers = []
    for i, chunks in enumerate(chunkings):
        cache = new_cache(config, tokens.shape[0], slots[i] if slots else config["sequence_len"])
        answers.append(feed(model, cache, tokens, chunks)[0])
    return answers


@probe
def cached_and_uncached(
    config: dict[str, int],
    weights: Arrays,
    tokens: NDArray[np.int64],
    chunkings: list[list[int]],
) -> dict[str, Any]:
    """Return the logits of one uncached pass, and those of each chunking with the positions it reached."""
    model = build_model(config, weights)
    with torch.no_grad():
        uncached = values(model(tensor(tokens)), "the result of forward")
    cached, positions = [], []
    for chunks in chunkings:
        cache = new_cache(config, tokens.shape[0], config["sequence_len"])
        answer, reached = feed(model, cache, tokens, chunks)
        cached.append(answer)
        positions.append(reached)
    return {"uncached": uncached, "cached": cached, "positions": positions}


@probe
def after_reset(
    config: dict[str, int],
    weights: Arrays,
    first: list[NDArray[np.int64]],
    second: NDArray[np.int64],
    chunks: list[int],
    slots: int,
) -> dict[str, Any]:
    """Feed sequences to one cache with a reset after each, then `second`; and `second` to a new cache."""
    model = build_model(config, weights)
    used, new = (new_cache(config, second.shape[0], slots) for _ in range(2))
    positions = []
    for tokens in first:
        feed(model, used, tokens, [tokens.shape[1]])
        used.reset()
        positions.append(int(used.get_pos()))
    return {
        "used": feed(model, used, second, chunks)[0],
        "new": feed(model, new, second, chunks)[0],
        "positions": positions,
    }


@probe
def rows_from_one(
    config: dict[str, int],
    weights: Arrays,
    prompt: NDArray[np.int64],
    continuations: NDArray[np.int64],
    slots: list[int],
) -> dict[str, Any]:
    """Prefill a cache of one row, copy it into all rows of another, and continue each row differently.

    Returns the logits of the continuations; of each prompt and continuation without a cache; of the one
    row's own continuation afterwards; and the position after the copy.
    """
    model = build_model(config, weights)
    rows, length = continuations.shape
    one, many = new_cache(config, 1, slots[0]), new_cache(config, rows, slots[1])
    feed(model, one, prompt, [prompt.shape[1]])
    many.prefill(one)
    position = int(many.get_pos())
    copied, _ = feed(model, many, continuations, [1] * length)
    source, _ = feed(model, one, continuations[:1], [1] * length)
    whole = np.concatenate([np.repeat(prompt, rows, axis=0), continuations], axis=1)
    with torch.no_grad():
        uncached = values(model(tensor(whole)), "the result of forward")
    return {
        "copied": copied,
        "source": source,
        "uncached": uncached[:, prompt.shape[1] :],
        "position": position,
    }


@probe
def copy_in_turn(
    config: dict[str, int],
    weights: Arrays,
    prompt: NDArray[np.int64],
    continuations: NDArray[np.int64],
    own: NDArray[np.int64],
    slots: list[int],
) -> dict[str, Any]:
    """Copy the cache of a prompt into rows, and continue the rows and the source in turn, token by token.

    Returns the logits of the rows' `continuations` and of the source's `own`, cached and uncached.
    """
    model = build_model(config, weights)
    rows, length = continuations.shape
    one, many = new_cache(config, 1, slots[0]), new_cache(config, rows, slots[1])
    feed(model, one, prompt, [prompt.shape[1]])
    many.prefill(one)
    pieces: list[list[NDArray[Any]]] = [[], []]
    for place in range(length):
        for piece, cache, tokens in zip(pieces, (many, one), (continuations, own), strict=True):
            piece.append(feed(model, cache, tokens[:, place : place + 1], [1])[0])
    uncached = []
    for tokens in (continuations, own):
        whole = np.concatenate([np.repeat(prompt, tokens.shape[0], axis=0), tokens], axis=1)
        with torch.no_grad():
            answer = values(model(tensor(whole)), "the result of forward")
        uncached.append(answer[:, prompt.shape[1] :])
    return {"cached": [np.concatenate(piece, axis=1) for piece in pieces], "uncached": uncached}


@probe
def insert_into(
    shape: dict[str, int], held: int, k: NDArray[np.float32], v: NDArray[np.float32]
) -> list[list[int]]:
    """Insert keys and values (row, head, token, channel) into a cache of one layer that holds `held` tokens.

    Returns the shapes of what comes back.
    """
    cache = cache_holding(shape, held)
    keys, kept = cache.insert_kv(0, tensor(k), tensor(v))
    return [list(keys.shape), list(kept.shape)]


@probe
def prefill_from(shape: dict[str, int], other: dict[str, int], held: int, tokens: int) -> int:
    """Prefill a cache that holds `held` tokens from another that holds `tokens`; return the position."""
    cache = cache_holding(shape, held)
    cache.prefill(cache_holding(other, tokens))
    return int(cache.get_pos())


@probe
def prefill_from_itself(shape: dict[str, int], held: int) -> dict[str, Any]:
    """Prefill a cache that holds tokens from itself; return whether that is refused, and the position."""
    cache = cache_holding(shape, held)
    try:
        cache.prefill(cache)
    except ValueError:
        return {"refused": True, "position": int(cache.get_pos())}
    return {"refused": False, "position": int(cache.get_pos())}


def cache_holding(shape: dict[str, int], filled: int) -> Any:
    """Return a cache of a shape, with that many tokens of zeros in it."""
    cache = imported("nanochat.engine").KVCache(
        batch_size=shape["rows"],
        num_heads=shape["heads"],
        seq_len=8,
        head_dim=shape["head_dim"],
        num_layers=shape["layers"],
    )
    if filled:
        zeros = torch.zeros(shape["rows"], shape["heads"], filled, shape["head_dim"], dtype=torch_dtype())
        for layer in range(shape["layers"]):
            cache.insert_kv(layer, zeros.to(torch_device()), zeros.to(torch_device()))
    return cache


@probe
def interleaved(
    config: dict[str, int], weights: Arrays, tokens: list[NDArray[np.int64]], length: int
) -> dict[str, Any]:
    """Feed several sequences to a cache each, one token of each in turn; and without a cache."""
    model = build_model(config, weights)
    caches = [new_cache(config, t.shape[0], config["sequence_len"]) for t in tokens]
    pieces: list[list[NDArray[Any]]] = [[] for _ in tokens]
    uncached = []
    for position in range(length):
        for i, sequence in enumerate(tokens):
            pieces[i].append(feed(model, caches[i], sequence[:, position : position + 1], [1])[0])
            with torch.no_grad():
                answer = model(tensor(sequence[:, : position + 1]))
            if position == length - 1:
                uncached.append(values(answer, "the result of forward"))
    return {"cached": [np.concatenate(piece, axis=1) for piece in pieces], "uncached": uncached}


@probe
def history(
    shape: dict[str, int], slots: int, steps: list[dict[str, Any]], dtype: str | None = None
) -> list[dict[str, Any]]:
    """Run a list of steps on caches of `rows`, `heads`, `head_dim` and `layers`, and return what each gave.

    A step is {"do": "insert", "k": (layers, rows, heads, tokens, head_dim), "v": ...}, {"do": "reset"},
    {"do": "prefill", "k": ..., "v": ...}, which fills a cache of one row and copies it into all rows, or
    {"do": "refuse", "k": ..., "v": ...}, an insertion into the first layer that ought to raise a ValueError.
    {"do": "begin", "k": ..., "v": ...} inserts into as many layers as there are keys, and not all have some.
    A step may have a "dtype" of its own.
    """
    usual = getattr(torch, dtype) if dtype else torch_dtype()
    engine = imported("nanochat.engine")

    def cache_of(rows: int) -> Any:
        return engine.KVCache(
            batch_size=rows,
            num_heads=shape["heads"],
            seq_len=slots,
            head_dim=shape["head_dim"],
            num_layers=shape["layers"],
        )

    def insert(cache: Any, step: dict[str, Any]) -> dict[str, Any]:
        keys, held, positions = [], [], []
        kind = getattr(torch, step["dtype"]) if "dtype" in step else usual
        for layer in range(len(step["k"])):
            positions.append(int(cache.get_pos()))
            k, v = cache.insert_kv(layer, tensor(step["k"][layer], kind), tensor(step["v"][layer], kind))
            keys.append(values(k, "the keys that insert_kv returned"))
            held.append(values(v, "the values that insert_kv returned"))
        names = sorted({dtype_name(k), dtype_name(v)})
        return {"k": keys, "v": held, "during": positions, "dtypes": names}

    cache = cache_of(shape["rows"])
    answers = []
    for step in steps:
        answer: dict[str, Any] = {}
        if step["do"] in ("insert", "begin"):
            answer = insert(cache, step)
        elif step["do"] == "reset":
            cache.reset()
        elif step["do"] == "refuse":
            try:
                cache.insert_kv(0, tensor(step["k"][0], usual), tensor(step["v"][0], usual))
                answer = {"refused": False}
            except ValueError:
                answer = {"refused": True}
        else:
            one = cache_of(1)
            insert(one, step)
            cache.prefill(one)
        answers.append({**answer, "position": int(cache.get_pos())})
    return answers


@probe
def greedy(config: dict[str, int], weights: Arrays, prompt: list[int], count: int) -> dict[str, Any]:
    """Return greedy tokens of the engine, and the uncached logits of the sequence that they make."""
    engine = imported("nanochat.engine")
    model = build_model(config, weights)
    tokens = []
    for column, _ in engine.Engine(model, ByteTokenizer()).generate(
        list(prompt), num_samples=1, max_tokens=count, temperature=0.0
    ):
        tokens.append(int(column[0]))
    with torch.no_grad():
        answer = model(tensor(np.array([[*prompt, *tokens]])))
    return {"tokens": tokens, "logits": values(answer, "the result of forward")}
