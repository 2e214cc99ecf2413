"""Reads what a submission holds out of a folder or an archive, and believes nothing that it says.

Nothing is written to a disk here and nothing is run. What an archive says about sizes is not believed: what
comes out is counted. Runs only in the process that `intake` starts for it, which has limits of its own.
"""

from __future__ import annotations

import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from grader.batch import bundle
from grader.batch.contents import MOST_BYTES, Contents, Refused, is_ignored, require_utf8, safe_path

PIECE = 1 << 20

ENDINGS = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar", ".zip", ".bundle")
"""What archives that can be read are called."""


def read(entry: Path) -> Contents:
    """Return what an entry holds. Raises Refused."""
    if entry.is_symlink():
        raise Refused("it is a symbolic link: put the folder or archive itself there")
    if entry.is_dir():
        return read_folder(entry)
    reader = reader_for(entry.name)
    if not stat.S_ISREG(entry.lstat().st_mode):
        raise Refused("it is neither a folder nor a file")
    if entry.stat().st_size > MOST_BYTES:
        raise Refused(f"the archive is larger than {MOST_BYTES >> 20} MiB: hand in nanochat/ alone")
    return reader(entry)


def reader_for(name: str) -> Callable[[Path], Contents]:
    """Return what reads an archive of this name. Raises Refused."""
    lower = name.lower()
    if lower.endswith(".zip"):
        return read_zip
    if lower.endswith(".bundle"):
        return read_bundle
    if lower.endswith(ENDINGS):
        return read_tar
    raise Refused(f"{name} is neither a folder nor an archive that can be read ({', '.join(ENDINGS)})")


def read_folder(top: Path) -> Contents:
    """Return the files below a folder; links are noted, not followed."""
    found = Contents()
    pending = [top]
    while pending:
        for one in sorted(os.scandir(pending.pop()), key=lambda item: item.name):
            path = os.path.relpath(one.path, top)
            require_utf8(path)
            if is_ignored(path):
                continue
            found.count()
            if one.is_dir(follow_symlinks=False):
                pending.append(Path(one.path))
            elif one.is_file(follow_symlinks=False):
                descriptor = os.open(one.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
                with open(descriptor, "rb") as file:
                    found.add(path, taken(file, found))
            else:
                found.note(path, "a symbolic link" if one.is_symlink() else "neither a file nor a folder")
    return found


def read_zip(entry: Path) -> Contents:
    """Return the files of a zip archive."""
    found = Contents()
    with damage_is_refused("zip"), zipfile.ZipFile(entry) as archive:
        for one in archive.infolist():
            found.count()
            path = safe_path(one.filename)
            kind = stat.S_IFMT(one.external_attr >> 16)
            if one.is_dir() or is_ignored(path):
                continue
            if kind not in (0, stat.S_IFREG):
                found.note(path, "a symbolic link" if kind == stat.S_IFLNK else "neither a file nor a folder")
                continue
            if one.flag_bits & 0x1:
                raise Refused(f"{path} is encrypted: pack it without a password")
            with archive.open(one) as file:
                found.add(path, taken(file, found))
    return found


def read_tar(entry: Path) -> Contents:
    """Return the files of a tar archive, compressed or not."""
    with entry.open("rb") as file:
        return read_tar_stream(file, "r|*")


def read_tar_stream(file: IO[bytes], mode: str) -> Contents:
    """Return the files of a tar archive that is read from front to end."""
    found = Contents()
    # A stream, so that nothing is unpacked twice; and counted below, so that what is skipped counts, too.
    with damage_is_refused("tar"), tarfile.open(fileobj=file, mode=mode, errors="surrogateescape") as archive:  # type: ignore[call-overload]  # the mode is a text here
        for one in archive:
            found.count()
            path = safe_path(one.name)
            if one.isdir():
                continue
            if one.isfile() and not is_ignored(path):
                content = archive.extractfile(one)
                assert content is not None
                found.add(path, taken(content, found))
            elif one.isfile():
                found.count_bytes(one.size)
            elif not is_ignored(path):
                found.note(path, kind_in_words(one))
    return found


def kind_in_words(one: tarfile.TarInfo) -> str:
    """Say what an entry of a tar archive is that is no file."""
    if one.issym():
        return "a symbolic link"
    if one.islnk():
        return "a hard link"
    return "a device" if one.isdev() else "neither a file nor a folder"


def read_bundle(entry: Path) -> Contents:
    """Return the files of the commit that a Git bundle hands in."""
    with bundle.tar_of(entry) as stream:
        return read_tar_stream(stream, "r|")


def taken(file: IO[bytes], found: Contents) -> bytes:
    """Return all of a file, counted piece by piece. Raises Refused when it becomes too much."""
    pieces = []
    while piece := file.read(PIECE):
        found.count_bytes(len(piece))
        pieces.append(piece)
    return b"".join(pieces)


@contextmanager
def damage_is_refused(kind: str) -> Iterator[None]:
    """Turn what a library says of a damaged archive into a refusal."""
    try:
        yield
    except (Refused, MemoryError):
        raise
    except NotImplementedError as error:
        raise Refused(
            f"it is compressed in a way that cannot be read ({error}): pack it as plain zip"
        ) from error
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError) as error:
        raise Refused(f"it is no whole {kind} archive ({error}): pack it again") from error
    except (
        ValueError,
        IndexError,
        KeyError,
        OverflowError,
        RuntimeError,
        TypeError,
        ArithmeticError,
    ) as error:
        # What these libraries raise where an archive was made to mislead them.
        raise Refused(
            f"it is no right {kind} archive ({type(error).__name__}: {error}): pack it again"
        ) from error
