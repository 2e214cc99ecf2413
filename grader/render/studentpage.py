"""One student's page: criteria, each broken law in words, and the smallest input that breaks it.

It says nothing of the seed, of other students, or of times.
"""

from __future__ import annotations

import hashlib
import re

from grader.render.escape import visible
from grader.render.gradebook import Gradebook, Student
from grader.render.pages import rendered
from grader.render.picture import cells

FOLDER = "students"


def render(book: Gradebook, student: Student) -> str:
    """Return the page. It needs nothing but a browser."""
    return rendered(
        "student.html",
        student=student,
        levels=student.levels,
        max_points=book.max_points,
        visible=visible,
        cells_of=cells,
    )


def path_of(student: Student) -> str:
    """Return where a student's page lies, seen from the class's."""
    return f"{FOLDER}/{file_name(student.name)}.html"


def file_name(student: str) -> str:
    """Return a name for a student's file that is safe everywhere, another one for each student."""
    plain = re.sub(r"[^A-Za-z0-9._@+-]", "_", student)
    if plain == student and len(plain) <= 100 and not plain.startswith("."):
        return plain
    # Two names may become one where characters were replaced.
    return f"{plain.lstrip('.')[:100]}-{hashlib.sha256(student.encode()).hexdigest()[:8]}"
