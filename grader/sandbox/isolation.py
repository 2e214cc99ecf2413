"""What this machine can do to hold a submission, found out by trying, and which isolation results.

strict   namespaces, seccomp, limits, and another user or a user namespace
medium   Landlock, seccomp, limits
basic    a process of its own with limits, in which Python refuses files
none     the judge's own process, for a debugger
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from grader.sandbox import cgroup, confine, kernel, landlock, seccomp
from grader.sandbox.launch import judge_folders
from grader.sandbox.limits import Limits
from grader.sandbox.start import ISOLATIONS, Start
from specs.outcomes import GraderFault

DESCRIPTIONS = {
    "strict": "namespaces of its own, system calls filtered, only Python and the submission to read",
    "medium": "files and system calls filtered (Landlock, seccomp), with limits",
    "basic": "a process of its own, with limits; files of others are refused by Python, and by nothing else",
    "none": "this process, for a debugger: nothing holds the submission back",
}


@dataclass(frozen=True)
class Trial:
    """Whether a level works here."""

    isolation: str
    works: bool
    why_not: str = ""
    """What the system said when it was tried."""


def choose(asked: str | None, device: str = "cpu") -> str:
    """Return the level to use: what is asked for, or the strongest that works here, on this device.

    Where there is no GPU, which the submission's process will say, that is basic for "cuda".
    Raises GraderFault if what is asked for does not work here: it is never replaced by less.
    """
    if asked is None:
        return next((level for level in ISOLATIONS if tried(level, device).works), "basic")
    if asked not in ISOLATIONS:
        return asked
    if not (trial := tried(asked)).works:
        raise GraderFault(
            f"isolation {asked} does not work on this machine: {trial.why_not}\n"
            f"{remedy(asked)} `grader doctor` says more; --isolation {best_below(asked)} works here."
        )
    if device == "cuda" and not (trial := tried(asked, device)).works and tried("basic", device).works:
        raise GraderFault(
            f"isolation {asked} does not work with device cuda on this machine: {trial.why_not}\n"
            f"`grader doctor` says more; --isolation {best_below(asked, device)} works here."
        )
    return asked


def best_below(asked: str, device: str = "cpu") -> str:
    """Return the strongest level that works here, on this device."""
    return next((level for level in ISOLATIONS if level != asked and tried(level, device).works), "none")


def remedy(isolation: str) -> str:
    """Say what to install or allow for a level."""
    if sys.platform != "linux":
        return "It needs Linux: run the grader in a Linux machine or container."
    return {
        "strict": "Run as root, or let ordinary users make namespaces (sysctl user.max_user_namespaces, and "
        "kernel.apparmor_restrict_unprivileged_userns=0 where that exists; in a container, a seccomp profile "
        "that lets `unshare` and `mount` pass).",
        "medium": "Landlock needs Linux 5.13 or later with `landlock` among the lsm= modules, and in a "
        "container a seccomp profile that lets its system calls pass.",
        "basic": "It needs processes that can be forked.",
    }[isolation]


@cache
def tried(isolation: str, device: str = "cpu") -> Trial:
    """Confine a process that holds nothing, exactly as a submission's would be, and say whether it worked.

    For "cuda" the driver must start in it, too.
    """
    with tempfile.TemporaryDirectory(prefix="nanograder-") as folder:
        start = _nobodys_start(isolation, folder, device)
        why_not = _in_a_fork(lambda: _confine(start))
    return Trial(isolation, works=not why_not, why_not=why_not)


def facts() -> dict[str, str]:
    """Return what the kernel offers, in words."""
    groups = cgroup.parent_folders()
    limit = Path("/proc/sys/user/max_user_namespaces")
    return {
        "user": "root" if os.geteuid() == 0 else f"an ordinary user ({os.geteuid()})",
        "Landlock": f"ABI {landlock.abi()}" if landlock.abi() else "none",
        "signals kept apart by Landlock": "yes" if landlock.scopes_signals() else "no",
        "user namespaces": limit.read_text().strip() + " at most" if limit.exists() else "unknown",
        "seccomp": "a filter is known" if seccomp.available() else "no filter is known for this machine",
        "control groups": ", ".join(map(str, dict.fromkeys(groups.values()))) if groups else "not writable",
    }


def _nobodys_start(isolation: str, folder: str, device: str) -> Start:
    package = Path(folder, "submission", "nanochat")
    package.mkdir(parents=True)
    for path in (Path(folder), package.parent, package):
        path.chmod(0o755)
    root = Path(folder, "root")
    root.mkdir()
    limits = Limits()
    return Start(
        submission=str(package.parent),
        device=device,
        dtype="float32",
        isolation=isolation,
        folder=str(root),
        group="",
        judge=judge_folders(),
        refused=[],
        memory_bytes=limits.memory_bytes,
        processor_seconds=int(limits.processor_seconds),
        processes=limits.processes,
        file_bytes=limits.file_bytes,
        disk_bytes=limits.disk_bytes,
    )


def _confine(start: Start) -> str:
    if start["isolation"] == "strict":
        confine.begin_namespaces()
    return _in_a_fork(lambda: _confined(start))


def _confined(start: Start) -> str:
    confine.confine(start)
    return _start_driver() if start["device"] == "cuda" else ""


def _start_driver() -> str:
    """Start CUDA's driver in this process, without torch; return why it does not."""
    answer: int = ctypes.CDLL("libcuda.so.1").cuInit(0)
    return f"CUDA's driver does not start there (error {answer})" if answer else ""


def _in_a_fork(attempt: Callable[[], str]) -> str:
    """Return what `attempt` returns in a fork of this process, or what it raised."""
    answer, theirs = os.pipe()
    process_id = os.fork()
    if process_id == 0:
        try:
            os.close(answer)
            if sys.platform == "linux":
                kernel.end_with_parent(signal.SIGKILL)
            try:
                said = attempt()
            except Exception as error:  # noqa: BLE001  # whatever it is, it is why this does not work
                said = str(error) or type(error).__name__
            os.write(theirs, b"!" + said.encode("utf-8", "replace")[:4000])
        finally:
            os._exit(0)
    os.close(theirs)
    with os.fdopen(answer, "rb") as pipe:
        said_bytes = pipe.read()
    status = os.waitpid(process_id, 0)[1]
    if not said_bytes:
        return f"the process that tried it ended (status {status})"
    return said_bytes[1:].decode("utf-8", "replace")
