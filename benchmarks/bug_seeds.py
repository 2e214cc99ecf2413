"""Misses: every bug of a level against its own criterion, over many seeds.

    python benchmarks/bug_seeds.py [--level 3] [--seeds 10] [--jobs 2]

A seed chooses the inputs of the properties and, where a bug has several forms, the form. Each bug is judged
in a warm session, by the properties of its own criterion, until the first that notices. Prints a Markdown
table and every bug that a seed did not catch; exits with 1 if there was one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from grader.bugs import catalogue, variant  # noqa: E402  # the folder of the grader comes first
from grader.matrix.job import Job  # noqa: E402
from grader.matrix.proof import edited_places  # noqa: E402
from grader.matrix.session import Session  # noqa: E402
from grader.sandbox.warm import FORKABLE  # noqa: E402


def main() -> int:
    """Judge all bugs with one seed after another and say which were missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--level", type=int, default=3, help="the level (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=10, help="how many seeds, from 0 (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="forks at a time (default: %(default)s)")
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.seed is not None:
        print(json.dumps(missed(options.level, options.seed, options.jobs)))
        return 0
    print("| seed | bugs | caught by their own criterion | seconds |\n|---|---|---|---|", flush=True)
    count, every = len(catalogue.load(options.level)), {}
    for seed in range(options.seeds):
        start = time.perf_counter()
        every[seed] = in_a_process_of_its_own(seed)
        seconds = time.perf_counter() - start
        print(f"| {seed} | {count} | {count - len(every[seed])} | {seconds:.0f} |", flush=True)
    for seed, names in every.items():
        for name in names:
            print(f"\nseed {seed}: {name} was not caught")
    return 1 if any(every.values()) else 0


def in_a_process_of_its_own(seed: int) -> list[str]:
    """Return what one seed missed: inputs are drawn once a process, and torch must not start threads."""
    done = subprocess.run(
        [sys.executable, *sys.argv, "--seed", str(seed)],
        env={**os.environ, **FORKABLE},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    names: list[str] = json.loads(done.stdout)
    return names


def missed(level: int, seed: int, jobs: int) -> list[str]:
    """Return the bugs that no property of their own criterion noticed, with the form of each."""
    sources = variant.sources_of(ROOT / "reference" / "nanochat")
    session = Session(level, seed)
    plan = []
    for bug in (bug.bound(seed) for bug in catalogue.load(level)):
        texts = variant.with_bugs(sources, [bug])
        laws = tuple(name for name, law in session.laws.items() if law.criterion == bug.criterion)
        name = f"{bug.id} {dict(bug.choice)}"
        plan.append(Job(name, texts, laws, edited_places(sources, texts), until="first"))
    return sorted(job.name for job, row in session.run(plan, jobs) if not row.killers)


if __name__ == "__main__":
    sys.exit(main())
