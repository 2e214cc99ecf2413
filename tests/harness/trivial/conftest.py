"""Begins the judging of these submissions when their tests are among those that will run."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.harness.background import BACKGROUND, wanted

from . import rows
from .trivial import TRIVIAL

Verdicts = dict[str, str]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Judge each level's submissions in a warm session."""
    if not wanted(session, "judged"):
        return
    for level in sorted({one.level for one in TRIVIAL}):
        given = json.dumps({one.name: one.sources for one in TRIVIAL if one.level == level})
        background = session.config.stash[BACKGROUND]
        background.begin_warm(("trivial", level), rows.__file__, str(level), given=given)


@pytest.fixture(scope="session")
def judged(request: pytest.FixtureRequest) -> Callable[[int], dict[str, Verdicts]]:
    """Return what gives the verdicts of a level's properties on each submission."""
    return lambda level: request.config.stash[BACKGROUND].loaded(("trivial", level))
