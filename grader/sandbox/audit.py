"""Python itself refuses the files that a submission has no business with: basic isolation, without Landlock.

No wall, for C code and other programs open files without asking Python. But it asks nothing of the kernel, so
it works on every system, and what is written in a line of Python goes no further.
Source: the events of Python's audit table (docs.python.org/3/library/audit_events.html), PEP 578.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

_LOOKING = {"os.listdir", "os.scandir"}
# Which of its arguments are paths that change.
_CHANGING = {
    "os.chmod": (0,),
    "os.chown": (0,),
    "os.link": (0, 1),
    "os.mkdir": (0,),
    "os.remove": (0,),
    "os.rename": (0, 1),
    "os.rmdir": (0,),
    "os.symlink": (1,),
    "os.truncate": (0,),
    "os.utime": (0,),
}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def restrict(readable: Sequence[str], writable: Sequence[str], hidden: Sequence[str], shown: str) -> None:
    """Refuse files from now on, with PermissionError: those not below `readable` or `writable`.

    `hidden` folders are refused wherever they lie, but for the folder `shown`, which may be read in any case.
    A path relative to an open folder passes: that folder was not refused.
    """
    sys.addaudithook(_hook(*map(_real, (readable, writable, hidden, [shown]))))


def _real(paths: Sequence[str]) -> tuple[str, ...]:
    return tuple(os.path.realpath(path) for path in paths)


def _hook(
    readable: Sequence[str], writable: Sequence[str], hidden: Sequence[str], shown: Sequence[str]
) -> Callable[[str, tuple[Any, ...]], None]:
    def may_read(path: str) -> bool:
        if _below(path, shown) or _below(path, writable):
            return True
        return _below(path, readable) and not _below(path, hidden)

    def check(path: object, allowed: Callable[[str], bool]) -> None:
        # A number is a descriptor, open already.
        if isinstance(path, str | bytes) and not allowed(os.path.realpath(os.fsdecode(path))):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    def may_write(path: str) -> bool:
        return _below(path, writable)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            check(arguments[0], may_write if arguments[2] & _WRITING else may_read)
        elif event in _LOOKING:
            check(arguments[0] or os.curdir, may_read)
        elif event in _CHANGING:
            for index in _CHANGING[event]:
                check(arguments[index], may_write)

    return hook


def _below(path: str, folders: Sequence[str]) -> bool:
    return any(path == folder or path.startswith(folder + "/") for folder in folders)
