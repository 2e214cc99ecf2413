"""Begins the judging of these submissions when their tests are among those that will run."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from grader.sandbox.warm import FORKABLE
from tests.harness.background import BACKGROUND, wanted

from . import rows
from .trivial import TRIVIAL

ROOT = Path(__file__).parents[3]
Verdicts = dict[str, str]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Judge each level's submissions in a warm session."""
    if not wanted(session, "judged"):
        return
    variables = {**FORKABLE, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    for level in sorted({one.level for one in TRIVIAL}):
        given = json.dumps({one.name: one.sources for one in TRIVIAL if one.level == level})
        command = [sys.executable, rows.__file__, str(level)]
        session.config.stash[BACKGROUND].begin(("trivial", level), command, variables, given)


@pytest.fixture(scope="session")
def judged(request: pytest.FixtureRequest) -> Callable[[int], dict[str, Verdicts]]:
    """Return what gives the verdicts of a level's properties on each submission."""

    def of(level: int) -> dict[str, Verdicts]:
        done = request.config.stash[BACKGROUND].result(("trivial", level))
        assert done.returncode == 0, done.stderr
        found: dict[str, Verdicts] = json.loads(done.stdout)
        return found

    return of
