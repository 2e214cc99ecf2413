"""The sandbox's own tests, run as an ordinary user and where namespaces are refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root on Linux"),
]


def run(where: str, *words: str) -> str:
    command = [sys.executable, str(HERE / "elsewhere.py"), where, sys.executable, *words]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=900)
    assert result.returncode == 0, f"{result.stdout[-6000:]}\n{result.stderr[-3000:]}"
    return result.stdout


@pytest.mark.parametrize(("where", "isolation"), [("user", "strict"), ("no-namespaces", "medium")])
def test_a_level_is_graded_elsewhere(where: str, isolation: str) -> None:
    words = ["run", "--level", "3", "--submission", "reference", "--only", "cache,tools"]
    shown = run(where, "-m", "grader", *words)
    assert f"isolation {isolation}" in shown
    assert "2 of 2 criteria hold" in shown


@pytest.mark.exhaustive
@pytest.mark.parametrize("where", ["user", "no-namespaces"])
def test_all_of_the_sandbox_and_every_cheat_elsewhere(where: str) -> None:
    tests = ["tests/harness/sandbox", "tests/harness/cheats"]
    shown = run(where, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)
    assert " passed" in shown


def test_an_unknown_place_is_refused() -> None:
    result = subprocess.run(
        [sys.executable, str(HERE / "elsewhere.py"), "moon", "true"], capture_output=True, check=False
    )
    assert result.returncode == 1
