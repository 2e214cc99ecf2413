"""Judges three submissions in this process and looks at what they left: run by a test, with a folder.

In a process of its own, for what runs beside the tests begins and ends at any time in theirs.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # psutil ships no types

from grader.sandbox.process import ProcessProbe
from specs.outcomes import SubmissionDied

HOSTILE = Path(__file__).parents[1] / "submissions" / "hostile"


def held(folder: Path) -> tuple[list[str], list[psutil.Process], list[str]]:
    """Return this process's descriptors and children, and what lies in a folder."""
    return sorted(os.listdir("/proc/self/fd")), psutil.Process().children(recursive=True), os.listdir(folder)


def main(folder: Path) -> None:
    """Judge with this folder for temporary files."""
    tempfile.tempdir = str(folder)
    before = held(folder)
    for function in ("double", "exit_hard", "leave_deep_folder"):
        with ProcessProbe(HOSTILE) as probe:
            probe.attempt("selftest.echo", value=1)
            assert os.listdir(folder)
            try:
                probe.attempt("selftest.call", module="nanochat.calls", function=function, arguments=[])
            except SubmissionDied:
                assert function == "exit_hard"
    assert held(folder) == before


if __name__ == "__main__":
    main(Path(sys.argv[1]))
