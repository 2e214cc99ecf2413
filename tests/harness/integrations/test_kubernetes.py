"""The jobs for Kubernetes: manifests hold together, and grade.sh runs them on a stand-in for a cluster."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped, unused-ignore]  # its stubs are a package of their own

from . import kubectl
from .conftest import (
    CLASS,
    COURSE,
    WITHOUT_RAY,
    Shell,
    exported,
    put,
    put_grader,
    rows,
    submission,
)

MANIFESTS = ("parts.yaml", "merge.yaml", "ray.yaml")


@pytest.fixture
def course(tmp_path: Path) -> Path:
    return exported("kubernetes", tmp_path / "course")


def objects(course: Path) -> list[dict[str, Any]]:
    return [one for name in MANIFESTS for one in yaml.safe_load_all((course / name).read_text())]


def jobs(course: Path) -> dict[str, dict[str, Any]]:
    """Return the specification of each job by its name."""
    return {one["metadata"]["name"]: one["spec"] for one in objects(course) if one["kind"] == "Job"}


def test_each_job_is_bounded_and_each_mount_has_its_volume(course: Path) -> None:
    for name, spec in jobs(course).items():
        assert spec["activeDeadlineSeconds"], name
        pod = spec["template"]["spec"]
        assert pod["restartPolicy"] in ("Never", "OnFailure")
        assert pod["automountServiceAccountToken"] is False
        (container,) = pod["containers"]
        assert container["image"] == COURSE.image
        assert {one["name"] for one in container["volumeMounts"]} == {one["name"] for one in pod["volumes"]}
        assert all(isinstance(one.get("value", ""), str) for one in container["env"])


def test_every_name_is_of_its_run_and_allowed(course: Path) -> None:
    for one in objects(course):
        assert re.fullmatch(r"[a-z][a-z0-9-]*-run0", one["metadata"]["name"])
        assert one["metadata"]["labels"]["run"] == "run0"


def test_the_parts_are_an_indexed_job_that_tries_each_index_again(course: Path) -> None:
    spec = jobs(course)["nanograder-parts-run0"]
    assert (spec["completionMode"], spec["completions"]) == ("Indexed", 2)
    assert spec["template"]["spec"]["restartPolicy"] == "Never"  # else no limit for an index is allowed
    assert spec["backoffLimitPerIndex"] > 0
    (container,) = spec["template"]["spec"]["containers"]
    rules = {rule["action"]: rule for rule in spec["podFailurePolicy"]["rules"]}
    assert rules["FailIndex"]["onExitCodes"] == {
        "containerName": container["name"],
        "operator": "In",
        "values": [2],
    }
    assert "DisruptionTarget" in str(rules["Ignore"])


def test_workers_find_the_driver_and_share_its_token(course: Path) -> None:
    (service,) = (one for one in objects(course) if one["kind"] == "Service")
    driver, worker = (jobs(course)[f"nanograder-{name}-run0"]["template"] for name in ("ray", "workers"))
    assert service["spec"]["selector"].items() <= driver["metadata"]["labels"].items()
    assert not service["spec"]["selector"].items() <= worker["metadata"]["labels"].items()
    command = worker["spec"]["containers"][0]["command"]
    assert f"--address={service['metadata']['name']}:6379" in command
    tokens = [
        [one for one in pod["spec"]["containers"][0]["env"] if one["name"].startswith("RAY_AUTH")]
        for pod in (driver, worker)
    ]
    assert tokens[0] == tokens[1]
    assert len(tokens[0]) == 2


@pytest.mark.parametrize("isolation", ["strict", "medium", "basic"])
def test_a_pod_has_the_rights_that_its_isolation_needs(isolation: str, tmp_path: Path) -> None:
    course = exported("kubernetes", tmp_path / "course", replace(COURSE, isolation=isolation))
    for spec in jobs(course).values():
        (container,) = spec["template"]["spec"]["containers"]
        rights = container["securityContext"]
        assert rights["capabilities"]["drop"] == ["ALL"]
        assert ("SYS_ADMIN" in rights["capabilities"].get("add", [])) == (isolation == "strict")
        # The API refuses a pod that has both.
        assert ("allowPrivilegeEscalation" in rights) == (isolation != "strict")
        assert rights.get("runAsNonRoot", False) == (isolation != "strict")


def grade(
    shell: Shell, course: Path, *words: str, **env: str
) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Run grade.sh on the class; return what it says and the folder of results."""
    volume = course.parent / "class"
    command = shlex.join([sys.executable, kubectl.__file__, str(volume)])
    places = os.pathsep.join(sys.path)  # where this process found PyYAML
    put(course.parent / "bin", "kubectl", f'PYTHONPATH={shlex.quote(places)} exec {command} "$@"')
    given = {"GRADER_POLL_SECONDS": "0", **env}
    return shell("sh", course / "grade.sh", *words, env=given), volume / "out"


def test_a_class_in_parts(shell: Shell, course: Path, submissions: Path) -> None:
    """Somebody is held, which makes a part fail, and costs nobody anything."""
    submission(submissions, "fay", "fault")
    done, out = grade(shell, course)
    assert done.returncode == 0, done.stderr
    assert "a part failed, or somebody is held" in done.stderr
    assert "wrote the results of 6 students" in done.stdout
    assert rows(out / "gradebook.csv") == CLASS | {"fay": ["held", ""]}


def test_a_lost_part_is_named_and_nothing_merged(shell: Shell, course: Path, submissions: Path) -> None:
    assert submissions.is_dir()
    done, out = grade(shell, course, LOST="1")
    assert done.returncode == 3
    assert "of 2 parts these did not finish: 2." in done.stdout
    assert not (out / "results").exists()


def test_a_job_that_is_gone_is_not_waited_for(shell: Shell, course: Path, submissions: Path) -> None:
    assert submissions.is_dir()
    put(course.parent / "bin", "sed", "exit 0")  # nothing is created
    put(course.parent / "bin", "kubectl", '[ "$1" != get ] || exit 1; echo "$*"')
    done = shell("sh", course / "grade.sh", env={"GRADER_POLL_SECONDS": "0"})
    assert done.returncode == 3
    assert re.search(r"grade.sh: nanograder-parts-\w+ cannot be asked for", done.stderr)


def test_a_class_with_ray(shell: Shell, course: Path, submissions: Path, programs: Path) -> None:
    assert submissions.is_dir()
    put(programs, "ray", f'echo "$RAY_AUTH_MODE $RAY_AUTH_TOKEN $*" >> {programs}/rays')
    put_grader(programs, WITHOUT_RAY)
    done, out = grade(shell, course, "ray")
    assert done.returncode == 0, done.stderr
    assert rows(out / "gradebook.csv") == CLASS
    start, stop = (programs / "rays").read_text().splitlines()
    assert re.match(r"token [0-9a-f]{64} start --head --port=6379 --num-cpus=0 ", start)
    assert stop.endswith(" stop")
    left = {path.parent.name for path in (out.parent / "objects").rglob("*") if path.is_file()}
    assert left == {"job", "configmap"}
    assert not [*(out.parent / "objects").rglob("nanograder-workers*")]
    assert (out.parent / "calls").read_text().count("6379") == 0
    token = start.split()[1]
    assert token not in (out.parent / "calls").read_text(), "whoever sees processes would see it"


def test_a_driver_that_fails_reports_nothing(
    shell: Shell, course: Path, submissions: Path, programs: Path
) -> None:
    assert submissions.is_dir()
    put(programs, "ray", "exit 0")
    put(programs, "grader", f'echo "$1" >> {programs}/asked; exit 2')
    done, out = grade(shell, course, "ray")
    assert done.returncode == 3
    assert not out.exists()
    assert (programs / "asked").read_text() == "batch\n"


def test_wrong_usage(shell: Shell, course: Path) -> None:
    done = shell("sh", course / "grade.sh", "dask")
    assert (done.returncode, done.stderr) == (2, "usage: sh grade.sh [ray]\n")
