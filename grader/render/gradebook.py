"""A graded class as plain values: what the renderers of a class see, and all they see.

Nothing here says how long anything took: the same verdicts give the same reports, whichever machines made
them and in whatever order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from grader.render.similar import Similarity
from grader.report import CriterionReport, LevelReport, Report

Status = Literal["graded", "rejected", "held", "waiting"]
"""How far a student's work has come.

graded    there is a report of every level
rejected  it cannot be graded as it was handed in, `reason` says why: it earns nothing
held      the grader failed over it: no points yet, and none lost; a person should look
waiting   it was not graded yet
"""


@dataclass(frozen=True)
class Student:
    """One student's work and what came of it."""

    name: str
    source: str
    """The folder or archive that was handed in."""
    status: Status
    reason: str = ""
    levels: tuple[LevelReport, ...] = ()
    """What is known, of each level that was graded, as the student may see it."""
    tree: str = ""
    """Hash of what was handed in; alike for students who handed in the same."""
    report: Report | None = None
    """The reports of all levels in one, with nothing withheld: for instructors alone. None unless graded."""

    @property
    def points(self) -> float | None:
        """What was earned; None where nobody can say yet, which is never a zero."""
        if self.status in ("held", "waiting"):
            return None
        return round(sum(level.points for level in self.levels), 2)


@dataclass(frozen=True)
class Gradebook:
    """A class."""

    levels: tuple[LevelReport, ...]
    """What there is to earn: each level with nothing run."""
    students: tuple[Student, ...]
    similarity: Similarity | None = None
    """Who shares more than what was handed out: for staff, on no student's page; None if not asked for."""

    @property
    def max_points(self) -> float:
        """What can be earned."""
        return round(sum(level.max_points for level in self.levels), 2)

    def criteria(self) -> Iterator[tuple[LevelReport, CriterionReport]]:
        """Yield every criterion with its level, in order."""
        for level in self.levels:
            for criterion in level.criteria:
                yield level, criterion

    def of(self, student: Student) -> tuple[LevelReport, ...]:
        """Return a report of every level: a rejected student's say that nothing was run."""
        found = {level.level: level for level in student.levels}
        return tuple(found.get(level.level, level) for level in self.levels)


def criterion_of(levels: tuple[LevelReport, ...], level: int, criterion: str) -> CriterionReport | None:
    """Return one criterion of a student's reports, None if it was not graded."""
    for report in levels:
        if report.level == level:
            return next((one for one in report.criteria if one.id == criterion), None)
    return None


def joined(reports: tuple[Report, ...], student: str) -> Report:
    """Return the reports of a student's levels as one report."""
    levels = tuple(level for report in reports for level in report.levels)
    seconds = round(sum(report.seconds for report in reports), 3)
    return replace(reports[0], submission=student, levels=levels, seconds=seconds)
