"""One student's result as Gradescope's `results.json`."""

from __future__ import annotations

import json
from typing import Any

from grader.render.gradebook import Gradebook, Student
from grader.render.prose import criterion_text


def render(book: Gradebook, student: Student) -> str | None:
    """Return the file; None where the grader failed: Gradescope then shows that, and no zero."""
    if student.points is None:
        return None
    record: dict[str, Any] = {"output_format": "text", "visibility": "visible", "stdout_visibility": "hidden"}
    if student.status == "rejected":
        # Without tests a score is needed.
        record |= {"score": 0.0, "output": f"Not graded: {student.reason}.", "tests": []}
    else:
        # No score beside the tests: it would override their sum.
        record |= {"output": f"{student.points:g} of {book.max_points:g} points.", "tests": tests(student)}
    return json.dumps(record, indent=2, allow_nan=False) + "\n"


def tests(student: Student) -> list[dict[str, Any]]:
    """Return a test for each criterion."""
    return [
        {
            "number": f"{level.level}.{position}",
            "name": criterion.title,
            "score": criterion.points,
            "max_score": criterion.max_points,
            "status": "passed" if criterion.verdict == "passed" else "failed",
            "output": criterion_text(criterion),
            "output_format": "text",
            "name_format": "text",
            "tags": [f"level{level.level}", criterion.id, criterion.verdict],
            "visibility": "visible",
        }
        for level in student.levels
        for position, criterion in enumerate(level.criteria, 1)
    ]
