"""The instrument itself: correct code passes, each bug is caught by its own criterion and by no other."""

from __future__ import annotations

from typing import Any

import pytest

from grader.bugs.bug import Bug
from grader.levels import Level

from .gradings import CLASSIC, CORRECT, LEVELS, Gradings, criteria

pytestmark = pytest.mark.slow


def broken(record: dict[str, Any]) -> set[str]:
    """Return the ids of the criteria that did not pass."""
    return {name for name, criterion in criteria(record).items() if criterion["verdict"] != "passed"}


def complaints(record: dict[str, Any]) -> dict[str, str]:
    """Return what is said of each property that did not pass."""
    return {
        law["id"]: f"{law['verdict']}: {law['message']} {law['counterexample']}"
        for criterion in criteria(record).values()
        for law in criterion["properties"]
        if law["verdict"] != "passed"
    }


@pytest.mark.parametrize(("level", "name"), CORRECT)
def test_correct_code_passes_every_property(grade: Gradings, level: int, name: str) -> None:
    record = grade(level, name)
    assert complaints(record) == {}
    assert all(c["points"] == c["max_points"] > 0 for c in criteria(record).values())


# The student copy shows as much in a tenth of the time, but not which bug it is that breaks too much.
@pytest.mark.exhaustive
@pytest.mark.parametrize("bug", CLASSIC, ids=lambda bug: bug.id)
def test_a_bug_breaks_its_own_criterion_and_no_other(grade: Gradings, bug: Bug) -> None:
    record = grade(bug.level, f"bug {bug.id}")
    assert broken(record) == {bug.criterion}, complaints(record)
    assert set(bug.expected) <= set(complaints(record))
    for law in criteria(record)[bug.criterion]["properties"]:
        if law["verdict"] != "passed":
            assert law["message"], f"{law['id']} does not say what is wrong"


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: f"level{level.number}")
def test_the_student_copy_breaks_exactly_the_criteria_of_its_bugs(grade: Gradings, level: Level) -> None:
    record = grade(level.number, "student")
    own = {bug.criterion for bug in CLASSIC if bug.level == level.number}
    assert broken(record) == own, complaints(record)


# The student copy holds the bugs of all levels, so it shows this but where a level's own bug hides it.
@pytest.mark.exhaustive
@pytest.mark.parametrize("level", LEVELS, ids=lambda level: f"level{level.number}")
def test_a_bug_of_one_level_disturbs_no_other_level(grade: Gradings, level: Level) -> None:
    record = grade(level.number, "other levels")
    assert complaints(record) == {}


@pytest.mark.parametrize(
    ("level", "properties", "each", "alternates"), [(1, 25, 4, 4), (2, 35, 4, 4), (3, 45, 5, 6)]
)
def test_there_is_enough_of_everything(
    grade: Gradings, level: int, properties: int, each: int, alternates: int
) -> None:
    record = grade(level, "reference")
    counts = {name: len(criterion["properties"]) for name, criterion in criteria(record).items()}
    assert sum(counts.values()) >= properties
    assert min(counts.values()) >= each, counts
    assert sum(number == level for number, _ in CORRECT) - 1 >= alternates
