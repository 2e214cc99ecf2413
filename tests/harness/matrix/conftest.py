"""Starts the gradings when these tests are among those that will run, and ends them after the last test."""

from __future__ import annotations

import pytest

from tests.harness.background import BACKGROUND, wanted

from .gradings import Gradings

STARTED = pytest.StashKey[Gradings]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start grading if a test will ask for it."""
    if wanted(session, "grade"):
        session.config.stash[STARTED] = Gradings(session.config.stash[BACKGROUND])


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remove what was graded."""
    if started := session.config.stash.get(STARTED, None):
        started.close()


@pytest.fixture(scope="session")
def grade(request: pytest.FixtureRequest) -> Gradings:
    """Return what gives the record of `grader run` for a level and a submission's name."""
    return request.config.stash[STARTED]
