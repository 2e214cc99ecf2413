"""Witnesses of bugs that hold more memory than they should."""

from __future__ import annotations

from typing import Any

import torch

from grader.bugs.witnesses.setting import (
    BOS,
    Bytes,
    Modules,
    StandIn,
    alive_bytes,
    attempt,
    certain,
    generator,
    held_bytes,
    held_numbers,
    ids,
    model,
)


def caches(modules: Modules) -> Any:
    """Return the bytes that caches hold while they grow, and after a reset."""
    found = []
    for seed, (layers, slots, chunk) in enumerate(((1, 4, 50), (2, 64, 65), (1, 256, 7))):
        held = modules["engine"].KVCache(
            batch_size=2, num_heads=2, seq_len=slots, head_dim=4, num_layers=layers
        )
        for round_ in range(2):
            for step in range(5):
                for layer in range(layers):
                    k = torch.randn(2, 2, chunk, 4, generator=generator(seed + step))
                    held.insert_kv(layer, k, k)
                found.append(held_bytes(held))
            held.reset()
            found += [round_, held_bytes(held)]
    return found


def dtypes(modules: Modules) -> Any:
    """Return the bytes that caches of several dtypes hold for the same tokens."""
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        for tokens in (3, 90):
            held = modules["engine"].KVCache(batch_size=1, num_heads=2, seq_len=8, head_dim=4, num_layers=1)
            k = torch.ones(1, 2, tokens, 4, dtype=dtype)
            held.insert_kv(0, k, k)
            found.append(held_bytes(held))
    return found


def copies(modules: Modules) -> Any:
    """Return the bytes that caches hold into which a prompt was copied."""
    found = []
    for rows, slots, tokens in ((1, 64, 40), (3, 128, 5), (2, 16, 90)):
        one, many = (
            modules["engine"].KVCache(batch_size=n, num_heads=2, seq_len=slots, head_dim=4, num_layers=1)
            for n in (1, rows)
        )
        k = torch.ones(1, 2, tokens, 4)
        one.insert_kv(0, k, k)
        many.prefill(one)
        found.append(held_bytes(many))
    return found


def peaks(modules: Modules) -> Any:
    """Return whether inserting one token, with room or into the last slot, moves the cache's memory."""
    found = []
    for slots, layers in ((4, 1), (9, 3)):
        held = modules["engine"].KVCache(
            batch_size=1, num_heads=1, seq_len=slots, head_dim=2, num_layers=layers
        )
        places = []
        for _ in range(slots):
            for layer in range(layers):
                keys, _ = held.insert_kv(layer, torch.ones(1, 1, 1, 2), torch.ones(1, 1, 1, 2))
                # Kept, so that no two storages can have one address.
                places.append(keys)
        found.append(
            [keys.untyped_storage().data_ptr() == places[0].untyped_storage().data_ptr() for keys in places]
        )
    return found


def _engine(modules: Modules, room: int = 40) -> Any:
    """Return an engine over a stand-in that says "." for ever."""
    stand_in = StandIn(lambda _: certain(ord(".")), sequence_len=room)
    engine = modules["engine"].Engine(stand_in, Bytes())
    # What the stand-in notes is not what the engine holds.
    stand_in.fed = _Nothing()  # type: ignore[assignment]  # it only has to swallow
    return engine


class _Nothing:
    """A list that forgets."""

    def append(self, _: Any) -> None:
        """Forget it."""


def _size(engine: Any) -> int:
    """Return the bytes of all tensors that are alive, and the number of numbers that the engine lists."""
    return alive_bytes() + held_numbers(vars(engine))


def engines(modules: Modules) -> Any:
    """Return what is added between and during generations."""
    found = []
    for rows, prompt in ((1, [BOS, 1]), (2, [BOS, 1, 2, 3, 4])):
        engine = _engine(modules)
        start = _size(engine)
        for number in range(3):
            for step, _ in enumerate(engine.generate([*prompt, number], num_samples=rows, max_tokens=4)):
                found.append([step, _size(engine) - start])
            found.append(_size(engine) - start)
    return found


def steps(modules: Modules) -> Any:
    """Return what a running generation adds at each step, and what stays after it."""
    found = []
    for rows in (1, 2):
        engine = _engine(modules)
        start = _size(engine)
        running = engine.generate([BOS, 1], num_samples=rows, max_tokens=6)
        for _ in range(5):
            next(running)
            found.append(_size(engine) - start)
        running.close()
        found.append(_size(engine) - start)
    return found


def abandoned(modules: Modules) -> Any:
    """Return what engines hold after generations that were closed half-way."""
    found = []
    for rows in (1, 3):
        engine = _engine(modules)
        start = _size(engine)
        for _ in range(3):
            running = engine.generate([BOS, 1, 2], num_samples=rows, max_tokens=8)
            next(running)
            running.close()
            found.append(_size(engine) - start)
    return found


def passes(modules: Modules) -> Any:
    """Return what a model holds after passes of every kind."""
    found = []
    for seed, rows in ((0, 2), (1, 5)):
        made = model(modules, seed)
        own = sum(p.untyped_storage().nbytes() for p in (*made.parameters(), *made.buffers()))
        for targets in (None, ids(seed, rows, 9)):
            made(ids(seed, rows, 9), targets)
            found.append(held_bytes(vars(made)) - own)
    return found


def heads(modules: Modules) -> Any:
    """Return what becomes of generations by models with shared heads."""
    found = []
    for seed, (queries, shared) in enumerate(((4, 1), (4, 2), (2, 2))):
        made = model(modules, seed, n_head=queries, n_kv_head=shared, n_embd=4 * queries, vocab_size=320)
        engine = modules["engine"].Engine(made, Bytes())
        found.append(attempt(lambda: len(list(engine.generate([BOS, 1], max_tokens=3)))))  # noqa: B023  # called at once
    return found
