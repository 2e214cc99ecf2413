"""What runs beside the tests, for all folders of tests here."""

from __future__ import annotations

import pytest

from .background import BACKGROUND, Background

WAITING = {"grade", "judged", "mutated", "rows"}
"""The fixtures that wait for it."""


def pytest_configure(config: pytest.Config) -> None:
    """Make room for what the folders will begin when their tests are known."""
    config.stash[BACKGROUND] = Background()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests last that ask for what runs beside the others, in the order in which that begins."""
    items.sort(key=lambda item: bool(WAITING & set(getattr(item, "fixturenames", ()))))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End whatever still runs."""
    session.config.stash[BACKGROUND].close()


@pytest.fixture(scope="session")
def background(pytestconfig: pytest.Config) -> Background:
    """Return what runs beside the tests, for one that looks at processes."""
    return pytestconfig.stash[BACKGROUND]
