"""What comes out of a matrix: a cell for each property of a variant, its kind, and the proof beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from grader.report import Verdict
from grader.verdict import Observation

Kind = Literal[
    "passed", "law broken", "non-finite", "raised", "died", "timeout", "memory", "unstable", "not run"
]
"""How a property came out, finer than a verdict.

"law broken" and "non-finite" are the verdict `failed`, the second where the value that was got is infinite or
no number; "raised" and "died" are the verdict `error`, the second where the process ended.
"""

KINDS: tuple[Kind, ...] = get_args(Kind)

_NOT_FINITE = re.compile(r"\bgot (?:nan|-?inf)\b|not finite")


@dataclass(frozen=True)
class Cell:
    """One property on one variant."""

    law: str
    verdict: Verdict
    kind: Kind
    message: str = ""
    counterexample: dict[str, str] | None = None
    seconds: float = 0.0

    @property
    def noticed(self) -> bool:
        """Whether the property noticed something; one that was not run did not."""
        return self.verdict not in ("passed", "not run")


@dataclass(frozen=True)
class Proof:
    """That a verdict is about the variant: its own text was loaded, and its edited lines ran."""

    loaded: dict[str, str] = field(default_factory=dict)
    """SHA-256 of the text of each module that was loaded, by file name."""
    ran: dict[str, list[int]] = field(default_factory=dict)
    """Edited lines that ran, by file name."""
    missing: dict[str, list[list[int]]] = field(default_factory=dict)
    """Edited places none of whose lines ran, each by its lines, by file name."""

    @property
    def complete(self) -> bool:
        """Whether each edited place ran."""
        return not any(self.missing.values())


@dataclass(frozen=True)
class Row:
    """All cells of one variant, in the order in which the properties ran."""

    name: str
    cells: tuple[Cell, ...]
    proof: Proof
    seconds: float
    """From the fork to its end, all forks of the variant together."""
    lines: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    """Lines that ran, by property and file name; empty unless they were asked for."""

    @property
    def killers(self) -> tuple[str, ...]:
        """The properties that noticed something."""
        return tuple(cell.law for cell in self.cells if cell.noticed)

    @property
    def property_seconds(self) -> float:
        """What the properties themselves took."""
        return sum(cell.seconds for cell in self.cells)

    def broken_criteria(self) -> set[str]:
        """Return the criteria of the properties that noticed something."""
        return {law.split(".")[0] for law in self.killers}

    def verdicts(self) -> dict[str, Verdict]:
        """Return the verdict of each property that was run."""
        return {cell.law: cell.verdict for cell in self.cells if cell.verdict != "not run"}

    def to_record(self) -> dict[str, Any]:
        """Return the row as plain values that JSON can hold."""
        record = asdict(self)
        del record["lines"]
        return record


def cell_of(observation: Observation) -> Cell:
    """Return the cell that an observation of the session makes."""
    return Cell(
        observation.id,
        observation.verdict,
        kind_of(observation.verdict, observation.message),
        observation.message,
        observation.counterexample,
        round(observation.seconds, 5),
    )


def kind_of(verdict: Verdict, message: str) -> Kind:
    """Return the kind of outcome that a verdict with its message is."""
    if verdict == "failed":
        return "non-finite" if _NOT_FINITE.search(message) else "law broken"
    return "raised" if verdict == "error" else verdict


def differences(one: Mapping[str, Verdict], other: Mapping[str, Verdict]) -> list[str]:
    """Return what differs between two rows of verdicts, for the properties that both have."""
    return [f"{law}: {one[law]} and {other[law]}" for law in one if law in other and one[law] != other[law]]
