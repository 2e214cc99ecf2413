"""One student's result as PrairieLearn's `results.json`."""

from __future__ import annotations

import json
from typing import Any

from grader.render.gradebook import Gradebook, Student
from grader.render.prose import criterion_text

LONGEST_OUTPUT = 20_000
"""Of one criterion: the whole file may have 1 MB."""


def render(book: Gradebook, student: Student) -> str | None:
    """Return the file; None where the grader failed: PrairieLearn then shows that, and no zero."""
    if student.points is None:
        return None
    record: dict[str, Any]
    if student.status == "rejected":
        record = {"gradable": False, "format_errors": [student.reason]}
    else:
        score = student.points / book.max_points if book.max_points else 0.0
        record = {"gradable": True, "score": round(min(1.0, score), 6), "tests": tests(student)}
    return json.dumps(record, indent=2, allow_nan=False) + "\n"


def tests(student: Student) -> list[dict[str, Any]]:
    """Return a test for each criterion."""
    return [
        {
            "name": criterion.title,
            "description": criterion.statement,
            "points": criterion.points,
            "max_points": criterion.max_points,
            "message": criterion.verdict,
            "output": criterion_text(criterion, longest=LONGEST_OUTPUT),
        }
        for level in student.levels
        for criterion in level.criteria
    ]
