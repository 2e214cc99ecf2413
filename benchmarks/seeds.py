"""False alarms: the reference and every alternate, over many seeds, in this process and in one of its own.

    python benchmarks/seeds.py [--level 3] [--seeds 20] [--isolation LEVEL] [--jobs 2] [SUBMISSION ...]

Prints a Markdown table and every property that did not pass; exits with 1 if there was one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from grader import levels
from grader.alternates import alternates

ROOT = Path(__file__).parents[1]


def main() -> int:
    """Grade everything and say what did not pass."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        "submissions", nargs="*", help="folders (default: the reference and every alternate)"
    )
    options.add_argument("--level", type=int, default=3, help="the level")
    options.add_argument("--seeds", type=int, default=20, help="how many seeds, from 0")
    options.add_argument("--isolation", default="strict", help="where probes run")
    options.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"), help="of the models")
    options.add_argument("--jobs", type=int, default=2, help="gradings at a time")
    options.add_argument("--first", type=int, default=0, help="the first seed")
    options.add_argument("--log", type=Path, help="append a line for each grading as it ends")
    arguments = options.parse_args()
    correct = map(str, alternates(levels.read(arguments.level).files))
    submissions = arguments.submissions or ["reference", *correct]
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    # Seed by seed, so that a run that is cut off has tried every submission.
    runs = [(name, seed) for seed in seeds for name in submissions]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        start = time.perf_counter()
        records = list(pool.map(lambda run: logged(*run, arguments), runs))
    alarms = [(run, *alarm) for run, record in zip(runs, records, strict=True) for alarm in broken(record)]
    print(f"isolation {arguments.isolation}, {arguments.dtype}, {time.perf_counter() - start:.0f} s\n")
    print("| submission | runs | properties checked | did not pass |\n|---|---|---|---|")
    for name in submissions:
        here = [record for run, record in zip(runs, records, strict=True) if run[0] == name]
        checked = sum(len(c["properties"]) for record in here for c in record["levels"][0]["criteria"])
        wrong = sum(run[0] == name for run, *_ in alarms)
        print(f"| {Path(name).name} | {len(here)} | {checked} | {wrong} |")
    for (name, seed), law, message in alarms:
        print(f"\n{name}, seed {seed}, {law}: {message}")
    return 1 if alarms else 0


def logged(submission: str, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Grade, and append what came of it to the log."""
    record = grade(submission, seed, arguments)
    if arguments.log:
        checked = sum(len(one["properties"]) for one in record["levels"][0]["criteria"])
        wrong = [f"{law}: {message}" for law, message in broken(record)]
        line = json.dumps([Path(submission).name, seed, arguments.isolation, checked, wrong])
        with arguments.log.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    return record


def grade(submission: str, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the record of one run."""
    # One judge a grading: the gradings themselves share out the processors.
    command = [sys.executable, "-m", "grader", "run", "--json", "--jobs", "1"]
    command += ["--level", str(arguments.level), "--isolation", arguments.isolation]
    result = subprocess.run(
        [*command, "--submission", submission, "--seed", str(seed), "--dtype", arguments.dtype],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    if result.returncode not in (0, 1):
        raise SystemExit(f"{submission}, seed {seed}: {result.stderr}")
    record: dict[str, Any] = json.loads(result.stdout)
    return record


def broken(record: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield id and message of each property that did not pass."""
    for criterion in record["levels"][0]["criteria"]:
        for law in criterion["properties"]:
            if law["verdict"] != "passed":
                yield law["id"], f"{law['verdict']}: {law['message']} {law['counterexample']}"


if __name__ == "__main__":
    sys.exit(main())
