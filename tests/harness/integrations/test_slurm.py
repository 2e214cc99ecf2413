"""The array of jobs for Slurm, with an `sbatch` that runs copies of the scripts, as Slurm does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from grader.batch.ledger import Ledger

from .conftest import CLASS, NO_ISOLATION, Shell, exported, put, put_grader, rows, submission

SBATCH = """
echo "$@" >> "$FAKE/calls"
indices=none
for word in "$@"; do
    case $word in --array=1-*) indices=$(seq "${word#--array=1-}") ;; esac
    script=$word
done
cp "$script" "$FAKE/slurm_script"
cd /
for one in $indices; do
    [ "$one" = "${LOST:-}" ] && continue
    [ "$one" = none ] || export SLURM_ARRAY_TASK_ID="$one" SLURM_ARRAY_TASK_COUNT=1
    sh "$FAKE/slurm_script" >> "$FAKE/log" 2>&1
    echo "$one $?" >> "$FAKE/codes"
done
echo "17;cluster"
"""
"""Runs every job at once. Parts know nothing of their number, as where one of them is submitted again."""


@pytest.fixture
def course(tmp_path: Path, programs: Path) -> Path:
    put(programs, "sbatch", SBATCH)
    return exported("slurm", tmp_path / "course")


def submit(
    shell: Shell, course: Path, submissions: Path, *words: str, **env: str
) -> tuple[list[str], Path, str]:
    """Submit a class from beside it; return the exit codes of the jobs, the results, and the log."""
    fake = course.parent / "fake"
    fake.mkdir(exist_ok=True)
    (fake / "codes").unlink(missing_ok=True)
    (fake / "log").unlink(missing_ok=True)
    done = shell(
        *("sh", course / "submit.sh", "submissions", "../out", *words),
        cwd=submissions.parent,
        env={"FAKE": fake, **env},
    )
    assert done.returncode == 0, done.stderr
    return (fake / "codes").read_text().splitlines(), course.parent / "out", (fake / "log").read_text()


def test_a_class_in_parts_is_graded_as_one(shell: Shell, course: Path, submissions: Path) -> None:
    codes, out, log = submit(shell, course, submissions, "--partition=gpu")
    assert codes == ["1 0", "2 0", "none 0"], log
    assert rows(out / "gradebook.csv") == CLASS
    with Ledger(out / "results") as ledger:
        assert ledger.conditions() == {"seed": 7, "isolation": "basic", "device": "cpu", "dtype": "float32"}
    array, merge = (course.parent / "fake" / "calls").read_text().splitlines()
    assert "--array=1-2" in array
    assert "--partition=gpu" in array
    assert "--partition=gpu" in merge
    assert "--dependency=afterany:17 " in merge
    assert {one.name for one in (out / "parts").iterdir()} == {"1-of-2", "2-of-2"}
    whole = course.parent / "whole"
    words = ("--level", 9, "--seed", 7, "--isolation", "basic")
    assert shell("grader", "batch", submissions, "--out", whole, *words).returncode == 0
    csv = shell("grader", "report", whole, "--format", "csv")
    assert csv.stdout == (out / "gradebook.csv").read_text()


def test_who_is_held_gets_no_zero_and_is_tried_again(shell: Shell, course: Path, submissions: Path) -> None:
    answer = submission(submissions, "fay", "fault") / "nanochat" / "answer.py"
    codes, out, log = submit(shell, course, submissions)
    assert codes == ["1 0", "2 3", "none 0"], log
    assert rows(out / "gradebook.csv") == CLASS | {"fay": ["held", ""]}
    answer.write_text("right now\n")
    codes, out, log = submit(shell, course, submissions)
    assert codes == ["1 0", "2 0", "none 0"], log
    assert rows(out / "gradebook.csv") == CLASS | {"fay": ["graded", "100"]}
    assert log.count("(already graded)") == 4
    (before,) = out.glob("results-before-*")
    with Ledger(before) as ledger:
        assert len(ledger.students()) == 6


def test_a_lost_part_is_named_and_nothing_merged(shell: Shell, course: Path, submissions: Path) -> None:
    for lost, code in (("2", "1 0"), ("1", "2 0")):
        # The second time part 1 has finished, but in another run: somebody may have handed in since then.
        codes, out, log = submit(shell, course, submissions, LOST=lost)
        assert codes == [code, "none 3"]
        assert f"merge.sh: of 2 parts these did not finish: {lost}. Look" in log
        assert {path.name for path in out.iterdir()} == {"logs", "parts"}


def test_a_part_that_began_nothing_is_no_part(
    shell: Shell, course: Path, submissions: Path, programs: Path
) -> None:
    out = course.parent / "out"
    env = {"GRADER_SUBMISSIONS": submissions, "GRADER_OUT": out, "GRADER_RUN": "one"}
    assert shell("sh", course / "part.sh", 1, env=env).returncode == 0
    assert (out / "parts" / "1-of-2" / "finished").read_text() == "one\n"
    put_grader(programs, NO_ISOLATION)
    done = shell("sh", course / "part.sh", 1, env=env)
    assert done.returncode == 3
    assert "isolation basic does not work on this machine" in done.stderr
    assert not (out / "parts" / "1-of-2" / "finished").exists()


def test_a_killed_part_is_no_part(shell: Shell, course: Path, submissions: Path, programs: Path) -> None:
    (programs / "grader").rename(programs / "real")
    put(programs, "grader", f'case "$*" in *2/2*) kill -9 $$ ;; esac; exec {programs}/real "$@"')
    codes, _, log = submit(shell, course, submissions)
    assert codes == ["1 0", "2 137", "none 3"]
    assert "these did not finish: 2." in log


def test_jobs_ask_for_what_the_course_needs(course: Path) -> None:
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)=(.*)$", (course / "part.sbatch").read_text(), re.M))
    assert (asked["cpus-per-task"], asked["mem"]) == ("1", "3G")


def test_wrong_usage(shell: Shell, course: Path, submissions: Path, programs: Path) -> None:
    for words in ([], [submissions], ["nowhere", "out"]):
        done = shell("sh", course / "submit.sh", *words)
        assert done.returncode == 2
        assert done.stderr.startswith("usage: sh submit.sh SUBMISSIONS OUT")
    (programs / "grader").unlink()
    done = shell("sh", course / "submit.sh", submissions, "out", env={"PATH": f"{programs}:/usr/bin:/bin"})
    assert done.returncode == 2
    assert done.stderr == "submit.sh: there is no grader on PATH: activate its environment\n"


@pytest.mark.parametrize("script", ["part.sh", "merge.sh"])
def test_a_script_without_its_variables_says_which(shell: Shell, course: Path, script: str) -> None:
    done = shell("sh", course / script, 1)
    assert done.returncode == 2
    assert "GRADER_" in done.stderr
