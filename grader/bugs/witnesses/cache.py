"""Witnesses of bugs in the cache."""

from __future__ import annotations

from typing import Any

import torch

from grader.bugs.witnesses.setting import Modules, attempt, cache, generator, ids, in_chunks, model, some


def chunked(modules: Modules) -> Any:
    """Return logits of texts read through a cache in pieces, for models of one to three layers."""
    found = []
    for seed, (layers, chunks) in enumerate(((1, [3, 1, 2]), (2, [5, 4, 1, 1]), (3, [1, 6, 1, 3]))):
        made = model(modules, seed, n_layer=layers)
        tokens = ids(seed, 2, sum(chunks))
        found.append(attempt(lambda: some(in_chunks(modules, made, tokens, chunks, 16))))  # noqa: B023  # called at once
    return found


def _filled(held: Any, layers: int, rows: int, tokens: int, seed: int) -> list[Any]:
    """Insert random keys and values into all layers; return numbers of what comes back."""
    found = []
    for layer in range(layers):
        k, v = torch.randn(2, rows, 2, tokens, 3, generator=generator(seed + layer))
        keys, values = held.insert_kv(layer, k, v)
        # As text, and so exactly: a cache gives back what it was given.
        exact = [float.hex(float(part.double().sum())) for part in (keys, values)]
        found += [list(keys.shape), some(keys), some(values), exact, held.get_pos()]
    return found


def storage(modules: Modules) -> Any:
    """Return what caches give back while they grow twice, and after a reset."""
    found = []
    for seed, (layers, slots) in enumerate(((1, 4), (2, 3), (3, 2))):
        held = modules["engine"].KVCache(
            batch_size=2, num_heads=2, seq_len=slots, head_dim=3, num_layers=layers
        )
        for round_ in range(2):
            for step, tokens in enumerate((2, 1, 70, 1, 130)[: 5 - 2 * round_]):
                found.append(attempt(lambda: _filled(held, layers, 2, tokens, 100 * seed + 10 * step)))  # noqa: B023  # called at once
            held.reset()
            found.append(held.get_pos())
        small = modules["engine"].KVCache(batch_size=2, num_heads=2, seq_len=9, head_dim=3, num_layers=layers)
        for tokens in (7, 2):
            found.append(attempt(lambda: _filled(small, layers, 2, tokens, seed + 77)))  # noqa: B023  # called at once
            small.reset()
    return found


def copied(modules: Modules) -> Any:
    """Return what a prompt's cache and its copy hold, when both go on in turn."""
    found = []
    for seed, (layers, rows, room) in enumerate(((1, 1, 9), (2, 3, 9), (3, 1, 4), (2, 1, 12))):
        sizes = {"num_heads": 2, "head_dim": 3, "num_layers": layers}
        one = modules["engine"].KVCache(batch_size=1, seq_len=room, **sizes)
        many = modules["engine"].KVCache(batch_size=rows, seq_len=12, **sizes)
        _filled(one, layers, 1, 4, seed)
        many.prefill(one)
        found.append(many.get_pos())
        # First half of the layers' turn of one, then the other: what is written to both would show.
        for step in range(2):
            found.append(attempt(lambda: _filled(many, layers, rows, 1, 50 + 10 * step)))  # noqa: B023  # called at once
            found.append(attempt(lambda: _filled(one, layers, 1, 2, 90 + 10 * step)))  # noqa: B023  # as above
    return found


def refused(modules: Modules) -> Any:
    """Return which keys, values and copies caches refuse."""
    found = []
    for rows, layers in ((2, 1), (3, 2)):
        sizes = {"num_heads": 2, "seq_len": 8, "head_dim": 3, "num_layers": layers}
        for k, v in (
            ((1, 2, 1, 3), (1, 2, 1, 3)),
            ((rows, 2, 1, 3), (1, 2, 1, 3)),
            ((rows, 2, 1, 3), (rows, 1, 1, 3)),
        ):
            held = modules["engine"].KVCache(batch_size=rows, **sizes)
            found.append(attempt(lambda: str(held.insert_kv(0, torch.ones(k), torch.ones(v))[1].shape)))  # noqa: B023  # called at once
        used, one = (modules["engine"].KVCache(batch_size=n, **sizes) for n in (rows, 1))
        _filled(used, layers, rows, 5, 1)
        _filled(one, layers, 1, 3, 2)
        found += [attempt(lambda: used.prefill(one)), used.get_pos()]  # noqa: B023  # called at once
        fresh = modules["engine"].KVCache(batch_size=rows, **sizes)
        found += [attempt(lambda: fresh.prefill(used)), fresh.get_pos()]  # noqa: B023  # called at once
    return found


def after_errors(modules: Modules) -> Any:
    """Return what caches hold after a refused insertion, copy or pass, and what comes next."""
    found = []
    for seed, (rows, held) in enumerate(((1, 3), (2, 14))):
        sizes = {"num_heads": 2, "seq_len": 8, "head_dim": 3, "num_layers": 1}
        used = modules["engine"].KVCache(batch_size=rows, **sizes)
        _filled(used, 1, rows, held, seed)
        wrong = torch.ones(rows, 2, 1, 4)
        found += [attempt(lambda: used.insert_kv(0, wrong, wrong)), used.get_pos()]  # noqa: B023  # called at once
        found.append(attempt(lambda: _filled(used, 1, rows, 2, seed + 9)))  # noqa: B023  # as above
        fresh, empty = (modules["engine"].KVCache(batch_size=n, **sizes) for n in (rows, 1))
        found += [attempt(lambda: fresh.prefill(empty)), fresh.get_pos()]  # noqa: B023  # as above
        made = model(modules, seed, sequence_len=16)
        read = cache(modules, made, rows, 16)
        with torch.inference_mode():
            made(ids(seed, rows, held), kv_cache=read)
            found += [attempt(lambda: str(made(ids(seed, rows, 14), kv_cache=read).shape)), read.get_pos()]  # noqa: B023  # as above
    return found


def after_reset(modules: Modules) -> Any:
    """Return dtypes and numbers of what comes back after a reset, where the dtype changes with it."""
    found = []
    for seed, (old, new) in enumerate(((torch.float32, torch.bfloat16), (torch.bfloat16, torch.float32))):
        held = modules["engine"].KVCache(batch_size=2, num_heads=2, seq_len=8, head_dim=3, num_layers=2)
        for dtype in (old, new):
            for layer in range(2):
                k, v = torch.randn(2, 2, 2, 4, 3, generator=generator(seed + layer)).to(dtype)
                parts = attempt(lambda: held.insert_kv(layer, k, v))  # noqa: B023  # called at once
                found.append([parts] if isinstance(parts, str) else [(str(p.dtype), some(p)) for p in parts])
            held.reset()
    return found


def graphs(modules: Modules) -> Any:
    """Return whether what comes back needs gradients, after tokens of a graph and some without."""
    found = []
    for layers, slots in ((1, 4), (2, 16)):
        held = modules["engine"].KVCache(
            batch_size=1, num_heads=1, seq_len=slots, head_dim=3, num_layers=layers
        )
        for needs in (True, False):
            for layer in range(layers):
                new = torch.ones(1, 1, 2, 3, requires_grad=needs) * 2.0
                found += [part.requires_grad for part in held.insert_kv(layer, new, new)]
    return found


def far_back(modules: Modules) -> Any:
    """Return logits of the last tokens of long texts, read through a cache."""
    found = []
    for seed, chunks in ((0, [1100, 1]), (1, [1050, 3, 1])):
        made = model(modules, seed, n_layer=1, sequence_len=1200)
        tokens = ids(seed, 1, sum(chunks))
        found.append(some(in_chunks(modules, made, tokens, chunks, 1200)[:, -4:]))
    return found


def splits(modules: Modules) -> Any:
    """Return logits of one text, cut in several ways one after another on one model."""
    found = []
    for seed, layers in ((0, 1), (1, 2)):
        made = model(modules, seed, n_layer=layers)
        tokens = ids(seed, 2, 5)
        for chunks in ([3, 2], [2, 3], [1, 4], [1, 2, 2]):
            found.append(some(in_chunks(modules, made, tokens, chunks, 8)))
    return found


def losses(modules: Modules) -> Any:
    """Return losses of texts whose beginning is in a cache, and the number of them."""
    found: list[Any] = []
    for seed, held in ((0, 5), (1, 9)):
        made, tokens, targets = model(modules, seed), ids(seed, 2, held + 3), ids(seed + 9, 2, held + 3)
        used = cache(modules, made, 2, 16)
        for part in (slice(0, held), slice(held, held + 3)):
            with torch.inference_mode():
                answer = made(tokens[:, part], targets[:, part], kv_cache=used, loss_reduction="none")
            found += [list(answer.shape), some(answer)]
    return found
