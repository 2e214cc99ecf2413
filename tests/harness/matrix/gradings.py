"""The gradings that the tests of this folder ask for, made beside the other tests: they take minutes."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from grader import levels
from grader.alternates import alternates
from grader.bugs import catalogue, variant
from grader.bugs.bug import Bug
from tests.harness.background import Background

from .hostile import HOSTILE, sources_of

ROOT = Path(__file__).parents[3]
LEVELS = [levels.read(number) for number in levels.numbers()]
CLASSIC = [bug for level in LEVELS for bug in catalogue.load(level.number) if bug.classic]
CORRECT = [
    (level.number, name)
    for level in LEVELS
    for name in ("reference", *(f"alternate {folder.name}" for folder in alternates(level.files)))
]
"""Every level with each program that must pass it."""

EXHAUSTIVE = ("bug ", "other levels")
"""How the names begin of what only exhaustive tests ask for: graded when they do."""

Key = tuple[int, str]
"""A level and the name of a submission."""


class Gradings:
    """The record of `grader run` for submissions whose verdicts are known, each graded once."""

    def __init__(self, background: Background) -> None:
        self._background = background
        self._folder = Path(tempfile.mkdtemp(prefix="matrix-"))
        self._submissions = submissions(self._folder)
        for key in self._submissions:
            if not key[1].startswith(EXHAUSTIVE):
                self._begin(*key)

    def __call__(self, level: int, name: str) -> dict[str, Any]:
        """Return the record of a submission, as soon as there is one."""
        if not self._background.begun(("matrix", level, name)):
            self._begin(level, name)
        done = self._background.result(("matrix", level, name))
        assert done.returncode in (0, 1), done.stderr
        record: dict[str, Any] = json.loads(done.stdout)
        passed = all(criterion["verdict"] == "passed" for criterion in criteria(record).values())
        assert (done.returncode == 0) == passed
        return record

    def _begin(self, level: int, name: str) -> None:
        command = [sys.executable, "-m", "grader", "run", "--level", str(level), "--jobs", "1", "--json"]
        only = {f"hostile {case.name}": ["--only", case.only] for case in HOSTILE}.get(name, [])
        submission = ["--submission", str(self._submissions[level, name])]
        self._background.begin(("matrix", level, name), [*command, *only, *submission])

    def close(self) -> None:
        """Remove the submissions."""
        shutil.rmtree(self._folder, ignore_errors=True)


def submissions(folder: Path) -> dict[Key, Path]:
    """Write every submission whose verdicts are known below a folder; return where each lies."""
    sources = variant.sources_of(ROOT / "reference" / "nanochat")

    def written(texts: dict[str, str]) -> Path:
        place = Path(tempfile.mkdtemp(dir=folder))
        variant.write(texts, place)
        return place

    def with_bugs(bugs: list[Bug]) -> Path:
        return written(variant.with_bugs(sources, bugs))

    found = {}
    for level in LEVELS:
        named = {"reference": ROOT / "reference", "student": ROOT / "student"}
        named |= {f"alternate {folder.name}": folder for folder in alternates(level.files)}
        named |= {f"bug {bug.id}": with_bugs([bug]) for bug in CLASSIC if bug.level == level.number}
        named["other levels"] = with_bugs([bug for bug in CLASSIC if bug.level != level.number])
        found |= {(level.number, name): folder for name, folder in named.items()}
    return found | {(3, f"hostile {case.name}"): written(sources_of(case, sources)) for case in HOSTILE}


def criteria(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the criteria of a record by id."""
    return {criterion["id"]: criterion for criterion in record["levels"][0]["criteria"]}
