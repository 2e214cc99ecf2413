"""Experiments on the submission's KVCache: what comes after an error, and how it is made and copied."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from specs.probes.building import build_model
from specs.probes.cache import feed, new_cache
from specs.probes.loading import imported
from specs.probes.registry import probe
from specs.probes.setting import torch_device
from specs.probes.values import tensor, values

Arrays = dict[str, Any]


@probe
def after_a_refused_pass(
    config: dict[str, int], weights: Arrays, tokens: NDArray[np.int64], held: int
) -> dict[str, Any]:
    """Feed `held` tokens, then all others, which are too many, and then those that fit into the context.

    Returns whether the second pass raised a ValueError, the position after it, and the logits of the others.
    """
    model = build_model(config, weights)
    context = config["sequence_len"]
    cache = new_cache(config, tokens.shape[0], context)
    first, _ = feed(model, cache, tokens, [held])
    try:
        feed(model, cache, tokens[:, held:], [tokens.shape[1] - held])
    except ValueError:
        position = int(cache.get_pos())
    except Exception:  # noqa: BLE001  # a pass beyond the table that fails otherwise is another criterion's business
        return {"refused": False}
    else:
        return {"refused": False}
    last, _ = feed(model, cache, tokens[:, held:context], [context - held])
    return {"refused": True, "position": position, "logits": np.concatenate([first, last], axis=1)}


@probe
def after_another_embedding(
    config: dict[str, int],
    weights: Arrays,
    embedding: NDArray[np.float32],
    tokens: NDArray[np.int64],
    held: int,
) -> NDArray[Any]:
    """Feed `held` tokens, give the model another `embedding`, and return the logits of the others."""
    model = build_model(config, weights)
    cache = new_cache(config, tokens.shape[0], config["sequence_len"])
    feed(model, cache, tokens[:, :held], [held])
    with torch.no_grad():
        model.transformer.wte.weight.copy_(tensor(embedding))
    return feed(model, cache, tokens[:, held:], [1] * (tokens.shape[1] - held))[0]


@probe
def refused_half_way(
    shape: dict[str, int], steps: list[dict[str, Any]], refused_in: int, bad: NDArray[np.float32]
) -> dict[str, Any]:
    """Insert every step into all layers, but offer the last layer `bad` keys and values first in one of them.

    Returns whether those raised a ValueError, and what each layer gave back in the last step.
    """
    cache = imported("nanochat.engine").KVCache(
        batch_size=shape["rows"],
        num_heads=shape["heads"],
        seq_len=8,
        head_dim=shape["head_dim"],
        num_layers=shape["layers"],
    )
    refused = False
    for number, step in enumerate(steps):
        given: dict[str, Any] = {"k": [], "v": []}
        for layer in range(shape["layers"]):
            if number == refused_in and layer == shape["layers"] - 1:
                try:
                    cache.insert_kv(layer, tensor(bad, torch.float32), tensor(bad, torch.float32))
                except ValueError:
                    refused = True
            k, v = (tensor(step[name][layer], torch.float32) for name in ("k", "v"))
            k, v = cache.insert_kv(layer, k, v)
            given["k"].append(values(k, "the keys that insert_kv returned"))
            given["v"].append(values(v, "the values that insert_kv returned"))
    return {"refused": refused, **given}


@probe
def needs_gradients(layers: int, slots: int) -> list[bool]:
    """Insert keys and values that belong to a graph and then some that do not; say whether those need it."""
    cache = cache_of_one(layers, slots)
    with torch.enable_grad():
        weight = torch.ones(4, device=torch_device(), requires_grad=True)
        for graph in (True, False):
            for layer in range(layers):
                new = torch.ones(1, 1, 2, 4, device=torch_device())
                k, v = cache.insert_kv(layer, new * weight if graph else new, new * weight if graph else new)
    return [bool(k.requires_grad), bool(v.requires_grad)]


@probe
def position_types() -> list[str]:
    """Return the types of `get_pos()` of an empty cache, after an insertion, and after a reset."""
    cache = cache_of_one(1, 4)
    found = [type(cache.get_pos()).__name__]
    new = torch.ones(1, 1, 2, 4, device=torch_device())
    cache.insert_kv(0, new, new)
    found.append(type(cache.get_pos()).__name__)
    cache.reset()
    return [*found, type(cache.get_pos()).__name__]


@probe
def made_both_ways(rows: int, heads: int, slots: int, head_dim: int, layers: int) -> dict[str, list[int]]:
    """Return the shape of the keys after one token, for caches made by names of arguments and by order."""
    make = imported("nanochat.engine").KVCache
    caches = {
        "by name": make(
            batch_size=rows, num_heads=heads, seq_len=slots, head_dim=head_dim, num_layers=layers
        ),
        "in order": make(rows, heads, slots, head_dim, layers),
    }
    new = torch.ones(rows, heads, 1, head_dim, device=torch_device())
    found = {}
    for name, cache in caches.items():
        for layer in range(layers):
            k, _ = cache.insert_kv(layer, new, new)
        found[name] = list(k.shape)
    return found


@probe
def copy_of_nothing(layers: int, rows: int, used: bool) -> dict[str, Any]:
    """Copy an empty cache, new or reset, into rows; return what these hold then, and with two tokens."""
    make = imported("nanochat.engine").KVCache
    one, many = (
        make(batch_size=count, num_heads=1, seq_len=4, head_dim=4, num_layers=layers) for count in (1, rows)
    )
    if used:
        old = torch.ones(1, 1, 3, 4, device=torch_device())
        for layer in range(layers):
            one.insert_kv(layer, old, old)
        one.reset()
    many.prefill(one)
    position = int(many.get_pos())
    new = torch.ones(rows, 1, 2, 4, device=torch_device())
    for layer in range(layers):
        k, _ = many.insert_kv(layer, new, new)
    return {"position": position, "then": int(many.get_pos()), "keys": list(k.shape)}


def cache_of_one(layers: int, slots: int) -> Any:
    """Return an empty cache of one row and one head of four channels."""
    return imported("nanochat.engine").KVCache(
        batch_size=1, num_heads=1, seq_len=slots, head_dim=4, num_layers=layers
    )


@probe
def losses(
    config: dict[str, int], weights: Arrays, text: NDArray[np.int64], chunks: list[int], training: bool
) -> dict[str, Any]:
    """Return the losses of all tokens but the first, at once, and chunk by chunk through a cache."""
    cache = new_cache(config, text.shape[0], config["sequence_len"])

    def of(start: int, size: int, **options: Any) -> NDArray[Any]:
        # A model for each pass: whether one keeps its losses is the business of another criterion.
        model = build_model(config, weights).train(training)
        idx, targets = (tensor(text[:, start + shift : start + shift + size]) for shift in (0, 1))
        with torch.no_grad():
            answer = model(idx, targets, loss_reduction="none", **options)
        return values(answer, "the losses")

    pieces, start = [], 0
    for size in chunks:
        pieces.append(of(start, size, kv_cache=cache))
        start += size
    return {"whole": of(0, start), "pieces": pieces}
