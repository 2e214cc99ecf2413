"""The autograder for Gradescope, in folders laid out as there."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from grader.sandbox.isolation import tried

from .conftest import (
    COURSE,
    NO_ISOLATION,
    ROOT,
    Shell,
    exported,
    fake_python,
    put,
    put_grader,
    put_real_grader,
    submission,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """What /autograder holds before a submission is graded, and a result of an earlier one."""
    folder = tmp_path / "autograder"
    exported("gradescope", folder / "source")
    shutil.copy(folder / "source" / "run_autograder", folder)
    (folder / "results").mkdir()
    (folder / "results" / "results.json").write_text('{"score": 99}')
    return folder


def hand_in(root: Path, kind: str) -> None:
    submission(root, "submission", kind)


def run(shell: Shell, root: Path) -> tuple[int, dict[str, Any] | None, str]:
    """Run the autograder; return its exit code, results.json if there is one, and what it said."""
    done = shell(root / "run_autograder", cwd=root, env={"GRADESCOPE_ROOT": root})
    (file,) = [*(root / "results").iterdir()] or [None]
    return done.returncode, file and json.loads(file.read_text()), done.stderr


def test_points_of_each_criterion(shell: Shell, root: Path) -> None:
    hand_in(root, "half")
    code, found, said = run(shell, root)
    assert code == 0, said
    assert found is not None
    assert [(one["score"], one["max_score"], one["status"]) for one in found["tests"]] == [
        (0, 60, "failed"),
        (40, 40, "passed"),
    ]
    assert "score" not in found


def test_what_is_not_gradable_earns_nothing_with_the_reason(shell: Shell, root: Path) -> None:
    (root / "submission").mkdir()
    (root / "submission" / "gpt.py").touch()
    code, found, said = run(shell, root)
    assert code == 0, said
    assert found is not None
    assert found["score"] == 0
    assert found["output"].startswith("Not graded: it holds no folder nanochat/")


def test_a_link_is_not_followed_out_of_the_submission(shell: Shell, root: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("right")
    hand_in(root, "wrong")
    answer = root / "submission" / "nanochat" / "answer.py"
    answer.unlink()
    answer.symlink_to(secret)
    _, found, _ = run(shell, root)
    assert found is not None
    assert "answer.py is a symbolic link" in found["output"]


@pytest.mark.parametrize("kind", ["fault", "lost"])
def test_a_fault_of_the_grader_leaves_no_result(shell: Shell, root: Path, kind: str) -> None:
    hand_in(root, kind)
    code, found, said = run(shell, root)
    assert (code, found) == (3, None)
    assert "no mark: the grader ended with 3" in said


def test_an_isolation_that_does_not_work_is_not_replaced(shell: Shell, root: Path, programs: Path) -> None:
    put_grader(programs, NO_ISOLATION)
    hand_in(root, "right")
    code, found, said = run(shell, root)
    assert (code, found) == (3, None)
    assert "isolation basic does not work on this machine: not in this container" in said


def test_what_takes_too_long_leaves_no_result(shell: Shell, root: Path, programs: Path) -> None:
    put(
        programs,
        "timeout",
        f'echo "$@" > {programs}/asked; stat -c %a "$(dirname "$8")" >> {programs}/asked; exit 124',
    )
    hand_in(root, "right")
    code, found, said = run(shell, root)
    assert (code, found) == (124, None)
    assert "124: it took over 4 minutes" in said
    asked, mode = (programs / "asked").read_text().splitlines()
    assert asked.startswith("-k 30 240 grader batch ")
    assert mode == "755", "another user can come to the submission"


def test_a_report_that_cannot_be_made_leaves_no_result(shell: Shell, root: Path, programs: Path) -> None:
    (programs / "grader").rename(programs / "real")
    put(programs, "grader", f'[ "$1" != report ] || exit 3; exec {programs}/real "$@"')
    hand_in(root, "right")
    code, found, _ = run(shell, root)
    assert (code, found) == (3, None)


def test_setting_up_installs_the_grader(shell: Shell, root: Path, programs: Path) -> None:
    fake_python(programs, "python3.13", recent=True)
    done = shell("sh", root / "source" / "setup.sh", env={"GRADESCOPE_ROOT": root})
    assert done.returncode == 0, done.stderr
    assert (programs / "log").read_text() == "python -m pip install it's a grader\ngrader doctor\n"


def test_setting_up_gets_a_python_that_is_recent_enough(shell: Shell, root: Path, programs: Path) -> None:
    for name in ("python3.13", "python3.12", "python3.11", "python3"):
        fake_python(programs, name, recent=False)
    put(programs, "apt-get", f'echo "$*" >> {programs}/apt; cp {programs}/good/* {programs}')
    (programs / "good").mkdir()
    fake_python(programs / "good", "python3.11", recent=True)
    done = shell("sh", root / "source" / "setup.sh", env={"GRADESCOPE_ROOT": root})
    assert done.returncode == 0, done.stderr
    assert (programs / "apt").read_text() == "install -y python3.11\n"


def test_setting_up_gets_what_ubuntu_leaves_out(shell: Shell, root: Path, programs: Path) -> None:
    fake_python(programs, "python3.13", recent=True, venv=False)
    put(programs, "apt-get", f'echo "$*" >> {programs}/apt; cp {programs}/good/* {programs}')
    (programs / "good").mkdir()
    fake_python(programs / "good", "python3.13", recent=True)
    done = shell("sh", root / "source" / "setup.sh", env={"GRADESCOPE_ROOT": root})
    assert done.returncode == 0, done.stderr
    assert (programs / "apt").read_text() == "install -y python3.13-venv\n"


FORGERY = """
try:
    open({results!r}, "w").write('{{"score": 100}}')
except OSError:
    pass
else:
    raise SystemError("the results can be written")
"""
"""Ends a submission's module: its laws hold only if it could not write what Gradescope reads."""


@pytest.mark.skipif(not tried("medium").works, reason="isolation medium does not work on this machine")
def test_real_laws_at_the_isolation_that_gradescope_gets(shell: Shell, root: Path, programs: Path) -> None:
    put_real_grader(programs)
    exported("gradescope", root / "source", replace(COURSE, isolation="medium"))
    package = root / "submission" / "nanochat"
    package.mkdir(parents=True)
    calculator = (ROOT / "reference" / "nanochat" / "tools.py").read_text()
    forgery = FORGERY.format(results=str(root / "results" / "results.json"))
    (package / "tools.py").write_text(f"{calculator}\n{forgery}")
    code, found, said = run(shell, root)
    assert code == 0, said
    assert found is not None
    (one,) = found["tests"]
    assert 0 < one["score"] < one["max_score"] == 100
    assert "No module named 'nanochat.engine'" in one["output"], "the only law that does not hold"
    assert "SystemError" not in one["output"]
