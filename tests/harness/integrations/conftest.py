"""Folders of the platforms, and `grader` on the toy level as the command that their scripts run."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from grader.integrations.course import Course
from grader.integrations.platforms import PLATFORMS, contents, write

ROOT = Path(__file__).parents[3]
TOY = ROOT / "tests" / "harness" / "batch" / "toy.py"
"""`grader` on a level of two criteria that takes no time, for submissions that say what they do."""

Shell = Callable[..., subprocess.CompletedProcess[str]]

COURSE = Course(
    level="9",
    seed=7,
    isolation="basic",
    jobs=1,
    minutes=4,
    shards=2,
    install="it's a grader",
    image="registry.example/grader:1",
)
"""A course on the toy level, which needs no sandbox."""

NO_ISOLATION = """
from grader.sandbox import isolation
isolation.tried = lambda level, device="cpu": isolation.Trial(level, False, "not in this container")
"""
"""Run before `grader`: as on a machine on which no isolation works."""

ON_THE_CALCULATOR = f"""
import pathlib
from grader import levels
levels.FOLDER = pathlib.Path({str(Path(__file__).parent)!r})
from grader.bugs import catalogue
catalogue.REFERENCE = levels.FOLDER / "none"
"""
"""Run before the real `grader`: one criterion whose laws take no time, and no copies that were handed out."""

WITHOUT_RAY = """
sys.argv = [word for word in sys.argv if word not in ("--engine", "ray", "--address", "auto")]
"""
"""Run before `grader`: what is meant for Ray is graded here."""


def exported(platform: str, out: Path, course: Course = COURSE) -> Path:
    """Write the folder of a platform and return it."""
    write(contents(PLATFORMS[platform], course), out)
    return out


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder that comes first on PATH, with `grader` in it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    put_grader(folder)
    return folder


def put_grader(folder: Path, before: str = "") -> None:
    """Put `grader` on the toy level into a folder; `before` is run first in its process."""
    run = f"runpy.run_path({str(TOY)!r}, run_name='__main__')"
    put_python(folder, f"import runpy, sys\n{before}\n{run}", str(folder.parent / "levels"))


def put_real_grader(folder: Path) -> None:
    """Put the grader, with its sandbox, into a folder."""
    put_python(folder, f"import sys\n{ON_THE_CALCULATOR}\nfrom grader import cli\nsys.exit(cli.main())")


def put_python(folder: Path, code: str, *words: str) -> None:
    """Put Python code as `grader` into a folder."""
    python = [sys.executable, "-c", code, *words]
    put(folder, "grader", f'export PYTHONPATH={shlex.quote(str(ROOT))}\nexec {shlex.join(python)} "$@"')


def put(folder: Path, name: str, text: str) -> None:
    """Put a program into a folder: lines of sh."""
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


def fake_python(folder: Path, name: str, *, recent: bool = True, venv: bool = True) -> None:
    """Put a Python into a folder; programs of environments that it makes write their arguments to `log`."""
    put(folder, "inner", f'echo "${{0##*/}} $*" >> {folder}/log')
    make = f"""for last; do :; done
mkdir -p "$last/bin"
for one in python grader; do cp {folder}/inner "$last/bin/$one"; done"""
    put(folder, name, f'[ "$1" != -c ] || exit {int(not recent)}\n{make if venv else "exit 1"}')


@pytest.fixture
def shell(programs: Path, tmp_path: Path) -> Shell:
    """Run a command as a platform would: in a folder, with its variables and no others of ours."""

    def run(
        *words: object, cwd: Path = tmp_path, env: Mapping[str, object] | None = None
    ) -> subprocess.CompletedProcess[str]:
        kept = {name: one for name, one in os.environ.items() if not name.startswith(("GRADER", "PYTHON"))}
        given = {name: str(one) for name, one in (env or {}).items()}
        return subprocess.run(
            [str(word) for word in words],
            cwd=cwd,
            env={**kept, "PATH": f"{programs}:{kept['PATH']}", **given},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


def submission(folder: Path, student: str, kind: str) -> Path:
    """Write a student's submission, as `toy.py` knows it, and return its folder."""
    package = folder / student / "nanochat"
    package.mkdir(parents=True)
    (package / "answer.py").write_text(f"{kind} {student}\n")
    return package.parent


@pytest.fixture
def submissions(tmp_path: Path) -> Path:
    """A class: two right ones, one wrong, one half, one rejected."""
    folder = tmp_path / "class" / "submissions"
    for student, kind in (("alice", "right"), ("bob", "wrong"), ("carol", "half"), ("dan", "right")):
        submission(folder, student, kind)
    (folder / "eve").mkdir()
    return folder


def rows(gradebook: Path) -> dict[str, list[str]]:
    """Return status and points of each student of a gradebook."""
    lines = [line.split(",") for line in gradebook.read_text().splitlines()]
    columns = [lines[0].index(name) for name in ("status", "points")]
    return {line[0]: [line[column] for column in columns] for line in lines[1:]}


CLASS = {
    "alice": ["graded", "100"],
    "bob": ["graded", "0"],
    "carol": ["graded", "40"],
    "dan": ["graded", "100"],
    "eve": ["rejected", "0"],
}
"""What `rows` says of the class."""
