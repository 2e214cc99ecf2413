"""A file system of the submission's own: Python and the submission to read, a small folder to write.

Built on a temporary file system inside a mount namespace, so it goes when the last process in it goes, and
nothing of it is ever seen from outside. What is not mounted here does not exist for the submission: not the
judge, not the reference, not another submission, not anybody's home.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path

from grader.sandbox import kernel
from grader.sandbox.start import Start, below, device_files, python_folders

HOME = "/scratch"
"""What can be written. Not /tmp: a submission may lie there, and would be hidden by it."""
_ROOT_OPTIONS = "mode=755,size=64m,nr_inodes=16k"
_SHARED_MEMORY_BYTES = 64 << 20
_INODES = 20_000
# A submission that others cannot read is copied, up to so much.
_COPY_BYTES = 64 << 20


def enter(start: Start, user: int) -> None:
    """Make the private root and move into it. `user` will own what can be written. Raises OSError."""
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_SLAVE)
    root = start["folder"]
    kernel.mount("tmpfs", root, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, _ROOT_OPTIONS)
    os.mkdir(root + "/proc", 0o555)
    submission = start["submission"]
    copied = not readable_by_others(Path(submission))
    for path in _outer_first([*python_folders(start["device"]), *([] if copied else [submission])]):
        for place in _show(path, root):
            _hide(start["judge"], path, place)
    if copied:
        copy(submission, root + submission)
    for path in device_files(start["device"]):
        _bind(path, root + path)
    _writable(root + HOME, start["disk_bytes"], user)
    _writable(root + "/dev/shm", _SHARED_MEMORY_BYTES, user)
    if not os.path.lexists(root + "/tmp"):
        os.symlink(HOME, root + "/tmp")
    for name, target in (("fd", "self/fd"), ("stdin", "self/fd/0"), ("stdout", "self/fd/1")):
        os.symlink("/proc/" + target, f"{root}/dev/{name}")
    kernel.mount("proc", root + "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    kernel.enter_root(root)
    kernel.make_read_only("/", recursive=False)


def readable_by_others(submission: Path) -> bool:
    """Say whether any user may read the submission's package, once they are beside it."""
    package = submission / "nanochat"
    return all(_open_to_others(path) for path in (submission, package, *package.rglob("*")))


def copy(submission: str, target: str) -> None:
    """Copy the package of a submission and let anyone read it. Raises OSError if it is too large."""
    package = Path(submission, "nanochat")
    size = sum(path.lstat().st_size for path in package.rglob("*"))
    if size > _COPY_BYTES:
        raise OSError(
            f"{package} cannot be read by other users and is too large to copy ({size} bytes, at most "
            f"{_COPY_BYTES}): run chmod -R a+rX on the submission"
        )
    shutil.copytree(package, Path(target, "nanochat"), symlinks=True, ignore=_no_plain_file)
    for path in (Path(target), *Path(target).rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)


def _no_plain_file(folder: str, names: list[str]) -> set[str]:
    modes = {name: os.lstat(os.path.join(folder, name)).st_mode for name in names}
    return {
        name
        for name, mode in modes.items()
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode))
    }


def _open_to_others(path: Path) -> bool:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return True
    return bool(mode & stat.S_IROTH) and (not stat.S_ISDIR(mode) or bool(mode & stat.S_IXOTH))


def _outer_first(paths: Iterable[str]) -> list[str]:
    return sorted(set(paths), key=lambda path: (path.count("/"), path))


def _show(path: str, root: str) -> list[str]:
    """Make `path` readable below the new root, and where it really lies, too; return these places."""
    real = os.path.realpath(path)
    if os.path.islink(path) and path in ("/lib", "/lib64"):
        # Of the system's own layout, where programs are told to find their loader.
        os.symlink(os.readlink(path), root + path)
    places = []
    for place in {real, path} if not os.path.lexists(root + path) else {real}:
        if not _shown(root + place):
            _bind(real, root + place)
            kernel.make_read_only(root + place)
            places.append(root + place)
    return places


def _hide(folders: Iterable[str], shown: str, place: str) -> None:
    """Cover those of `folders` that lie in `shown`, which is seen at `place`, by empty ones."""
    for folder in folders:
        if (inside := below(folder, shown)) is not None:
            covered = os.path.join(place, inside)
            kernel.mount("none", covered, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=555,size=4k")
            kernel.make_read_only(covered)


def _shown(place: str) -> bool:
    """Say whether something stands at a place already: a file, or a folder that is not one of ours."""
    return os.path.isfile(place) or (os.path.isdir(place) and bool(os.listdir(place)))


def _bind(source: str, target: str) -> None:
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if not os.path.exists(target):
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    kernel.mount(source, target, None, kernel.MS_BIND | kernel.MS_REC)


def _writable(target: str, size: int, user: int) -> None:
    os.makedirs(target, exist_ok=True)
    options = f"mode=700,size={size},nr_inodes={_INODES}"
    kernel.mount("tmpfs", target, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, options)
    os.chown(target, user, user)
