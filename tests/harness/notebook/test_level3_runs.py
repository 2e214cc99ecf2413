"""The notebook as pytest runs it: which cells fail on which submission.

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

from grader.bugs import catalogue, variant

pytest.importorskip("nbval", reason="runs notebooks under pytest")

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
NOTEBOOK = ROOT / "notebooks" / "level3.ipynb"
CLASSIC = [bug for bug in catalogue.load(3) if bug.classic]
ALTERNATES = sorted(
    folder.parent.name for folder in (ROOT / "tests" / "alternates").glob("*/nanochat") if folder.is_dir()
)


def failing_cells(submission: Path | None, *, folder: Path = ROOT) -> list[str]:
    """Return the names of the cells that fail under nbval; every cell must have an outcome."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("NANOCHAT_SUBMISSION", None)
    if submission is not None:
        environment["NANOCHAT_SUBMISSION"] = str(submission)
    command = [sys.executable, "-m", "pytest", "--nbval", str(ROOT / "notebooks"), "-rA", "--color=no"]
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    outcomes = dict(re.findall(r"^(?:(?=PASSED|FAILED|ERROR))(?:\w+) .*::Cell (\d+)()", ran.stdout, re.M))
    failed = [int(cell) for cell in re.findall(r"^(?:FAILED|ERROR) .*::Cell (\d+)", ran.stdout, re.M)]
    names = [cell["id"] for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    assert sorted(map(int, outcomes)) == list(range(len(names))), ran.stdout + ran.stderr
    assert ran.returncode == (1 if failed else 0), ran.stdout + ran.stderr
    return [names[cell] for cell in failed]


def acceptance(*criteria: str) -> list[str]:
    order = ["rotary", "attention", "grouped", "cache", "sampling", "memory", "tools"]
    return [f"{criterion}-acceptance" for criterion in order if criterion in criteria]


def test_the_student_copy_is_the_default() -> None:
    """Without the variable, student/ runs, and each of its five broken criteria fails in its own cell."""
    assert failing_cells(None) == acceptance("rotary", "grouped", "cache", "memory", "tools")


def test_the_reference_passes() -> None:
    assert failing_cells(Path("reference")) == []


def test_stored_texts_are_what_a_run_prints(build: ModuleType) -> None:
    """Running the source again prints what is stored and draws as many pictures; pixels are not compared."""

    def shown(cell: dict[str, Any]) -> list[str]:
        return [output.get("text") or output["data"]["text/plain"] for output in cell["outputs"]]

    made = build.cells(build.SOURCE.read_text(encoding="utf-8"))
    build.run([cell for cell in made if cell["cell_type"] == "code"], build.SUBMISSION)
    stored = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    for cell, now in zip(stored, made, strict=True):
        if cell["cell_type"] == "code":
            assert shown(cell) == shown(now), f"{cell['id']}: run python notebooks/build.py"


def test_another_working_directory_and_a_chattering_submission(tmp_path: Path) -> None:
    """An absolute path, pytest started elsewhere, and a submission that prints and warns: all cells pass."""
    sources = variant.sources_of(ROOT / "reference" / "nanochat")
    noise = '\nimport sys as _sys\n\nprint("hello")\nprint("hello", file=_sys.stderr)\n'
    variant.write({name: text + noise for name, text in sources.items()}, tmp_path)
    assert failing_cells(tmp_path, folder=tmp_path) == []


@pytest.mark.parametrize("bug", CLASSIC, ids=lambda bug: bug.id)
def test_each_bug_fails_in_its_own_cell(bug: catalogue.Bug, tmp_path: Path) -> None:
    """One bug alone breaks the acceptance cell of its own criterion and no other cell."""
    sources = variant.sources_of(ROOT / "reference" / "nanochat")
    variant.write(variant.with_bugs(sources, [bug]), tmp_path)
    assert failing_cells(tmp_path) == acceptance(bug.criterion)


@pytest.mark.exhaustive
@pytest.mark.parametrize("alternate", ALTERNATES)
def test_correct_rewrites_pass(alternate: str) -> None:
    assert failing_cells(Path("tests", "alternates", alternate)) == []
