"""What does not hold as annotations of a job on GitHub: a workflow command for each broken criterion."""

from __future__ import annotations

from grader.render.escape import log_text
from grader.render.gradebook import Gradebook, Student
from grader.render.prose import criterion_text

LONGEST_MESSAGE = 4_000


def render(_: Gradebook, student: Student) -> str | None:
    """Return the lines to print, none where everything holds; None where the grader failed."""
    if student.points is None:
        return None
    if student.status == "rejected":
        return command("not graded", student.reason)
    return "".join(
        command(
            f"level {level.level}, {criterion.id}: {criterion.title}",
            criterion_text(criterion, longest=LONGEST_MESSAGE),
        )
        for level in student.levels
        for criterion in level.criteria
        if criterion.verdict != "passed"
    )


def command(title: str, message: str) -> str:
    """Return one annotation; what a submission said in it begins no line, and so no command."""
    property_text = escaped(title).replace(":", "%3A").replace(",", "%2C")
    return f"::error title={property_text}::{escaped(message)}\n"


def escaped(text: str) -> str:
    """Return text as GitHub wants the data of a workflow command."""
    return log_text(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
