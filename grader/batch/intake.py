"""Theory of operation: from a folder full of what students handed in to trees that can be graded.

Each entry is read in a forked process with limits on memory, processor time and file size (`_read`), because
an archive is made by someone who may mean harm: unpacking is the only thing that touches it, and what comes
back is one line of JSON. That process writes the package to a folder of its own. The judge renames it to its
hash, so what two students handed in alike is there once, and a tree that is there is whole.

Whose fault? What is wrong with an entry is `refused`, in words for the student. Whatever else goes wrong in
that process is a fault of the grader (`fault`), and is tried again with the next call.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import psutil  # type: ignore[import-untyped]  # psutil ships no types

from grader.batch import contents, unpack
from grader.batch.contents import Refused
from grader.describe import printable

MEMORY_BYTES = 512 << 20
"""On top of what the judge holds when it forks."""
PROCESSOR_SECONDS = 30
WALL_SECONDS = 120.0
LONGEST_REASON = 300
INCOMING = ".incoming-"


@dataclass(frozen=True)
class Taken:
    """One student's entry, read. Exactly one of `tree`, `refused` and `fault` says something."""

    student: str
    source: str
    """The name of the folder or archive."""
    tree: str = ""
    """The hash of what was handed in."""
    refused: str = ""
    """Why it cannot be graded, in words for the student."""
    fault: str = ""
    """What went wrong in the grader."""


def listed(folder: Path) -> dict[str, list[Path]]:
    """Return the entries of a folder by student, sorted; hidden files and folders are none."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if not path.name.startswith(".") and path.name not in contents.IGNORED:
            found.setdefault(student_of(path), []).append(path)
    return dict(sorted(found.items()))


def student_of(path: Path) -> str:
    """Return whose entry it is: the name of the folder, or of the archive without its ending."""
    name = os.fsencode(path.name).decode("utf-8", "replace")
    lower = name.lower()
    ending = next((one for one in unpack.ENDINGS if lower.endswith(one)), "")
    if not path.is_dir() and not ending:
        ending = Path(name).suffix
    return printable(name[: len(name) - len(ending)] or name, 200).replace("\n", "\\n").replace("\t", "\\t")


def take(entries: dict[str, list[Path]], trees: Path) -> Iterator[Taken]:
    """Read each student's entry, put its tree into `trees`, and yield what came of it."""
    for student, paths in entries.items():
        if len(paths) == 1:
            yield take_one(student, paths[0], trees)
        else:
            names = ", ".join(path.name for path in paths)
            yield Taken(
                student, names, refused=f"there are {len(paths)} entries of this name ({names}): leave one"
            )


def take_one(student: str, entry: Path, trees: Path) -> Taken:
    """Read one entry and put its tree into `trees`."""
    source = printable(os.fsencode(entry.name).decode("utf-8", "replace"), 200)
    fresh = trees / f"{INCOMING}{os.getpid()}"
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        said = in_a_fork(entry, fresh)
        if "tree" in said:
            keep(fresh, trees / said["tree"])
        if "refused" in said:
            said["refused"] = printable(said["refused"], LONGEST_REASON)
        return Taken(student, source, **said)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def clear(trees: Path) -> None:
    """Remove what a process that was killed left half-written."""
    for one in trees.glob(f"{INCOMING}*"):
        shutil.rmtree(one, ignore_errors=True)


def keep(fresh: Path, tree: Path) -> None:
    """Give a tree the name of its hash, unless there is one."""
    if not tree.is_dir():
        fresh.rename(tree)


def in_a_fork(entry: Path, fresh: Path) -> dict[str, str]:
    """Read an entry in a process with limits and return what it says, or what its end says."""
    pipe, theirs = os.pipe()
    process_id = os.fork()
    if process_id == 0:
        os.close(pipe)
        _read(entry, fresh, theirs)
    os.close(theirs)
    with contextlib.suppress(OSError):
        os.setpgid(process_id, process_id)
    try:
        said = _all_of(pipe, WALL_SECONDS)
    finally:
        os.close(pipe)
        with contextlib.suppress(OSError):
            os.killpg(process_id, signal.SIGKILL)
        status = os.waitpid(process_id, 0)[1]
    if said is None:
        return {"refused": f"it was not unpacked within {WALL_SECONDS:g} s: hand in nanochat/ alone"}
    if said:
        found: dict[str, str] = json.loads(said)
        return found
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL, signal.SIGXFSZ):
        limit = f"{PROCESSOR_SECONDS} s of processor time"
        return {"refused": f"unpacking it took more than {limit}: hand in nanochat/ alone"}
    return {"fault": f"the process that read {entry.name} ended without a word (status {status})"}


def _all_of(pipe: int, seconds: float) -> bytes | None:
    """Return all that comes through a pipe, None if that takes too long."""
    import select

    deadline = time.monotonic() + seconds
    pieces: list[bytes] = []
    while True:
        if not select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return None
        piece = os.read(pipe, 1 << 16)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)


def _read(entry: Path, fresh: Path, answer: int) -> NoReturn:
    """Be the process that reads an entry: write its package to `fresh`, say its hash, and end."""
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        _limit(psutil.Process().memory_info().vms)
        said = _outcome(entry, fresh)
        os.write(answer, json.dumps(said).encode())
    finally:
        os._exit(0)


def _limit(held: int) -> None:
    for kind, limit in (
        (resource.RLIMIT_AS, held + MEMORY_BYTES),
        (resource.RLIMIT_CPU, PROCESSOR_SECONDS),
        (resource.RLIMIT_FSIZE, 2 * contents.MOST_BYTES),
    ):
        with contextlib.suppress(ValueError, OSError):  # what the system does not know, or limits more
            resource.setrlimit(kind, (limit, limit))


def _outcome(entry: Path, fresh: Path) -> dict[str, str]:
    try:
        package = contents.package_of(unpack.read(entry))
        contents.write(package, fresh)
        return {"tree": contents.tree_hash(package)}
    except Refused as refused:
        return {"refused": str(refused)}
    except MemoryError:
        return {"refused": f"unpacking it takes more than {MEMORY_BYTES >> 20} MiB: hand in nanochat/ alone"}
    except Exception as error:  # noqa: BLE001  # ours, not theirs: recorded, and tried again
        return {"fault": f"{entry.name}: {type(error).__name__}: {error}"}


def shard(entries: dict[str, list[Path]], which: Sequence[int]) -> dict[str, list[Path]]:
    """Return the students of shard `i` of `n`, (i, n) counted from 1: every n-th of the sorted names."""
    position, count = which
    return dict(list(entries.items())[position - 1 :: count])
