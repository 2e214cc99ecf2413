"""Prints a hash of each of some variants: run by other versions of Python, with nothing installed."""

from __future__ import annotations

import sys
from pathlib import Path

from grader.bugs import records, variant
from grader.bugs.choose import by_seed
from grader.bugs.disguise import disguised
from grader.bugs.manifest import hash_of_sources

ROOT = Path(__file__).parents[3]


def main(seeds: list[str]) -> None:
    """Print the hash of a variant for each seed, plain and disguised."""
    reference = variant.sources_of(ROOT / "reference" / "nanochat")
    folder = ROOT / "grader" / "bugs" / "level3"
    bugs = [bug for file in sorted(folder.glob("*.toml")) for bug, _ in records.read(file)]
    for seed in seeds:
        sources = variant.with_bugs(reference, by_seed(bugs, reference, seed, 2).bugs)
        print(seed, hash_of_sources(sources), hash_of_sources(disguised(sources, seed)))


if __name__ == "__main__":
    main(sys.argv[1:])
