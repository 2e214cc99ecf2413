"""The notebooks as pytest runs them: which cells fail on which submission.

Each broken copy of the reference fails in the acceptance cell of its own criterion and nowhere else; correct
code, however it is written, fails nowhere.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from grader import levels
from grader.alternates import alternates
from grader.bugs import catalogue, variant

pytest.importorskip("nbval", reason="runs notebooks under pytest")

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
LEVELS = [number for number in levels.numbers() if (ROOT / "notebooks" / f"level{number}.ipynb").is_file()]
CLASSIC = [bug for number in LEVELS for bug in catalogue.load(number) if bug.classic]
ALTERNATES = [(number, folder) for number in LEVELS for folder in alternates(levels.read(number).files)]


def failing_cells(level: int, submission: Path | None, *, folder: Path = ROOT) -> list[str]:
    """Return the names of the cells of a level that fail under nbval; every cell must have an outcome."""
    notebook = notebook_of(level)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("NANOCHAT_SUBMISSION", None)
    if submission is not None:
        environment["NANOCHAT_SUBMISSION"] = str(submission)
    command = [sys.executable, "-m", "pytest", "--nbval", str(notebook), "-rA", "--color=no"]
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    outcomes = dict(re.findall(r"^(?:(?=PASSED|FAILED|ERROR))(?:\w+) .*::Cell (\d+)()", ran.stdout, re.M))
    failed = [int(cell) for cell in re.findall(r"^(?:FAILED|ERROR) .*::Cell (\d+)", ran.stdout, re.M)]
    names = [cell["id"] for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
    assert sorted(map(int, outcomes)) == list(range(len(names))), ran.stdout + ran.stderr
    assert ran.returncode == (1 if failed else 0), ran.stdout + ran.stderr
    return [names[cell] for cell in failed]


def notebook_of(level: int) -> Path:
    return ROOT / "notebooks" / f"level{level}.ipynb"


def acceptance(level: int, criteria: set[str]) -> list[str]:
    order = [criterion.id for criterion in levels.read(level).criteria]
    return [f"{criterion}-acceptance" for criterion in order if criterion in criteria]


@pytest.mark.parametrize("level", LEVELS)
def test_the_student_copy_is_the_default(level: int) -> None:
    """Without the variable, student/ runs, and each of its broken criteria fails in its own cell."""
    broken = {bug.criterion for bug in CLASSIC if bug.level == level}
    assert broken
    assert failing_cells(level, None) == acceptance(level, broken)


@pytest.mark.parametrize("level", LEVELS)
def test_stored_texts_are_what_a_run_prints(build: ModuleType, level: int) -> None:
    """Running the source again prints what is stored and draws as many pictures; pixels are not compared."""

    def shown(cell: dict[str, Any]) -> list[str]:
        return [output.get("text") or output["data"]["text/plain"] for output in cell["outputs"]]

    notebook = notebook_of(level)
    made = build.cells(notebook.with_suffix(".py").read_text(encoding="utf-8"))
    build.run([cell for cell in made if cell["cell_type"] == "code"], build.SUBMISSION)
    stored = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    for cell, now in zip(stored, made, strict=True):
        if cell["cell_type"] == "code":
            assert shown(cell) == shown(now), f"{cell['id']}: run python notebooks/build.py"


@pytest.mark.parametrize("level", LEVELS[:1])  # all begin with the same cell
def test_another_working_directory_and_a_chattering_submission(level: int, tmp_path: Path) -> None:
    """An absolute path, pytest started elsewhere, and a submission that prints and warns: all cells pass."""
    sources = variant.sources_of(ROOT / "reference" / "nanochat")
    noise = '\nimport sys as _sys\n\nprint("hello")\nprint("hello", file=_sys.stderr)\n'
    variant.write({name: text + noise for name, text in sources.items()}, tmp_path)
    assert failing_cells(level, tmp_path, folder=tmp_path) == []


# The student copy shows that these cells fail and no others, but not which bug fails which.
@pytest.mark.exhaustive
@pytest.mark.parametrize("bug", CLASSIC, ids=lambda bug: bug.id)
def test_each_bug_fails_in_its_own_cell(bug: catalogue.Bug, tmp_path: Path) -> None:
    """One bug alone breaks the acceptance cell of its own criterion and no other cell."""
    sources = variant.sources_of(ROOT / "reference" / "nanochat")
    variant.write(variant.with_bugs(sources, [bug]), tmp_path)
    assert failing_cells(bug.level, tmp_path) == acceptance(bug.level, {bug.criterion})


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("level", "alternate"), ALTERNATES, ids=[f"{level}-{folder.name}" for level, folder in ALTERNATES]
)
def test_correct_rewrites_pass(level: int, alternate: Path) -> None:
    assert failing_cells(level, alternate) == []
