"""The gradings that the tests of this folder ask for, made beside the other tests.

Thirty submissions take minutes, for which the other tests leave half of two processors idle. So they begin
when pytest knows that they will be asked for, and give way to whatever else runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

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

AT_ONCE = 2
NICE = 5
"""A call has 20 s, and at a quarter of a processor it still takes two; more would be too nice."""

EXHAUSTIVE = ("bug ", "other levels")
"""How the names begin of what only exhaustive tests ask for: graded when they do."""

Key = tuple[int, str]
"""A level and the name of a submission."""


class Gradings:
    """The record of `grader run` for submissions whose verdicts are known, each graded once."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="matrix-"))
        self._submissions = submissions(self._folder)
        self._pool = ThreadPoolExecutor(max_workers=AT_ONCE)
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._closed = False
        # A test that runs by then may change the environment.
        self._environment = dict(os.environ)
        self._started: dict[Key, Future[dict[str, Any]]] = {
            key: self._pool.submit(self._run, *key)
            for key in self._submissions
            if not key[1].startswith(EXHAUSTIVE)
        }

    def __call__(self, level: int, name: str) -> dict[str, Any]:
        """Return the record of a submission, as soon as there is one."""
        if (level, name) not in self._started:
            self._started[level, name] = self._pool.submit(self._run, level, name)
        return self._started[level, name].result()

    def _run(self, level: int, name: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "grader", "run", "--level", str(level), "--jobs", "1", "--json"]
        only = {f"hostile {case.name}": ["--only", case.only] for case in HOSTILE}.get(name, [])
        with self._lock:
            assert not self._closed, "no grading begins after the tests"
            process = subprocess.Popen(
                ["nice", "-n", str(NICE), *command, *only, "--submission", self._submissions[level, name]],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=self._environment,
                start_new_session=True,
            )
            self._running.add(process)
        said, complained = process.communicate()
        with self._lock:
            self._running.remove(process)
        assert process.returncode in (0, 1), complained
        record: dict[str, Any] = json.loads(said)
        assert (process.returncode == 0) == all(c["verdict"] == "passed" for c in criteria(record).values())
        return record

    def close(self) -> None:
        """End what still runs, for tests may stop before they have asked for everything."""
        with self._lock:
            self._closed = True
            for process in self._running:
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
        self._pool.shutdown(cancel_futures=True)
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
