"""Experiments on passes with a cache: under the modes of torch, through one layer alone, and such as fail."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from specs.probes.building import build_model
from specs.probes.cache import feed, new_cache
from specs.probes.model_passes import MODES
from specs.probes.registry import probe
from specs.probes.values import tensor, values

Arrays = dict[str, Any]


@probe
def in_modes(
    config: dict[str, int],
    weights: Arrays,
    tokens: NDArray[np.int64],
    chunks: list[int],
    modes: list[str],
    training: list[bool],
) -> dict[str, Any]:
    """Feed tokens in chunks, each under one of `MODES` and with the model in training or evaluation mode.

    Returns their logits and the position after each.
    """
    model = build_model(config, weights)
    cache = new_cache(config, tokens.shape[0], config["sequence_len"])
    pieces, positions, start = [], [], 0
    for size, mode, trains in zip(chunks, modes, training, strict=True):
        model.train(trains)
        with MODES[mode]():
            answer = model(tensor(tokens[:, start : start + size]), kv_cache=cache)
        pieces.append(values(answer, "the result of forward"))
        positions.append(int(cache.get_pos()))
        start += size
    return {"logits": np.concatenate(pieces, axis=1), "positions": positions}


@probe
def layers_alone(
    config: dict[str, int], weights: Arrays, xs: list[NDArray[np.float32]], chunks: list[int]
) -> list[NDArray[Any]]:
    """Return the output of each attention layer for its own `xs` (row, position, channel), fed in chunks.

    The layers are called one after another, as in a pass, and share one cache.
    """
    model = build_model(config, weights, dtype="float32")
    cache = new_cache(config, xs[0].shape[0], config["sequence_len"])
    pieces: list[list[NDArray[Any]]] = [[] for _ in xs]
    start = 0
    for size in chunks:
        cos_sin = (model.cos[:, start : start + size], model.sin[:, start : start + size])
        for piece, block, x in zip(pieces, model.transformer.h, xs, strict=True):
            with torch.no_grad():
                answer = block.attn(tensor(x[:, start : start + size], torch.float32), cos_sin, cache)
            piece.append(values(answer, "the output of attention"))
        start += size
    return [np.concatenate(piece, axis=1) for piece in pieces]


@probe
def after_failed_passes(
    config: dict[str, int], weights: Arrays, tokens: NDArray[np.int64], held: int, failing: list[str]
) -> dict[str, Any]:
    """Feed `held` tokens; run passes that fail; then the whole text without a cache, and its rest with it.

    A pass fails for its number of "rows" or of "more rows", for a cache of other "heads" or "channels", or
    because the "context" is too short. Returns which of them raised a ValueError, and both logits.
    """
    model = build_model(config, weights)
    cache = new_cache(config, tokens.shape[0], config["sequence_len"])
    first, _ = feed(model, cache, tokens[:, :held], [held])
    refused = []
    for why in failing:
        given, into = tokens[:, held:], cache
        if why == "rows":
            given = given[:1]
        elif why == "more rows":
            given = np.concatenate([given, given[:1]])
        elif why == "context":
            given = np.repeat(given, config["sequence_len"], axis=1)
        else:
            wrong = {
                "heads": {"n_kv_head": config["n_kv_head"] + 1},
                "channels": {"n_embd": 2 * config["n_head"]},  # two a head
            }[why]
            into = new_cache({**config, **wrong}, tokens.shape[0], config["sequence_len"])
        try:
            feed(model, into, given, [given.shape[1]])
        except ValueError:
            refused.append(why)
    with torch.no_grad():
        plain = values(model(tensor(tokens)), "the result of forward")
    answer: dict[str, Any] = {"refused": refused, "plain": plain}
    if refused == failing:
        rest, _ = feed(model, cache, tokens[:, held:], [tokens.shape[1] - held])
        answer |= {"cached": np.concatenate([first, rest], axis=1)}
    return answer
