"""The command: exit codes, what goes to stdout, and what a wrong word gets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from grader import run
from grader.cli import main
from grader.report import Report
from grader.sandbox.isolation import choose
from specs.outcomes import GraderFault

Submit = Callable[..., Path]
Captured = pytest.CaptureFixture[str]


def one_too_many(*values: int) -> int:
    return sum(values) + 1


def raising(error: BaseException) -> Callable[..., Any]:
    def answer(*_: Any) -> Any:
        raise error

    return answer


def test_everything_passed(submit: Submit, capsys: Captured) -> None:
    """Exit code 0, with the table on stdout."""
    assert main(["run", "--level", "9", "--submission", str(submit())]) == 0
    out, err = capsys.readouterr()
    assert "100 of 100 points" in out
    assert err == ""


def test_something_is_broken(submit: Submit, capsys: Captured) -> None:
    """Exit code 1, and the report says what; the command that it gives runs that alone."""
    folder = submit(one_too_many)
    assert main(["run", "--level", "all", "--submission", str(folder)]) == 1
    out = capsys.readouterr().out
    assert "sum of 0 and 0: got 1, want 0" in out
    assert "40 of 100 points" in out
    assert "Count on your fingers" not in out
    assert f"grader run --level 9 --submission '{folder}' --only sums.of_two --seed 0" in out


def test_hints(submit: Submit, capsys: Captured) -> None:
    """Hints come when asked for, and only for what is broken."""
    folder = submit(one_too_many)
    main(["run", "--level", "9", "--submission", str(folder), "--hints"])
    out = capsys.readouterr().out
    assert "Count on your fingers" in out
    assert "Swap them" not in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--level", "8"], "there is no such level; there are 9 and all"),
        (["--level", "²"], "there is no such level"),
        (["--isolation", "other"], "there are strict, medium, basic and none"),
        (["--submission", "nowhere"], "submission nowhere: there is no such folder"),
        (["--only", "sums.of_tow"], "did you mean sums.of_two"),
        (["--only", "zzz"], "did you mean order or sums"),
        (["--report", "nowhere/report.json"], "--report nowhere/report.json: there is no folder"),
    ],
)
def test_wrong_usage(submit: Submit, capsys: Captured, words: list[str], message: str) -> None:
    """Exit code 2, and the message says what there is."""
    usual = {"--level": "9", "--submission": str(submit())}
    words = [one for name, value in usual.items() if name not in words for one in (name, value)] + words
    assert main(["run", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err


@pytest.mark.parametrize(
    "words", [["run"], ["run", "--level", "9", "--seed", "-1"], ["run", "--level", "9", "--only", ","], []]
)
def test_wrong_words(words: list[str]) -> None:
    """What the parser refuses also has exit code 2."""
    with pytest.raises(SystemExit) as exit_:
        main(words)
    assert exit_.value.code == 2


def test_folder_without_nanochat(submit: Submit, capsys: Captured) -> None:
    """A folder that is no submission is wrong usage, and the usual slip is named."""
    folder = submit()
    assert main(["run", "--level", "9", "--submission", str(folder.parent)]) == 2
    assert "holds no folder nanochat/" in capsys.readouterr().err
    assert main(["run", "--level", "9", "--submission", str(folder / "nanochat")]) == 2
    assert "Give the folder that holds nanochat/" in capsys.readouterr().err


def test_submission_of_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder's name means one below the current folder, or else one of the repository."""
    repository, here = tmp_path / "repository", tmp_path / "here"
    (repository / "reference" / "nanochat").mkdir(parents=True)
    here.mkdir()
    monkeypatch.setattr(run, "REPOSITORY", repository)
    monkeypatch.chdir(here)
    assert run.find_submission("reference") == (repository / "reference").resolve()
    (here / "reference" / "nanochat").mkdir(parents=True)
    assert run.find_submission("reference") == (here / "reference").resolve()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (GraderFault("no GPU: use --device cpu"), "no GPU: use --device cpu"),
        (OSError("disk"), "OSError: disk"),
    ],
)
@pytest.mark.parametrize("debug", [False, True])
def test_fault_of_the_grader(
    submit: Submit,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    message: str,
    debug: bool,
) -> None:
    """Exit code 3, whatever went wrong, with a traceback only on request."""
    folder = submit()
    monkeypatch.setattr(run, "open_probe", raising(error))
    words = ["--debug"] if debug else []
    assert main(["run", "--level", "9", "--submission", str(folder), *words]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert f"the grader itself failed, which says nothing about the submission: {message}" in err
    assert ("Traceback" in err) == debug


def test_interrupted(submit: Submit, capsys: Captured) -> None:
    """Ctrl-C has the shell's exit code, and leaves no report."""
    assert main(["run", "--level", "9", "--submission", str(submit(raising(KeyboardInterrupt())))]) == 130
    out, err = capsys.readouterr()
    assert out == ""
    assert "interrupted" in err


def test_json_is_one_document(submit: Submit, capfd: pytest.CaptureFixture[str]) -> None:
    """With --json stdout holds the record and nothing that a submission printed, however it did."""

    def chatty(*values: int) -> int:
        print("printed by Python")
        os.write(1, b"written to the descriptor\n")
        subprocess.run([sys.executable, "-c", "print('printed by a child')"], check=True)
        return sum(values)

    words = ["run", "--level", "9", "--only", "sums.of_none", "--seed", "5", "--isolation", "none", "--json"]
    assert main([*words, "--submission", str(submit(chatty))]) == 0
    print("stdout is back")
    out, err = capfd.readouterr()
    out, rest = out.rsplit("}\n", 1)
    assert rest == "stdout is back\n"
    report = Report.from_record(json.loads(out + "}"))
    assert (report.seed, report.isolation, report.only) == (5, "none", ("sums.of_none",))
    assert (report.levels[0].points, report.levels[0].max_points) == (45, 45)
    assert report.versions.keys() >= {"python", "numpy", "hypothesis"}
    for text in ("printed by Python", "written to the descriptor", "printed by a child"):
        assert text in err


def test_only_shows_what_was_selected(submit: Submit, capsys: Captured) -> None:
    """With --only the report and the exit code are of that part."""

    def breaks_order(a: int = 0, b: int = 0) -> int:
        return a + b + (a > b)

    folder = submit(breaks_order)
    assert main(["run", "--level", "9", "--submission", str(folder), "--only", "sums.of_none,sums"]) == 1
    capsys.readouterr()
    assert main(["run", "--level", "9", "--submission", str(folder), "--only", "sums.of_none"]) == 0
    out = capsys.readouterr().out
    assert "only sums.of_none" in out
    assert "45 of 45 points" in out
    assert "order" not in out


def test_list_runs_nothing(submit: Submit, capsys: Captured) -> None:
    """--list prints every law, and needs no submission."""
    submit(raising(AssertionError()))
    assert main(["run", "--level", "9", "--submission", "nowhere", "--list"]) == 0
    out = capsys.readouterr().out
    assert "sums.of_two: The sum of two numbers is right." in out
    assert "order.swapped" in out


def test_replay(submit: Submit, capsys: Captured, tmp_path: Path) -> None:
    """A property of a report runs again alone, and breaks in the same way."""
    folder, file = submit(one_too_many), tmp_path / "report.json"
    assert (
        main(["run", "--level", "9", "--submission", str(folder), "--seed", "3", "--report", str(file)]) == 1
    )
    before = Report.from_record(json.loads(file.read_text()))
    capsys.readouterr()
    assert main(["replay", str(file), "--property", "sums.of_two", "--json"]) == 1
    after = Report.from_record(json.loads(capsys.readouterr().out))
    assert (after.seed, after.submission, after.isolation) == (3, str(folder), choose(None))
    (one,) = after.levels[0].criteria[0].properties
    was = before.levels[0].criteria[0].properties[0]
    assert (one.message, one.counterexample) == (was.message, was.counterexample)

    submit()
    assert main(["replay", str(file), "--property", "sums.of_two", "--isolation", "none", "--hints"]) == 0
    assert main(["replay", str(file), "--property", "sums.of_two", "--submission", "nowhere"]) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("{", "report.json: "),
        ("{}", "schema_version is None"),
        ("[]", "not a report"),
    ],
)
def test_replay_of_no_report(capsys: Captured, tmp_path: Path, text: str | None, message: str) -> None:
    """A file that is no report is wrong usage."""
    file = tmp_path / "report.json"
    if text is not None:
        file.write_text(text)
    assert main(["replay", str(file), "--property", "sums.of_two"]) == 2
    assert message in capsys.readouterr().err


def test_replay_of_no_property(submit: Submit, capsys: Captured, tmp_path: Path) -> None:
    """A property that the report does not have is wrong usage, and near ones are named."""
    file = tmp_path / "report.json"
    main(["run", "--level", "9", "--submission", str(submit()), "--report", str(file)])
    assert main(["replay", str(file), "--property", "sums.of_twoo"]) == 2
    assert "did you mean sums.of_two" in capsys.readouterr().err


def test_report_that_cannot_be_written(submit: Submit, capsys: Captured, tmp_path: Path) -> None:
    """A report file that is a folder is wrong usage, not a fault."""
    assert main(["run", "--level", "9", "--submission", str(submit()), "--report", str(tmp_path)]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_judge_starts_light() -> None:
    """The command imports nothing slow before it needs it, and the judge never torch."""
    code = "import sys, grader.cli; print({'torch', 'rich', 'hypothesis', 'numpy'} & sys.modules.keys())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
    code = "import sys, grader.session, grader.render.terminal; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
