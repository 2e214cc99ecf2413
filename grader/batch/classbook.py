"""From the ledger's records to the gradebook that renderers see."""

from __future__ import annotations

from dataclasses import replace

from grader.batch.intake import Taken
from grader.batch.ledger import Ledger
from grader.batch.similar.record import similarity
from grader.render.gradebook import Gradebook, Status, Student, joined
from grader.render.students import for_students
from grader.report import LevelReport, Report


def gradebook(
    ledger: Ledger, *, hints: int = 0, after_deadline: bool = False, similar: bool = False
) -> Gradebook:
    """Return the class as it stands in the ledger, students by name.

    The levels of each student are as the student sees them, with hints up to that stage where a criterion is
    broken; the whole report withholds nothing. With `similar` also who shares more than what was handed out,
    which takes seconds for thousands.
    """
    levels = {level.level: level for level in ledger.levels()}
    students = []
    for one in ledger.students():
        student = student_of(ledger, one, len(levels))
        whole = tuple(as_now(level, levels.get(level.level, level), hints) for level in student.levels)
        seen = tuple(for_students(level, after_deadline=after_deadline) for level in whole)
        report = replace(student.report, levels=whole) if student.report else None
        students.append(replace(student, levels=seen, report=report))
    return Gradebook(
        tuple(as_now(level, level, 0) for level in levels.values()),
        tuple(students),
        similarity(ledger) if similar else None,
    )


def as_now(level: LevelReport, now: LevelReport, hints: int) -> LevelReport:
    """Return a report with the hints, where a criterion is broken, and the visibility that the level has now.

    These change no result, so what was graded before them stays.
    """
    told = {one.id: one.hints[:hints] for one in now.criteria}
    rules = {one.id: one for criterion in now.criteria for one in criterion.properties}
    criteria = []
    for criterion in level.criteria:
        properties = (
            replace(
                one,
                visibility=rules.get(one.id, one).visibility,
                counterexample_shown=rules.get(one.id, one).counterexample_shown,
            )
            for one in criterion.properties
        )
        given = () if criterion.verdict == "passed" else told.get(criterion.id, ())
        criteria.append(replace(criterion, properties=tuple(properties), hints=given))
    return replace(level, criteria=tuple(criteria))


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
