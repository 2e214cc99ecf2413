"""What the certificate says of bugs and of variants, from rows that were made up."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader import levels
from grader.bugs import variant
from grader.bugs.catalogue import load
from grader.matrix import combined, forms, repeat, report, schema
from grader.matrix.certificate import judgement
from grader.matrix.combined import Question, Variant
from grader.matrix.outcome import Row
from grader.matrix.sentinel import functions_in, raising, require_green, require_red
from specs.outcomes import GraderFault

from .made import PLACE, bug, cell, certificate, row

ROOT = Path(__file__).parents[3]
SOURCES = variant.sources_of(ROOT / "reference" / "nanochat")
CAUGHT = row("b", cell("rotary.one", "law broken"), cell("cache.two"))
FOUND, OTHER = {"found": 1.0}, {"found": 2.0}


def refusals(one: Row = CAUGHT, at_bug: object = OTHER, **changes: object) -> tuple[str, ...]:
    """Return what is said against a bug."""
    return judgement(bug(**changes), PLACE, {}, one, FOUND, at_bug).refused


def test_a_bug_that_its_criterion_notices_is_not_refused() -> None:
    assert refusals() == ()
    partly = row("b", cell("rotary.one", "raised"), ran={"gpt.py": [5]}, missing={"gpt.py": [[7, 8]]})
    assert refusals(partly) == ()
    assert (
        refusals(row("b", cell("rotary.one", "raised"), cell("cache.two", "timeout")), disturbs=("cache",))
        == ()
    )


@pytest.mark.parametrize(
    ("said", "line", "reason"),
    [
        (refusals(at_bug=FOUND), 3, "its witness rotary.tables finds the same as in the reference"),
        (refusals(row("b", cell("rotary.one"))), 1, "no property notices it, though its witness does"),
        (refusals(row("b", cell("cache.two", "raised"))), 1, "its own criterion does not notice; cache does"),
        (refusals(expected=("rotary.three",)), 4, "rotary.three does not notice"),
        (
            refusals(row("b", cell("rotary.one", "raised"), cell("cache.two", "raised"))),
            1,
            "it also breaks cache, undeclared, by cache.two",
        ),
        (refusals(disturbs=("cache",)), 1, "it is said to break cache, and does not"),
        (
            refusals(row("b", cell("rotary.one", "raised"), missing={"gpt.py": [[7, 8]]})),
            2,
            "no property runs line 7, 8 of its gpt.py",
        ),
    ],
)
def test_a_wrong_record_is_refused_with_file_line_and_reason(
    said: tuple[str, ...], line: int, reason: str
) -> None:
    assert any(one.startswith(f"level3/rotary.toml:{line}: bug 'b'") and reason in one for one in said), said


def test_each_other_form_of_a_bug_is_judged() -> None:
    recorded = [(bug("a", parameters={"x": ("1", "2", "3")}), PLACE), (bug("plain"), PLACE)]
    others = [one for one, _ in forms.others(recorded, 0)]
    assert [one.id for one in others] == ["a", "a"]
    bound = recorded[0][0].bound(0)
    assert sorted(one.choice["x"] for one in [*others, bound]) == ["1", "2", "3"]
    assert len({forms.named(one) for one in [*others, bound]}) == 3


def test_a_form_that_does_not_show_or_is_not_noticed_is_refused() -> None:
    form = bug(expected=("rotary.one",))
    assert forms.wrong(form, CAUGHT, FOUND, OTHER) == []
    quiet = forms.wrong(form, row("b", cell("rotary.one")), FOUND, FOUND)
    assert quiet == [
        ("witness", "its witness rotary.tables finds the same as in the reference"),
        ("expected", "rotary.one does not notice"),
    ]


def test_a_variant_is_asked_about_pairs_the_whole_and_repairs() -> None:
    bugs = (bug("a"), bug("c", "cache"), bug("t", "tools", disturbs=("cache",)))
    asked = list(combined.questions_of(0, Variant("v", bugs)))
    assert len([one for one in asked if len(one.bugs) == 2 and "beside" in one.why]) == 6
    repaired = {one.why: one.broken for one in asked if "repaired" in one.why}
    assert repaired == {
        "a repaired, all others left": False,
        "c repaired, all others left": True,  # the third still disturbs it
        "t repaired, all others left": False,
    }


def test_an_answer_that_is_wrong_is_said() -> None:
    broken, calm = row("q", cell("rotary.one", "raised", "KeyError")), row("q", cell("rotary.one"))
    must = Question(0, (), "rotary", True, "a beside c")
    mustnt = Question(0, (), "rotary", False, "a repaired")
    assert combined.complaint(must, broken) == combined.complaint(mustnt, calm) == ""
    assert combined.complaint(must, calm) == "a beside c: no property of rotary notices"
    assert "rotary.one still fails: raised: KeyError" in combined.complaint(mustnt, broken)


def test_repairing_everything_gives_the_reference() -> None:
    chosen = combined.chosen(load(3), SOURCES, 5, 2)
    assert [one.name for one in chosen] == ["student copy", "seed 5/0", "seed 5/1"]
    assert [combined.restores(SOURCES, one) for one in chosen] == [[], [], []]
    nothing = Variant("nothing", (bug(edits=()),))
    assert combined.restores(SOURCES, nothing) == ["variant nothing: with b it is the reference"]


def test_what_is_odd_is_repeated_and_a_share_of_the_rest() -> None:
    rows = {f"b{i}": CAUGHT for i in range(40)}
    rows |= {"unseen": row("unseen", cell("rotary.one")), "slow": row("slow", cell("rotary.one", "timeout"))}
    rows["dead"] = row("dead", cell("rotary.one", "died"))
    chosen = repeat.chosen(rows, 0)
    assert {"unseen", "slow", "dead"} <= set(chosen)
    assert len(chosen) == 3 + 2
    assert set(chosen) == set(repeat.chosen(dict(reversed(rows.items())), 0))
    assert set(chosen) != set(repeat.chosen(rows, 1))


def test_a_run_that_fails_is_the_graders_fault() -> None:
    with pytest.raises(GraderFault, match="exit code 2"):
        repeat.verdicts({}, 9, 0)


def test_a_sentinel_raises_before_anything_else() -> None:
    for name in ("KVCache.insert_kv", "sample_next_token", "Engine.generate"):
        text = raising(SOURCES["engine.py"], name)
        node = functions_in(text)[name]
        assert "raise RuntimeError('sentinel')" in text
        assert len(text.splitlines()) == len(SOURCES["engine.py"].splitlines()) + 1
        assert len(node.body) == len(functions_in(SOURCES["engine.py"])[name].body) + 1
    assert raising("def f(): return 1\n", "f") == "def f(): raise RuntimeError('sentinel'); return 1\n"


def test_a_blind_session_is_the_graders_fault() -> None:
    require_red(CAUGHT)
    require_green(row("reference", cell("rotary.one")))
    with pytest.raises(GraderFault, match="no property noticed"):
        require_red(row("sentinel gpt.py, f", cell("rotary.one")))
    with pytest.raises(GraderFault, match=r"reference must pass everything .* rotary\.one"):
        require_green(row("reference", cell("rotary.one", "raised", "KeyError")))


def test_the_report_says_what_was_found() -> None:
    run = report.record(certificate(), SOURCES, levels.load(3))
    page = report.page(run)
    assert "bugs: 3; caught by their own criterion: 2; disturb no other: 3; visible and not caught: 1" in page
    assert "cells: 6, 4 passed, 1 law broken, 1 raised" in page
    assert "correct programs that pass: 1 of 1" in page
    assert "| turns-wrong | **1 law broken** |" in page
    assert "no property notices it" in page
    assert run["refused"] == ["level3/rotary.toml:1: bug 'quiet': no property notices it"]


def test_the_public_schema_is_kept() -> None:
    found = schema.of_bugs(certificate().bugs, SOURCES, levels.load(3))
    assert found["schemaVersion"] == "2"
    mutants = {one["id"]: one for one in found["files"]["gpt.py"]["mutants"]}
    assert mutants["turns-wrong"]["status"] == "Killed"
    assert mutants["turns-wrong"]["killedBy"] == ["rotary.one"]
    assert mutants["quiet"]["status"] == "Survived"
    assert found["files"]["gpt.py"]["source"] == SOURCES["gpt.py"]
    for one in mutants.values():
        assert set(one["location"]) == {"start", "end"}
        assert one["location"]["start"]["line"] >= 1
    tests = {test["id"] for file in found["testFiles"].values() for test in file["tests"]}
    assert "rotary.table_holds_the_right_angles" in tests
