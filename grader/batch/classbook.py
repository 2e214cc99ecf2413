"""From the ledger's records to the gradebook that renderers see."""

from __future__ import annotations

from grader.batch.intake import Taken
from grader.batch.ledger import Ledger
from grader.render.gradebook import Gradebook, Status, Student, joined
from grader.report import Report


def gradebook(ledger: Ledger) -> Gradebook:
    """Return the class as it stands in the ledger, students by name."""
    levels = tuple(ledger.levels())
    return Gradebook(levels, tuple(student_of(ledger, one, len(levels)) for one in ledger.students()))


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
