"""Fingerprints in the ledger: made when a class is graded, read when a report is.

A report must not need the submissions, which may be gone by then, nor the reference, which a machine that
only makes reports may not have. So the ledger keeps what of each tree is its own, under the version of all
that says what is; where that has changed, the next `grader batch` or `regrade` reads the trees again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from grader.batch.ledger import Ledger
from grader.batch.similar import known
from grader.batch.similar.own import Own, own
from grader.batch.similar.pairs import Handed, pairs, threshold_for
from grader.render.similar import Similarity

TREES_AT_A_TIME = 50
"""In one transaction, which costs some milliseconds."""


def remember(ledger: Ledger, trees: Iterable[str]) -> None:
    """Put the fingerprints of trees into the ledger, of those that are not there as they would be made now.

    Without a reference there are none, for nobody can say what was handed out.
    """
    now = known.version()
    if not now:
        return
    there = ledger.prints(now)
    waiting = [
        tree for tree in sorted(set(trees)) if tree and tree not in there and (ledger.trees / tree).is_dir()
    ]
    for start in range(0, len(waiting), TREES_AT_A_TIME):
        made = {
            tree: own(sources(ledger.trees / tree), known.known()).packed()
            for tree in waiting[start : start + TREES_AT_A_TIME]
        }
        ledger.put_prints(now, made)


def sources(tree: Path) -> dict[str, str]:
    """Return the Python files of a tree by path, whatever bytes they hold."""
    return {
        path.relative_to(tree).as_posix(): path.read_bytes().decode(errors="replace")
        for path in sorted(tree.rglob("*.py"))
        if path.is_file()
    }


def similarity(ledger: Ledger) -> Similarity:
    """Return which students of a class share more than what was handed out."""
    students: dict[str, list[str]] = defaultdict(list)
    for one in ledger.students():
        students[one.tree].append(one.student)
    kept: Mapping[str, bytes] = ledger.prints(ledger.prints_version())
    trees = [
        (tree, names) for tree, names in sorted(students.items(), key=lambda pair: pair[1]) if tree in kept
    ]
    handed = [Handed(tuple(names), Own.unpacked(kept[tree])) for tree, names in trees]
    return Similarity(
        threshold=threshold_for(len(handed)),
        pairs=tuple(pairs(handed)),
        own=tuple((tree, one.own.size) for (tree, _), one in zip(trees, handed, strict=True)),
        missing=tuple(sorted(name for tree, names in students.items() if tree not in kept for name in names)),
    )
