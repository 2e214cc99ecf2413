"""The memory of a process, seen from outside it."""

from __future__ import annotations

import contextlib
import time

import psutil  # type: ignore[import-untyped]  # psutil ships no types

from grader.sandbox.launch import descendants_of
from specs.outcomes import SubmissionMemory

_LOOK_SECONDS = 0.05
# Finding descendants reads all of /proc, 1 ms per hundred processes: less often.
_LOOK_AT_DESCENDANTS_SECONDS = 0.5


def resident_bytes(process_id: int) -> int:
    """Return the resident memory of a process, in bytes."""
    # Imported here: it costs 0.1 s, and most runs never ask.
    from memory_profiler import memory_usage  # type: ignore[import-untyped]  # memory-profiler ships no types

    # The interval is only slept after the one measurement.
    mebibytes: float = memory_usage(process_id, interval=1e-6, max_usage=True)
    return round(mebibytes * 2**20)


class MemoryWatch:
    """Looks at the memory of a process and its descendants now and then."""

    def __init__(self, process_id: int, memory_bytes: int) -> None:
        self._process_id = process_id
        self._memory_bytes = memory_bytes
        self._descendants: list[psutil.Process] = []
        self._looked = self._looked_for_descendants = time.monotonic()

    def check(self) -> None:
        """Raise `SubmissionMemory` if it is too much; does nothing if the last look was just now."""
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        if now - self._looked_for_descendants >= _LOOK_AT_DESCENDANTS_SECONDS:
            self._looked_for_descendants = now
            self._descendants = descendants_of(self._process_id)
        held = self._held()
        if held > self._memory_bytes:
            raise SubmissionMemory(
                f"the submission held {held / 2**20:.0f} MiB of memory, "
                f"more than the {self._memory_bytes / 2**20:.0f} MiB allowed"
            )

    def _held(self) -> int:
        held = 0
        with contextlib.suppress(psutil.Error):  # it has ended, which the conversation notices
            held += psutil.Process(self._process_id).memory_info().rss
        for descendant in self._descendants:
            with contextlib.suppress(psutil.Error):
                held += descendant.memory_info().rss
        return held
