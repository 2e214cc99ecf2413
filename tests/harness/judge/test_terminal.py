"""The report for people."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from grader.render.command import again
from grader.render.terminal import last_place, render
from grader.report import CriterionReport, LevelReport, PropertyReport, Report, Verdict


def broken(name: str, verdict: Verdict = "failed", message: str = "", traceback: str = "") -> PropertyReport:
    message = message or f"{name} differs first at position 3: got 1, want 2"
    return PropertyReport(f"c.{name}", f"Law of {name}.", verdict, message, {"T": "4"}, 0.1, 1.0, traceback)


def report(*properties: PropertyReport, hints: tuple[str, ...] = (), submission: str = "student") -> Report:
    held = CriterionReport(
        "held", "Held [well]", "Holds.", "passed", 40, 40, 0.2,
        (PropertyReport("held.p", "Law.", "passed", "", None, 0.2, 1.0),),
    )  # fmt: skip
    verdict = properties[0].verdict
    criterion = CriterionReport("c", "Cache", "Same as without.", verdict, 12.5, 60, 0.1, properties, hints)
    return Report(
        submission, 7, "basic", "cpu", "float32", (LevelReport(3, "L", 52.5, 100, (held, criterion)),), 1
    )


def test_says_what_is_needed_to_understand_a_failure() -> None:
    """A broken law shows its words, verdict, message, smallest input and command."""
    text = render(report(broken("split")))
    for part in (
        "52.5 of 100 points", "12.5 of 60", "1 of 2 criteria", "seed 7", "isolation basic", "Held [well]",
        "Same as without.", "failed: c.split", "law: Law of split.", "got 1, want 2", "smallest input: T=4",
        "grader run --level 3 --submission student --only c.split --seed 7",
    ):  # fmt: skip
        assert part in text
    assert "passed" in text
    assert "\x1b" not in text


def test_hints_only_when_the_report_has_them() -> None:
    """A hint is shown when it is there."""
    assert "hint" not in render(report(broken("split")))
    text = render(report(broken("split"), hints=("Count.", "Up to 3.")))
    assert "  hint 1: Count.\n  hint 2: Up to 3.\n" in text


def test_a_few_in_full_and_the_rest_by_title() -> None:
    """Three broken laws are shown in full and the rest by title; `verbose` shows all."""
    five = report(*(broken(f"p{i}") for i in range(5)))
    text = render(five)
    assert text.count("again:") == 3
    assert "2 more of c (--verbose" in text
    assert "c.p4, failed: Law of p4." in text
    assert render(five, verbose=True).count("again:") == 5


def test_the_same_cause_is_shown_once() -> None:
    """What keeps every law from being judged is shown in full once."""
    same = [broken(f"p{i}", "error", "ImportError: no module x\nmore", "trace") for i in range(3)]
    text = render(report(*same))
    assert text.count("more\n") == 1
    assert text.count("ImportError: no module x (as for c.p0)") == 2
    text = render(report(*same, *(replace(same[0], id=f"c.p{i}") for i in range(3, 9)), broken("other")))
    assert "6 for the same reason as c.p0" in text
    assert "c.other, failed: Law of other." in text


def test_traceback_is_cut_to_the_place() -> None:
    """Of a traceback the innermost frame in the submission is shown, all of it with `verbose`."""
    trace = (
        "Traceback (most recent call last):\n"
        '  File "specs/probes/cache.py", line 9, in decode\n    model.forward()\n'
        '  File "student/nanochat/gpt.py", line 12, in forward\n    x = y @ z\n        ~~^~~\n'
        '  File "torch/functional.py", line 3, in matmul\n    raise\n'
        "RuntimeError: shapes\n"
    )
    assert last_place(trace) == 'File "student/nanochat/gpt.py", line 12, in forward\nx = y @ z'
    text = render(report(broken("p", "error", "RuntimeError: shapes", trace)))
    assert "line 12, in forward" in text
    assert "functional.py" not in text
    assert "functional.py" in render(
        report(broken("p", "error", "RuntimeError: shapes", trace)), verbose=True
    )
    assert last_place("no frames") == "no frames"
    assert last_place("") == ""


@pytest.mark.parametrize("verdict", ["timeout", "memory"])
def test_an_input_that_stops_is_not_called_smallest(verdict: Verdict) -> None:
    """No smaller input is looked for when the submission hangs."""
    text = render(report(broken("p", verdict)))
    assert "input: T=4" in text
    assert "smallest" not in text


@pytest.mark.parametrize("width", [60, 100])
def test_commands_stay_on_one_line(width: int) -> None:
    """Text is wrapped to the width and commands are not, so that they can be copied."""
    folder = "/home/someone/with a long name/" + "course/" * 12
    text = render(report(broken("p", message="word " * 60), submission=folder), width=width)
    (command,) = [line.split("again: ")[1] for line in text.splitlines() if "again: " in line]
    assert shlex.split(command)[5] == folder
    assert all(
        len(line) <= width for line in text.splitlines() if folder not in line and "again:" not in line
    )


def test_command_says_what_is_not_usual() -> None:
    """Device, dtype and isolation are part of the command when they are not the default."""
    other = replace(report(broken("p")), device="cuda", dtype="bfloat16", isolation="none")
    assert again(other, 3, "c.p").endswith("--isolation none --device cuda --dtype bfloat16")


def test_colour_only_repeats() -> None:
    """Without colour the text is the same."""
    import re

    coloured = render(report(broken("p")), colour=True)
    assert "\x1b[" in coloured
    assert re.sub(r"\s*\n", "\n", re.sub(r"\x1b\[[0-9;]*m", "", coloured)) == re.sub(
        r"\s*\n", "\n", render(report(broken("p")))
    )
