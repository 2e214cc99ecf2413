"""The files of a Git bundle, as a tar archive that Git writes: no checkout, no hooks, nobody's settings.

What a repository can have run lies in its hooks and its configuration, and neither is in a bundle. The
fresh repository has none of its own: no template, no global and no system configuration.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from grader.batch.contents import Refused

USUAL = ("refs/heads/main", "refs/heads/master")
SETTINGS = ("core.hooksPath=/dev/null", "protocol.allow=never", "protocol.file.allow=always", "gc.auto=0")


@contextlib.contextmanager
def tar_of(entry: Path) -> Iterator[IO[bytes]]:
    """Yield a stream with the files of the commit that a bundle hands in. Raises Refused."""
    if shutil.which("git") is None:
        raise Refused("it is a Git bundle, and git is not installed where it is graded: hand in a zip file")
    with tempfile.TemporaryDirectory(prefix="nanograder-") as folder:
        git(folder, "init", "--quiet", "--bare", "--template=", ".")
        heads = heads_of(git(folder, "bundle", "list-heads", str(entry.absolute())))
        git(
            folder, "fetch", "--quiet", "--no-tags", str(entry.absolute()), f"{chosen(heads)}:refs/heads/work"
        )
        command = [*command_line(), "archive", "--format=tar", "refs/heads/work"]
        with subprocess.Popen(
            command, cwd=folder, env=environment(folder), stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            try:
                yield process.stdout
            finally:
                process.kill()


def heads_of(listed: str) -> dict[str, str]:
    """Return the commits that a bundle offers, by name."""
    lines = (line.split(" ", 1) for line in listed.splitlines())
    return {name: commit for commit, name in lines}


def chosen(heads: dict[str, str]) -> str:
    """Return the name of what to grade: HEAD, else main or master, else the only branch. Raises Refused."""
    if "HEAD" in heads:
        return "HEAD"
    branches = [name for name in heads if name.startswith("refs/heads/")]
    for name in (*USUAL, *(branches if len(branches) == 1 else ())):
        if name in heads:
            return str(name)
    raise Refused(
        f"the Git bundle has {len(branches)} branches and no HEAD, main or master: "
        "make it with `git bundle create work.bundle HEAD`"
    )


def git(folder: str, *arguments: str) -> str:
    """Run Git in a folder and return what it printed. Raises Refused with what it complained of."""
    done = subprocess.run(
        [*command_line(), *arguments],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or [f"it ended with {done.returncode}"]
        raise Refused(f"git cannot read the bundle: {said[0]}")
    return done.stdout


def command_line() -> list[str]:
    """Return how Git is called."""
    return ["git", *(word for setting in SETTINGS for word in ("-c", setting))]


def environment(folder: str) -> dict[str, str]:
    """Return the environment in which Git has nobody's settings."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    nobody = {
        "HOME": folder,
        "XDG_CONFIG_HOME": folder,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    return {**kept, **nobody, "GIT_TERMINAL_PROMPT": "0", "GIT_CEILING_DIRECTORIES": folder, "LC_ALL": "C"}
