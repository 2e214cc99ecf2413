"""Rows repeated by `grader run` in fresh, isolated processes: the warm session must have told the truth."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from grader.bugs import variant
from grader.matrix.job import fingerprint
from grader.matrix.outcome import Row, differences
from grader.report import Verdict
from specs.outcomes import GraderFault

SHARE = 0.05


def chosen(rows: Mapping[str, Row], seed: int) -> list[str]:
    """Return the rows to repeat: those nothing noticed, those that came out oddly, and some more."""
    odd = {"timeout", "memory", "unstable", "not run"}
    must = [
        name
        for name, row in rows.items()
        if not row.killers or any(cell.verdict in odd or cell.kind == "died" for cell in row.cells)
    ]
    rest = sorted(set(rows) - set(must), key=lambda name: fingerprint(f"{seed}|{name}"))
    return must + rest[: max(1, round(SHARE * len(rows)))]


def repeated(
    sources: Mapping[str, Mapping[str, str]],
    rows: Mapping[str, Row],
    names: Sequence[str],
    level: int,
    seed: int,
    jobs: int,
) -> dict[str, list[str]]:
    """Return what differs between the warm rows and fresh ones, by name. Raises GraderFault.

    Threads wait for the processes: nothing may be forked any more in this one.
    """
    with ThreadPoolExecutor(jobs) as pool:
        fresh = list(pool.map(lambda name: verdicts(sources[name], level, seed), names))
    return {name: differences(rows[name].verdicts(), found) for name, found in zip(names, fresh, strict=True)}


def verdicts(texts: Mapping[str, str], level: int, seed: int) -> dict[str, Verdict]:
    """Return the verdict of each property on a variant that lies in a folder, by `grader run`."""
    with tempfile.TemporaryDirectory(prefix="nanograder-") as folder:
        variant.write(dict(texts), Path(folder))
        command = [sys.executable, "-m", "grader", "run", "--level", str(level), "--submission", folder]
        command += ["--seed", str(seed), "--isolation", "basic", "--jobs", "1", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise GraderFault(f"grader run ended with exit code {done.returncode}: {done.stderr[-2000:]}")
    report: dict[str, Any] = json.loads(done.stdout)
    return {
        law["id"]: law["verdict"]
        for part in report["levels"]
        for criterion in part["criteria"]
        for law in criterion["properties"]
    }
