"""Records survive refactorings of the reference, or are refused: they never change something else."""

from __future__ import annotations

import pytest

from grader.bugs import catalogue, variant
from grader.bugs.pattern import PatternError

from . import refactorings
from .refactorings import Refactoring, form

FILES = ("gpt.py", "engine.py", "tools.py")
REFERENCE = variant.sources_of(catalogue.REFERENCE)
BUGS = catalogue.load(3)

MECHANICAL: list[Refactoring] = [
    refactorings.narrow,
    refactorings.with_comments,
    refactorings.reordered,
    refactorings.with_checks,
    refactorings.renamed,
]


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("refactoring", MECHANICAL, ids=lambda one: one.__name__)
def test_patterns_survive_and_never_apply_wrongly(refactoring: Refactoring) -> None:
    moved = {**REFERENCE, **{name: refactoring(REFERENCE[name]) for name in FILES}}
    assert moved != REFERENCE
    applied = 0
    for bug in BUGS:
        try:
            got = variant.with_bugs(moved, [bug])
        except PatternError:
            continue  # refused by name, as it should be
        applied += 1
        first = variant.with_bugs(REFERENCE, [bug])
        touched = {edit.file for edit in bug.edits}
        assert {name for name in moved if got[name] != moved[name]} == touched
        for name in touched:
            # Formatting a variant anew could move its own lines, so there the form alone is compared.
            want = first[name] if refactoring is refactorings.narrow else refactoring(first[name])
            assert form(got[name]) == form(want), f"{bug.id} became something else in {name}"
    assert applied >= 0.85 * len(BUGS), f"{applied} of {len(BUGS)} records survive"
