"""Writes files to a folder or into one archive: the same bytes for the same files, whenever and wherever.

All times are the same, so that none says which file was touched last, and nothing is compressed: what
compressors write depends on their version.
"""

from __future__ import annotations

import io
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

TIME = 946_684_800
"""2000-01-01 in UTC: late enough for a zip file, whose times begin in 1980."""

EXECUTABLE = ("setup.sh",)
ARCHIVES = (".zip", ".tar.gz")


def write(files: Mapping[str, bytes], target: Path, folder: str) -> None:
    """Write files by path to `target`: an archive by its name, or else a folder.

    Inside an archive they stand in `folder`. Raises FileExistsError if the target holds anything, OSError if
    it cannot be written.
    """
    if target.is_dir() and not str(target).endswith(ARCHIVES):
        if any(target.iterdir()):
            raise FileExistsError(f"{target} is not empty: name a folder that does not exist yet")
    elif target.exists():
        raise FileExistsError(f"{target} exists: remove it, or name another one")
    if str(target).endswith(".zip"):
        target.write_bytes(zipped(files, folder))
    elif str(target).endswith(".tar.gz"):
        target.write_bytes(gzipped(tarred(files, folder)))
    else:
        write_folder(files, target)


def write_folder(files: Mapping[str, bytes], target: Path) -> None:
    """Write files below a folder, and give files and folders one time and the usual permissions."""
    target.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode_of(name))
    # From the inside out: writing into a folder changes its time.
    for path in sorted([target, *target.rglob("*")], reverse=True):
        if path.is_dir():
            path.chmod(0o755)
        os.utime(path, (TIME, TIME))


def mode_of(name: str) -> int:
    """Return the permissions of a file."""
    return 0o755 if name in EXECUTABLE else 0o644


def zipped(files: Mapping[str, bytes], folder: str) -> bytes:
    """Return a zip file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(f"{folder}/{name}", (2000, 1, 1, 0, 0, 0))
            entry.create_system = 3  # Unix, on whatever system it is made
            entry.external_attr = (0o100000 | mode_of(name)) << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


def tarred(files: Mapping[str, bytes], folder: str) -> bytes:
    """Return a tar file whose entries belong to nobody in particular."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mtime, entry.mode = len(content), TIME, mode_of(name)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def gzipped(content: bytes) -> bytes:
    """Return a gzip file (RFC 1952) of stored blocks (RFC 1951), which is the same from every zlib."""
    head = b"\x1f\x8b\x08\x00" + struct.pack("<L", TIME) + b"\x00\xff"
    tail = struct.pack("<LL", zlib.crc32(content), len(content) & 0xFFFFFFFF)
    return head + b"".join(stored_blocks(content)) + tail


def stored_blocks(content: bytes) -> Iterator[bytes]:
    """Yield a text in blocks of at most 65,535 bytes, the last one marked."""
    size = 0xFFFF
    starts = range(0, max(len(content), 1), size)
    for start in starts:
        block = content[start : start + size]
        yield struct.pack("<BHH", start == starts[-1], len(block), len(block) ^ size) + block
