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

from grader.bugs import catalogue, variant

from .hostile import HOSTILE, sources_of

ROOT = Path(__file__).parents[3]
BUGS = [bug for bug in catalogue.load(3) if bug.classic]
ALTERNATES = sorted(path.parent for path in (ROOT / "tests" / "alternates").glob("*/nanochat"))

Grade = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="session")
def submissions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every submission whose verdicts are known, by name."""
    sources = variant.sources_of(ROOT / "reference" / "nanochat")
    found = {"reference": ROOT / "reference", "student": ROOT / "student"}
    found |= {f"alternate {folder.name}": folder for folder in ALTERNATES}
    for bug in BUGS:
        folder = tmp_path_factory.mktemp(bug.id)
        variant.write(variant.with_bugs(sources, [bug]), folder)
        found[f"bug {bug.id}"] = folder
    for case in HOSTILE:
        folder = tmp_path_factory.mktemp("hostile")
        variant.write(sources_of(case, sources), folder)
        found[f"hostile {case.name}"] = folder
    return found


@pytest.fixture(scope="session")
def grade(submissions: dict[str, Path]) -> Grade:
    """Return the record of `grader run --level 3` for a submission by name; two are graded at a time."""
    pool = ThreadPoolExecutor(max_workers=2)

    def run(name: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "grader", "run", "--level", "3", "--json", "--submission"]
        result = subprocess.run(
            [*command, submissions[name]], capture_output=True, text=True, check=False, env=dict(os.environ)
        )
        assert result.returncode in (0, 1), result.stderr
        record: dict[str, Any] = json.loads(result.stdout)
        assert (result.returncode == 0) == all(c["verdict"] == "passed" for c in criteria(record).values())
        return record

    started: dict[str, Future[dict[str, Any]]] = {name: pool.submit(run, name) for name in submissions}
    return cache(lambda name: started[name].result())


def criteria(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the criteria of a record by id."""
    return {criterion["id"]: criterion for criterion in record["levels"][0]["criteria"]}
