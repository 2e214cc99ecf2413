"""The process that makes fingerprints while submissions are graded.

What was handed out takes ten seconds to read and each tree about half a second, one after another: made when
the last grading had ended, they kept 15 of 16 processors of a class of 500 waiting for a quarter of the time.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from grader.batch.similar import known
from grader.batch.similar.own import own
from grader.follow import follow
from specs.outcomes import GraderFault

NICE = 5
"""Gradings have limits on time, fingerprints have none."""


class Printer:
    """Makes the fingerprints of trees, in their order, in a process of its own."""

    def __init__(self, trees: Iterable[Path]) -> None:
        waiting = list(trees)
        self.left = len(waiting)
        context = get_context("fork")
        self._pipe, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=_make, args=(theirs, waiting, os.getpid()), daemon=True)
        self._process.start()
        theirs.close()

    def made(self, *, wait: bool = False) -> Iterator[tuple[str, bytes]]:
        """Yield the names and packed fingerprints of trees that are done; wait for all of them if asked to.

        Raises GraderFault if the process is lost.
        """
        while self.left and (wait or self._pipe.poll()):
            try:
                name, packed = self._pipe.recv()
            except EOFError:
                self._process.join()
                raise GraderFault(
                    f"the process that makes fingerprints was lost (exit code {self._process.exitcode}), "
                    f"{self.left} trees before its end; run the same command again"
                ) from None
            self.left -= 1
            yield name, packed

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _make(pipe: Connection, trees: list[Path], parent: int) -> None:
    """Send the fingerprints of each tree."""
    follow(parent)
    os.nice(NICE)
    for tree in trees:
        pipe.send((tree.name, own(sources(tree), known.known()).packed()))


def sources(tree: Path) -> dict[str, str]:
    """Return the Python files of a tree by path, whatever bytes they hold."""
    return {
        path.relative_to(tree).as_posix(): path.read_bytes().decode(errors="replace")
        for path in sorted(tree.rglob("*.py"))
        if path.is_file()
    }
