"""Levels are data: `specs/level3.toml` names the criteria and the modules that hold their properties.

`read` needs no property and takes a millisecond; `load` also imports the properties, and Hypothesis with
them. Every error here is the grader's own fault, whatever the submission is.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import specs
from grader import levelfile
from grader.level import Criterion, Level, LevelLimits
from specs.outcomes import GraderFault

if TYPE_CHECKING:
    from specs.law import Law

__all__ = ["Criterion", "Level", "LevelLimits", "load", "load_laws", "numbers", "read", "read_file"]

FOLDER = Path(specs.__file__).parent


def numbers() -> list[int]:
    """Return the numbers of the levels that exist."""
    names = (re.fullmatch(r"level(\d+)\.toml", path.name) for path in FOLDER.iterdir())
    return sorted(int(name[1]) for name in names if name)


def load(number: int) -> Level:
    """Return level `number` with its properties. Raises GraderFault."""
    return load_laws(read(number))


def read(number: int) -> Level:
    """Return level `number` as its file says, without properties. Raises GraderFault."""
    return read_file(FOLDER / f"level{number}.toml")


def read_file(path: Path) -> Level:
    """Return the level that a file describes. Raises GraderFault with file and line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise GraderFault(f"{path}: cannot be read: {error}") from error
    return levelfile.read(text, path.name)


def load_laws(level: Level) -> Level:
    """Return `level` with the properties of its criteria, imported from their modules. Raises GraderFault."""
    criteria = (replace(one, laws=laws_for(level, one, index)) for index, one in enumerate(level.criteria))
    level = replace(level, criteria=tuple(criteria))
    ids = [law.id for law in level.laws]
    twice = sorted({one for one in ids if ids.count(one) > 1})
    if twice:
        raise level.fault((), f"two properties have the id {', '.join(twice)}")
    for name, path in level.named.items():
        if name not in ids:
            near = " or ".join(get_close_matches(name, ids, 3) or ids[:3])
            where = f"[[{path[0]}]] {int(path[1]) + 1}"
            raise level.fault(path, f"{where}: there is no property {name!r}; did you mean {near}?")
    return level


def laws_for(level: Level, criterion: Criterion, index: int) -> tuple[Law, ...]:
    """Return the properties of a level's `index`th criterion, in the order of its modules. GraderFault."""
    from specs.law import laws_of

    found: list[Law] = []
    for place, name in enumerate(criterion.modules):
        path = ("criterion", index, "modules", place)
        try:
            module = importlib.import_module(name)
        except Exception as error:
            cause = f"its module {name} cannot be imported ({type(error).__name__}: {error})"
            raise level.fault(path, f"criterion {criterion.id!r}: {cause}") from error
        laws = laws_of(module)
        if not laws:
            raise level.fault(path, f"criterion {criterion.id!r}: its module {name} holds no property")
        for law in laws:
            if law.criterion != criterion.id:
                said = f"property {law.id} stands in a module of criterion {criterion.id!r}"
                raise level.fault(path, f"{said}: set CRITERION in that module")
            if not law.weight > 0:
                raise level.fault(path, f"property {law.id} has weight {law.weight}, want more than 0")
        found.extend(laws)
    return tuple(found)
