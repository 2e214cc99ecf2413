"""One student's result for GitHub Classroom: the step output `result` of a grader action."""

from __future__ import annotations

import base64
import json

from grader.render.escape import log_text
from grader.render.gradebook import Gradebook, Student
from grader.render.prose import criterion_text

LONGEST_MESSAGE = 500
"""As GitHub's own runners cut it."""


def render(book: Gradebook, student: Student) -> str | None:
    """Return the line that belongs into $GITHUB_OUTPUT; None where the grader failed."""
    if student.points is None:
        return None
    # Base64, because that is what the reporter reads; it also keeps the log free of what a submission says.
    record = json.dumps(content(book, student), allow_nan=False)
    return f"result={base64.b64encode(record.encode()).decode()}\n"


def content(book: Gradebook, student: Student) -> dict[str, object]:
    """Return what the line holds: a test for each criterion, with the points that it earns."""
    tests = [
        {
            "name": f"level{level.level} {criterion.id}: {criterion.title}",
            "status": "pass" if criterion.verdict == "passed" else "fail",
            "score": criterion.points,
            "message": log_text(criterion_text(criterion, longest=LONGEST_MESSAGE)),
            "test_code": "",
            "filename": "",
            "line_no": 0,
        }
        for level in student.levels
        for criterion in level.criteria
    ]
    if student.status == "rejected":
        message = log_text(f"not graded: {student.reason}")
        tests = [{"name": "submission", "status": "error", "score": 0, "message": message}]
    holds = student.status == "graded" and all(test["status"] == "pass" for test in tests)
    status = "error" if student.status == "rejected" else "pass" if holds else "fail"
    return {"version": 1, "status": status, "max_score": book.max_points, "tests": tests}
