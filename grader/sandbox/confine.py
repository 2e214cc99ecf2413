"""What a process gives up before the submission's code runs in it.

This is the basic level: limits of the kernel's that any process can set for itself. Each is set where the
system has it, and left out where it does not.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
# RLIMIT_NPROC counts all threads of the user, not of this process: room for what else they may start.
_MORE_THREADS = 512


def end_with(judge: int) -> None:
    """Have the kernel kill this process when the judge ends, however it ends (Linux).

    Trap: "the judge" is the thread that started this process, and it must live on.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != judge:  # it ended before the line above
        os._exit(1)


def limit(memory_bytes: int | None, file_bytes: int) -> None:
    """Limit what this process allocates beyond what it holds now (None: no limit) and its files' size."""
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, file_bytes)
    status = _status(Path("/proc/self/status"))
    if memory_bytes is not None and "VmData" in status:
        # DATA, not AS: torch maps far more than it uses. Not with CUDA, which reserves address space
        # for the whole device.
        _lower(resource.RLIMIT_DATA, _kibibytes(status["VmData"]) + memory_bytes)
    if os.getuid() != 0 and status:  # root is not held to it
        _lower(resource.RLIMIT_NPROC, _threads_of(os.getuid()) + _MORE_THREADS)


def _lower(which: int, value: int) -> None:
    hard = resource.getrlimit(which)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(which, (value, value))


def _threads_of(user: int) -> int:
    every = (_status(file) for file in Path("/proc").glob("[0-9]*/status"))
    return sum(int(one["Threads"]) for one in every if one.get("Uid", "").split()[:1] == [str(user)])


def _status(file: Path) -> dict[str, str]:
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:  # no /proc here, or the process has ended meanwhile
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _kibibytes(text: str) -> int:
    return int(text.split()[0]) * 1024
