"""Calls to the Linux kernel that Python has no function for; each raises OSError with what was refused."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys

CLONE_NEWNS = 0x0002_0000
CLONE_NEWCGROUP = 0x0200_0000
CLONE_NEWUTS = 0x0400_0000
CLONE_NEWIPC = 0x0800_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWPID = 0x2000_0000
CLONE_NEWNET = 0x4000_0000

MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
MS_BIND, MS_REC, MS_SLAVE = 0x1000, 0x4000, 0x8_0000
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV = 1, 2, 4

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP = 1, 4, 24
_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 36, 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_LAST_CAPABILITY = 63
_CAPABILITY_VERSION = 0x2008_0522
_AT_FDCWD, _AT_RECURSIVE, _MNT_DETACH = -100, 0x8000, 2
# The same on x86-64 and on ARM: system calls since 2019 have one number everywhere.
_MOUNT_SETATTR = 442
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def unshare(flags: int) -> None:
    """Leave the namespaces that `flags` names for new ones."""
    _require(_call("unshare", flags), f"unshare({flags:#x})")


def mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    """Mount `source` of file system `kind` at `target`."""
    result = _call(
        "mount", _bytes(source), _bytes(target), _bytes(kind), ctypes.c_ulong(flags), _bytes(options)
    )
    _require(result, f"mount of {kind or source} at {target}")


def make_read_only(target: str, *, recursive: bool = True) -> None:
    """Make what is mounted at `target` read-only, without set-user-id files or devices (Linux 5.12)."""
    attributes = struct.pack("QQQQ", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, 0, 0, 0)
    result = _call(
        "syscall",
        ctypes.c_long(_MOUNT_SETATTR),
        _AT_FDCWD,
        _bytes(target),
        _AT_RECURSIVE if recursive else 0,
        attributes,
        ctypes.c_size_t(len(attributes)),
    )
    _require(result, f"mount_setattr of {target}")


def enter_root(folder: str) -> None:
    """Make `folder`, a mount point, the root of the file system, and let go of the old one."""
    os.chdir(folder)
    number = ctypes.c_long(_PIVOT_ROOT.get(platform.machine(), -1))
    _require(_call("syscall", number, b".", b"."), "pivot_root")
    _require(_call("umount2", b".", _MNT_DETACH), "umount2 of the old root")
    os.chdir("/")


def end_with_parent(signal_number: int) -> None:
    """Have this process killed when the thread that forked it ends. A change of user forgets it."""
    _require(_call("prctl", _PR_SET_PDEATHSIG, signal_number, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent has ended."""
    _require(_call("prctl", _PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl(PR_SET_CHILD_SUBREAPER)")


def gain_nothing() -> None:
    """Give up that a program started from here could gain privileges (set-user-id)."""
    _require(_call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)")


def bound_capabilities() -> None:
    """Let no program started from here gain a capability; while this process still may say so."""
    for capability in range(_LAST_CAPABILITY + 1):
        _call("prctl", _PR_CAPBSET_DROP, capability, 0, 0, 0)  # refused where it is not known, or not held


def drop_capabilities() -> None:
    """Give up every capability, for good."""
    _call("prctl", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header = struct.pack("Ii", _CAPABILITY_VERSION, 0)
    _require(_call("capset", header, bytes(24)), "capset")


def stay_readable_to_itself() -> None:
    """Let this process open its own files in /proc, which a change of user takes away."""
    _require(_call("prctl", _PR_SET_DUMPABLE, 1, 0, 0, 0), "prctl(PR_SET_DUMPABLE)")


def system_call(number: int, *arguments: int | bytes | None) -> int:
    """Make a system call by number and return its result; raise OSError if it fails."""
    words = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    return _require(_call("syscall", ctypes.c_long(number), *words), f"system call {number}")


def prctl(option: int, *arguments: int | bytes) -> int:
    """Call prctl and return its result; raise OSError if it fails."""
    words = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    return _require(_call("prctl", option, *words), f"prctl({option})")


def _call(name: str, *arguments: object) -> int:
    if _libc is None:
        raise OSError(f"{name}: this is not Linux")
    result: int = getattr(_libc, name)(*arguments)
    return result


def _require(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else os.fsencode(text)
