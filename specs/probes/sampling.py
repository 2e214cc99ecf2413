"""Experiments on the submission's `sample_next_token`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from specs.probes.loading import imported
from specs.probes.registry import probe
from specs.probes.setting import torch_device
from specs.probes.traces import random_states
from specs.probes.values import tensor, values


@probe
def draw(
    logits: NDArray[np.float32],
    seed: int = 0,
    temperature: float = 1.0,
    top_k: int | None = None,
    calls: int = 1,
    dtype: str = "float32",
) -> list[NDArray[Any]]:
    """Return the ids of `calls` draws from `logits` (row, vocabulary), made in turn with one generator."""
    sample = imported("nanochat.engine").sample_next_token
    generator = torch.Generator(device=torch_device()).manual_seed(seed)
    answers = []
    with torch.no_grad():
        for _ in range(calls):
            # Fresh each time: what a draw does to its argument is the business of `traces`.
            ids = sample(
                tensor(logits, getattr(torch, dtype)), generator, temperature=temperature, top_k=top_k
            )
            answers.append(values(ids, "the result of sample_next_token"))
    return answers


@probe
def draw_plainly(logits: NDArray[np.float32], seed: int, calls: int) -> dict[str, list[Any]]:
    """Return the ids of `calls` draws without temperature and top_k, and with what these are by default."""
    sample = imported("nanochat.engine").sample_next_token
    answers: dict[str, list[Any]] = {}
    for name, options in (("plain", {}), ("named", {"temperature": 1.0, "top_k": None})):
        generator = torch.Generator(device=torch_device()).manual_seed(seed)
        with torch.no_grad():
            ids = [sample(tensor(logits, torch.float32), generator, **options) for _ in range(calls)]
        answers[name] = [values(each, "the result of sample_next_token").tolist() for each in ids]
    return answers


@probe
def draw_repeated(
    logits: NDArray[np.float32],
    rows: int,
    seed: int = 0,
    temperature: float = 1.0,
    top_k: int | None = None,
    calls: int = 1,
    dtype: str = "float32",
) -> list[NDArray[Any]]:
    """Return the ids of `calls` draws from `rows` equal rows of `logits` (vocabulary)."""
    repeated = np.broadcast_to(logits, (rows, len(logits)))
    return draw(repeated, seed=seed, temperature=temperature, top_k=top_k, calls=calls, dtype=dtype)


@probe
def traces(logits: NDArray[np.float32], seed: int, temperature: float, top_k: int | None) -> dict[str, bool]:
    """Return what one draw changed besides the state of its own generator."""
    sample = imported("nanochat.engine").sample_next_token
    generator = torch.Generator(device=torch_device()).manual_seed(seed)
    given = tensor(logits, torch.float32)
    before, held, own = random_states(), given.clone(), generator.get_state()
    with torch.no_grad():
        sample(given, generator, temperature=temperature, top_k=top_k)
    return {
        "the logits it was given": not torch.equal(given, held),
        "a random generator that is not its own": random_states() != before,
        "its own generator, where nothing is drawn": temperature == 0.0
        and not torch.equal(generator.get_state(), own),
    }
