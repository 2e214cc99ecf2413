"""Bugs that hide each other: with two in place, is each still noticed by every law that its record names?

    python benchmarks/pairs.py [--level 3] [--criteria cache,memory] [--sample 1000] [--seed 0] [--jobs 2]

Every two bugs of different criteria that may be handed out together, or so many of those pairs by chance.
Each pair is a fork of a warm session. Prints the pairs in which a law passes; exits with 1 if there is one.
One bug may rightly hide another, where the broken line no longer matters: then their records name each other
as conflicts. Otherwise the law looks at too little.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import forkable  # noqa: E402  # beside this file

from grader.bugs import catalogue, choose, variant  # noqa: E402  # the folder of the grader comes first
from grader.bugs.bug import Bug  # noqa: E402
from grader.matrix.job import Job  # noqa: E402
from grader.matrix.session import Session  # noqa: E402

Pair = tuple[Bug, Bug]
SOME = 200
"""Pairs, after which the progress is said."""


def main() -> int:
    """Judge the pairs and say in which a bug is hidden."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--level", type=int, default=3, help="the level (default: %(default)s)")
    parser.add_argument("--criteria", default="", help="only bugs of these (default: all of the level)")
    parser.add_argument("--sample", type=int, help="so many pairs by chance (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="chooses pairs and inputs (default: 0)")
    parser.add_argument("--jobs", type=int, default=2, help="forks at a time (default: %(default)s)")
    options = parser.parse_args()
    if not forkable.is_here():
        return forkable.again()
    start = time.perf_counter()
    sources = variant.sources_of(ROOT / "reference" / "nanochat")
    criteria = options.criteria.split(",") if options.criteria else []
    bugs = [bug for bug in catalogue.load(options.level) if not criteria or bug.criterion in criteria]
    pairs = list(together(bugs, sources))
    if options.sample is not None and options.sample < len(pairs):
        pairs = random.Random(options.seed).sample(pairs, options.sample)
    hidden = judged(Session(options.level, options.seed), sources, pairs, options.jobs)
    names = ", ".join(dict.fromkeys(bug.criterion for bug in bugs))
    print(f"- level {options.level}, {names}: {len(pairs)} pairs, {time.perf_counter() - start:.0f} s")
    print(f"- in which a law passes that the record of one names: {len(hidden)}")
    for said in sorted(hidden):
        print(f"  - {said}")
    return 1 if hidden else 0


def together(bugs: Sequence[Bug], sources: dict[str, str]) -> Iterator[Pair]:
    """Yield the pairs of bugs of different criteria that a variant may hold."""
    for one, other in combinations([bug.first() for bug in bugs], 2):
        apart = one.criterion not in other.disturbs and other.criterion not in one.disturbs
        if one.criterion != other.criterion and apart and not choose.obstacle(other, [one], sources):
            yield one, other


def judged(session: Session, sources: dict[str, str], pairs: Sequence[Pair], jobs: int) -> list[str]:
    """Return what is said of the pairs in which a bug is hidden."""
    hidden = []
    asked = (
        Job(
            f"{one.id} and {other.id}",
            variant.with_bugs(sources, [one, other]),
            (*one.expected, *other.expected),
        )
        for one, other in pairs
    )
    for number, (job, row) in enumerate(session.run(asked, jobs), 1):
        passed = [cell.law for cell in row.cells if cell.kind == "passed"]
        if passed:
            hidden.append(f"{job.name}: {', '.join(passed)}")
        if number % SOME == 0:
            print(f"{number} of {len(pairs)} pairs", file=sys.stderr, flush=True)
    return hidden


if __name__ == "__main__":
    sys.exit(main())
