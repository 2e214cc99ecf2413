"""How many patterns of bugs survive a refactoring of the reference, and whether any applies wrongly.

    python benchmarks/patterns.py [--every N] [--json FILE]

A bug *applies* if its edits fit the refactored reference, and is *refused* if they do not. It applies
*wrongly* if its witness then finds something else than with the bug in the reference itself, or nothing.
Exits with 1 if one does, or if fewer than 85 % apply.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: this process is forked

import torch
from refactorings import REFACTORINGS

from grader.bugs import catalogue, variant
from grader.bugs.bug import Bug
from grader.bugs.pattern import PatternError
from grader.bugs.witness import differ, imported, outcome

ROOT = Path(__file__).parents[1]
WANTED = 0.85
SECONDS = 60
"""Of processor time: what one witness may take before it counts as stopped. The slowest takes a few. On the
clock it may take ten times as long, for a machine that does much else and for code that waits."""

DATA_BYTES = 4 << 30
Sources = dict[str, str]


def main() -> int:
    """Measure and print a table; return the exit code."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--every", type=int, default=1, metavar="N", help="only every Nth bug")
    options.add_argument("--json", type=Path, metavar="FILE", help="write each verdict")
    arguments = options.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)  # fills memory that broken caches read and nobody wrote
    start = time.perf_counter()
    bugs = catalogue.load(3)[:: arguments.every]
    reference = variant.sources_of(ROOT / "reference" / "nanochat")
    versions = {name: refactor(reference) for name, refactor in REFACTORINGS.items()}
    checked = require_same_behaviour(reference, versions, sorted({bug.witness for bug in bugs}))
    expected = {bug.id: witnessed(variant.with_bugs(reference, [bug]), bug.witness) for bug in bugs}
    verdicts = {
        name: {bug.id: verdict(bug, sources, expected[bug.id], checked[bug.witness]) for bug in bugs}
        for name, sources in versions.items()
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(verdicts, indent=1) + "\n", encoding="utf-8")
    return report(verdicts, time.perf_counter() - start)


def require_same_behaviour(
    reference: Sources, versions: dict[str, Sources], names: list[str]
) -> dict[str, Any]:
    """Return what each witness finds in the reference. SystemExit if it finds another thing in a version."""
    found = {name: witnessed(reference, name) for name in names}
    for version, sources in versions.items():
        if sources == reference:
            raise SystemExit(f"{version}: it changes nothing")
        for name in names:
            other = witnessed(sources, name)
            if differ(found[name], other):
                raise SystemExit(
                    f"{version}: the witness {name} finds {other}, in the reference {found[name]}"
                )
    return found


def verdict(bug: Bug, sources: Sources, expected: Any, clean: Any) -> str:
    """Return "applies", "refused" or "wrong" for one bug on one refactored reference."""
    try:
        broken = variant.with_bugs(sources, [bug])
    except PatternError:
        return "refused"
    found = witnessed(broken, bug.witness)
    return "wrong" if differ(expected, found) or not differ(clean, found) else "applies"


def witnessed(sources: Sources, name: str) -> Any:
    """Return what a witness finds in some modules, in a fork of this process."""
    with tempfile.TemporaryDirectory() as folder:
        variant.write(sources, Path(folder))
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            answer_and_leave(writing, Path(folder), name)
        os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as answer:
            text = answer.read()
        os.waitpid(child, 0)
    return json.loads(text) if text else {"stopped": True}


def answer_and_leave(descriptor: int, folder: Path, name: str) -> None:
    """Write what a witness finds and end this process, a fork; a limit of time or memory ends it as well."""
    signal.alarm(10 * SECONDS)
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_DATA, (DATA_BYTES, DATA_BYTES))
    try:
        found = json.dumps(outcome(name, imported(folder)))
    except Exception as error:  # noqa: BLE001  # a module that does not import is an outcome too
        found = json.dumps({"not imported": type(error).__name__})
    with os.fdopen(descriptor, "w", encoding="utf-8") as answer:
        answer.write(found)
    os._exit(0)


def report(verdicts: dict[str, dict[str, str]], seconds: float) -> int:
    """Print the table and every bug that was refused or applied wrongly; return the exit code."""
    print(f"{seconds:.0f} s\n\n| refactoring | applies | refused | wrong |\n|---|---|---|---|")
    every: list[str] = []
    for name, row in verdicts.items():
        every += row.values()
        print(f"| {name} | " + " | ".join(map(str, counts(list(row.values())))) + " |")
    applied, refused, wrong = counts(every)
    print(f"| **all** | {applied} | {refused} | {wrong} |\n")
    print(f"{applied / len(every):.1%} of {len(every)} apply, at least {WANTED:.0%} are wanted\n")
    for name, row in verdicts.items():
        for kind in ("refused", "wrong"):
            ids = [bug for bug, each in row.items() if each == kind]
            if ids:
                print(f"{name}, {kind}: {', '.join(ids)}")
    return 1 if wrong or applied / len(every) < WANTED else 0


def counts(verdicts: list[str]) -> tuple[int, int, int]:
    """Return how many apply, are refused, and apply wrongly."""
    return verdicts.count("applies"), verdicts.count("refused"), verdicts.count("wrong")


if __name__ == "__main__":
    sys.exit(main())
