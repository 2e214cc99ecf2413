"""Every property can fail: it notices a program that breaks it, a bug of the catalogue or one kept here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from typing import Any

import pytest

from grader import levels
from grader.bugs import catalogue
from grader.sandbox.warm import FORKABLE

from . import judge

ROOT = judge.HERE.parents[2]
LEVELS = levels.numbers()


def programs(level: int) -> dict[str, dict[str, Any]]:
    """Return the entries of a level's file, by the property that they are for."""
    entries = judge.programs(level)
    found = {entry["id"]: entry for entry in entries}
    assert len(found) == len(entries), "one program for each property"
    return found


@cache
def judged(level: int) -> dict[str, dict[str, str]]:
    """Return what came of each property of a level's file."""
    done = subprocess.run(
        [sys.executable, judge.__file__, str(level)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **FORKABLE, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, str]] = json.loads(done.stdout)
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
def test_a_property_notices_what_breaks_it(level: int, law: str) -> None:
    assert judged(level)[law]["kind"] != "passed", f"{law} has no teeth: {programs(level)[law]}"
