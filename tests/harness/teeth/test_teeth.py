"""Every property can fail: it notices a program that breaks it, a bug of the catalogue or one kept here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from grader import levels
from grader.bugs import catalogue

from . import judge

LEVELS = levels.numbers()


def programs(level: int) -> dict[str, dict[str, Any]]:
    """Return the entries of a level's file, by the property that they are for."""
    entries = judge.programs(level)
    found = {entry["id"]: entry for entry in entries}
    assert len(found) == len(entries), "one program for each property"
    return found


@pytest.mark.parametrize("level", LEVELS)
def test_every_property_has_a_program_that_breaks_it(level: int) -> None:
    every = {law.id for law in levels.load_laws(levels.read(level)).laws}
    named = {law for bug in catalogue.load(level) for law in bug.expected}
    assert every - named <= set(programs(level)) <= every


@pytest.mark.slow
@pytest.mark.parametrize(
    ("level", "law"),
    [(level, law) for level in LEVELS for law in programs(level)],
    ids=str,
)
def test_a_property_notices_what_breaks_it(
    level: int, law: str, judged: Callable[[int], dict[str, dict[str, str]]]
) -> None:
    assert judged(level)[law]["kind"] != "passed", f"{law} has no teeth: {programs(level)[law]}"
