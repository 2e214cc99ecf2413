"""A control group for one submission, where this process may make one: memory and processes, tree and all.

Both versions of the kernel's interface are known. Where neither can be written, there is no group, and the
limits of processes and the look from outside must do.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_CONTROLLERS = ("memory", "pids")


@dataclass(frozen=True)
class Group:
    """One control group: one folder (version 2), or one for each controller (version 1)."""

    folders: tuple[Path, ...]

    def add(self, process_id: int) -> None:
        """Move a process into the group, with all that it will start. Raises OSError."""
        for folder in self.folders:
            (folder / "cgroup.procs").write_text(str(process_id))

    def kill(self) -> None:
        """Kill every process in it, new ones too."""
        for folder in self.folders:
            with contextlib.suppress(OSError):  # version 2, Linux 5.14
                (folder / "cgroup.kill").write_text("1")
                continue
            for _ in range(100):
                if not (there := _processes(folder)):
                    break
                for process_id in there:
                    with contextlib.suppress(OSError):
                        os.kill(process_id, signal.SIGKILL)
                time.sleep(0.001)

    def remove(self) -> None:
        """Remove the group once its last process is gone; waits a moment for that."""
        for folder in self.folders:
            for _ in range(200):
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    break
                except OSError:  # a process of it is still ending
                    time.sleep(0.005)


def make(name: str, memory_bytes: int, processes: int) -> Group | None:
    """Return a new group with these limits; None where this process may not make one."""
    parents = parent_folders()
    if parents is None:
        return None
    group = Group(tuple(dict.fromkeys(folder / name for folder in parents.values())))
    try:
        for folder in group.folders:
            folder.mkdir()
        _limit(parents["memory"] / name, ("memory.max", "memory.limit_in_bytes"), memory_bytes)
        _limit(parents["pids"] / name, ("pids.max",), processes)
    except OSError:
        group.remove()
        return None
    return group


def parent_folders() -> dict[str, Path] | None:
    """Return the writable folder below which groups of each controller can be made; None if there is none."""
    lines = _lines(Path("/proc/self/cgroup"))
    paths = {name: path for line in lines for names, path in [_names_and_path(line)] for name in names}
    unified = _ROOT / paths.get("", "/").lstrip("/")
    if (_ROOT / "cgroup.controllers").exists():
        if not set(_CONTROLLERS) <= set(" ".join(_lines(unified / "cgroup.subtree_control")).split()):
            with contextlib.suppress(OSError):
                (unified / "cgroup.subtree_control").write_text("+memory +pids")
        parents = dict.fromkeys(_CONTROLLERS, unified)
    else:
        parents = {name: _ROOT / name / paths[name].lstrip("/") for name in _CONTROLLERS if name in paths}
    usable = len(parents) == len(_CONTROLLERS) and all(
        os.access(folder, os.W_OK) for folder in parents.values()
    )
    return parents if usable else None


def _names_and_path(line: str) -> tuple[list[str], str]:
    _, names, path = line.split(":", 2)
    return names.split(","), path


def _limit(folder: Path, names: tuple[str, ...], value: int) -> None:
    for name in names:
        if (folder / name).exists():
            (folder / name).write_text(str(value))
            return
    raise OSError(f"{folder} has no {' or '.join(names)}")


def _processes(folder: Path) -> list[int]:
    return [int(line) for line in _lines(folder / "cgroup.procs")]


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []
