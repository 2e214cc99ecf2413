"""Runs a command on another machine than this one, as far as a submission's process can tell.

python elsewhere.py user COMMAND ...            as an ordinary user (needs root)
python elsewhere.py no-namespaces COMMAND ...   where the kernel refuses namespaces
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from grader.sandbox import kernel, seccomp  # noqa: E402  # of this tree, whatever is installed

USER = 54_321


def main() -> None:
    """Change what the process may do, then be the command."""
    where, *command = sys.argv[1:]
    if where == "user":
        become_ordinary()
    elif where == "no-namespaces":
        kernel.gain_nothing()
        seccomp.install(seccomp.refusing_namespaces())
    else:
        sys.exit(f"elsewhere: there are user and no-namespaces, not {where}")
    os.execvp(command[0], command)


def become_ordinary() -> None:
    """Be a user who is nobody here, with a home of their own, who can read Python and this repository."""
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_SLAVE)
    open_the_way([Path(sys.prefix), Path(sys.base_prefix), ROOT])
    home = tempfile.mkdtemp(prefix="home-of-an-ordinary-user-")
    os.chown(home, USER, USER)
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    # Hypothesis would write below this repository, which may belong to another user.
    os.environ.update(HOME=home, TMPDIR=home, HYPOTHESIS_STORAGE_DIRECTORY=f"{home}/hypothesis")
    os.environ.pop("XDG_CACHE_HOME", None)


def open_the_way(needed: Iterable[Path]) -> None:
    """Let others reach these folders: what bars the way is hidden by an empty folder that holds only them."""
    barred: dict[Path, list[Path]] = {}
    for folder in needed:
        for parent in reversed(folder.resolve().parents):
            if not parent.stat().st_mode & 0o001:
                barred.setdefault(parent, []).append(folder.resolve())
                break
    for parent, folders in barred.items():
        kept = {folder: tempfile.mkdtemp(prefix="kept-") for folder in folders}
        for folder, place in kept.items():
            kernel.mount(str(folder), place, None, kernel.MS_BIND | kernel.MS_REC)
        kernel.mount("tmpfs", str(parent), "tmpfs", 0, "mode=755")
        for folder, place in kept.items():
            folder.mkdir(parents=True, exist_ok=True)
            kernel.mount(place, str(folder), None, kernel.MS_BIND | kernel.MS_REC)


if __name__ == "__main__":
    main()
