"""What a submission uses, seen from outside: its memory, its processor time, its processes and its files.

The kernel's own limits hold each process at once; this looks at the whole tree, now and then, and says in
words what was too much.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # psutil ships no types

from grader.sandbox.launch import Child, descendants_of
from grader.sandbox.limits import Limits
from specs.outcomes import SubmissionDied, SubmissionMemory, SubmissionTimeout

_LOOK_SECONDS = 0.05
# Finding descendants reads all of /proc, 1 ms per hundred processes: less often.
_LOOK_AT_DESCENDANTS_SECONDS = 0.5


class Watch:
    """Looks at the process tree of a submission now and then."""

    def __init__(self, child: Child, limits: Limits) -> None:
        self._child = child
        self._limits = limits
        self._descendants: list[psutil.Process] = []
        self._looked = self._looked_for_descendants = time.monotonic()

    def check(self) -> None:
        """Raise a `SubmissionStopped` for what is too much; does nothing if the last look was just now."""
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS or (process_id := self._child.process_id) is None:
            return
        self._looked = now
        if now - self._looked_for_descendants >= _LOOK_AT_DESCENDANTS_SECONDS:
            self._looked_for_descendants = now
            self._descendants = descendants_of(process_id)
            self._check_processes()
            self._check_files(process_id)
        self._check_memory_and_processor(process_id)

    def _check_processes(self) -> None:
        if len(self._descendants) > self._limits.processes:
            raise SubmissionDied(
                f"the submission started {len(self._descendants)} processes, "
                f"more than the {self._limits.processes} allowed"
            )

    def _check_files(self, process_id: int) -> None:
        # Where it has a file system of its own this folder is empty, and that one is full by itself.
        held = bytes_below(self._child.folder, self._limits.disk_bytes)
        for one in (process_id, *(descendant.pid for descendant in self._descendants)):
            held += bytes_without_a_name(one, self._child.folder)
        if held > self._limits.disk_bytes:
            raise SubmissionDied(
                f"the submission's files held {_mebibytes(held)} MiB, "
                f"more than the {_mebibytes(self._limits.disk_bytes)} MiB allowed"
            )

    def _check_memory_and_processor(self, process_id: int) -> None:
        held, seconds = 0, 0.0
        with contextlib.suppress(psutil.Error):  # it has ended, which the conversation notices
            process = psutil.Process(process_id)
            held += process.memory_info().rss
            seconds += sum(process.cpu_times()[:4])  # its own and those of children it has waited for
        for descendant in self._descendants:
            with contextlib.suppress(psutil.Error):
                held += share_of_memory(descendant)
                seconds += sum(descendant.cpu_times()[:4])
        if held > self._limits.memory_bytes:
            raise SubmissionMemory(
                f"the submission held {_mebibytes(held)} MiB of memory, "
                f"more than the {_mebibytes(self._limits.memory_bytes)} MiB allowed"
            )
        if seconds > self._limits.processor_seconds:
            raise SubmissionTimeout(f"used up {self._limits.processor_seconds:g} s of processor time")


def share_of_memory(process: psutil.Process) -> int:
    """Return the memory of a fork, in bytes: of what it shares with others, its share."""
    try:
        text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        return int(text.partition("\nPss:")[2].split()[0]) * 1024
    except (OSError, ValueError, IndexError):  # it has ended, or the system does not say
        held: int = process.memory_info().rss
        return held


def bytes_below(folder: Path, enough: int) -> int:
    """Return how many bytes the files below a folder hold; stops counting beyond `enough`.

    Raises SubmissionDied for folders nested so deeply that what lies in them has no path.
    """
    held, folders = 0, [str(folder)]
    while folders and held <= enough:
        with _gone_or_closed(), os.scandir(folders.pop()) as entries:
            for entry in entries:
                # One that is gone must not hide those behind it.
                with _gone_or_closed():
                    held += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
    return held


@contextlib.contextmanager
def _gone_or_closed() -> Iterator[None]:
    """Pass over what is gone meanwhile or closed to the judge, and over nothing that has too long a path."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise SubmissionDied(
                "the submission nested folders too deeply for their files to be counted"
            ) from None


def bytes_without_a_name(process_id: int, folder: Path) -> int:
    """Return the bytes of deleted files that a process holds open, on the disk that `folder` is on."""
    held = 0
    with contextlib.suppress(OSError), os.scandir(f"/proc/{process_id}/fd") as entries:
        disk = folder.stat().st_dev
        for entry in entries:
            with contextlib.suppress(OSError):  # closed meanwhile
                file = entry.stat()
                if file.st_dev == disk and file.st_nlink == 0 and stat.S_ISREG(file.st_mode):
                    held += file.st_blocks * 512
    return held


def _mebibytes(number: int) -> str:
    return f"{number / 2**20:.0f}"
