"""What students see of a report, and what the command shows them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from grader import watch
from grader.cli import main
from grader.render.students import WITHHELD, seen
from grader.render.terminal import render
from grader.report import CriterionReport, LevelReport, PropertyReport, Report, Visibility

Submit = Callable[..., Path]
Captured = pytest.CaptureFixture[str]


def broken(visibility: Visibility = "visible", counterexample_shown: bool = True) -> PropertyReport:
    return PropertyReport(
        *("c.p", "A law.", "error", "got 1, want 2", {"a": "1"}, 0.1, 1.0, "line 3"),
        visibility=visibility,
        counterexample_shown=counterexample_shown,
    )


@pytest.mark.parametrize(
    ("visibility", "after_deadline", "message"),
    [
        ("visible", False, ""),
        ("hidden", True, WITHHELD["hidden"]),
        ("after_deadline", False, WITHHELD["after_deadline"]),
        ("after_deadline", True, ""),
    ],
)
def test_what_is_withheld(visibility: Visibility, after_deadline: bool, message: str) -> None:
    """A hidden law keeps its title, verdict and weight; what came of it is withheld."""
    one = broken(visibility)
    found = seen(one, after_deadline=after_deadline)
    assert (found.id, found.title, found.verdict, found.weight) == (
        one.id,
        one.title,
        one.verdict,
        one.weight,
    )
    if message:
        assert (found.message, found.counterexample, found.traceback) == (message, None, "")
    else:
        assert found == one


def test_the_counterexample_alone_may_be_withheld() -> None:
    """The message stays."""
    found = seen(broken(counterexample_shown=False), after_deadline=True)
    assert (found.message, found.counterexample, found.traceback) == ("got 1, want 2", None, "line 3")


def test_withheld_causes_are_not_said_to_be_one() -> None:
    """Two laws whose causes are withheld may be broken for different reasons."""
    both = tuple(seen(broken("hidden"), after_deadline=False) for _ in range(2))
    level = LevelReport(3, "L", 0, 1, (CriterionReport("c", "C", "C holds.", "error", 0, 1, 0.1, both),))
    text = render(Report("student", 0, "basic", "cpu", "float32", (level,), 1))
    assert text.count(WITHHELD["hidden"]) == 2
    assert "(as for c.p)" not in text


@pytest.mark.parametrize(
    ("visibility", "message"), [("visible", "got 1, want 2"), ("hidden", WITHHELD["hidden"])]
)
def test_watching_withholds_it_too(visibility: Visibility, message: str) -> None:
    """The first broken law of a criterion is named, and what came of it only if students see that."""
    criterion = CriterionReport("c", "C", "C holds.", "error", 0, 1, 0.1, (broken(visibility),))
    assert (
        watch.text_line(watch.Result(criterion, frozenset()), 1).splitlines()[1].strip() == f"c.p: {message}"
    )


@pytest.fixture
def hiding(level_folder: Path) -> None:
    """The toy level hides its first law, and shows hints up to stage 2."""
    file = level_folder / "level9.toml"
    text = file.read_text().replace("number = 9", "number = 9\nhint_stages = 2")
    file.write_text(f'{text}\n[[property]]\nid = "sums.of_two"\nvisibility = "hidden"\n')


@pytest.mark.usefixtures("hiding")
def test_the_command_withholds_it(submit: Submit, capsys: Captured, tmp_path: Path) -> None:
    """Neither the table nor the record says what came of a hidden law, unless asked to."""
    folder, file = submit(lambda *values: sum(values) + 1), tmp_path / "report.json"
    words = ["run", "--level", "9", "--submission", str(folder), "--report", str(file)]
    for more, expected in ([], False), (["--json"], False), (["--show-hidden"], True):
        assert main([*words, *more]) == 1
        out = capsys.readouterr().out
        assert "failed" in out
        for text in (out, file.read_text()):
            assert ("sum of 0 and 0: got 1, want 0" in text) is expected
            assert (WITHHELD["hidden"] in text) is not expected
            assert "sum of nothing: got 1, want 0" in text, "another law says all"
    assert main(["replay", str(file), "--property", "sums.of_two"]) == 1
    assert WITHHELD["hidden"] in capsys.readouterr().out


@pytest.mark.usefixtures("hiding")
@pytest.mark.parametrize(
    ("words", "stages", "said"),
    [
        (["--hints"], 1, ""),
        (["--hints", "2"], 2, ""),
        (["--hints", "3"], 2, "level 9 shows hints up to stage 2: its file says so"),
        ([], 0, ""),
    ],
)
def test_hints_come_in_stages(
    submit: Submit, capsys: Captured, words: list[str], stages: int, said: str
) -> None:
    """As many as were asked for, and as the level shows."""
    folder = submit(lambda *values: sum(values) + 1)
    main(["run", "--level", "9", "--submission", str(folder), "--json", *words])
    out, err = capsys.readouterr()
    (sums, _) = json.loads(out)["levels"][0]["criteria"]
    assert sums["hints"] == ["Count on your fingers.", "1 and 2 is 3."][:stages]
    assert err == (f"grader: {said}\n" if said else "")


@pytest.mark.parametrize("stage", ["0", "10", "two", "results"])
def test_a_stage_that_does_not_exist(stage: str, capsys: Captured) -> None:
    """What is no stage is refused, and the message says what to do about the word that was taken for one."""
    with pytest.raises(SystemExit):
        main(["run", "--level", "9", "--hints", stage])
    assert f"{stage!r}: want a stage from 1 to 9, or nothing and then another" in capsys.readouterr().err
