"""The instrument itself: correct code passes, each bug is caught by its own criterion and by no other."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import ALTERNATES, BUGS, Grade, criteria

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


@pytest.mark.parametrize("name", ["reference", *(f"alternate {folder.name}" for folder in ALTERNATES)])
def test_correct_code_passes_every_property(grade: Grade, name: str) -> None:
    record = grade(name)
    assert complaints(record) == {}
    assert all(c["points"] == c["max_points"] > 0 for c in criteria(record).values())


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.id)
def test_a_bug_breaks_its_own_criterion_and_no_other(grade: Grade, bug: Any) -> None:
    record = grade(f"bug {bug.id}")
    assert broken(record) == {bug.criterion}, complaints(record)
    assert set(bug.expected) <= set(complaints(record))
    for law in criteria(record)[bug.criterion]["properties"]:
        if law["verdict"] != "passed":
            assert law["message"], f"{law['id']} does not say what is wrong"


def test_the_student_copy_breaks_exactly_its_five_criteria(grade: Grade) -> None:
    record = grade("student")
    assert broken(record) == {bug.criterion for bug in BUGS if bug.classic}, complaints(record)


def test_there_are_enough_properties(grade: Grade) -> None:
    counts = {name: len(criterion["properties"]) for name, criterion in criteria(grade("reference")).items()}
    assert sum(counts.values()) >= 45
    assert min(counts.values()) >= 5, counts


def test_at_least_six_alternates_are_graded() -> None:
    assert len(ALTERNATES) >= 6
