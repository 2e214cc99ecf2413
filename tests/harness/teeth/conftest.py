"""Begins the judging of the broken programs when their tests are among those that will run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from grader import levels
from tests.harness.background import BACKGROUND, wanted

from . import judge

Outcomes = dict[str, dict[str, str]]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Judge each level's programs in a warm session."""
    if not wanted(session, "judged"):
        return
    for level in levels.numbers():
        session.config.stash[BACKGROUND].begin_warm(("teeth", level), judge.__file__, str(level))


@pytest.fixture(scope="session")
def judged(request: pytest.FixtureRequest) -> Callable[[int], Outcomes]:
    """Return what gives the outcome of each property of a level's file."""
    return lambda level: request.config.stash[BACKGROUND].loaded(("teeth", level))
