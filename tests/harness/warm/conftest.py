"""A warm session needs an interpreter of its own; its tests share one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.harness.background import BACKGROUND, ROOT, wanted, warm_variables

MUTATE = ["-m", "grader", "mutate", "tools.py", "--sample", "6", "--seed", "3", "--json"]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin what takes half a minute, if a test will ask for it."""
    background = session.config.stash[BACKGROUND]
    if wanted(session, "rows"):
        script = str(Path(__file__).parent / "scenarios.py")
        background.begin_warm(("warm", "rows"), script, str(ROOT / "reference"))
    if wanted(session, "mutated"):
        background.begin_warm(("warm", "mutated"), *MUTATE, "/dev/stdout")


@pytest.fixture(scope="session")
def rows(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What came of each scenario, by name."""
    found: dict[str, Any] = request.config.stash[BACKGROUND].loaded(("warm", "rows"))
    return found


@pytest.fixture(scope="session")
def mutated(request: pytest.FixtureRequest) -> subprocess.CompletedProcess[str]:
    """What came of judging some mutants: the table, and behind it what is written as JSON."""
    return request.config.stash[BACKGROUND].result(("warm", "mutated"))


def run_python(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run Python in an environment that is fit for a warm session."""
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **warm_variables(), **more},
    )
