"""The memory of a process, seen from outside it."""

from __future__ import annotations


def resident_bytes(process_id: int) -> int:
    """Return the resident memory of a process, in bytes."""
    # Imported here: it costs 0.1 s, and most runs never ask.
    from memory_profiler import memory_usage  # type: ignore[import-untyped]  # memory-profiler ships no types

    # The interval is only slept after the one measurement.
    mebibytes: float = memory_usage(process_id, interval=1e-6, max_usage=True)
    return round(mebibytes * 2**20)
