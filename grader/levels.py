"""Levels are data: `specs/level3.toml` names the criteria and the modules that hold their properties.

`read` needs no property and takes a millisecond; `load` also imports the properties, and Hypothesis with
them. Every error here is the grader's own fault, whatever the submission is.
"""

from __future__ import annotations

import importlib
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import specs
from grader.verdict import ExpectedCriterion, ExpectedLevel, ExpectedProperty
from specs.outcomes import GraderFault

if TYPE_CHECKING:
    from specs.law import Law

FOLDER = Path(specs.__file__).parent

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

LEVEL_KEYS = {"number": int, "title": str, "objective": str, "time_estimate": str}
CRITERION_KEYS = {
    "id": str,
    "title": str,
    "statement": str,
    "points": (int, float),
    "hint": str,
    "modules": list,
}


@dataclass(frozen=True)
class LevelLimits:
    """What one submission may use while a level is graded; what each means says `grader.sandbox.limits`."""

    call_seconds: float = 20.0
    property_seconds: float = 120.0
    submission_seconds: float = 600.0
    processor_seconds: float = 600.0
    memory_mebibytes: float = 2048.0
    processes: int = 256
    output_mebibytes: float = 8.0
    disk_mebibytes: float = 256.0


@dataclass(frozen=True)
class Criterion:
    """One acceptance criterion of a level."""

    id: str
    title: str
    statement: str
    points: float
    hint: str
    modules: tuple[str, ...]
    laws: tuple[Law, ...] = ()
    """Its properties; empty until `load_laws`."""


@dataclass(frozen=True)
class Level:
    """One unit of the course."""

    number: int
    title: str
    objective: str
    time_estimate: str
    limits: LevelLimits
    criteria: tuple[Criterion, ...]
    files: tuple[str, ...] = ()
    """The modules of the contract that its properties are about: mutants are made of them."""
    parts: tuple[str, ...] = ()
    """Other modules of the reference that hold a part of these: mutants are made of them, too."""
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Laws that count only where others hold, too; see `grader.verdict.ExpectedProperty`."""

    @property
    def laws(self) -> tuple[Law, ...]:
        """Every property of the level, in the order in which it is judged."""
        return tuple(law for criterion in self.criteria for law in criterion.laws)

    def expected(self, *, hints: bool = False) -> ExpectedLevel:
        """Return what must be judged: known before any submission is looked at."""
        return ExpectedLevel(
            self.number,
            self.title,
            tuple(
                ExpectedCriterion(
                    one.id,
                    one.title,
                    one.statement,
                    one.points,
                    tuple(
                        ExpectedProperty(law.id, law.title, law.weight, self.needs.get(law.id, ()))
                        for law in one.laws
                    ),
                    one.hint if hints else None,
                )
                for one in self.criteria
            ),
        )


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
    """Return the level that a file describes. Raises GraderFault that names the file and the entry."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise GraderFault(f"{path}: cannot be read as TOML: {error}") from error
    try:
        return level_from(table)
    except ValueError as error:
        raise GraderFault(f"{path}: {error}") from error


def level_from(table: Mapping[str, Any]) -> Level:
    """Return the level that a parsed file describes; ValueError names the entry at fault."""
    kinds: dict[str, Any] = {"level": dict, "limits": dict, "criterion": list}
    if "counts_with" in table:
        kinds["counts_with"] = list
    check_keys(table, kinds, "the file")
    head, limits, entries = table["level"], table["limits"], table["criterion"]
    modules = {key: tuple(head[key]) for key in ("files", "parts") if isinstance(head.get(key), list)}
    check_keys(head, LEVEL_KEYS | dict.fromkeys(modules, list), "[level]")
    for key, names in modules.items():
        for name in names:
            if not (isinstance(name, str) and re.fullmatch(r"\w+\.py", name)):
                raise ValueError(f"[level]: {key} holds {name!r}, want names such as 'gpt.py'")
    numbers: dict[str, Any] = dict.fromkeys(LIMITS, (int, float)) | {"processes": int}
    check_keys(limits, {name: kind for name, kind in numbers.items() if name in limits}, "[limits]", LIMITS)
    for name, ceiling in LIMITS.items():
        if name in limits and not 0 < limits[name] <= ceiling:
            raise ValueError(f"[limits]: {name} is {limits[name]}, want more than 0 and at most {ceiling}")
    criteria = tuple(criterion_from(entry, position) for position, entry in enumerate(entries, 1))
    ids = [one.id for one in criteria]
    if not ids or len(set(ids)) != len(ids):
        raise ValueError(f"[[criterion]]: the ids are {ids}, want at least one and all different")
    needs: dict[str, tuple[str, ...]] = {}
    for position, entry in enumerate(table.get("counts_with", ()), 1):
        check_keys(entry, {"need": list, "laws": list}, f"[[counts_with]] {position}")
        twice = sorted(set(entry["laws"]) & set(needs))
        if twice:
            raise ValueError(f"[[counts_with]] {position}: {', '.join(twice)} stands in another one, too")
        needs |= dict.fromkeys(entry["laws"], tuple(entry["need"]))
    return Level(**{**head, **modules}, limits=LevelLimits(**limits), criteria=criteria, needs=needs)


def criterion_from(entry: Mapping[str, Any], position: int) -> Criterion:
    """Return the criterion of the `position`th entry, counted from 1; ValueError names what is wrong."""
    where = f"[[criterion]] {position}"
    if isinstance(entry, dict) and "id" in entry:
        where += f" (id {entry['id']!r})"
    check_keys(entry, CRITERION_KEYS, where)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", entry["id"]):
        raise ValueError(f"{where}: id must be lower-case letters, digits and underscores")
    if not 0 < entry["points"] <= 1000:
        raise ValueError(f"{where}: points is {entry['points']}, want more than 0 and at most 1000")
    modules = entry["modules"]
    if not modules or not all(isinstance(name, str) for name in modules):
        raise ValueError(f"{where}: modules is {modules!r}, want a list of at least one module's name")
    return Criterion(**{**entry, "modules": tuple(modules)})


def check_keys(
    entry: object, kinds: Mapping[str, Any], where: str, allowed: Collection[str] | None = None
) -> None:
    """Require `entry` to be a table with exactly the keys of `kinds`, each of its type and not empty.

    `allowed` are the keys that may be there, for the message.
    """
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: got {entry!r}, want a table")
    for key in entry:
        if key not in kinds:
            raise ValueError(f"{where}: unknown key {key!r}; the keys are {', '.join(allowed or kinds)}")
    for key, kind in kinds.items():
        if key not in entry:
            raise ValueError(f"{where}: {key!r} is missing")
        value = entry[key]
        if not isinstance(value, kind) or isinstance(value, bool) or value == "":
            names = kind.__name__ if isinstance(kind, type) else "number"
            raise ValueError(f"{where}: {key} is {value!r}, want a {names} that is not empty")


def load_laws(level: Level) -> Level:
    """Return `level` with the properties of its criteria, imported from their modules. Raises GraderFault."""
    level = replace(level, criteria=tuple(replace(one, laws=laws_for(one)) for one in level.criteria))
    ids = [law.id for law in level.laws]
    twice = sorted({one for one in ids if ids.count(one) > 1})
    if twice:
        raise GraderFault(f"level {level.number}: two properties have the id {', '.join(twice)}")
    named = {one for law, needs in level.needs.items() for one in (law, *needs)}
    if unknown := sorted(named - set(ids)):
        raise GraderFault(
            f"level {level.number}: [[counts_with]] names {', '.join(unknown)}, which is no law"
        )
    return level


def laws_for(criterion: Criterion) -> tuple[Law, ...]:
    """Return the properties of one criterion, in the order of its modules. Raises GraderFault."""
    from specs.law import laws_of

    found: list[Law] = []
    for name in criterion.modules:
        try:
            module = importlib.import_module(name)
        except Exception as error:
            raise GraderFault(
                f"criterion {criterion.id!r}: its module {name} cannot be imported "
                f"({type(error).__name__}: {error})"
            ) from error
        laws = laws_of(module)
        if not laws:
            raise GraderFault(f"criterion {criterion.id!r}: its module {name} holds no property")
        found.extend(laws)
    for law in found:
        if law.criterion != criterion.id:
            raise GraderFault(
                f"property {law.id} stands in a module of criterion {criterion.id!r}: "
                "set CRITERION in that module"
            )
        if not law.weight > 0:
            raise GraderFault(f"property {law.id} has weight {law.weight}, want more than 0")
    return tuple(found)
