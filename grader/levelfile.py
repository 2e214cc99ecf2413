"""Reads the file of a level, and says in which line it is wrong."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from typing import Any, get_args

from grader.level import Criterion, Level, LevelLimits, PropertySetting
from grader.report import Visibility
from grader.tomlplace import TomlPath, places
from specs.outcomes import GraderFault

LIMITS = {
    "call_seconds": 600,
    "property_seconds": 1800,
    "submission_seconds": 3600,
    "processor_seconds": 3600,
    "memory_mebibytes": 65536,
    "processes": 4096,
    "output_mebibytes": 64,
    "disk_mebibytes": 4096,
}
"""What a level may limit, and the ceiling: a slip in a file must not let one submission hold a machine."""

NUMBER = (int, float)
FILE = {"level": dict, "limits": dict, "criterion": list}
FILE_MAY = {"property": list, "counts_with": list}
HEAD = {"number": int, "title": str, "objective": str, "time_estimate": str}
MODULES = {
    "files": (r"\w+\.py", "'gpt.py'"),
    "parts": (r"\w+\.py(:\w+(\.\w+)*)?", "'gpt.py', or 'gpt.py:GPT.generate'"),
}
"""What the names of modules and of functions in them look like, and examples."""
HEAD_MAY = {"points": NUMBER, "hint_stages": int, "files": list, "parts": list}
CRITERION = {"id": str, "title": str, "statement": str, "points": NUMBER, "hints": list, "modules": list}
CRITERION_MAY = {"visibility": str}
PROPERTY = {"id": str}
PROPERTY_MAY = {"weight": NUMBER, "visibility": str, "counterexample": bool}

MOST = 1000
"""Points of a criterion, and the weight of a property."""

KINDS = {int: "a whole number", str: "a text", list: "a list", dict: "a table", bool: "true or false"}


class Wrong(ValueError):
    """An entry of the file is not what it must be."""

    def __init__(self, path: TomlPath, reason: str) -> None:
        self.path = path
        super().__init__(reason)


def read(text: str, file: str) -> Level:
    """Return the level that the text of `file` describes. Raises GraderFault with the line at fault."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise GraderFault(f"{file}: cannot be read as TOML: {error}") from error
    found = places(text, file)
    try:
        return Level(**level_of(table), places=found)
    except Wrong as wrong:
        raise GraderFault(f"{found.at(wrong.path)}: {wrong}") from wrong


def level_of(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the level that a parsed file describes. Raises Wrong."""
    check(table, FILE, FILE_MAY, (), "the file")
    criteria = tuple(criterion_of(entry, index) for index, entry in enumerate(table["criterion"]))
    ids = [one.id for one in criteria]
    for index, name in enumerate(ids):
        if name in ids[:index]:
            raise Wrong(("criterion", index, "id"), f"[[criterion]]: the id {name!r} is used twice")
    if not ids:
        raise Wrong(("criterion",), "[[criterion]]: there is none, want at least one")
    settings, named = settings_of(table)
    needs, also_named = needs_of(table)
    return {
        **head_of(table["level"], sum(one.points for one in criteria)),
        "limits": limits_of(table["limits"]),
        "criteria": criteria,
        "needs": needs,
        "settings": settings,
        "named": {**also_named, **named},
    }


def head_of(given: Any, points: float) -> dict[str, Any]:
    """Return what `[level]` says; `points` are those of all criteria. Raises Wrong."""
    check(given, HEAD, HEAD_MAY, ("level",), "[level]")
    head: dict[str, Any] = dict(given)
    for key, (pattern, example) in MODULES.items():
        head[key] = tuple(head.get(key, ()))
        for index, name in enumerate(head[key]):
            if not (isinstance(name, str) and re.fullmatch(pattern, name)):
                said = f"[level]: {key} holds {name!r}, want names such as {example}"
                raise Wrong(("level", key, index), said)
    # Points may have decimals, whose sum is not exact.
    if abs((want := head.pop("points", points)) - points) > 1e-6:
        said = f"[level]: points is {want:g}, but those of the criteria add up to {points:g}"
        raise Wrong(("level", "points"), said)
    if head.get("hint_stages", 0) < 0:
        raise Wrong(
            ("level", "hint_stages"), f"[level]: hint_stages is {head['hint_stages']}, want 0 or more"
        )
    return head


def limits_of(limits: Any) -> LevelLimits:
    """Return what `[limits]` says. Raises Wrong."""
    kinds: dict[str, Any] = dict.fromkeys(LIMITS, NUMBER) | {"processes": int}
    check(limits, {}, kinds, ("limits",), "[limits]")
    for name, given in limits.items():
        require_between(given, LIMITS[name], ("limits", name), "[limits]")
    return LevelLimits(**limits)


def criterion_of(entry: Any, index: int) -> Criterion:
    """Return the criterion of an entry. Raises Wrong."""
    path, where = ("criterion", index), f"[[criterion]] {index + 1}"
    if isinstance(entry, dict) and "id" in entry:
        where += f" (id {entry['id']!r})"
    check(entry, CRITERION, CRITERION_MAY, path, where)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", entry["id"]):
        raise Wrong((*path, "id"), f"{where}: id must be lower-case letters, digits and underscores")
    require_between(entry["points"], MOST, (*path, "points"), where)
    require_visibility(entry, path, where)
    lists = {key: texts_of(entry, key, path, where) for key in ("hints", "modules")}
    return Criterion(**{**entry, **lists})


def settings_of(table: Mapping[str, Any]) -> tuple[dict[str, PropertySetting], dict[str, TomlPath]]:
    """Return what `[[property]]` says of each, and where. Raises Wrong."""
    settings: dict[str, PropertySetting] = {}
    named: dict[str, TomlPath] = {}
    for index, entry in enumerate(table.get("property", ())):
        path, where = ("property", index), f"[[property]] {index + 1}"
        check(entry, PROPERTY, PROPERTY_MAY, path, where)
        given = dict(entry)
        name = given.pop("id")
        if name in settings:
            raise Wrong((*path, "id"), f"{where}: {name} stands in another one, too")
        if "weight" in given:
            require_between(given["weight"], MOST, (*path, "weight"), where)
        require_visibility(given, path, where)
        settings[name], named[name] = PropertySetting(**given), (*path, "id")
    return settings, named


def needs_of(table: Mapping[str, Any]) -> tuple[dict[str, tuple[str, ...]], dict[str, TomlPath]]:
    """Return which laws `[[counts_with]]` lets count only beside others, and where. Raises Wrong."""
    needs: dict[str, tuple[str, ...]] = {}
    named: dict[str, TomlPath] = {}
    for index, entry in enumerate(table.get("counts_with", ())):
        path, where = ("counts_with", index), f"[[counts_with]] {index + 1}"
        check(entry, {"need": list, "laws": list}, {}, path, where)
        lists = {key: texts_of(entry, key, path, where) for key in ("need", "laws")}
        for place, name in enumerate(lists["laws"]):
            if name in needs:
                raise Wrong((*path, "laws", place), f"{where}: {name} stands in another one, too")
            needs[name] = lists["need"]
        for key, names in lists.items():
            named |= {name: (*path, key, place) for place, name in enumerate(names)}
    return needs, named


def texts_of(entry: Mapping[str, Any], key: str, path: TomlPath, where: str) -> tuple[str, ...]:
    """Return a list of texts, at least one, none empty. Raises Wrong."""
    if not entry[key]:
        raise Wrong((*path, key), f"{where}: {key} is [], want a list of at least one text")
    for index, one in enumerate(entry[key]):
        if not isinstance(one, str) or not one.strip():
            said = f"{where}: {key} holds {one!r:.100}, want a text that is not empty"
            raise Wrong((*path, key, index), said)
    return tuple(entry[key])


def require_between(given: float, most: float, path: TomlPath, where: str) -> None:
    """Require a number to be more than 0 and at most `most`. Raises Wrong."""
    if not 0 < given <= most:
        raise Wrong(path, f"{where}: {path[-1]} is {given}, want more than 0 and at most {most}")


def require_visibility(entry: Mapping[str, Any], path: TomlPath, where: str) -> None:
    """Require the visibility, if there is one, to be one of those that exist. Raises Wrong."""
    given = entry.get("visibility", "visible")
    if given not in get_args(Visibility):
        said = f"{where}: visibility is {given!r}, want one of {', '.join(get_args(Visibility))}"
        raise Wrong((*path, "visibility"), said)


def check(entry: object, must: Mapping[str, Any], may: Mapping[str, Any], path: TomlPath, where: str) -> None:
    """Require a table with all keys of `must` and some of `may`, each of its kind. Raises Wrong."""
    if not isinstance(entry, dict):
        raise Wrong(path, f"{where}: got {entry!r:.100}, want a table")
    kinds: Mapping[str, Any] = {**must, **may}
    for key, value in entry.items():
        if key not in kinds:
            raise Wrong((*path, key), f"{where}: unknown key {key!r}; {known(kinds)}")
        kind = kinds[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool) or value == "":
            said = f"{where}: {key} is {value!r:.100}, want {KINDS.get(kind, 'a number')} that is not empty"
            raise Wrong((*path, key), said if kind is str else said.removesuffix(" that is not empty"))
    for key in must:
        if key not in entry:
            raise Wrong(path, f"{where}: {key!r} is missing")


def known(keys: Collection[str]) -> str:
    """Say which keys there are."""
    return f"the keys are {', '.join(keys)}"
