"""Experiments on the submission's `save_checkpoint` and `load_checkpoint`, in a temporary folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import chdir, contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from specs.probes import bombs
from specs.probes.files import contents, write
from specs.probes.loading import imported
from specs.probes.registry import probe
from specs.probes.signatures import called
from specs.probes.traces import moved_random_states, random_states, torch_defaults, usual_defaults
from specs.probes.training_state import Arrays, Recipe, Training

FROZEN = "frozen.weight"
"""The parameter that no optimizer holds."""


@probe
def resumed(
    parameters: Arrays,
    recipe: Recipe,
    gradients: list[Arrays],
    rates: list[float],
    before: int,
    other_parameters: Arrays,
    other_gradients: list[Arrays],
    moved: bool = False,
    buffers: Arrays | None = None,
    other_buffers: Arrays | None = None,
    other_recipe: Recipe | None = None,
) -> dict[str, Any]:
    """Return where training ends that was interrupted after step `before`, and where it would have ended.

    What goes on has a model of `other_parameters` and `other_buffers`, and optimizers of `other_recipe`, if
    there is one, that have stepped with `other_gradients`.
    With `moved` the checkpoint is copied elsewhere before it is read, and the first is removed.
    """
    with folder() as directory:
        whole = Training(parameters, recipe, buffers)
        whole.walk(gradients, rates)

        first = Training(parameters, recipe, buffers)
        first.walk(gradients[:before], rates[:before])
        save(directory / "run", first, before)
        at_save = first.parameters(), first.rates(), first.buffers()
        place = directory / "run"
        if moved:
            place = directory / "elsewhere"
            shutil.copytree(directory / "run", place)
            shutil.rmtree(directory / "run")

        second = Training(other_parameters, other_recipe or recipe, other_buffers)
        second.walk(other_gradients, [0.3] * len(other_gradients))
        load(place, second)
        loaded = second.parameters(), second.rates(), second.buffers()
        second.walk(gradients[before:], rates[before:])
        return {
            "saved": at_save[0],
            "saved_rates": at_save[1],
            "loaded": loaded[0],
            "loaded_rates": loaded[1],
            "resumed": second.parameters(),
            "uninterrupted": whole.parameters(),
            "saved_buffers": at_save[2],
            "loaded_buffers": loaded[2],
        }


@probe
def written(
    parameters: Arrays, recipe: Recipe, gradients: list[Arrays], rates: list[float]
) -> dict[str, bytes]:
    """Save a training after these steps; return the contents of each file by its path."""
    with folder() as directory:
        training = Training(parameters, recipe)
        training.walk(gradients, rates)
        save(directory / "run", training, len(gradients))
        return contents(directory / "run")


@probe
def read(
    files: dict[str, bytes],
    parameters: Arrays,
    other_parameters: Arrays,
    recipe: Recipe,
    gradients: list[Arrays],
    rates: list[float],
    before: int,
) -> dict[str, Any]:
    """Load a checkpoint that another process has made after `before` steps, and make the others.

    Return where that ends, and where a training of `parameters` ends that makes them all.
    """
    with folder() as directory:
        write(files, directory / "run")
        whole, second = Training(parameters, recipe), Training(other_parameters, recipe)
        whole.walk(gradients, rates)
        load(directory / "run", second)
        second.walk(gradients[before:], rates[before:])
        return {"resumed": second.parameters(), "uninterrupted": whole.parameters()}


@probe
def returned(
    parameters: Arrays, recipe: Recipe, saves: list[dict[str, Any]], nested: str, named: bool = False
) -> list[Any]:
    """Save with each step and data state of `saves`, one after another into one directory, below `nested`.

    Return what `load_checkpoint` returned after each. The directory is a `str` for every other call. With
    `named`, all arguments are given by name.
    """
    with folder() as directory:
        answers = []
        for number, given in enumerate(saves):
            place = directory / nested if number % 2 else str(directory / nested)
            save(place, Training(parameters, recipe), **given, named=named)
            answers.append(load(place, Training(parameters, recipe), named=named))
        return answers


@probe
def versions(recipe: Recipe, states: list[Arrays], gradients: list[Arrays], separate: bool) -> list[Any]:
    """Save a training of each of `states`, into directories of their own or all into one, and train on.

    Return what is then read from each directory (twice from each) by trainings of `states[0]`: parameters,
    and parameters after further steps.
    """
    with folder() as directory:
        places = [directory / (f"run{number}" if separate else "run") for number in range(len(states))]
        for number, (place, parameters) in enumerate(zip(places, states, strict=True)):
            training = Training(parameters, recipe)
            training.walk(gradients[: number + 1])
            save(place, training, number)
            training.walk(gradients)
        answers = []
        for place in places if separate else places[-1:]:
            readers = [Training(states[0], recipe) for _ in range(2)]
            for reader in readers:
                step = load(place, reader)["step"]
                found = reader.parameters()
                reader.walk(gradients)
                answers.append({"step": step, "loaded": found, "later": reader.parameters()})
        return answers


@probe
def straight(parameters: Arrays, recipe: Recipe, walks: list[list[Arrays]]) -> list[Arrays]:
    """Return the parameters after each of `walks`, one after another, without any checkpoint."""
    training = Training(parameters, recipe)
    found = []
    for gradients in walks:
        training.walk(gradients)
        found.append(training.parameters())
    return found


@probe
def traces(parameters: Arrays, recipe: Recipe, gradients: list[Arrays], training_mode: bool) -> list[str]:
    """Return what saving, and loading into another training, changed that they should leave alone."""
    with folder() as directory:
        first, second = Training(parameters, recipe), Training(parameters, recipe)
        first.walk(gradients)
        second.walk(gradients[:1])
        changed = []
        for what, training, act in (
            ("saving", first, lambda: save(directory / "run", first, 3, {"shard": [1, {"at": 2}]})),
            ("loading", second, lambda: load(directory / "run", second)),
        ):
            training.model.train(training_mode)
            # Another one where it is loaded than where it was saved.
            frozen = FROZEN if what == "saving" else next(name for name in parameters if name != FROZEN)
            training.model.get_parameter(frozen).requires_grad_(False)
            held = dict(training.model.named_parameters())
            before = training.parameters(), training.memory(), training.rates(), gradients_of(training)
            # Moved on first: a submission that seeds them would not change what an earlier call has seeded.
            torch.rand(1)
            shared = random_states(), torch_defaults()
            act()
            if (random_states(), torch_defaults()) != shared:
                changed.append(f"{what}: settings or random states that all of the process share")
            if training.model.training != training_mode:
                changed.append(f"{what}: the mode of the model")
            if any(held[name] is not now for name, now in training.model.named_parameters()):
                changed.append(f"{what}: parameters replaced by others, which the optimizers do not know")
            if frozen_of(training) != [frozen]:
                changed.append(f"{what}: whether a parameter is trained")
            if what == "saving":
                after = training.parameters(), training.memory(), training.rates(), gradients_of(training)
                names = ("parameters", "what optimizers remember", "learning rates", "gradients")
                changed += [
                    f"saving: {name}"
                    for name, old, new in zip(names, before, after, strict=True)
                    if repr_of(old) != repr_of(new)
                ]
        return changed


@probe
def after_a_refusal(
    parameters: Arrays, others: Arrays, recipe: Recipe, gradients: list[Arrays], refused: str
) -> dict[str, Any]:
    """Load a training of `parameters` into one of `others` after a load into the same that was refused.

    `refused` is of a directory without a checkpoint, "empty" or "missing", or of "another" model's. Return
    what that changed of what it should leave alone, the parameters after the second load, and those later.
    """
    with folder() as directory:
        good = Training(parameters, recipe)
        good.walk(gradients)
        save(directory / "good", good, 1)
        if refused == "empty":
            (directory / "bad").mkdir()
        elif refused == "another":
            shorter = {name: value[:-1] if len(value) > 1 else value for name, value in parameters.items()}
            save(directory / "bad", Training(shorter, recipe), 2)
        reader = Training(others, recipe)
        reader.model.get_parameter(FROZEN).requires_grad_(False)
        reader.walk(gradients[:1])
        mode = reader.model.training
        shared = moved_random_states(), torch_defaults(), os.getcwd()
        # Whether it raises is asked elsewhere.
        with suppress(Exception):
            load(directory / "bad", reader)
        changed = [] if reader.model.training == mode else ["the mode of the model"]
        if (random_states(), torch_defaults(), os.getcwd()) != shared:
            changed.append("settings, random states or the working folder, which all of the process share")
        changed += [] if frozen_of(reader) == [FROZEN] else ["which parameters are frozen"]
        load(directory / "good", reader)
        loaded = reader.parameters()
        reader.walk(gradients)
        return {"changed": changed, "loaded": loaded, "later": reader.parameters()}


@probe
def load_into_another(
    parameters: Arrays, others: Arrays, recipe: Recipe, gradients: list[Arrays], there: str
) -> dict[str, Any]:
    """Save a training of `parameters` and load it into one of `others`; return that one's parameters.

    `there` is "saved", or for a directory without a checkpoint "empty" or "missing".
    """
    with folder() as directory:
        if there == "saved":
            training = Training(parameters, recipe)
            training.walk(gradients)
            save(directory / "run", training, 1)
        elif there == "empty":
            (directory / "run").mkdir()
        reader = Training(others, recipe)
        load(directory / "run", reader)
        return reader.parameters()


@probe
def code_run(parameters: Arrays, recipe: Recipe, gradients: list[Arrays]) -> dict[str, Any]:
    """Replace each file of a checkpoint by one that runs code if it is read carelessly, and load it.

    Return how many files there were, and the kinds of files whose code was run.
    """
    with folder() as directory:
        training = Training(parameters, recipe)
        training.walk(gradients)
        save(directory / "run", training, 1, {"shard": 1})
        files = sorted(path for path in (directory / "run").rglob("*") if path.is_file())
        bombs.went_off()
        ran = []
        for file in files[:8]:
            content = file.read_bytes()
            for plant in bombs.KINDS:
                plant(file)
                # Refusing such a file, in whichever way, is what is wanted.
                with suppress(Exception):
                    load(directory / "run", Training(parameters, recipe))
                if bombs.went_off():
                    ran.append(plant.__name__)
            file.write_bytes(content)
        return {"files": len(files), "ran": sorted(set(ran))}


@contextmanager
def folder() -> Iterator[Path]:
    """Give a temporary folder to write into; it is removed afterwards, and the working folder as before."""
    with usual_defaults(), tempfile.TemporaryDirectory() as directory, chdir("."):
        yield Path(directory)


def save(directory: Any, training: Training, step: int, data_state: Any = None, named: bool = False) -> None:
    """Save a training with the submission's function; with `named`, all arguments are given by name."""
    given = {"directory": directory, "model": training.model, "optimizers": training.optimizers}
    called(
        imported("nanochat.train").save_checkpoint, given | {"step": step, "data_state": data_state}, named
    )


def load(directory: Any, training: Training, named: bool = False) -> Any:
    """Load a training with the submission's function and return its answer."""
    given = {"directory": directory, "model": training.model, "optimizers": training.optimizers}
    return called(imported("nanochat.train").load_checkpoint, given, named)


def frozen_of(training: Training) -> list[str]:
    """Return the names of the parameters that are not trained."""
    return [name for name, each in training.model.named_parameters() if not each.requires_grad]


def gradients_of(training: Training) -> list[Any]:
    """Return the gradients of all parameters."""
    return [
        None if parameter.grad is None else parameter.grad.tolist()
        for parameter in training.model.parameters()
    ]


def repr_of(value: Any) -> Any:
    """Return a value in which arrays are lists, so that two can be compared."""
    if isinstance(value, dict):
        return {name: repr_of(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [repr_of(one) for one in value]
    return value.tolist() if hasattr(value, "tolist") else value
