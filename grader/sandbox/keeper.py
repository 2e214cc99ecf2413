"""The keeper of one submission: starts it, waits for its end or the judge's word, and leaves nothing behind.

A fork of the fork server that runs none of the submission's code. Every process that a submission starts,
and whose own parent ends, becomes the keeper's child (or dies with its namespace), so none can get away.

It talks with the judge over the *leash*, a socket: {"pid": n} once the process lives, and {"ended": status,
"seconds": processor time} when it does not any more. When the judge lets go of its end, in whatever way it
ends, the keeper kills everything.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from grader.sandbox import cgroup, confine, kernel
from grader.sandbox.folders import remove
from grader.sandbox.start import Start

_TURN_SECONDS = 0.05
_LONGEST_CLEAN_UP_SECONDS = 5.0


def keep(start: Start, leash: socket.socket, theirs: Sequence[int], run: Callable[[], None]) -> None:
    """Fork, have the child call `run`, and stay until it has ended and everything is gone.

    `theirs` are descriptors for the child alone: kept open here, they would hide that it has closed them.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    if sys.platform == "linux":
        kernel.adopt_orphans()
    try:
        if start["isolation"] == "strict":
            confine.begin_namespaces()
        process_id, go = fork(leash, run)
    except OSError as error:
        tell(leash, {"refused": str(error)})
        return
    for descriptor in theirs:
        os.close(descriptor)
    group = cgroup.make(start["group"], start["memory_bytes"] + start["disk_bytes"], start["processes"])
    try:
        if group is not None:
            with contextlib.suppress(OSError):
                group.add(process_id)
        tell(leash, {"pid": process_id, "group": group is not None})
        os.write(go, b"!")
        os.close(go)
        ended = wait(process_id, leash)
    finally:
        kill_all(process_id, group)
    status, usage = ended or os.wait4(process_id, 0)[1:]
    reap_the_rest()
    if group is not None:
        group.remove()
    if ended is None:
        remove(Path(start["folder"]))  # the judge would, but it may have been killed
    tell(leash, {"ended": status, "seconds": usage.ru_utime + usage.ru_stime})


def fork(leash: socket.socket, run: Callable[[], None]) -> tuple[int, int]:
    """Start the child, which waits until its pipe says so; return its process id and the pipe."""
    waiting, go = os.pipe()
    process_id = os.fork()
    if process_id:
        os.close(waiting)
        return process_id, go
    try:
        os.close(go)
        leash.close()
        if sys.platform == "linux":
            kernel.end_with_parent(signal.SIGKILL)
        if os.read(waiting, 1):
            os.close(waiting)
            run()
    finally:
        os._exit(0)


def wait(process_id: int, leash: socket.socket) -> tuple[int, resource.struct_rusage] | None:
    """Return how the process ended; None if the judge let go before."""
    watched: list[int] = [leash.fileno()]
    with contextlib.ExitStack() as stack:
        if hasattr(os, "pidfd_open"):
            descriptor = os.pidfd_open(process_id)
            stack.callback(os.close, descriptor)
            watched.append(descriptor)
        while True:
            ready, _, _ = select.select(watched, [], [], None if len(watched) > 1 else _TURN_SECONDS)
            ended, status, usage = os.wait4(process_id, os.WNOHANG)
            if ended:
                return status, usage
            if leash.fileno() in ready:  # the judge says nothing on it: this is its end
                return None


def kill_all(process_id: int, group: cgroup.Group | None) -> None:
    """Kill the process and everything that came of it."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process_id, signal.SIGKILL)  # the first process of a namespace takes all others with it
    if group is not None:
        group.kill()
    deadline = time.monotonic() + _LONGEST_CLEAN_UP_SECONDS
    while (there := descendants()) and time.monotonic() < deadline:
        for one in there:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        # Only the dead one's parent can see it go: here, once it is an orphan. Not the first process, whose
        # end is told by `wait4`.
        for one in children():
            if one != process_id:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(one, os.WNOHANG)
        if there == [process_id]:
            return
        time.sleep(0.001)


def descendants() -> list[int]:
    """Return the processes that come from this one and are not zombies of its own child's."""
    found, left = [], children()
    while left:
        one = left.pop()
        found.append(one)
        left += children(one)
    return found


def children(process_id: int | None = None) -> list[int]:
    """Return the children of a process (None: this one); empty where the system does not say."""
    folder = Path(f"/proc/{process_id or os.getpid()}/task")
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in folder.iterdir():
            with contextlib.suppress(OSError):
                found += map(int, (thread / "children").read_text().split())
    return found


def reap_the_rest() -> None:
    """Take leave of every child that has ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def tell(leash: socket.socket, message: dict[str, object]) -> None:
    """Send a message to the judge, who may be gone."""
    with contextlib.suppress(OSError):
        leash.send(json.dumps(message).encode())
