"""The catalogue: what can be broken, how, who should notice, and where it was seen."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from grader.bugs.pattern import Edit

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Bug:
    """One way to break the reference in one place."""

    id: str
    level: int
    criterion: str
    """The criterion that must fail with this bug alone, and no other."""
    title: str
    story: str
    """How someone comes to write this, and what it does."""
    hint: str
    source: str
    """Where the bug was seen in public or in the course that the project grew from."""
    symptom: str
    """ "silent" (wrong values), "crash" (an exception) or "memory"."""
    classic: bool
    """Whether it is in the student copy that the repository carries."""
    expected: tuple[str, ...]
    """Properties that must be among those that fail."""
    edits: tuple[Edit, ...]


def load(level: int) -> list[Bug]:
    """Return the bugs of a level in the order of the file.

    Raises FileNotFoundError if the level has no catalogue, ValueError if an entry is malformed.
    """
    path = FOLDER / f"level{level}.toml"
    with path.open("rb") as file:
        entries = tomllib.load(file)["bug"]
    bugs = [parse(entry, path.name) for entry in entries]
    ids = [bug.id for bug in bugs]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        raise ValueError(f"{path.name}: the ids {twice} are used more than once")
    return bugs


def parse(entry: dict[str, Any], where: str) -> Bug:
    """Return the bug that one table of the file describes; raise ValueError if it is not one."""
    name = f"{where}, bug {entry.get('id', '(no id)')!r}"
    require_fields(set(entry), names_of(Bug), name)
    for edit in entry["edits"]:
        require_fields(set(edit) | {"count"}, names_of(Edit), f"{name}, an edit")
    edits = tuple(Edit(**{**edit, "find": tuple(edit["find"])}) for edit in entry["edits"])
    return Bug(**{**entry, "edits": edits, "expected": tuple(entry["expected"])})


def names_of(record: type[Bug] | type[Edit]) -> set[str]:
    """Return the names of a record's fields."""
    return {field.name for field in fields(record)}


def require_fields(got: set[str], want: set[str], what: str) -> None:
    """Raise ValueError unless exactly the wanted fields are there."""
    if got != want:
        raise ValueError(f"{what}: missing {sorted(want - got)}, unknown {sorted(got - want)}")
