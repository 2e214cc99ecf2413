"""Repairs: in many variants as `make` hands them out, repairing any one bug restores its criterion.

    python benchmarks/variants.py [--level 3] [--variants 200] [--bugs 5] [--seed 0] [--jobs 2]

A variant has one bug in each of so many criteria. With all in place each of these must fail; with one mended
and all others left, that one's criterion must pass; with all repaired the files are the reference's, byte by
byte. Each question is a fork of a warm session, as in `grader variants verify`, which also judges the pairs.
Prints what was asked and every answer that was wrong; exits with 1 if there was one.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import forkable  # noqa: E402  # beside this file

from grader.bugs import catalogue, choose, variant  # noqa: E402  # the folder of the grader comes first
from grader.bugs.bug import Bug  # noqa: E402
from grader.matrix import combined  # noqa: E402
from grader.matrix.session import Session  # noqa: E402

SOME = 20
"""Variants at a time, after which the progress is said."""


def main() -> int:
    """Judge the variants and say what was wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--level", type=int, default=3, help="the level (default: %(default)s)")
    parser.add_argument("--variants", type=int, default=200, help="how many (default: %(default)s)")
    parser.add_argument("--bugs", type=int, default=5, help="bugs in a variant (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="chooses variants and inputs (default: 0)")
    parser.add_argument("--jobs", type=int, default=2, help="forks at a time (default: %(default)s)")
    options = parser.parse_args()
    if not forkable.is_here():
        return forkable.again()
    return judge(options.level, options.variants, options.bugs, options.seed, options.jobs)


def judge(level: int, count: int, bugs_each: int, seed: int, jobs: int) -> int:
    """Ask everything of every variant; return the exit code."""
    start = time.perf_counter()
    sources = variant.sources_of(ROOT / "reference" / "nanochat")
    session = Session(level, seed)
    bugs = catalogue.load(level)
    variants = [
        combined.Variant(f"seed {seed}/{number}", some(bugs, sources, f"{seed}/{number}", bugs_each))
        for number in range(count)
    ]
    found: list[combined.Finding] = []
    for first in range(0, count, SOME):
        few = variants[first : first + SOME]
        # The pairs are the certificate's.
        found += combined.judge(session, sources, few, tuple(session.laws), jobs, pairs=False)
        print(f"{len(found)} of {count} variants", file=sys.stderr, flush=True)
    wrong = [said for one in found for said in one.refused]
    together = [len(one.bugs) for one in variants]
    different = {tuple(sorted(f"{bug.id} {dict(bug.choice)}" for bug in one.bugs)) for one in variants}
    used = {bug.id for one in variants for bug in one.bugs}
    print(f"- level {level}, seed {seed}: {count} variants of {min(together)} to {max(together)} bugs")
    print(f"- different variants: {len(different)}; bugs that are in one of them: {len(used)} of {len(bugs)}")
    questions = sum(one.checks for one in found)
    print(f"- questions: {questions}, {sum(together)} with all bugs in place, the others with one repaired")
    print(f"- answered wrongly, or not the reference when all is repaired: {len(wrong)}")
    print(f"- {time.perf_counter() - start:.0f} s in {jobs} forks at a time")
    for said in wrong:
        print(f"\n{said}")
    return 1 if wrong else 0


def some(bugs: list[Bug], sources: dict[str, str], seed: str, count: int) -> tuple[Bug, ...]:
    """Return so many of the bugs that a seed chooses, those with the smallest ranks."""
    chosen = choose.by_seed(bugs, sources, seed).bugs
    first = sorted(chosen, key=lambda bug: choose.rank(seed, bug.id))[:count]
    return tuple(bug for bug in chosen if bug in first)


if __name__ == "__main__":
    sys.exit(main())
