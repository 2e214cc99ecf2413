"""What students see of a report: all but what the file of the level withholds.

This keeps back what came of a grading. Who has the code of a property can find it out, and be it with
`grader run --show-hidden`: to hide the law itself, leave it out of what students get
(`grader variants release --publish-tests`).
"""

from __future__ import annotations

from dataclasses import replace

from grader.report import LevelReport, PropertyReport, Report

WITHHELD = {
    "hidden": "What came instead is not shown for this law.",
    "after_deadline": "What came instead is shown after the deadline.",
}


def report_for_students(report: Report) -> Report:
    """Return a report as its student sees it before the deadline."""
    return replace(report, levels=tuple(for_students(level) for level in report.levels))


def for_students(level: LevelReport, *, after_deadline: bool = False) -> LevelReport:
    """Return a level's report as its student sees it."""
    criteria = (
        replace(one, properties=tuple(seen(each, after_deadline=after_deadline) for each in one.properties))
        for one in level.criteria
    )
    return replace(level, criteria=tuple(criteria))


def seen(one: PropertyReport, *, after_deadline: bool) -> PropertyReport:
    """Return what a student sees of one property: its law and verdict always."""
    if one.verdict == "passed":
        return one
    if one.visibility == "hidden" or (one.visibility == "after_deadline" and not after_deadline):
        return replace(
            one, message=WITHHELD[one.visibility], counterexample=None, traceback="", comparison=None
        )
    return one if one.counterexample_shown else replace(one, counterexample=None, comparison=None)
