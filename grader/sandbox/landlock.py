"""Landlock: a process gives up all files but those it names, and may signal only its own (Linux 5.13 and on).

Source: Documentation/userspace-api/landlock.rst of Linux. Does not cover `stat`, UDP and sockets with a path;
the latter two are left to seccomp.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Sequence
from stat import S_ISDIR

from grader.sandbox import kernel

# One number on every machine.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_GET_VERSION = 1
_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_ALL_OF_FIRST_ABI = (1 << 13) - 1
_REFER, _TRUNCATE, _IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15
_BIND_OR_CONNECT_TCP = 0b11
_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11

READ = _EXECUTE | _READ_FILE | _READ_DIR
_FOR_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEVICE


def abi() -> int:
    """Return the kernel's Landlock version; 0 if it has none."""
    try:
        return kernel.system_call(_CREATE_RULESET, None, 0, _GET_VERSION)
    except OSError:
        return 0


def scopes_signals() -> bool:
    """Say whether a restricted process can signal only processes that it started."""
    return abi() >= 6


def restrict(
    readable: Iterable[str],
    writable: Iterable[str],
    devices: Iterable[str] = (),
    listed: Iterable[str] = (),
    changed: Iterable[str] = (),
) -> None:
    """Give up every file but these: `readable` to read and execute, `writable` folders for anything.

    Of the folders `listed`, and of all below, the names may be read, and files that lie in `changed` may be
    written, but none made. Paths that do not exist are left out.
    Needs `kernel.gain_nothing` before. Raises OSError.
    """
    version = abi()
    if version == 0:
        raise OSError("the kernel has no Landlock")
    files = _files_handled(version)
    network = _BIND_OR_CONNECT_TCP if version >= 4 else 0
    scope = _ABSTRACT_SOCKETS_AND_SIGNALS if version >= 6 else 0
    attributes = struct.pack("QQQ", files, network, scope)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = kernel.system_call(_CREATE_RULESET, attributes[:size], size, 0)
    try:
        _allow(ruleset, readable, READ & files)
        _allow(ruleset, listed, _READ_DIR & files)
        _allow(ruleset, writable, files)
        _allow(ruleset, changed, (READ | _WRITE_FILE | _TRUNCATE) & files)
        _allow(ruleset, devices, (_READ_FILE | _WRITE_FILE | _IOCTL_DEVICE) & files)
        kernel.system_call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _files_handled(version: int) -> int:
    later: Sequence[tuple[int, int]] = ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEVICE))
    return _ALL_OF_FIRST_ABI | sum(right for since, right in later if version >= since)


def _allow(ruleset: int, paths: Iterable[str], rights: int) -> None:
    for path in paths:
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            folder = S_ISDIR(os.fstat(descriptor).st_mode)
            rule = struct.pack("=Qi", rights if folder else rights & _FOR_FILES, descriptor)
            kernel.system_call(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
        finally:
            os.close(descriptor)
