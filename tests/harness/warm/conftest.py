"""A warm session needs an interpreter of its own; its tests share one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from grader.sandbox.warm import FORKABLE
from tests.harness.background import BACKGROUND, wanted

ROOT = Path(__file__).parents[3]


MUTATE = ["-m", "grader", "mutate", "tools.py", "--sample", "6", "--seed", "3", "--json"]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin what takes half a minute, if a test will ask for it."""
    background = session.config.stash[BACKGROUND]
    if wanted(session, "rows"):
        script = str(Path(__file__).parent / "scenarios.py")
        background.begin(("warm", "rows"), [sys.executable, script, str(ROOT / "reference")], variables())
    if wanted(session, "mutated"):
        background.begin(("warm", "mutated"), [sys.executable, *MUTATE, "/dev/stdout"], variables())


@pytest.fixture(scope="session")
def rows(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What came of each scenario, by name."""
    done = request.config.stash[BACKGROUND].result(("warm", "rows"))
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="session")
def mutated(request: pytest.FixtureRequest) -> subprocess.CompletedProcess[str]:
    """What came of judging some mutants: the table, and behind it what is written as JSON."""
    return request.config.stash[BACKGROUND].result(("warm", "mutated"))


def variables() -> dict[str, str]:
    """Return the environment that is fit for a warm session."""
    return {**FORKABLE, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}


def run_python(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run Python in an environment that is fit for a warm session."""
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **variables(), **more},
    )
