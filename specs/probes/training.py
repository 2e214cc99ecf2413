"""Experiments on the submission's schedule, train step and loop, with the small model."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from specs.probes.loading import imported
from specs.probes.registry import probe
from specs.probes.signatures import called
from specs.probes.small_model import Arrays, Counted, Pair, Recorder, SmallModel, plain, recorders, tensors
from specs.probes.traces import moved_random_states, random_states


@probe
def steps(
    weights: Arrays,
    groups: list[str],
    steps: list[list[Pair]],
    grad_clip: float | None = None,
    lr: float = 0.1,
    form: str = "list",
    more: list[Any] | None = None,
    stale: float | None = None,
    times: int = 1,
    named: bool = False,
    uses: list[list[int]] | None = None,
    takes: list[str | None] | None = None,
) -> dict[str, Any]:
    """Return what each of several train steps on one model returned, and what its optimizers saw.

    `form` is what the micro-batches of a step come as, `more` stands in each behind inputs and targets, and
    `stale` is the gradient that every parameter has before a step. The first micro-batch of a step, one
    object, comes `times` times. With `named`, arguments are given by name. `uses` says which
    optimizers each step is given, and `takes` which parameter the last of these takes in addition before it.
    """
    train_step = imported("nanochat.train").train_step
    model = SmallModel(weights)
    optimizers = recorders(model, groups, lr)
    # Without a limit, none is named for a list.
    limit = {} if grad_clip is None and form == "list" else {"grad_clip": grad_clip}
    before = moved_random_states()
    answers: list[dict[str, Any]] = []
    for place, pairs in enumerate(steps):
        used = optimizers if uses is None else [optimizers[number] for number in uses[place]]
        taken = takes[place] if takes is not None else None
        if taken is not None:
            used[-1].take(model, taken)
        if stale is not None:
            for parameter in model.parameters():
                parameter.grad = torch.full_like(parameter, stale)
        counted = Counted(pairs, tuple(more or ()), times)
        micro_batches: Any = counted if form == "iterable" else iter(counted)
        if form in ("list", "tuple"):
            micro_batches = (list if form == "list" else tuple)(micro_batches)
        given = list(micro_batches) if isinstance(micro_batches, list) else []
        arguments = {"model": model, "optimizers": used, "micro_batches": micro_batches} | limit
        loss, grad_norm = called(train_step, arguments, named)
        list_changed = bool(given) and [id(batch) for batch in micro_batches] != [
            id(batch) for batch in given
        ]
        answers.append(
            {
                "loss": plain(loss)[0],
                "grad_norm": plain(grad_norm)[0],
                "floats": plain(loss)[1] and plain(grad_norm)[1],
                "taken": counted.taken,
                "batches_changed": counted.changed() or list_changed,
                "left": left_gradients(model, used),
                "weights": model.arrays(),
            }
        )
    return {
        "steps": answers,
        "seen": [optimizer.steps for optimizer in optimizers],
        "random_states_changed": random_states() != before,
    }


def left_gradients(model: SmallModel, optimizers: list[Recorder]) -> list[str]:
    """Return the names of parameters held by an optimizer that have a gradient other than zero."""
    held = {name for optimizer in optimizers for name in optimizer.names}
    return [
        name
        for name, parameter in model.named_parameters()
        if name in held and parameter.grad is not None and bool(parameter.grad.any())
    ]


@probe
def step_after_an_error(
    weights: Arrays, groups: list[str], pairs: list[Pair], raising: str, grad_clip: float | None
) -> dict[str, Any]:
    """Return what a train step gives after one in which "batches", "model" or "optimizer" raised."""
    train_step = imported("nanochat.train").train_step
    model = SmallModel(weights)
    optimizers = recorders(model, groups, 0.0)
    batches = [tensors(pair) for pair in pairs]
    bad = tensors((np.full((1, 2), model.vocabulary), np.zeros((1, 2), np.int64)))

    def broken() -> Iterator[tuple[Tensor, Tensor]]:
        yield from batches
        if raising == "batches":
            raise OSError("the batches cannot be read any further")
        if raising == "model":
            yield bad

    optimizers[-1].fails = raising == "optimizer"
    with contextlib.suppress(Exception):
        train_step(model, optimizers, broken(), grad_clip)
    optimizers[-1].fails = False
    made = [len(optimizer.steps) for optimizer in optimizers]
    loss, grad_norm = train_step(model, optimizers, batches, grad_clip)
    return {
        "steps": [{"loss": plain(loss)[0], "grad_norm": plain(grad_norm)[0]}],
        "seen": [optimizer.steps[place:] for place, optimizer in zip(made, optimizers, strict=True)],
        "weights": model.arrays(),
        "trained": all(parameter.requires_grad for parameter in model.parameters()),
        "recording": torch.is_grad_enabled(),
    }


@probe
def adamw_step(weights: Arrays, pairs: list[Pair], grad_clip: float | None) -> Arrays:
    """Return the parameters after a train step with torch's AdamW."""
    model = SmallModel(weights)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    imported("nanochat.train").train_step(model, [optimizer], [tensors(pair) for pair in pairs], grad_clip)
    return model.arrays()


@probe
def multipliers(questions: list[dict[str, Any]]) -> list[float]:
    """Return the learning-rate multiplier for each of several sets of arguments, asked in this order."""
    multiplier = imported("nanochat.train").lr_multiplier
    return [plain(multiplier(**question))[0] for question in questions]


@probe
def multiplier_forms(positional: list[Any], named: dict[str, Any]) -> dict[str, Any]:
    """Return the multiplier for arguments given in order, by name, and whether both are floats."""
    multiplier = imported("nanochat.train").lr_multiplier
    before = moved_random_states()
    answers = [multiplier(*positional), multiplier(**named)]
    return {
        "values": [float(answer) for answer in answers],
        "floats": all(isinstance(answer, float) for answer in answers),
        "random_states_changed": random_states() != before,
    }


@probe
def learning_rates(
    initial: list[list[float]],
    multipliers: list[float],
    factor: float = 1.0,
    between: str = "nothing",
    named: bool = False,
) -> dict[str, Any]:
    """Return the learning rates of all groups of several optimizers after each setting of a multiplier.

    Before the last, every "initial_lr" becomes `factor` times what it was, and `between` happens: with
    "rates", somebody sets the learning rate of the last group of each, and with "group" each has another one,
    with the first one's initial rate and momentum. With `named`, arguments are given by name.
    """
    set_learning_rates = imported("nanochat.train").set_learning_rates
    optimizers = []
    for rates in initial:
        groups = [
            {"params": [torch.nn.Parameter(torch.ones(2))], "lr": 7.0, "initial_lr": rate, "momentum": rate}
            for rate in rates
        ]
        optimizers.append(torch.optim.SGD(groups, lr=7.0))
    answers = []
    for place, multiplier in enumerate(multipliers):
        if place == len(multipliers) - 1:
            for group in (group for each in optimizers for group in each.param_groups):
                group["initial_lr"] *= factor
            for optimizer in optimizers:
                if between == "rates":
                    optimizer.param_groups[-1]["lr"] = 5.0
                elif between == "group":
                    like = {name: optimizer.param_groups[0][name] for name in ("initial_lr", "momentum")}
                    more = [torch.nn.Parameter(torch.ones(2))]
                    optimizer.add_param_group({"params": more, "lr": 6.0} | like)
        called(set_learning_rates, {"optimizers": optimizers, "multiplier": multiplier}, named)
        answers.append([[float(group["lr"]) for group in each.param_groups] for each in optimizers])
    return {
        "rates": answers,
        "kept": [
            [[float(group["initial_lr"]), float(group["momentum"])] for group in each.param_groups]
            for each in optimizers
        ],
    }


@probe
def fit(
    weights: Arrays,
    groups: list[str],
    pairs: list[Pair],
    num_steps: int,
    options: dict[str, Any],
    validation: list[Pair] | None = None,
    lr: float = 0.1,
    training: bool = True,
    dropout: float = 0.0,
    times: int = 1,
    rests: bool = False,
    answers: list[Any] | None = None,
    named: bool = False,
) -> dict[str, Any]:
    """Return the history of a training, and everything that could be seen of it from outside.

    Each of the batches, one object, comes `times` times in a row. With `rests`, `on_step` puts the model into
    eval mode, as one that shows samples may. It returns `answers` in turn. With `named`, all arguments are
    given by name. "told" is what `on_step` was called with, "kept" what became of it until the end.

    Events, in order: ["batch", number], ["validation batch", number], ["validation"], ["step", number].
    """
    train = imported("nanochat.train")
    model = SmallModel(weights, dropout)
    model.train(training)
    optimizers = recorders(model, groups, lr)
    log = Log(model, pairs, validation, times, rests, answers)
    before = moved_random_states()
    history = called(
        partial(
            train.fit,
            validation=None if validation is None else log.validation,
            on_step=log.on_step,
            **options,
        ),
        {"model": model, "optimizers": optimizers, "batches": log, "num_steps": num_steps},
        named,
    )
    return {
        "history": [plain_entry(entry) for entry in history],
        "told": log.told,
        "kept": [plain_entry(entry) for entry in log.kept],
        "events": log.events,
        "snapshots": log.snapshots,
        "rates": [[step["lr"] for step in optimizer.steps] for optimizer in optimizers],
        "weights": model.arrays(),
        "passes": model.passes,
        "mode": [model.training, model.dropout.training],
        "random_states_changed": random_states() != before,
    }


class Log:
    """Gives out batches for training and for validation, and notes in which order what happened.

    As a list does, it begins with the first batch again whenever it is iterated anew.
    """

    def __init__(
        self,
        model: SmallModel,
        pairs: list[Pair],
        validation: list[Pair] | None,
        times: int = 1,
        rests: bool = False,
        answers: list[Any] | None = None,
    ) -> None:
        self.model = model
        self.answers = itertools.cycle(answers or [None])
        self.kept: list[dict[str, Any]] = []
        self.rests = rests
        self.pairs = pairs
        self.times = times
        self.validation_pairs = validation or []
        self.events: list[list[Any]] = []
        self.told: list[dict[str, Any]] = []
        self.snapshots: list[Arrays] = []

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for number, pair in enumerate(self.pairs):
            batch = tensors(pair)
            for _ in range(self.times):
                self.events.append(["batch", number])
                yield batch

    def validation(self) -> Any:
        """Return fresh batches for validation."""
        self.events.append(["validation"])
        return [tensors(pair) for pair in self.validation_pairs]

    def on_step(self, entry: dict[str, Any]) -> Any:
        """Note what a step says, and the parameters after it; return the next of the answers."""
        self.events.append(["step", entry.get("step")])
        self.told.append(plain_entry(entry))
        self.kept.append(entry)
        self.snapshots.append(self.model.arrays())
        if self.rests:
            self.model.eval()
        return next(self.answers)


def plain_entry(entry: Any) -> dict[str, Any]:
    """Return the entry of a step with plain numbers; TypeError if it is no dict."""
    if not isinstance(entry, dict):
        raise TypeError(f"the entry of a step must be a dict, got {type(entry).__name__}")
    wanted = ("loss", "grad_norm", "lr_multiplier", "validation_loss")
    numbers: dict[str, Any] = {name: float(entry[name]) for name in wanted if name in entry}
    return {"step": int(entry["step"]), **numbers}


@probe
def own_steps(
    weights: Arrays,
    groups: list[str],
    steps: list[list[Pair]],
    num_steps: int,
    schedule: dict[str, float],
    grad_clip: float | None,
    first_step: int = 0,
    lr: float = 0.1,
) -> dict[str, Any]:
    """Return what the submission's own schedule and train steps give, called one after the other."""
    train = imported("nanochat.train")
    model = SmallModel(weights)
    optimizers = recorders(model, groups, lr)
    entries = []
    for place, pairs in enumerate(steps):
        multiplier = train.lr_multiplier(first_step + place, num_steps, **schedule)
        train.set_learning_rates(optimizers, multiplier)
        model.train()
        loss, grad_norm = train.train_step(model, optimizers, [tensors(pair) for pair in pairs], grad_clip)
        entries.append(
            {"loss": float(loss), "grad_norm": float(grad_norm), "lr_multiplier": float(multiplier)}
        )
    return {
        "entries": entries,
        "rates": [[step["lr"] for step in optimizer.steps] for optimizer in optimizers],
        "weights": model.arrays(),
    }


@probe
def fit_twice(
    weights: Arrays,
    groups: list[str],
    pairs: list[Pair],
    num_steps: int,
    split: int,
    options: dict[str, Any],
    lr: float = 0.1,
) -> dict[str, Any]:
    """Return parameters and history of a training in one go, and of one stopped at step `split` and gone on.

    The interrupted one ends because its batches do.
    """
    fit_model = imported("nanochat.train").fit
    accumulation = options.get("accumulation", 1)
    answers: dict[str, Any] = {}
    for name, cuts in (("whole", [(0, None)]), ("resumed", [(0, split), (split, None)])):
        model = SmallModel(weights)
        optimizer = Recorder(model, ",".join(groups), lr)
        history = []
        for start, end in cuts:
            part = pairs[start * accumulation : None if end is None else end * accumulation]
            history += fit_model(
                model,
                [optimizer],
                iter([tensors(pair) for pair in part]),
                num_steps,
                first_step=start,
                **options,
            )
        answers[name] = {"weights": model.arrays(), "history": [plain_entry(entry) for entry in history]}
    return answers
