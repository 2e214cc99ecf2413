"""Judges submissions of one level in one warm session, without looking for smaller inputs.

    python tests/harness/trivial/rows.py LEVEL < SUBMISSIONS

SUBMISSIONS are modules by their file name, by the submission's name, as JSON. Prints the verdict of each
property by the submission's name.
"""

from __future__ import annotations

import json
import sys

from grader.matrix.job import Job
from grader.matrix.session import Session


def main() -> None:
    """Judge all and print what came of it."""
    session = Session(int(sys.argv[1]))
    submissions: dict[str, dict[str, str]] = json.load(sys.stdin)
    plan = [Job(name, sources, tuple(session.laws)) for name, sources in submissions.items()]
    rows = {job.name: {cell.law: cell.verdict for cell in row.cells} for job, row in session.run(plan, 2)}
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
