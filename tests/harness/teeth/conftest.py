"""Begins the judging of the broken programs when their tests are among those that will run."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable

import pytest

from grader import levels
from grader.sandbox.warm import FORKABLE
from tests.harness.background import BACKGROUND, wanted

from . import judge

ROOT = judge.HERE.parents[2]
Outcomes = dict[str, dict[str, str]]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Judge each level's programs in a warm session."""
    if not wanted(session, "judged"):
        return
    variables = {**FORKABLE, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    for level in levels.numbers():
        command = [sys.executable, judge.__file__, str(level)]
        session.config.stash[BACKGROUND].begin(("teeth", level), command, variables)


@pytest.fixture(scope="session")
def judged(request: pytest.FixtureRequest) -> Callable[[int], Outcomes]:
    """Return what gives the outcome of each property of a level's file."""

    def of(level: int) -> Outcomes:
        done = request.config.stash[BACKGROUND].result(("teeth", level))
        assert done.returncode == 0, done.stderr
        found: Outcomes = json.loads(done.stdout)
        return found

    return of
