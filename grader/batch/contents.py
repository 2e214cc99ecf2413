"""What a submission holds, by path, whatever it came in: the rules that every kind of entry obeys."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

PACKAGE = "nanochat"
DEEPEST = 2
"""Folders that may stand around `nanochat/`: an archive of a folder has one, a handed-out copy two."""

IGNORED = frozenset(
    {".git", ".venv", "venv", "node_modules", "__pycache__", "__MACOSX", ".ipynb_checkpoints"}
)
"""Folders that programs make and nobody hands in: not read, so that a `.venv` fails no student."""

MOST_FILES = 5_000
MOST_BYTES = 64 << 20
"""All files of one submission together, unpacked. The reference has 60 KB."""


class Refused(Exception):
    """The submission cannot be graded as it was handed in; the text says why, and what to do."""


@dataclass
class Contents:
    """Files of a submission, and what stands there that is no file. Only `add` and `note` change it."""

    files: dict[str, bytes] = field(default_factory=dict)
    odd: dict[str, str] = field(default_factory=dict)
    """Path to what it is in words: "a symbolic link". Refused where it belongs to the package."""
    seen: int = 0
    size: int = 0

    def room(self) -> int:
        """Return how many bytes may still be added."""
        return MOST_BYTES - self.size

    def count(self) -> None:
        """Count one more entry, also one that is not kept. Raises Refused."""
        self.seen += 1
        if self.seen > MOST_FILES:
            raise Refused(f"it holds more than {MOST_FILES:,} files: hand in {PACKAGE}/ alone")

    def count_bytes(self, size: int) -> None:
        """Count what was unpacked, also what is not kept. Raises Refused."""
        self.size += size
        if self.size > MOST_BYTES:
            raise Refused(f"it unpacks to more than {MOST_BYTES >> 20} MiB: hand in {PACKAGE}/ alone")

    def add(self, path: str, content: bytes) -> None:
        """Add a file. Raises Refused if there is one of this name."""
        if path in self.files or path in self.odd:
            raise Refused(f"it holds {path} twice, and which of the two counts cannot be known")
        self.files[path] = content

    def note(self, path: str, what: str) -> None:
        """Add what is no file."""
        self.odd[path] = what


def safe_path(name: str) -> str:
    """Return the path of an entry of an archive, with forward slashes. Raises Refused if it leads outside.

    A backslash separates, too: some programs for Windows write it into zip files.
    """
    require_utf8(name)
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or (len(path.parts) > 0 and path.parts[0][1:2] == ":"):
        raise Refused(f"it holds the absolute name {name!r}: pack a folder, not a place on a disk")
    if ".." in path.parts:
        raise Refused(f"it holds the name {name!r}, which leads out of its folder")
    if "\0" in name:
        raise Refused(f"it holds the name {name!r}, which no file can have")
    return str(path)


def require_utf8(name: str) -> None:
    """Raise Refused if a name has bytes that are no UTF-8, which Python keeps as halves of surrogates."""
    if any(0xD800 <= ord(one) <= 0xDFFF for one in name):
        raise Refused(f"the name {name!a} is not UTF-8: rename the file and hand it in again")


def is_ignored(path: str) -> bool:
    """Say whether a file lies where nobody hands anything in, or is what Python makes of another."""
    parts = PurePosixPath(path).parts
    return (
        bool(IGNORED.intersection(parts)) or parts[-1:] == (".DS_Store",) or path.endswith((".pyc", ".pyo"))
    )


def package_of(contents: Contents) -> dict[str, bytes]:
    """Return the files of the one package `nanochat/`, by path from the folder around it. Raises Refused.

    Everything else is left out: it is not graded, and the submission cannot reach it.
    """
    everything = [*contents.files, *contents.odd]
    places = sorted({place for path in everything if (place := place_of(path)) is not None})
    if not places:
        raise Refused(f"it holds no folder {PACKAGE}/{lookalike(everything)}")
    if len(places) > 1:
        names = " and ".join(f"{place}{PACKAGE}/" for place in places[:3])
        raise Refused(f"it holds {len(places)} folders {PACKAGE}/ ({names}): leave the one to be graded")
    start = places[0]
    for path, what in sorted(contents.odd.items()):
        if path == f"{start}{PACKAGE}" or path.startswith(f"{start}{PACKAGE}/"):
            raise Refused(f"{path} is {what}: put the file itself there")
    package = {
        path.removeprefix(start): content
        for path, content in sorted(contents.files.items())
        if path.startswith(f"{start}{PACKAGE}/")
    }
    if not any(path.endswith(".py") for path in package):
        raise Refused(f"{start}{PACKAGE}/ holds no Python file")
    return package


def place_of(path: str) -> str | None:
    """Return what stands before `nanochat` in a path, None if it is not there or too deep."""
    parts = PurePosixPath(path).parts
    if PACKAGE not in parts[: DEEPEST + 1]:
        return None
    return "".join(f"{part}/" for part in parts[: parts.index(PACKAGE)])


def lookalike(paths: list[str]) -> str:
    """Say what may have been meant, for the message about a package that is missing."""
    if not paths:
        return ": it is empty"
    for path in sorted(paths):
        parts = PurePosixPath(path).parts
        if PACKAGE in parts:
            return f" near its top: {path} lies too deep"
        if close := next((part for part in parts[:-1] if part.strip().lower() == PACKAGE), None):
            return f": it has {close!r}, and the name must be {PACKAGE} exactly"
    first = ", ".join(sorted(paths)[:3])
    return f": it has {first}; put what is graded into a folder {PACKAGE}/"


def tree_hash(files: Mapping[str, bytes]) -> str:
    """Return the SHA-256 of files by path: of names and contents, whatever their order, modes and times."""
    listed = [(path, hashlib.sha256(content).hexdigest()) for path, content in sorted(files.items())]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def write(files: Mapping[str, bytes], folder: Path) -> None:
    """Write files below a fresh folder, for everybody to read. Raises Refused where names cannot be files."""
    for name, content in files.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise Refused(f"{name} is both a file and a folder") from None
        except OSError as error:
            if len(name.encode()) > 200:
                raise Refused(f"the name {name[:60]}… cannot be written: {error.strerror}") from error
            raise
        path.chmod(0o644)
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)
