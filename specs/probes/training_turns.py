"""Experiments on `fit` that go on with one stream of batches, and whose optimizers change on the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from specs.probes.loading import imported
from specs.probes.registry import probe
from specs.probes.small_model import Arrays, Pair, Recorder, SmallModel, recorders, tensors


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


@probe
def fit_changing(
    weights: Arrays, pairs: list[Pair], options: dict[str, Any], after: int, change: str
) -> dict[str, Any]:
    """Return the learning rates of the groups in each step of a training that `on_step` changes after one.

    The initial rate of a group is doubled with "rate", and with "group" there is one more, of the same rate.
    "own" are the rates that `set_learning_rates` itself gives such groups.
    """
    train, model = imported("nanochat.train"), SmallModel(weights)
    (recorder,) = recorders(model, ["wte,gain"], 0.1)
    (other,) = recorders(model, ["wte,gain"], 0.1)

    def changed(optimizer: Recorder) -> None:
        if change == "rate":
            optimizer.param_groups[-1]["initial_lr"] *= 2
        else:
            optimizer.take(model, "head")
            optimizer.param_groups[-1]["initial_lr"] = 0.1

    def on_step(entry: dict[str, Any]) -> None:
        if entry["step"] == after:
            changed(recorder)

    history = train.fit(
        model, [recorder], [tensors(pair) for pair in pairs], len(pairs), on_step=on_step, **options
    )
    own = []
    for step, entry in enumerate(history):
        if step == after + 1:
            changed(other)
        train.set_learning_rates([other], float(entry["lr_multiplier"]))
        own.append([float(group["lr"]) for group in other.param_groups])
    return {"rates": [step["lr"] for step in recorder.steps], "own": own}
