"""`grader batch` beside what a plain autograder does: a fresh interpreter with pytest for each submission.

    python benchmarks/fresh_interpreter.py [--count 6] [--level 3] [--rounds 3]

Both grade the same submissions with the same properties, one after another and two at a time, in turns, so
that whatever else the machine does hits both. The plain way has no sandbox, no limits and no ledger: what it
costs is what starting an interpreter, importing torch and collecting the tests cost. Prints Markdown.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from grader.bugs import catalogue, choose, variant

ROOT = Path(__file__).parents[1]
Way = Callable[[Sequence[Path], int, Path], None]


def main() -> int:
    """Time both ways in turns and print a row for each."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--count", type=int, default=6, help="submissions")
    options.add_argument("--level", type=int, default=3, help="the level")
    options.add_argument("--rounds", type=int, default=3, help="how often each way is timed")
    options.add_argument("--jobs", default="1,2", help="numbers of jobs to try")
    given = options.parse_args()
    ways: dict[str, Way] = {
        "pytest in a fresh interpreter, no sandbox": lambda works, jobs, _: plainly(works, jobs, given.level),
        "grader batch, strict": lambda works, jobs, results: in_batch(works, jobs, results, given.level),
    }
    print("| way | jobs | s a submission, median | of each round |\n|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory(prefix="fresh-") as name:
        folders = made(given.count, given.level, Path(name) / "class")
        for jobs in map(int, given.jobs.split(",")):
            found: dict[str, list[float]] = {way: [] for way in ways}
            for turn in range(given.rounds):
                for way, grade in ways.items():
                    began = time.perf_counter()
                    grade(folders, jobs, Path(name) / f"results-{jobs}-{turn}")
                    found[way].append((time.perf_counter() - began) / len(folders))
            for way, seconds in found.items():
                each = ", ".join(f"{one:.1f}" for one in seconds)
                print(f"| {way} | {jobs} | {statistics.median(seconds):.1f} | {each} |", flush=True)
    return 0


def made(count: int, level: int, folder: Path) -> list[Path]:
    """Make submissions with none to all of their bugs repaired."""
    reference = variant.sources_of(ROOT / "reference" / "nanochat")
    found = []
    for number in range(count):
        bugs = choose.by_seed(catalogue.load(level), reference, f"fresh {number}").bugs
        found.append(folder / f"student{number:02}")
        variant.write(variant.with_bugs(reference, bugs[: number % (len(bugs) + 1)]), found[-1])
    return found


def plainly(folders: Sequence[Path], jobs: int, level: int) -> None:
    """Run the properties under pytest, an interpreter for each submission."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/test_level{level}.py"]
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(lambda one: quietly([*command, "--submission", str(one)], (0, 1)), folders))


def in_batch(folders: Sequence[Path], jobs: int, results: Path, level: int) -> None:
    """Grade the class as an instructor does."""
    words = ["--level", level, "--jobs", jobs, "--out", results]
    quietly([sys.executable, "-m", "grader", "batch", str(folders[0].parent), *map(str, words)], (0,))


def quietly(command: Sequence[str], expected: Sequence[int]) -> None:
    """Run a command. Raises SystemExit with what it said if it ends otherwise than expected."""
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode not in expected:
        raise SystemExit(
            f"{' '.join(command)}: exit code {result.returncode}\n{result.stdout}{result.stderr}"
        )


if __name__ == "__main__":
    sys.exit(main())
