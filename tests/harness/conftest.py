"""What runs beside the tests, for all folders of tests here."""

from __future__ import annotations

import pytest

from .background import BACKGROUND, Background


def pytest_configure(config: pytest.Config) -> None:
    """Make room for what the folders will begin when their tests are known."""
    config.stash[BACKGROUND] = Background()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End whatever still runs."""
    session.config.stash[BACKGROUND].close()
