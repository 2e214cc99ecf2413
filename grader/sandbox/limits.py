"""What one submission may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of one submission's process. Times are wall-clock time on the judge's clock."""

    call_seconds: float = 20.0
    """One probe call, from the question to the whole answer."""
    submission_seconds: float = 300.0
    """All probe calls together; the starts of processes are not counted."""
    memory_bytes: int = 4 << 30
    """Resident memory of the process and its descendants; on the CPU also what it may allocate at all
    beyond what it holds when it is ready."""
    output_bytes: int = 8 << 20
    """What it may print in one call."""
    file_bytes: int = 256 << 20
    """The largest file it may write."""
    start_seconds: float = 120.0
    """From the start of the process to `ready`. Running over is the grader's fault."""
