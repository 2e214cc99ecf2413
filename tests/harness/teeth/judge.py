"""Judges each property by the program of level*.toml that it must notice, in one warm session.

    python tests/harness/teeth/judge.py LEVEL

Prints, as JSON, what came of each: the kind of outcome and the message.
"""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

from grader.bugs import catalogue, variant
from grader.matrix.job import Job
from grader.matrix.session import Session

HERE = Path(__file__).parent
REFERENCE = HERE.parents[2] / "reference" / "nanochat"


def programs(level: int) -> list[dict[str, Any]]:
    """Return the entries of a level's file."""
    read: list[dict[str, Any]] = tomllib.loads((HERE / f"level{level}.toml").read_text("utf-8"))["law"]
    return read


def broken(entry: dict[str, Any], sources: dict[str, str], level: int) -> dict[str, str]:
    """Return the modules of the program that an entry describes."""
    if "bug" in entry:
        bug = next(one for one in catalogue.load(level) if one.id == entry["bug"])
        return variant.with_bugs(sources, [bug.first()])
    text = sources[entry["file"]]
    if text.count(entry["find"]) == 0:
        raise ValueError(f"{entry['id']}: {entry['file']} does not hold {entry['find']!r}")
    return {**sources, entry["file"]: text.replace(entry["find"], entry["replace"])}


def main() -> None:
    """Judge all and print what came of it."""
    level = int(sys.argv[1])
    sources = variant.sources_of(REFERENCE)
    session = Session(level)
    plan = [Job(one["id"], broken(one, sources, level), (one["id"],)) for one in programs(level)]
    found = {
        job.name: {"kind": cell.kind, "message": cell.message}
        for job, row in session.run(plan, 2)
        for cell in row.cells
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
