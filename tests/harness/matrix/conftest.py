"""Grades many submissions, two at a time, each once for all tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from grader import levels
from grader.alternates import alternates
from grader.bugs import catalogue, variant
from grader.bugs.bug import Bug

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

Grade = Callable[[int, str], dict[str, Any]]


@pytest.fixture(scope="session")
def submissions(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, str], Path]:
    """Every submission whose verdicts are known, by level and name."""
    sources = variant.sources_of(ROOT / "reference" / "nanochat")

    def written(texts: dict[str, str]) -> Path:
        folder = tmp_path_factory.mktemp("submission")
        variant.write(texts, folder)
        return folder

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


@pytest.fixture(scope="session")
def grade(submissions: dict[tuple[int, str], Path]) -> Grade:
    """Return the record of `grader run` for a level and a submission's name; two are graded at a time."""
    pool = ThreadPoolExecutor(max_workers=2)

    def run(level: int, name: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "grader", "run", "--level", str(level), "--json"]
        only = {f"hostile {case.name}": ["--only", case.only] for case in HOSTILE}.get(name, [])
        result = subprocess.run(
            [*command, *only, "--submission", submissions[level, name]],
            capture_output=True,
            text=True,
            check=False,
            env=dict(os.environ),
        )
        assert result.returncode in (0, 1), result.stderr
        record: dict[str, Any] = json.loads(result.stdout)
        assert (result.returncode == 0) == all(c["verdict"] == "passed" for c in criteria(record).values())
        return record

    started: dict[tuple[int, str], Future[dict[str, Any]]] = {
        key: pool.submit(run, *key) for key in submissions if not key[1].startswith("bug ")
    }
    return cache(lambda *key: started[key].result() if key in started else run(*key))


def criteria(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the criteria of a record by id."""
    return {criterion["id"]: criterion for criterion in record["levels"][0]["criteria"]}
