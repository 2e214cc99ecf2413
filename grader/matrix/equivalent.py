"""Mutants that no property can tell from the reference, each with its reason, checked at every run."""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from dataclasses import dataclass, fields
from pathlib import Path

from grader.matrix.operators import Mutant

FILE = Path(__file__).parent / "equivalent.toml"


@dataclass(frozen=True)
class Equivalent:
    """A mutant that is recorded as equivalent."""

    file: str
    function: str
    operator: str
    before: str
    after: str
    reason: str
    occurrence: int = 0

    @property
    def key(self) -> tuple[str, str, str, str, str, int]:
        """What `Mutant.key` is for the mutant that is meant."""
        return (self.file, self.function, self.operator, self.before, self.after, self.occurrence)

    def __str__(self) -> str:
        return f"{self.file}, {self.function or 'the module'}: {self.operator}: {self.before} => {self.after}"


def read(path: Path = FILE) -> list[Equivalent]:
    """Return the recorded mutants. Raises ValueError for an entry that is malformed or stands there twice."""
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("equivalent", [])
    known = {field.name for field in fields(Equivalent)}
    found: list[Equivalent] = []
    for number, entry in enumerate(entries, 1):
        wrong = sorted(set(entry) ^ (known - {"occurrence"}) - {"occurrence"})
        if wrong or not all(isinstance(value, str | int) for value in entry.values()):
            raise ValueError(f"{path.name}, entry {number}: missing or unknown {wrong}")
        record = Equivalent(**entry)
        if not record.reason.strip():
            raise ValueError(f"{path.name}, entry {number} ({record}): it needs a reason")
        if record.key in {one.key for one in found}:
            raise ValueError(f"{path.name}, entry {number} ({record}) stands there twice")
        found.append(record)
    return found


def stale(
    records: Collection[Equivalent], mutants: Collection[Mutant], killed: Collection[Mutant]
) -> list[str]:
    """Say what is wrong with each record whose mutant does not exist, or is noticed after all."""
    existing, noticed = {one.key for one in mutants}, {one.key for one in killed}
    files = {one.file for one in mutants}
    wrong = []
    for record in records:
        if record.file not in files:
            continue
        if record.key not in existing:
            wrong.append(f"{record}: there is no such mutant any more")
        elif record.key in noticed:
            wrong.append(f"{record}: a property notices it, so it is not equivalent")
    return wrong
