"""What a process gives up before the submission's code runs in it, level by level.

    basic    limits; no privileges to gain or to keep; Python refuses other files than those of medium
    medium   and: only files of Python and of the submission, one folder to write (Landlock); no network, no
             other processes, no rare parts of the kernel (seccomp)
    strict   and: namespaces of its own (processes, files, network, users of the kernel's shared memory)

At each level another user takes over where this process may change it and the other can still read Python.
Everything here raises OSError when the kernel refuses; nothing is left out in silence.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
from pathlib import Path

from grader.sandbox import audit, filesystem, kernel, landlock, seccomp
from grader.sandbox.start import Start, device_files, python_folders, without

# No account has an id like this; RLIMIT_NPROC counts all threads of a user, so each submission has its own.
_FIRST_USER = 0x4E47_0000
_NOBODY = 65534
_OPEN_FILES = 1024
_KERNEL_FILES = ["/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/self", "/sys/devices/system"]


def begin_namespaces() -> None:
    """Have processes forked from now on live in a new namespace of processes, and of users if not root.

    The rest is left to the process itself: its keeper goes on seeing the system's files and groups.
    """
    if os.geteuid() == 0:
        kernel.unshare(kernel.CLONE_NEWPID)
        return
    user, group = os.geteuid(), os.getegid()
    kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWPID)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def enter_namespaces() -> None:
    """Leave the system's files, network, shared memory, host name and control groups for new ones."""
    kernel.unshare(
        kernel.CLONE_NEWNS
        | kernel.CLONE_NEWNET
        | kernel.CLONE_NEWIPC
        | kernel.CLONE_NEWUTS
        | kernel.CLONE_NEWCGROUP
    )


def confine(start: Start) -> str:
    """Give up what the level says; return the folder that can be written."""
    strict, folder = start["isolation"] == "strict", start["folder"]
    with contextlib.suppress(
        FileNotFoundError
    ):  # its files are no longer this process's once the user changes
        Path("/proc/self/oom_score_adj").write_text("900")
    user = other_user(start)
    readable = python_folders(start["device"])
    if strict:
        enter_namespaces()
        filesystem.enter(start, os.getuid() if user is None else user)
        folder = filesystem.HOME
    elif user is not None:
        os.chown(folder, user, user)
    own_processes = user is not None or strict
    limit(start, own_processes=own_processes)
    if sys.platform == "linux":
        kernel.gain_nothing()
        become(user)
        kernel.end_with_parent(signal.SIGKILL)
    if start["isolation"] == "medium":
        devices = device_files(start["device"])
        shown, listed = without([*readable, start["submission"]], start["judge"])
        threads = ["/proc/self/task"] if start["device"] == "cuda" else []  # its driver names its threads
        landlock.restrict([*shown, *_KERNEL_FILES], [folder], devices, listed, threads)
    if start["isolation"] == "basic":
        devices = device_files(start["device"])
        audit.restrict([*readable, *_KERNEL_FILES], [folder, *devices], start["judge"], start["submission"])
    if start["isolation"] in ("strict", "medium"):
        # In a namespace of its own it sees no other process.
        only = None if strict else os.getpid()
        seccomp.restrict(cuda=start["device"] == "cuda", only=only, signals=not landlock.scopes_signals())
    return folder


def become(user: int | None) -> None:
    """Change to `user` (None: stay who this is), without groups, and give up every capability."""
    kernel.bound_capabilities()
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    kernel.drop_capabilities()
    kernel.stay_readable_to_itself()


def other_user(start: Start) -> int | None:
    """Return the id of a user that nothing else runs as; None if this process cannot become one."""
    if os.geteuid() != 0 or sys.platform != "linux":
        return None
    if start["isolation"] != "strict":
        # Without a file system of its own it walks the real one, as that user: every folder on the way to
        # Python and to the submission must be open. Else it stays root, without its capabilities.
        seen = [*python_folders(), start["submission"], start["folder"]]
        parts = {parent for path in seen for parent in Path(os.path.realpath(path)).parents}
        if not all(parent.stat().st_mode & 0o001 for parent in parts):
            return None
        if not filesystem.readable_by_others(Path(start["submission"])):
            return None
    wanted = _FIRST_USER + os.getppid()
    return wanted if _mapped(wanted) else _NOBODY if _mapped(_NOBODY) else None


def _mapped(user: int) -> bool:
    """Say whether this user namespace knows a user."""
    try:
        lines = Path("/proc/self/uid_map").read_text().splitlines()
    except OSError:
        return True
    ranges = [list(map(int, line.split())) for line in lines]
    return any(first <= user < first + count for first, _, count in ranges)


def limit(start: Start, *, own_processes: bool) -> None:
    """Set the kernel's limits; on memory beyond what this process holds now, but not with CUDA."""
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, start["file_bytes"])
    _lower(resource.RLIMIT_NOFILE, _OPEN_FILES)
    # The judge looks at the whole tree's; the kernel's stops one process whatever the judge does.
    _lower(resource.RLIMIT_CPU, start["processor_seconds"] + 5)
    status = _status(Path("/proc/self/status"))
    if start["device"] == "cpu" and "VmData" in status:
        # DATA, not AS: torch maps far more than it uses. Not with CUDA, which reserves address space
        # for the whole device.
        _lower(resource.RLIMIT_DATA, _kibibytes(status["VmData"]) + start["memory_bytes"])
    if hasattr(resource, "RLIMIT_MSGQUEUE"):
        _lower(resource.RLIMIT_MSGQUEUE, 0)
    if hasattr(resource, "RLIMIT_NPROC"):
        others = 0 if own_processes else _threads_of(os.getuid())
        _lower(resource.RLIMIT_NPROC, others + start["processes"])


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
