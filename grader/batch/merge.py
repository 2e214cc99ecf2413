"""Put the results of shards together: what comes out is what one run would have made."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from grader.batch.ledger import FILE, Ledger, lock
from grader.report import Report
from grader.run import UsageError


def merge(out: Path, sources: Sequence[Path]) -> list[str]:
    """Merge folders of results into a fresh one; return in words where two of them disagree.

    Raises UsageError if they are not parts of one class: graded otherwise, or a student in two of them.
    """
    if (out / FILE).exists():
        with Ledger(out) as there:
            if there.students():  # an empty one was left by a merge that could not be finished
                raise UsageError(f"{out} holds results already: name a folder that does not exist yet")
    for source in sources:
        Ledger(source).close()  # what cannot be read is said before anything is written
    doubts: list[str] = []
    with lock(out), Ledger(out, create=True) as ledger, ledger.transaction():
        for source in sources:
            with Ledger(source) as part:
                doubts += add(ledger, part)
    return doubts


def add(ledger: Ledger, part: Ledger) -> list[str]:
    """Add one ledger to another, within a transaction; return where the two disagree. Raises UsageError."""
    require_alike(ledger, part)
    doubts = [
        f"{part.folder}: {one}"
        for key, *_ in part.rows("result")
        if ledger.has(key) and (one := disagreement(ledger.report(key), part.report(key)))
    ]
    known = {row[0]: row for row in ledger.rows("student")}
    for row in part.rows("student"):
        if known.get(row[0], row) != row:
            raise UsageError(
                f"{part.folder}: {row[0]} handed in something else here than in another folder; "
                "shards must be made from the same folder of submissions"
            )
    for table in ("student", "wanted", "level", "result", "property"):
        ledger.put(table, part.rows(table))
    ledger.put("fault", [row for row in part.rows("fault") if not ledger.has(row[0])])
    if part.prints_version():
        if ledger.prints_version() not in ("", part.prints_version()):
            doubts.append(
                f"{part.folder}: its students were compared by another catalogue or grader than those of "
                "another folder; grade the merged folder again with `grader batch` to compare all"
            )
        else:
            ledger.set_prints_version(part.prints_version())
        ledger.put("print", part.rows("print"))
    for tree in sorted(part.trees.iterdir()) if part.trees.is_dir() else ():
        if not (ledger.trees / tree.name).exists() and not tree.name.startswith("."):
            shutil.copytree(tree, ledger.trees / tree.name)
    return doubts


def require_alike(ledger: Ledger, part: Ledger) -> None:
    """Require two ledgers to be graded alike. Raises UsageError."""
    levels = dict(ledger.rows("level"))
    for level, record in part.rows("level"):
        if levels.get(level, record) != record:
            raise UsageError(f"{part.folder}: level {level} had other criteria or properties there")
    theirs = part.conditions()
    ours = ledger.conditions() or theirs
    if ours != theirs:
        raise UsageError(f"{part.folder} was graded with {written(theirs)}, and others with {written(ours)}")
    if theirs:
        ledger.set_conditions(theirs)


def written(conditions: Mapping[str, Any] | None) -> str:
    """Return conditions as text."""
    return json.dumps(conditions, sort_keys=True)


def disagreement(one: Report | None, other: Report | None) -> str:
    """Say how two reports of the same key differ in a verdict; "" if they do not."""
    first, second = verdicts(one), verdicts(other)
    differ = sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))
    return (
        f"{', '.join(differ)} came out otherwise than in another folder; the first one counts"
        if differ
        else ""
    )


def verdicts(report: Report | None) -> dict[str, str]:
    """Return the verdict of each property of a report."""
    if report is None:
        return {}
    return {
        one.id: one.verdict
        for level in report.levels
        for criterion in level.criteria
        for one in criterion.properties
    }
