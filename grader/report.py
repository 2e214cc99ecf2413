"""The record of a grading: what `--json` prints, what renderers read, what `grader replay` starts from."""

from __future__ import annotations

import types
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from specs.outcomes import Comparison

SCHEMA_VERSION = 2

Verdict = Literal["passed", "failed", "error", "timeout", "memory", "unstable", "not run"]
"""How a property, or a criterion, came out.

passed    the law holds of every input tried
failed    the submission answered, and the answer breaks the law
error     the submission raised, died, or answered something that cannot be read
timeout   it did not answer within its time limit
memory    it asked for more memory than its limit
unstable  a failure that did not happen again with the same input
not run   there is no outcome: never counted as passed
"""

Visibility = Literal["visible", "after_deadline", "hidden"]
"""What students see of a broken law beside its title, verdict and points.

visible         what came instead, and the smallest input that shows it
after_deadline  these only once the deadline has passed
hidden          never
"""

T = TypeVar("T")


@dataclass(frozen=True)
class PropertyReport:
    """One property and how it came out."""

    id: str
    title: str
    """The law in words."""
    verdict: Verdict
    message: str
    """The first place where got and want differ, or what the submission raised; empty when passed."""
    counterexample: dict[str, str] | None
    """The smallest input that shows it, a short text for each drawn name; None when passed."""
    seconds: float
    weight: float
    traceback: str = ""
    counts_with: tuple[str, ...] = ()
    """Laws that do not hold, without which this one, though it holds, earns nothing; empty if it counts."""
    visibility: Visibility = "visible"
    counterexample_shown: bool = True
    """Whether students see the counterexample, and the comparison, where they see the message."""
    comparison: Comparison | None = None
    """Where the law is broken by values beside others that were wanted: a few of both."""


@dataclass(frozen=True)
class CriterionReport:
    """One acceptance criterion and its properties."""

    id: str
    title: str
    statement: str
    verdict: Verdict
    points: float
    """What was earned."""
    max_points: float
    seconds: float
    properties: tuple[PropertyReport, ...]
    hints: tuple[str, ...] = ()
    """By stage, as far as they were asked for."""

    @property
    def broken(self) -> tuple[PropertyReport, ...]:
        """The properties that did not pass."""
        return tuple(one for one in self.properties if one.verdict != "passed")


@dataclass(frozen=True)
class LevelReport:
    """One level and its criteria."""

    level: int
    title: str
    points: float
    max_points: float
    criteria: tuple[CriterionReport, ...]


@dataclass(frozen=True)
class Report:
    """One submission, graded once."""

    submission: str
    """The folder as the user typed it."""
    seed: int
    isolation: str
    device: str
    dtype: str
    levels: tuple[LevelReport, ...]
    seconds: float
    only: tuple[str, ...] = ()
    """What `--only` selected; empty when everything was graded."""
    versions: dict[str, str] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    @property
    def passed(self) -> bool:
        """Whether every criterion that was graded holds, and at least one was."""
        criteria = [criterion for level in self.levels for criterion in level.criteria]
        return bool(criteria) and all(criterion.verdict == "passed" for criterion in criteria)

    def to_record(self) -> dict[str, Any]:
        """Return the report as plain values that JSON can hold."""
        record = asdict(self)
        return {"schema_version": record.pop("schema_version"), **record}

    @classmethod
    def from_record(cls, record: object) -> Report:
        """Read what `to_record` gave, also after a trip through JSON; ValueError names the entry at fault."""
        version = record.get("schema_version") if isinstance(record, dict) else None
        if version != SCHEMA_VERSION:
            raise ValueError(
                f"report: schema_version is {version!r}, want {SCHEMA_VERSION}: not a report of grader, "
                "or one of another version; grade the submission again, or use the version that wrote it"
            )
        report: Report = _read(cls, record, "report")
        return report


def _read(kind: Any, value: object, where: str) -> Any:
    """Return `value` as an instance of the annotation `kind`."""
    if is_dataclass(kind):
        return _read_fields(kind, value, where)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_read(arguments[0], one, f"{where}[{i}]") for i, one in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {name: _read(arguments[1], one, f"{where}.{name}") for name, one in value.items()}
    if origin in (Union, types.UnionType):
        return None if value is None else _read(arguments[0], value, where)
    if origin is Literal and value in arguments:
        return value
    if kind is float and type(value) in (int, float):
        return value
    if kind in (int, str, bool) and type(value) is kind:
        return value
    raise ValueError(f"{where}: got {value!r:.100}, want {_written(kind)}")


def _read_fields(kind: Any, value: object, where: str) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"{where}: got {value!r:.100}, want an object")
    hints = get_type_hints(kind)
    names = [one.name for one in fields(kind)]
    unknown, missing = sorted(set(value) - set(names)), [name for name in names if name not in value]
    if unknown or missing:
        raise ValueError(f"{where}: unknown entries {unknown}, missing entries {missing}")
    return kind(**{name: _read(hints[name], value[name], f"{where}.{name}") for name in names})


def _written(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    return getattr(kind, "__name__", str(kind)) if get_origin(kind) is None else str(kind)
