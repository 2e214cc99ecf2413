"""The same bytes from every version of Python that is on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = Path(__file__).with_name("variants_of_seeds.py")
SEEDS = ["7", "8", "a student's seed"]
VERSIONS = ("3.12", "3.13", "3.14")


def interpreter(version: str) -> str | None:
    """Return a Python of a version that works here, None if there is none."""
    name = f"python{version}"
    installed = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/{name}"))
    for path in [shutil.which(name), *map(str, installed)]:
        if path and subprocess.run([path, "-c", "0"], capture_output=True, check=False).returncode == 0:
            return path
    return None


def hashes(python: str) -> str:
    """Return what a Python makes of the seeds."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [python, SCRIPT, *SEEDS], capture_output=True, text=True, check=False, env=environment
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("version", VERSIONS)
def test_another_python_makes_the_same_bytes(version: str) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    made = hashes(python)
    assert len({line.split()[-1] for line in made.splitlines()}) == len(SEEDS)
    assert made == hashes(sys.executable)
