"""Experiments on `fit` that go on with one stream of batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from specs.probes.loading import imported
from specs.probes.registry import probe
from specs.probes.small_model import Arrays, Pair, SmallModel, recorders, tensors


@probe
def fit_in_turns(
    weights: Arrays, groups: list[str], pairs: list[Pair], ends: list[int], options: dict[str, Any]
) -> dict[str, Any]:
    """Train to each of `ends` in turn, with batches of one generator.

    Return the steps that each training reports, and the numbers of the batches that were taken after each;
    "next" is that of the batch that comes then.
    """
    train_to = imported("nanochat.train").fit
    model = SmallModel(weights)
    optimizers = recorders(model, groups, 0.1)
    taken: list[int] = []

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for number, pair in enumerate(pairs):
            taken.append(number)
            yield tensors(pair)

    stream, found, first = batches(), [], 0
    for end in ends:
        history = train_to(model, optimizers, stream, end, first_step=first, **options)
        found.append({"steps": [int(entry["step"]) for entry in history], "taken": list(taken)})
        first = end
    following = next(stream, None)
    return {"turns": found, "next": None if following is None else taken[-1]}
