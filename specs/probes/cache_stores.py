"""Experiments on the submission's KVCache without a model: several at a time, and what is given to one."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray

from specs.probes.layouts import laid_out
from specs.probes.loading import imported
from specs.probes.registry import probe
from specs.probes.setting import torch_device
from specs.probes.values import dtype_name, tensor, values


@probe
def several(shape: dict[str, int], slots: int, steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Run steps on caches of one shape, each made when its turn first comes, and return what each step gave.

    A step is {"cache": number, "do": "insert", "k": (layers, rows, heads, tokens, head_dim), "v": ...}, or
    "prefill" with the keys and values of a cache of one row, or "reset". What an insertion returned is read
    again, as "later", just before the next call on that cache, or at the end.
    """
    caches: dict[int, Any] = {}
    returned: dict[int, tuple[dict[str, Any], list[Any]]] = {}
    answers = []

    def cache_of(rows: int) -> Any:
        return imported("nanochat.engine").KVCache(
            batch_size=rows,
            num_heads=shape["heads"],
            seq_len=slots,
            head_dim=shape["head_dim"],
            num_layers=shape["layers"],
        )

    def insert(cache: Any, step: dict[str, Any]) -> list[Any]:
        return [
            cache.insert_kv(layer, tensor(k, torch.float32), tensor(v, torch.float32))
            for layer, (k, v) in enumerate(zip(step["k"], step["v"], strict=True))
        ]

    def read_again(number: int) -> None:
        if number in returned:
            answer, pairs = returned.pop(number)
            # Views are valid until the next call on their cache: of the layers, that is the last one.
            answer["later"] = {name: values(part, name) for name, part in zip("kv", pairs[-1], strict=True)}

    for step in steps:
        number = step["cache"]
        if number not in caches:
            caches[number] = cache_of(shape["rows"])
        cache = caches[number]
        read_again(number)
        answer: dict[str, Any] = {}
        if step["do"] == "insert":
            pairs = insert(cache, step)
            answer = {
                name: [values(pair[place], name) for pair in pairs] for place, name in enumerate(("k", "v"))
            }
            returned[number] = answer, pairs
        elif step["do"] == "reset":
            cache.reset()
        else:
            one = cache_of(1)
            insert(one, step)
            cache.prefill(one)
        answer["position"] = int(cache.get_pos())
        answers.append(answer)
    for number in list(returned):
        read_again(number)
    return answers


@probe
def given_as(
    steps: list[tuple[NDArray[Any], NDArray[Any]]], layouts: list[tuple[str, str]], slots: int, dtype: str
) -> list[dict[str, Any]]:
    """Insert keys and values (row, head, token, channel) into one layer, laid out as `laid_out` knows.

    Returns what each insertion gave, whether it left its arguments alone, and the dtypes.
    """
    rows, heads, _, head_dim = steps[0][0].shape
    cache = imported("nanochat.engine").KVCache(rows, heads, slots, head_dim, 1)
    answers = []
    for arrays, hows in zip(steps, layouts, strict=True):
        kind = getattr(torch, dtype)
        given = [laid_out(array, how, kind) for array, how in zip(arrays, hows, strict=True)]
        before = [part.clone() for part in given]
        k, v = cache.insert_kv(0, *given)
        answers.append(
            {
                "k": values(k, "the keys that insert_kv returned"),
                "v": values(v, "the values that insert_kv returned"),
                "dtypes": sorted({dtype_name(k), dtype_name(v)}),
                "unchanged": all(map(torch.equal, given, before)),
            }
        )
    return answers


@probe
def in_full(k: NDArray[Any], v: NDArray[Any], dtype: str, slots: int, copied: bool) -> dict[str, Any]:
    """Insert keys and values (row, head, token, channel) token by token into one layer, in a dtype.

    With `copied` they go into a cache of one row first, and all but the last token are copied into another.
    Returns all that comes back with the last one.
    """
    kind = getattr(torch, dtype)
    keys, held = (torch.from_numpy(part.copy()).to(torch_device(), kind) for part in (k, v))
    cache = imported("nanochat.engine").KVCache(k.shape[0], k.shape[1], slots, k.shape[3], 1)
    for place in range(k.shape[2]):
        if copied and place == k.shape[2] - 1:
            other = imported("nanochat.engine").KVCache(k.shape[0], k.shape[1], slots, k.shape[3], 1)
            other.prefill(cache)
            cache = other
        got, kept = cache.insert_kv(0, keys[:, :, place : place + 1], held[:, :, place : place + 1])
    return {
        "k": values(got, "the keys that insert_kv returned"),
        "v": values(kept, "the values that insert_kv returned"),
        "dtypes": sorted({dtype_name(got), dtype_name(kept)}),
    }
