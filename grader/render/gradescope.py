"""One student's result as Gradescope's `results.json`.

What a level's file shows only after the deadline stands in tests of their own, for no points, that
Gradescope uncovers by itself. While any test is covered it does not show the total either: that is its rule.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from grader.render.escape import visible
from grader.render.gradebook import Gradebook, Student
from grader.render.prose import criterion_text, property_lines
from grader.render.students import for_students


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
        record |= {
            "output": f"{student.points:g} of {book.max_points:g} points.",
            "tests": [*tests(student), *later(student)],
        }
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


def later(student: Student) -> Iterator[dict[str, Any]]:
    """Yield a test for no points for each criterion of which more is shown after the deadline."""
    now = {(level.level, one.id): one for level in student.levels for one in level.criteria}
    for level in student.report.levels if student.report else ():
        for criterion in for_students(level, after_deadline=True).criteria:
            shown = now[level.level, criterion.id].properties
            more = [
                one
                for one, known in zip(criterion.properties, shown, strict=True)
                if one.message != known.message
            ]
            if more:
                yield {
                    "name": f"{criterion.title}: after the deadline",
                    "score": 0.0,
                    "max_score": 0.0,
                    "output": visible(
                        "\n".join(line for one in more for line in ("", *property_lines(one)))
                    ).strip(),
                    "output_format": "text",
                    "visibility": "after_due_date",
                }
