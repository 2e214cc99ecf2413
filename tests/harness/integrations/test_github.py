"""The workflow for GitHub: its steps are run as its runner runs them, except other people's actions."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped, unused-ignore]  # its stubs are a package of their own

from grader.render import github

from .conftest import Shell, exported, fake_python, put, submission

Step = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A student's repository, without a submission."""
    return exported("github", tmp_path / "repository")


@pytest.fixture
def workflow(repository: Path) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load((repository / ".github" / "workflows" / "grade.yml").read_text())
    return found


@pytest.fixture
def step(shell: Shell, repository: Path, workflow: dict[Any, Any], tmp_path: Path) -> Step:
    """Run a step by its name."""
    steps = {one.get("name"): one for one in workflow["jobs"]["grade"]["steps"]}
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    env = {"RUNNER_TEMP": temporary, "GITHUB_OUTPUT": tmp_path / "output", "GITHUB_PATH": tmp_path / "path"}
    (tmp_path / "output").touch()

    def run(name: str) -> subprocess.CompletedProcess[str]:
        (temporary / "step.sh").write_text(steps[name]["run"])
        cwd = repository / steps[name].get("working-directory", ".")
        return shell(shutil.which("bash") or "sh", "-e", temporary / "step.sh", cwd=cwd, env=env)

    return run


def test_the_workflow_grades_each_push_and_may_little(workflow: dict[Any, Any]) -> None:
    assert "push" in workflow[True]  # YAML 1.1 reads `on` as a truth value, GitHub does not
    assert workflow["permissions"] == {"contents": "read", "checks": "write", "actions": "read"}
    job = workflow["jobs"]["grade"]
    assert job["timeout-minutes"] > 1
    actions = {one["uses"].split("@")[0]: one for one in job["steps"] if "uses" in one}
    assert actions["actions/checkout"]["with"] == {"persist-credentials": False}
    reporter = actions["classroom-resources/autograding-grading-reporter"]
    assert reporter["with"] == {"runners": "grade"}
    assert reporter["env"] == {"GRADE_RESULTS": "${{ steps.grade.outputs.result }}"}
    assert [one["name"] for one in job["steps"] if one.get("id") == "grade"] == ["Grade"]


def test_no_step_goes_on_after_one_that_failed(workflow: dict[Any, Any]) -> None:
    assert not [
        one for one in workflow["jobs"]["grade"]["steps"] if "if" in one or "continue-on-error" in one
    ]


def test_points_report_and_annotations(step: Step, repository: Path, tmp_path: Path) -> None:
    shutil.copytree(submission(tmp_path, "x", "half"), repository, dirs_exist_ok=True)
    done = step("Grade")
    assert done.returncode == 0, done.stderr
    name, _, result = (tmp_path / "output").read_text().partition("=")
    record = json.loads(base64.b64decode(result))
    assert (name, record["max_score"]) == ("result", 100)
    assert [one["score"] for one in record["tests"]] == [0, 40]

    done = step("Write the report")
    assert done.returncode == 0, done.stderr
    report = tmp_path / "temporary" / "report"
    assert "<html" in (report / "report.html").read_text()
    assert json.loads((report / "report.json").read_text())["seed"] == 7

    done = step("Show what does not hold")
    assert done.returncode == 1, done.stderr
    (line,) = done.stdout.splitlines()
    assert line.startswith("::error title=level 9%2C sums%3A Adding::Numbers add up.%0A")


def test_where_everything_holds_the_job_is_green(step: Step, repository: Path, tmp_path: Path) -> None:
    shutil.copytree(submission(tmp_path, "x", "right"), repository, dirs_exist_ok=True)
    assert [step(name).returncode for name in ("Grade", "Show what does not hold")] == [0, 0]


def test_a_repository_without_the_package_is_told_so(step: Step, tmp_path: Path) -> None:
    assert step("Grade").returncode == 0
    assert (tmp_path / "output").read_text().startswith("result=")
    done = step("Show what does not hold")
    assert (done.returncode, done.stdout[:60]) == (
        1,
        "::error title=not graded::it holds no folder nanochat/: it h",
    )


def test_a_file_cannot_be_named_as_a_command(step: Step, repository: Path, tmp_path: Path) -> None:
    shutil.copytree(submission(tmp_path, "x", "right"), repository, dirs_exist_ok=True)
    (repository / "nanochat" / "a\n::error::forged").symlink_to("b")
    done = step("Grade")
    assert done.returncode == 0, done.stderr
    assert "a ::error::forged is a symbolic link" in done.stdout
    said = done.stdout + done.stderr + step("Show what does not hold").stdout
    assert not [line for line in said.splitlines() if line.lstrip().startswith("::error::")]


def test_a_fault_of_the_grader_reports_no_points(step: Step, repository: Path, tmp_path: Path) -> None:
    shutil.copytree(submission(tmp_path, "x", "fault"), repository, dirs_exist_ok=True)
    done = step("Grade")
    assert done.returncode == 3
    assert "::error title=The grader failed::This says nothing about the submission" in done.stdout
    assert not (tmp_path / "output").read_text()


def test_installing_puts_the_grader_on_the_path(step: Step, programs: Path, tmp_path: Path) -> None:
    fake_python(programs, "python", recent=True)
    done = step("Install the grader")
    assert done.returncode == 0, done.stderr
    assert (programs / "log").read_text() == "python -m pip install it's a grader\n"
    assert (tmp_path / "path").read_text() == f"{tmp_path}/temporary/grader/bin\n"


def test_namespaces_are_allowed_where_they_are_not(step: Step, programs: Path) -> None:
    put(programs, "sudo", f'echo "$*" > {programs}/asked')
    there = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").exists()
    assert step("Allow namespaces").returncode == 0
    assert (programs / "asked").exists() == there


def test_a_submission_cannot_forge_a_command() -> None:
    said = "wrong\n::set-output name=result::forged\r##[error]forged 100%0A"
    line = github.command("a: b, c\nd", said)
    assert line == (
        "::error title=a%3A b%2C c%0Ad::wrong%0A: :set-output name=result: :forged\\r"
        "# #[error]forged 100%250A\n"
    )
