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

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def rows() -> dict[str, Any]:
    """What came of each scenario, by name."""
    script = Path(__file__).parent / "scenarios.py"
    done = run_python(str(script), str(ROOT / "reference"))
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def run_python(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python in an environment that is fit for a warm session."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **FORKABLE, "PYTHONPATH": path, **variables},
    )
