"""The page of a class: how the points are distributed, who holds which criterion, which laws break most."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from grader.render.escape import visible
from grader.render.gradebook import Gradebook, Student, criterion_of
from grader.render.pages import rendered
from grader.render.studentpage import path_of

BUCKETS = 10
MOST_PAIRS = 100
"""Of similar submissions; `grader report --format similar` has all."""
ODD = ("unstable", "timeout", "memory", "not run")
"""Verdicts that say less about a law than about how a program ran."""


@dataclass(frozen=True)
class Bar:
    """One bar of the distribution."""

    first: int
    last: int
    """Percent of the points."""
    count: int
    share: float
    """Of the highest bar, 0 to 1."""


@dataclass(frozen=True)
class Cell:
    """One student's criterion."""

    text: str
    share: float | None
    """Of its points, 0 to 1; None where nobody can say."""
    verdict: str


@dataclass(frozen=True)
class Rate:
    """How many students keep a law."""

    level: int
    criterion: str
    id: str
    title: str
    passed: int
    count: int

    @property
    def share(self) -> float:
        """The share of students that keep it."""
        return self.passed / self.count if self.count else 0.0


def render(book: Gradebook) -> str:
    """Return the page. It needs nothing but a browser."""
    rates = sorted(pass_rates(book), key=lambda one: (one.share, one.level, one.id))
    points = [one.points for one in book.students if one.points is not None]
    return rendered(
        "class.html",
        book=book,
        counts=Counter(one.status for one in book.students),
        mean=statistics.fmean(points) if points else None,
        median=statistics.median(points) if points else None,
        bars=distribution(points, book.max_points),
        criteria=list(book.criteria()),
        rows=[(one, path_of(one), cells_of(book, one)) for one in book.students],
        rates=rates,
        hardest=[one for one in rates if one.passed < one.count][:10],
        alike=alike(book),
        own=dict(book.similarity.own) if book.similarity else {},
        similarity=book.similarity,
        most_pairs=MOST_PAIRS,
        visible=visible,
        odd=list(odd_outcomes(book)),
        held=[one for one in book.students if one.status in ("held", "waiting")],
        rejected=[one for one in book.students if one.status == "rejected"],
        link=path_of,
    )


def distribution(points: list[float], max_points: float) -> list[Bar]:
    """Return how many students have how much of the points, in tenths; full marks are in the last."""
    counts = [0] * BUCKETS
    for one in points:
        counts[min(BUCKETS - 1, int(BUCKETS * one / max_points)) if max_points else 0] += 1
    highest = max(counts, default=0) or 1
    width = 100 // BUCKETS
    return [
        Bar(width * i, width * (i + 1) - (i < BUCKETS - 1), count, count / highest)
        for i, count in enumerate(counts)
    ]


def cells_of(book: Gradebook, student: Student) -> list[Cell]:
    """Return a student's cells, in the order of the criteria."""
    cells = []
    for level, criterion in book.criteria():
        found = criterion_of(student.levels, level.level, criterion.id)
        if found is None:
            cells.append(Cell("–", None, student.status))  # noqa: RUF001  # a dash, for a reader
        else:
            share = found.points / found.max_points if found.max_points else 0.0
            cells.append(Cell(f"{found.points:g}", share, found.verdict))
    return cells


def pass_rates(book: Gradebook) -> Iterator[Rate]:
    """Yield each law, with how many of the students that were graded keep it."""
    passed: Counter[tuple[int, str]] = Counter()
    count: Counter[tuple[int, str]] = Counter()
    for student in book.students:
        for level in student.levels:
            for criterion in level.criteria:
                for one in criterion.properties:
                    count[level.level, one.id] += 1
                    passed[level.level, one.id] += one.verdict == "passed"
    for level, criterion in book.criteria():
        for one in criterion.properties:
            name = (level.level, one.id)
            yield Rate(level.level, criterion.id, one.id, one.title, passed[name], count[name])


def alike(book: Gradebook) -> list[list[Student]]:
    """Return the groups of students that handed in the very same files."""
    groups: dict[str, list[Student]] = defaultdict(list)
    for one in book.students:
        if one.tree:
            groups[one.tree].append(one)
    return [group for group in groups.values() if len(group) > 1]


def odd_outcomes(book: Gradebook) -> Iterator[tuple[Student, int, str, str]]:
    """Yield student, level, law and verdict where a program did not answer, or not twice the same."""
    for student in book.students:
        for level in student.levels:
            for criterion in level.criteria:
                for one in criterion.properties:
                    if one.verdict in ODD:
                        yield student, level.level, one.id, one.verdict
