"""Fingerprints in the ledger: made when a class is graded, read when a report is.

A report must not need the submissions, which may be gone by then, nor the reference, which a machine that
only makes reports may not have. So the ledger keeps what of each tree is its own, under the version of all
that says what is; where that has changed, the next `grader batch` or `regrade` reads the trees again.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping
from types import TracebackType
from typing import Self, TypeVar

from grader.batch.ledger import Ledger
from grader.batch.similar import known
from grader.batch.similar.own import Own
from grader.batch.similar.pairs import Handed, pairs, threshold_for
from grader.batch.similar.printing import Printer
from grader.render.similar import Similarity

Finished = TypeVar("Finished")

TREES_AT_A_TIME = 50
"""In one transaction, which costs some milliseconds."""

SAID_FROM = 5
"""Trees without fingerprints when the gradings have ended: fewer than that are not worth a line."""


class Remembering:
    """Puts the fingerprints of trees into the ledger, of those that are not there as they would be made now.

    They are made in another process from the start. Without a reference there are none, for nobody can say
    what was handed out. Used in `with`, which ends that process.
    """

    def __init__(self, ledger: Ledger, trees: Iterable[str]) -> None:
        self._ledger = ledger
        self._version = known.version()
        there = ledger.prints(self._version) if self._version else {}
        paths = (ledger.trees / tree for tree in sorted(set(trees)) if tree and tree not in there)
        waiting = [path for path in paths if path.is_dir()] if self._version else []
        self._printer = Printer(waiting) if waiting else None

    def store(self, *, wait: bool = False) -> None:
        """Record what is made by now, or all there is to make. Raises GraderFault if its process is lost."""
        if self._printer is None:
            return
        if wait and self._printer.left >= SAID_FROM:
            print(f"still reading what is whose own: {self._printer.left} submissions left", file=sys.stderr)
        made = self._printer.made(wait=wait)
        while some := dict(itertools.islice(made, TREES_AT_A_TIME)):
            self._ledger.put_prints(self._version, some)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._printer is not None:
            self._printer.close()


def remembered(
    ledger: Ledger, trees: Iterable[str], finished: Generator[Finished, None, None]
) -> Generator[Finished, None, None]:
    """Yield what finishes, and record the fingerprints of trees meanwhile and at the end."""
    with contextlib.closing(finished), Remembering(ledger, trees) as prints:
        for one in finished:
            yield one
            prints.store()
        prints.store(wait=True)


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
