"""Reads bug records from TOML, and says in which line of which file one is wrong."""

from __future__ import annotations

import tomllib
from dataclasses import MISSING, Field, dataclass, fields
from pathlib import Path
from typing import Any

from grader.bugs.bug import SYMPTOMS, Bug
from grader.bugs.pattern import Edit
from grader.tomlplace import Places, TomlPath, places

OPTIONAL = {"classic": False}
"""Fields of a record that may be left out though a Bug has no default for them."""

NEVER = {"choice"}
"""Fields that no record has: they are made when a bug is bound."""

TEXTS = ("id", "criterion", "title", "story", "hint", "source", "symptom", "witness")
LISTS = ("expected", "disturbs", "conflicts")


class RecordError(ValueError):
    """A record of the catalogue is wrong; the message begins with its file and line."""


@dataclass(frozen=True)
class Place:
    """Where a record stands: for messages."""

    places: Places
    """Of the file, which is called by its name with its folder."""
    index: int
    """Which record of the file it is, from 0."""
    id: str

    def error(self, reason: str, field: str = "", edit: int = 0) -> RecordError:
        """Return the error to raise, at the line of a field, of the `edit`th edit if that is not 0."""
        path: TomlPath = ("bug", self.index)
        path += (("edits", edit - 1) if edit else ()) + ((field,) if field else ())
        return RecordError(f"{self.places.at(path)}: bug {self.id!r}: {reason}")

    @property
    def start(self) -> str:
        """Where the record begins."""
        return self.places.at(("bug", self.index))


Recorded = tuple[Bug, Place]
"""A bug and where it is written."""


def read(path: Path) -> list[Recorded]:
    """Return the bugs of a file with their places. Raises RecordError for the first that is none."""
    text = path.read_text(encoding="utf-8")
    name = f"{path.parent.name}/{path.name}"
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecordError(f"{name}: cannot be read as TOML: {error}") from error
    if set(table) != {"bug"} or not isinstance(table["bug"], list):
        raise RecordError(f"{name}:1: got the keys {sorted(table)}, want a list of [[bug]] and nothing else")
    lines = places(text, name)
    ids = [
        str(entry.get("id", "(no id)") if isinstance(entry, dict) else "(no id)") for entry in table["bug"]
    ]
    found = [Place(lines, index, name) for index, name in enumerate(ids)]
    return [(parse(entry, place), place) for entry, place in zip(table["bug"], found, strict=True)]


def parse(entry: dict[str, Any], place: Place) -> Bug:
    """Return the bug that one table of a file describes. Raises RecordError."""
    require_fields(entry, Bug, place, NEVER, set(OPTIONAL))
    for name in TEXTS:
        if not isinstance(entry[name], str) or not entry[name].strip():
            raise place.error(f"{name} is {entry[name]!r}, want a text that is not empty", name)
    for name in LISTS:
        if not is_texts(entry.get(name, [])):
            raise place.error(f"{name} is {entry[name]!r}, want a list of texts", name)
    if entry["symptom"] not in SYMPTOMS:
        raise place.error(f"symptom is {entry['symptom']!r}, want one of {', '.join(SYMPTOMS)}", "symptom")
    if entry["difficulty"] not in (1, 2, 3) or isinstance(entry["difficulty"], bool):
        raise place.error(f"difficulty is {entry['difficulty']!r}, want 1, 2 or 3", "difficulty")
    if not entry["expected"]:
        raise place.error("expected is empty: name the properties that must notice", "expected")
    lists = {name: tuple(entry[name]) for name in LISTS if name in entry}
    bug = Bug(
        **{
            **OPTIONAL,
            **entry,
            **lists,
            "edits": edits_of(entry, place),
            "parameters": parameters_of(entry, place),
        }
    )
    if bug.placeholders() != set(bug.parameters):
        unused = sorted(set(bug.parameters) - bug.placeholders())
        undefined = sorted(bug.placeholders() - set(bug.parameters))
        raise place.error(f"parameters: unused {unused}, undefined {undefined}", "parameters")
    return bug


def edits_of(entry: dict[str, Any], place: Place) -> tuple[Edit, ...]:
    """Return the edits of a record. Raises RecordError."""
    if not isinstance(entry["edits"], list) or not entry["edits"]:
        raise place.error("it has no [[bug.edits]], so it changes nothing")
    edits = []
    for number, edit in enumerate(entry["edits"], 1):
        require_fields(edit, Edit, place, set(), set(), number)
        if not is_texts(edit["find"]) or not edit["find"]:
            raise place.error(f"find is {edit['find']!r}, want a list of patterns", "find", number)
        if any("${" in pattern for pattern in edit["find"]):
            raise place.error("find has a parameter; only replace may have one", "find", number)
        edits.append(Edit(**{**edit, "find": tuple(edit["find"])}))
    return tuple(edits)


def parameters_of(entry: dict[str, Any], place: Place) -> dict[str, tuple[str, ...]]:
    """Return the parameters of a record. Raises RecordError."""
    given = entry.get("parameters", {})
    if not isinstance(given, dict):
        raise place.error(f"parameters is {given!r}, want a table of lists", "parameters")
    for name, choices in given.items():
        if not is_texts(choices) or len(set(choices)) != len(choices) or len(choices) < 2:
            raise place.error(
                f"parameter {name} is {choices!r}, want a list of at least two different texts", "parameters"
            )
    return {name: tuple(choices) for name, choices in given.items()}


def require_fields(
    entry: object,
    record: type[Bug] | type[Edit],
    place: Place,
    never: set[str],
    optional: set[str],
    edit: int = 0,
) -> None:
    """Raise RecordError unless `entry` is a table of the record's fields, with all that have no default."""
    if not isinstance(entry, dict):
        raise place.error(f"got {entry!r}, want a table", edit=edit)
    known = {one.name for one in fields(record)} - never
    needed = {one.name for one in fields(record) if not has_default(one)} - never - optional
    missing, unknown = sorted(needed - set(entry)), sorted(set(entry) - known)
    if missing or unknown:
        what = f"edit {edit}: " if edit else ""
        first = unknown[0] if unknown else ""
        raise place.error(f"{what}missing {missing}, unknown {unknown}", first, edit)


def has_default(one: Field[Any]) -> bool:
    """Say whether a field of a dataclass may be left out."""
    return one.default is not MISSING or one.default_factory is not MISSING


def is_texts(value: object) -> bool:
    """Say whether a value is a list of texts."""
    return isinstance(value, list) and all(isinstance(one, str) for one in value)
