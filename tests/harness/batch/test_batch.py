"""A class is graded once, whatever happens in between, and alike however it is cut into shards."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from grader.batch import key, ledger, local
from grader.batch.engine import Conditions, Outcome, Task, grade_task
from grader.batch.ledger import Ledger, lock
from grader.cli import main
from grader.run import UsageError

from . import toy

Batch = Callable[..., list[dict[str, Any]]]
Run = Callable[..., tuple[int, str]]
POINTS = {"alice": 100, "bob": 0, "carol": 40, "=dan": 100}
REPORTS = ("csv", "canvas", "junit")


def points(lines: list[dict[str, Any]]) -> dict[str, float]:
    """Return the points of each student that has some."""
    return {line["student"]: line["points"] for line in lines if "points" in line}


def test_each_submission_gets_its_points(class_folder: Path, tmp_path: Path, batch: Batch) -> None:
    lines = batch(class_folder, tmp_path / "out")
    assert points(lines) == POINTS
    (eve,) = (line for line in lines if line["student"] == "eve")
    assert eve["status"] == "rejected"
    assert eve["reason"] == "it holds no folder nanochat/: it is empty"


def test_a_second_run_grades_only_what_is_new(class_folder: Path, tmp_path: Path, batch: Batch) -> None:
    out = tmp_path / "out"
    batch(class_folder, out)
    (class_folder / "bob" / "nanochat" / "answer.py").write_text("right bob\n")
    lines = batch(class_folder, out)
    assert {line["student"] for line in lines if not line["remembered"]} == {"bob", "eve"}
    assert points(lines) == POINTS | {"bob": 100}
    with Ledger(out) as found:
        assert len(found.rows("result")) == 5, "the old result of bob stays in the ledger"


def test_another_seed_is_another_result(class_folder: Path, tmp_path: Path, batch: Batch) -> None:
    batch(class_folder, tmp_path / "out")
    lines = batch(class_folder, tmp_path / "out", "--seed", 1)
    assert not any(line["remembered"] for line in lines)


def test_what_is_alike_is_graded_once(class_folder: Path, tmp_path: Path, batch: Batch, grader: Run) -> None:
    for student in ("frank", "grace"):
        package = class_folder / student / "nanochat"
        package.mkdir(parents=True)
        (package / "answer.py").write_text("half alike\n")
    out = tmp_path / "out"
    assert points(batch(class_folder, out)) == POINTS | {"frank": 40, "grace": 40}
    with Ledger(out) as found:
        assert len(found.rows("result")) == 5
    code, page = grader("report", out, "--format", "html", "--out", tmp_path / "html")
    assert code == 0, page
    assert "<li>frank, grace <span" in (tmp_path / "html" / "index.html").read_text()


def test_a_fault_of_the_grader_is_held_and_tried_again(
    class_folder: Path, tmp_path: Path, batch: Batch, grader: Run
) -> None:
    out = tmp_path / "out"
    toy.submission(class_folder, "hal", "fault")
    toy.submission(class_folder, "ida", "lost")
    lines = batch(class_folder, out, "--jobs", 2, code=3)
    assert points(lines) == POINTS, "one failure costs nobody else anything"
    reasons = {line["student"]: line["reason"] for line in lines if line["status"] == "held"}
    assert reasons["hal"] == "GraderFault: no process can be had"
    assert reasons["ida"] == "the process that graded it was lost (exit code -9)"
    _, table = grader("report", out, "--format", "csv")
    assert "hal,held,,100,,,,hal,level 9: GraderFault: no process can be had" in table.splitlines()
    batch(class_folder, out, code=3)
    with Ledger(out) as found:
        assert sorted(times for *_, times in found.rows("fault")) == [2, 2]


def test_shards_merged_are_one_run(class_folder: Path, tmp_path: Path, batch: Batch, grader: Run) -> None:
    batch(class_folder, tmp_path / "whole")
    parts = [tmp_path / f"part{i}" for i in (1, 2, 3)]
    for i, part in enumerate(parts, 1):
        batch(class_folder, part, "--shard", f"{i}/3")
    code, said = grader("merge", tmp_path / "merged", *parts)
    assert code == 0, said
    for name in REPORTS:
        one, other = (grader("report", tmp_path / out, "--format", name) for out in ("whole", "merged"))
        assert one == other
        assert one[0] == 0
    for name in ("gradescope", "classroom", "prairielearn", "html"):
        for out in ("whole", "merged"):
            code, said = grader("report", tmp_path / out, "--format", name, "--out", tmp_path / name / out)
            assert code == 0, said
        one, other = (
            {path.name: path.read_bytes() for path in (tmp_path / name / out).rglob("*") if path.is_file()}
            for out in ("whole", "merged")
        )
        assert one == other
        assert len(one) >= 5
    lines = batch(class_folder, tmp_path / "merged")
    assert points(lines) == POINTS
    assert all(line["remembered"] for line in lines if "points" in line)


def test_shards_that_do_not_fit_are_refused(
    class_folder: Path, tmp_path: Path, batch: Batch, grader: Run
) -> None:
    batch(class_folder, tmp_path / "a", "--shard", "1/2")
    batch(class_folder, tmp_path / "b", "--shard", "2/2", "--seed", 5)
    code, said = grader("merge", tmp_path / "merged", tmp_path / "a", tmp_path / "b")
    assert code == 2
    assert '"seed": 5' in said
    (class_folder / "bob" / "nanochat" / "answer.py").write_text("half bob\n")
    batch(class_folder, tmp_path / "c")
    code, said = grader("merge", tmp_path / "merged", tmp_path / "c", tmp_path / "a")
    assert code == 2
    assert "bob handed in something else" in said
    code, said = grader("merge", tmp_path / "a", tmp_path / "c")
    assert code == 2
    assert "holds results already" in said
    code, said = grader("merge", tmp_path / "new", tmp_path / "missing")
    assert code == 2
    assert "ledger.sqlite is missing" in said
    assert not (tmp_path / "new").exists()


def test_shards_that_disagree_are_named(class_folder: Path, tmp_path: Path, batch: Batch) -> None:
    from grader.batch.merge import merge

    for name in ("a", "b"):
        batch(class_folder, tmp_path / name)
    database = sqlite3.connect(tmp_path / "b" / ledger.FILE)
    with database:
        database.execute("UPDATE result SET record = replace(record, '\"failed\"', '\"unstable\"')")
    database.close()
    doubts = merge(tmp_path / "merged", [tmp_path / "a", tmp_path / "b"])
    assert len(doubts) == 2, "bob and carol"
    assert "sums.of_one, sums.of_two came out otherwise" in doubts[0] + doubts[1]


def test_regrading_says_what_changed(
    class_folder: Path, tmp_path: Path, batch: Batch, grader: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    batch(class_folder, out)
    assert grader("regrade", out, "--only-changed") == (0, "")
    assert grader("regrade", out, "--student", "bob") == (0, "bob  level 9  0 points, as before\n")
    code, said = grader("regrade", out, "--student", "bop")
    assert code == 2
    assert "did you mean bob" in said
    monkeypatch.setattr(toy.Probe, "__call__", lambda *_, **arguments: sum(arguments.values()))
    monkeypatch.setattr(key, "judging_code", lambda: "another grader")
    code, said = grader("regrade", out, "--only-changed")
    assert code == 0
    assert sorted(said.splitlines()) == [
        "=dan  level 9  100 points, as before",
        "alice  level 9  100 points, as before",
        "bob  level 9  0 → 100 points: sums.of_two failed → passed, sums.of_one failed → passed, "
        "order.swapped failed → passed",
        "carol  level 9  40 → 100 points: sums.of_two failed → passed, sums.of_one failed → passed",
    ]
    assert "bob,graded,100" in grader("report", out, "--format", "csv")[1]


def test_regrading_needs_what_was_handed_in(
    class_folder: Path, tmp_path: Path, batch: Batch, grader: Run
) -> None:
    import shutil

    batch(class_folder, tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / ledger.TREES)
    code, said = grader("regrade", tmp_path / "out", "--student", "bob")
    assert code == 2
    assert "bob: what was handed in is no longer in" in said


def test_show(class_folder: Path, tmp_path: Path, batch: Batch, grader: Run) -> None:
    out = tmp_path / "out"
    batch(class_folder, out)
    code, said = grader("show", out)
    assert code == 0
    assert "carol  graded  40 of 100" in said.splitlines()
    assert "eve  rejected  0 of 100  it holds no folder nanochat/: it is empty" in said.splitlines()
    code, said = grader("show", out, "--student", "carol")
    assert "40 of 100 points, 1 of 2 criteria hold" in said
    assert "\x1b" not in said
    assert "eve: rejected: it holds no folder" in grader("show", out, "--student", "eve")[1]
    code, said = grader("show", out, "--student", "carl")
    assert code == 2
    assert "did you mean carol" in said


def toy_process(tmp_path: Path, class_folder: Path, out: Path) -> subprocess.Popen[bytes]:
    """Start grading in a process of its own."""
    words = ["batch", class_folder, "--level", "9", "--out", out, "--isolation", "basic", "--jobs", "2"]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.harness.batch.toy", tmp_path / "levels", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[3],
        # A shell makes a command in the background ignore this, and so would what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def verdicts_in(out: Path) -> list[tuple[Any, ...]]:
    """Return every row of properties of a ledger, and who they belong to."""
    with Ledger(out) as found:
        return [*found.rows("property"), *found.rows("wanted"), *found.rows("student")]


def test_killed_at_any_moment_nothing_is_lost_or_graded_twice(
    class_folder: Path, tmp_path: Path, batch: Batch
) -> None:
    for i in range(8):
        toy.submission(class_folder, f"student{i}", "slow" if i % 2 else "half")
    batch(class_folder, tmp_path / "undisturbed", "--jobs", 2)
    out = tmp_path / "out"
    chance = random.Random(7)
    kills, results = 0, 0
    while True:
        process = toy_process(tmp_path, class_folder, out)
        try:
            process.wait(timeout=0.9 + chance.random() * 0.8 if kills < 4 else 60)
            assert process.returncode == 0
            break
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
        if (out / ledger.FILE).exists() and (out / ledger.FILE).stat().st_size:
            with Ledger(out, create=True) as found:
                assert len(found.rows("result")) >= results, "what was finished stays"
                results = len(found.rows("result"))
    assert kills >= 1
    assert verdicts_in(out) == verdicts_in(tmp_path / "undisturbed")


def test_what_is_finished_is_not_graded_again(class_folder: Path, tmp_path: Path, batch: Batch) -> None:
    out = tmp_path / "out"
    batch(class_folder, out)
    with Ledger(out) as found:
        before = found.rows("result")
    batch(class_folder, out)
    with Ledger(out) as found:
        assert found.rows("result") == before, "the record has the times of the first grading"


def test_interrupted_it_leaves_no_process(class_folder: Path, tmp_path: Path) -> None:
    import psutil  # type: ignore[import-untyped]  # psutil ships no types

    for i in range(20):
        toy.submission(class_folder, f"student{i}", "slow")
    process = toy_process(tmp_path, class_folder, tmp_path / "out")
    deadline = time.monotonic() + 30
    children: list[psutil.Process] = []
    # Two workers: the process that makes fingerprints is soon done with toys.
    while len(children) != 2 and time.monotonic() < deadline:
        children = []
        for one in psutil.Process(process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                children += [one] if one.status() != psutil.STATUS_ZOMBIE else []
        time.sleep(0.05)
    assert len(children) == 2
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    assert not psutil.wait_procs(children, timeout=10)[1]


def test_one_writes_at_a_time(class_folder: Path, tmp_path: Path, grader: Run) -> None:
    words = ("batch", class_folder, "--level", "9", "--out", tmp_path / "out", "--isolation", "basic")
    with lock(tmp_path / "out"):
        code, said = grader(*words)
    assert code == 2
    assert "another grader is at work here" in said


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    def write(found: Ledger) -> None:
        with found.transaction():
            found.put("student", [("alice", "alice", "t", "", "")])
            raise KeyboardInterrupt

    with Ledger(tmp_path, create=True) as found:
        with pytest.raises(KeyboardInterrupt):
            write(found)
        assert found.rows("student") == []


def test_another_version_of_the_ledger_is_refused(tmp_path: Path) -> None:
    Ledger(tmp_path, create=True).close()
    database = sqlite3.connect(tmp_path / ledger.FILE)
    with database:
        database.execute("UPDATE meta SET value = '1' WHERE name = 'schema_version'")
    database.close()
    with pytest.raises(
        UsageError, match=r"schema_version is 1, want 2: it was .*; read it .*, or grade the class again"
    ):
        Ledger(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"), [(b"no database " * 100, "cannot be read as a ledger"), (b"", "this is no ledger")]
)
def test_what_is_no_ledger_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / ledger.FILE).write_bytes(content)
    with pytest.raises(UsageError, match=said):
        Ledger(tmp_path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--isolation", "none"], "a class is graded in processes of the submissions' own"),
        (["--address", "auto"], "--address is that of a Ray cluster"),
        (["--gpu-share", "0.5"], "--gpu-share is for a Ray cluster with GPUs"),
        (["--level", "7"], "there is no such level"),
    ],
)
def test_wrong_usage(class_folder: Path, tmp_path: Path, grader: Run, words: list[str], said: str) -> None:
    given = ["batch", class_folder, "--level", "9", "--out", tmp_path / "out", "--isolation", "basic"]
    code, text = grader(*given, *words)
    assert code == 2
    assert said in text


def test_a_folder_that_cannot_be_a_class(class_folder: Path, tmp_path: Path, grader: Run) -> None:
    (tmp_path / "empty").mkdir()
    for folder, out, said in (
        (tmp_path / "missing", "out", "there is no such folder"),
        (tmp_path / "empty", "out", "it holds no submissions"),
        (class_folder, "class/out", "where it would be graded"),
    ):
        code, text = grader("batch", folder, "--level", "9", "--out", tmp_path / out)
        assert code == 2
        assert said in text


def test_a_shard_is_a_part_of_parts(class_folder: Path, grader: Run) -> None:
    for text in ("0/2", "3/2", "1", "a/b"):
        with pytest.raises(SystemExit):
            grader("batch", class_folder, "--level", "9", "--shard", text)


def test_a_share_of_a_gpu_is_a_part_of_one(class_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("0", "1.5", "-1", "nan", "half"):
        with pytest.raises(SystemExit):
            main(["batch", str(class_folder), "--level", "9", "--gpu-share", text])
        assert f"{text}: want a number above 0 and at most 1" in capsys.readouterr().err


def test_a_lost_worker_costs_one_try(class_folder: Path, tmp_path: Path) -> None:
    flag = tmp_path / "was lost"

    def lost_once(task: Task, conditions: Conditions, server: Any) -> Any:
        if not flag.exists():
            flag.touch()
            os._exit(7)
        return grade_task(task, conditions, server)

    engine = local.LocalEngine(Conditions(0, "basic"), 1, lost_once)
    task = Task("key", "tree", str(class_folder / "carol"), 9)
    outcomes: list[Outcome] = list(engine.grade([task]))
    engine.close()
    assert [(one.task, one.fault, one.report and one.report.levels[0].points) for one in outcomes] == [
        (task, "", 40)
    ]
