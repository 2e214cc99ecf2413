"""What one submission may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of one submission. Times but one are wall-clock time on the judge's clock, from `ready` on."""

    call_seconds: float = 20.0
    """One probe call, from the question to the whole answer."""
    property_seconds: float = 120.0
    """All probe calls of one property together."""
    submission_seconds: float = 300.0
    """All probe calls together; the starts of processes are not counted."""
    processor_seconds: float = 300.0
    """Processor time of one process and what it started, however many processors they keep busy."""
    memory_bytes: int = 4 << 30
    """Resident memory of the process and its descendants; on the CPU also what it may allocate at all
    beyond what it holds when it is ready."""
    processes: int = 256
    """Processes and threads at a time, where the system counts them for one submission alone."""
    output_bytes: int = 8 << 20
    """What it may print in one call."""
    file_bytes: int = 256 << 20
    """The largest file it may write."""
    disk_bytes: int = 512 << 20
    """All files it may hold at a time."""
    start_seconds: float = 120.0
    """From the start of the process to `ready`. Running over is the grader's fault."""
