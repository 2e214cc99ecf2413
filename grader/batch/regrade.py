"""Grade again what is in the ledger, from the trees that it kept, and say what has changed."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Generator
from dataclasses import dataclass

from grader.batch.engine import Conditions
from grader.batch.grading import Class, MakeEngine, grade_taken
from grader.batch.intake import Taken
from grader.batch.ledger import Ledger, lock
from grader.batch.merge import verdicts
from grader.batch.similar.record import remembered
from grader.report import Report
from grader.run import UsageError


@dataclass(frozen=True)
class Change:
    """One student's level, graded again."""

    student: str
    level: int
    before: float | None
    """Points; None where there was no result."""
    after: float | None
    """Points; None where the grader failed."""
    properties: tuple[tuple[str, str, str], ...]
    """Each property whose verdict is another one now: its id, the verdict before, and the verdict now."""
    fault: str = ""


def regrade(task: Class, make_engine: MakeEngine, student: str | None) -> Generator[Change, None, None]:
    """Grade one student again, or everybody whose results depend on something that has changed since.

    Yields what was graded. Raises UsageError and GraderFault.
    """
    with lock(task.out), Ledger(task.out) as ledger:
        everybody = ledger.students()
        taken = [one for one in everybody if one.tree and student in (None, one.student)]
        require_trees(ledger, taken)
        before = {
            (need.student, need.level): ledger.report(need.key)
            for one in taken
            for need in ledger.wanted(one.student)
        }
        again: Collection[str] = () if student is None else (student,)
        finished = grade_taken(ledger, taken, task, make_engine, again)
        with contextlib.closing(remembered(ledger, [one.tree for one in everybody], finished)) as graded:
            for one in graded:
                if not one.remembered:
                    old = before.get((one.student, one.level))
                    key = next(need.key for need in ledger.wanted(one.student) if need.level == one.level)
                    new = None if one.fault else ledger.report(key)
                    yield change(one.student, one.level, old, new, one.fault)


def conditions_of(ledger: Ledger) -> Conditions:
    """Return how a class was graded. Raises UsageError if it never was."""
    found = ledger.conditions()
    if found is None:
        raise UsageError(f"{ledger.folder}: nothing was graded here yet; begin with `grader batch`")
    return Conditions(**found)


def require_trees(ledger: Ledger, taken: Collection[Taken]) -> None:
    """Require what was handed in to be there still. Raises UsageError."""
    for one in taken:
        if not (ledger.trees / one.tree).is_dir():
            raise UsageError(
                f"{one.student}: what was handed in is no longer in {ledger.trees}; "
                "grade it again with `grader batch` from the folder of submissions"
            )


def change(student: str, level: int, old: Report | None, new: Report | None, fault: str) -> Change:
    """Return what is other in the new report than in the old one."""
    was, now = verdicts(old), verdicts(new)
    differ = [
        name for name in [*was, *(one for one in now if one not in was)] if was.get(name) != now.get(name)
    ]
    pairs = tuple((name, was.get(name, "none"), now.get(name, "none")) for name in differ) if new else ()
    return Change(student, level, points(old), points(new), pairs, fault)


def points(report: Report | None) -> float | None:
    """Return the points of a report."""
    return None if report is None else round(sum(level.points for level in report.levels), 2)


def line(one: Change) -> str:
    """Return a change as a line for a person."""
    head = f"{one.student}  level {one.level}  "
    if one.fault:
        return f"{head}held, the grader failed: {' '.join(one.fault.split())}"
    if one.before is None:
        return f"{head}{one.after:g} points, graded for the first time"
    if not one.properties and one.before == one.after:
        return f"{head}{one.after:g} points, as before"
    said = ", ".join(f"{name} {was} → {now}" for name, was, now in one.properties)
    return f"{head}{one.before:g} → {one.after:g} points: {said or 'other points for the same verdicts'}"
