"""The gradebook as a table: one row a student, one column a criterion."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from grader.render.escape import csv_cell
from grader.render.gradebook import Gradebook, Student, criterion_of

CANVAS_COLUMNS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")


def render(book: Gradebook) -> str:
    """Return the gradebook as CSV; no points where nobody can say yet how many."""
    head = ["student", "status", "points", "max_points"]
    head += [f"level{level.level}" for level in book.levels]
    head += [f"level{level.level}.{criterion.id}" for level, criterion in book.criteria()]
    return written([[*head, "entry", "reason"], *(row(book, one) for one in book.students)])


def row(book: Gradebook, student: Student) -> list[str]:
    """Return the cells of one student."""
    known = student.levels if student.status != "rejected" else book.of(student)
    points = {level.level: level.points for level in known}
    cells = [student.name, student.status, number(student.points), number(book.max_points)]
    cells += [number(points.get(level.level)) for level in book.levels]
    for level, criterion in book.criteria():
        found = criterion_of(known, level.level, criterion.id)
        cells.append(number(found.points if found else None))
    return [*cells, student.source, student.reason]


def canvas(book: Gradebook) -> str:
    """Return the gradebook as Canvas imports it: one assignment a level.

    Entries must be named after what Canvas calls the login (SIS Login ID). An empty cell changes nothing.
    """
    names = [f"nanograder level {level.level}" for level in book.levels]
    blank = [""] * (len(CANVAS_COLUMNS) - 1)
    rows = [
        [*CANVAS_COLUMNS, *names],
        ["    Points Possible", *blank, *(number(level.max_points) for level in book.levels)],
    ]
    for one in book.students:
        known = one.levels if one.status != "rejected" else book.of(one)
        points = {level.level: level.points for level in known}
        cells = [number(points.get(level.level)) for level in book.levels]
        rows.append([one.name, "", "", one.name, "", *cells])
    return written(rows)


def similar(book: Gradebook) -> str:
    """Return the pairs of submissions that share more than what was handed out, one row a pair."""
    head = ["left", "right", "score", "own", "same_files", "shared"]
    rows = [
        [
            *(", ".join(names) for names in (one.left, one.right)),
            *(number(one.score), number(one.own), "yes" if one.same else "no"),
            "; ".join(f"{place.left} {place.right}" for place in one.places),
        ]
        for one in (book.similarity.pairs if book.similarity else ())
    ]
    return written([head, *rows])


def number(points: float | None) -> str:
    """Return points as text; nothing where nobody can say."""
    return "" if points is None else f"{points:g}"


def written(rows: Iterable[Iterable[str]]) -> str:
    """Return rows as CSV, each cell harmless in a spreadsheet."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([csv_cell(cell) for cell in one] for one in rows)
    return text.getvalue()
