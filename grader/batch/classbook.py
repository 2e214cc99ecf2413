"""From the ledger's records to the gradebook that renderers see."""

from __future__ import annotations

from grader.batch.intake import Taken
from grader.batch.ledger import Ledger
from grader.render.gradebook import Gradebook, Status, Student, joined
from grader.report import Report


def gradebook(ledger: Ledger) -> Gradebook:
    """Return the class as it stands in the ledger, students by name."""
    return Gradebook(tuple(ledger.levels()), tuple(student_of(ledger, one) for one in ledger.students()))


def student_of(ledger: Ledger, one: Taken) -> Student:
    """Return one student's work and what came of it."""
    if one.refused:
        return Student(one.student, one.source, "rejected", one.refused)
    if one.fault:
        return Student(one.student, one.source, "held", one.fault)
    wanted = ledger.wanted(one.student)
    reports: list[Report] = []
    faults: list[str] = []
    for need in wanted:
        if report := ledger.report(need.key):
            reports.append(report)
        elif fault := ledger.fault(need.key):
            faults.append(f"level {need.level}: {fault}")
    complete = bool(wanted) and len(reports) == len(wanted)
    status: Status = "graded" if complete else "held" if faults else "waiting"
    levels = tuple(level for report in reports for level in report.levels)
    whole = joined(tuple(reports), one.student) if reports else None
    return Student(one.student, one.source, status, "; ".join(faults), levels, one.tree, whole)
