"""Level 3 under pytest: nothing is missing, and a failure says what a report would say."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

from grader import levels

PYTEST = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
LEVEL_3 = Path(__file__).parents[2] / "test_level3.py"


def test_every_property_is_exposed() -> None:
    """The test file holds each property of level 3 once, under a name that pytest collects."""
    names = runpy.run_path(str(LEVEL_3))
    exposed = [value.law.id for name, value in names.items() if name.startswith("test_")]
    assert exposed == [law.id for law in levels.load(3).laws]


def test_failure_says_law_and_command(tmp_path: Path) -> None:
    """From any folder, a property that fails shows its law in words and the command for it alone."""
    package = tmp_path / "mine" / "nanochat"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "gpt.py").write_text("raise RuntimeError('not written yet')\n")
    law = levels.load(3).laws[0]
    test = f"{LEVEL_3}::test_{law.id.replace('.', '_')}"
    found = subprocess.run(
        [*PYTEST, test, "--submission", "mine", "--seed", "4"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 1, found.stdout + found.stderr
    assert f"{law.id}: {law.title}" in found.stdout
    assert "not written yet" in found.stdout
    assert "--submission mine --seed 4" in found.stdout


def test_a_folder_that_is_no_submission(tmp_path: Path) -> None:
    """A wrong folder ends the run with exit code 4 and the same message as the command's."""
    found = subprocess.run(
        [*PYTEST, str(LEVEL_3), "--submission=nowhere"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 4, found.stdout + found.stderr
    assert "submission nowhere: there is no such folder" in found.stdout + found.stderr
