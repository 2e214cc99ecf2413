"""What the judge tells a new submission process, and where that may look."""

from __future__ import annotations

import os
import site
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypedDict

ISOLATIONS = ("strict", "medium", "basic")
"""Levels of isolation with a process of the submission's own, the strongest first."""


class Start(TypedDict):
    """One submission process. Travels as JSON from the judge to the fork server."""

    submission: str
    device: str
    dtype: str
    isolation: str
    folder: str
    """A fresh folder of the judge's: the root of the process's file system, or where it may write."""
    group: str
    """A name for its control group that nothing else has."""
    judge: list[str]
    """The folders of the judge's own packages, which may lie among Python's: never shown."""
    refused: list[str]
    """Modules whose import stopped an earlier process of this submission."""
    memory_bytes: int
    processor_seconds: int
    processes: int
    file_bytes: int
    disk_bytes: int


def python_folders(device: str = "cpu") -> list[str]:
    """Return the folders that Python and the libraries it loads live in.

    An installed judge lies in one of them: see `Start.judge`.
    """
    prefixes = [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix]
    # Where one of these is a whole system ("/usr"), only what is Python's or a library is taken.
    python = [one for one in prefixes if one not in ("/", "/usr", "/usr/local")]
    packages = [*site.getsitepackages(), *(path for path in sys.path if path.endswith("-packages"))]
    standard = [os.path.dirname(os.__file__), sys.executable, os.path.realpath(sys.executable)]
    libraries = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"]
    search = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    settings = ["/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo"]
    cuda = ["/usr/local/nvidia", "/usr/local/cuda", "/sys"] if device == "cuda" else []
    return existing([*python, *packages, *standard, *libraries, *search, *settings, *cuda])


def device_files(device: str) -> list[str]:
    """Return the device files a submission may use."""
    plain = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"]
    cuda = [str(path) for path in Path("/dev").glob("nvidia*")] if device == "cuda" else []
    return existing([*plain, *cuda])


def existing(paths: Iterable[str]) -> list[str]:
    """Return the paths that exist, each once and none below another one of them."""
    found: list[str] = []
    for path in sorted({os.path.abspath(one) for one in paths if one and os.path.exists(one)}):
        if not any(path.startswith(one + "/") for one in found):
            found.append(path)
    return found


def below(path: str, folder: str) -> str | None:
    """Return how `path` goes on from `folder`, wherever links lead; None if it does not lie in there."""
    inside = os.path.relpath(os.path.realpath(path), os.path.realpath(folder))
    return None if inside == os.curdir or inside.startswith(os.pardir) else inside


def without(paths: Iterable[str], hidden: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return all that lies in `paths` but for the folders `hidden`, and the folders cut up for that."""
    kept, cut = [], []
    for path in paths:
        if any(os.path.realpath(path) == os.path.realpath(one) for one in hidden):
            continue
        if not any(below(one, path) for one in hidden):
            kept.append(path)
            continue
        within, further = without((entry.path for entry in os.scandir(path)), hidden)
        kept += within
        cut += [path, *further]
    return kept, cut
