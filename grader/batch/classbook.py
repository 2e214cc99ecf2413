"""From the ledger's records to the gradebook that renderers see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from grader.batch.intake import Taken
from grader.batch.ledger import Ledger
from grader.batch.similar.record import similarity
from grader.render.gradebook import Gradebook, Status, Student, joined
from grader.report import LevelReport, Report


def gradebook(ledger: Ledger, *, hints: bool = False, similar: bool = False) -> Gradebook:
    """Return the class as it stands in the ledger, students by name; `hints` where a criterion is broken.

    With `similar` also who shares more than what was handed out, which takes seconds for thousands.
    """
    levels = tuple(ledger.levels())
    known = {(level.level, one.id): one.hint for level in levels for one in level.criteria if hints}
    students = (student_of(ledger, one, len(levels)) for one in ledger.students())
    return Gradebook(
        tuple(hinted(level, {}) for level in levels),
        tuple(replace(one, levels=tuple(hinted(level, known) for level in one.levels)) for one in students),
        similarity(ledger) if similar else None,
    )


def hinted(level: LevelReport, hints: Mapping[tuple[int, str], str | None]) -> LevelReport:
    """Return a report with those hints, and no others, at the criteria that do not hold."""
    criteria = tuple(
        replace(one, hint=None if one.verdict == "passed" else hints.get((level.level, one.id)))
        for one in level.criteria
    )
    return replace(level, criteria=criteria)


def student_of(ledger: Ledger, one: Taken, count: int) -> Student:
    """Return one student's work and what came of it; graded when all `count` levels are."""
    if one.refused:
        return Student(one.student, one.source, "rejected", one.refused)
    if one.fault:
        return Student(one.student, one.source, "held", one.fault)
    reports: list[Report] = []
    faults: list[str] = []
    for need in ledger.wanted(one.student):
        if report := ledger.report(need.key):
            reports.append(report)
        elif fault := ledger.fault(need.key):
            faults.append(f"level {need.level}: {fault}")
    complete = bool(reports) and len(reports) == count
    status: Status = "graded" if complete else "held" if faults else "waiting"
    levels = tuple(level for report in reports for level in report.levels)
    whole = joined(tuple(reports), one.student) if reports else None
    return Student(one.student, one.source, status, "; ".join(faults), levels, one.tree, whole)
