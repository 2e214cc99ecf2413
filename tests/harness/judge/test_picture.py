"""Comparisons as aligned rows and as bars, and what of them reaches a report."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from grader.describe import describe_comparison
from grader.render.picture import HEIGHT, bar, cells, rows
from grader.render.students import seen
from grader.render.terminal import render
from grader.report import CriterionReport, LevelReport, PropertyReport, Report
from specs.outcomes import Comparison

NINE = Comparison(
    *("row 0, position 14", "position", 10, 30),
    tuple(f"{i}.5" for i in range(9)),
    tuple(f"{i}.5" if i < 4 else "-2" for i in range(9)),
    (False,) * 4 + (True,) * 5,
    *("float32[1, 30]", "float64[1, 30]"),
)


def test_rows_are_aligned_and_marked() -> None:
    assert list(rows(NINE, 100)) == [
        "position  …   10   11   12   13   14   15   16   17   18  …",
        "got       …  0.5  1.5  2.5  3.5  4.5  5.5  6.5  7.5  8.5  …",
        "want      …  0.5  1.5  2.5  3.5   -2   -2   -2   -2   -2  …",
        "differs                          ^^^  ^^^  ^^^  ^^^  ^^^",
    ]


@pytest.mark.parametrize("width", [20, 30, 40, 60])
def test_rows_fit(width: int) -> None:
    """As many places as there is room for, and the first that differs always."""
    found = list(rows(NINE, width))
    assert all(cell_len(line) <= width for line in found)
    assert " 14" in found[0]
    assert "^" in found[3]


def test_rows_of_wide_characters_are_aligned() -> None:
    """A character that takes two columns counts as two."""
    text = Comparison("index [1]", "character", 0, 2, ("'日'", "'a'"), ("'日'", ""), (False, True), "a", "b")
    lines = list(rows(text, 80))
    assert lines[1:3] == ["got        '日'      'a'", "want       '日'  nothing"]
    assert len({cell_len(line) for line in lines}) == 1


numbers = st.floats(-1e308, 1e308)


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=9))
def test_bars_stay_in_their_picture(pairs: list[tuple[float, float]]) -> None:
    """Whatever the numbers, and the largest fills what there is."""
    row = [tuple(f"{number:.5g}" for number in column) for column in zip(*pairs, strict=True)]
    one = Comparison("", "", 0, len(pairs), *row, (True,) * len(pairs), "float32", "float64")
    for cell in cells(one):
        for number, found in ((cell.got, cell.got_bar), (cell.want, cell.want_bar)):
            assert found is not None
            assert -0.5 <= found.top <= found.top + found.height <= HEIGHT + 0.6
            assert (found.top >= found.base) is (float(number) < 0)


def test_bars_are_for_numbers_that_have_a_size() -> None:
    assert bar(-2, -2, 2) == bar(-2, -2, 2).__class__(16, 16, 16)
    odd = replace(NINE, got=("nan", "inf", "", "x", *NINE.got[4:]))
    assert [one.got_bar is None for one in cells(odd)][1:5] == [True] * 4
    assert not any(math.isnan(one.want_bar.top) for one in cells(odd)[1:-1] if one.want_bar)
    ids = replace(NINE, want_kind="list of 30")
    assert all(one.got_bar is None and one.want_bar is None for one in cells(ids))


def test_texts_of_a_submission_steer_no_terminal() -> None:
    bad = replace(NINE, index="\x1b[31m", got=("\u202e\x1b" * 40, *NINE.got[1:]))
    found = describe_comparison(bad)
    assert found is not None
    assert found.index == "\\x1b[31m"
    assert found.got[0].isprintable()
    assert describe_comparison(None) is None


def test_the_terminal_shows_them_and_hidden_laws_have_none() -> None:
    one = PropertyReport("c.p", "Law.", "failed", "differs", {"T": "4"}, 0.1, 1.0, comparison=NINE)
    for law, there in ((one, True), (replace(one, visibility="hidden"), False)):
        law = seen(law, after_deadline=False)
        level = LevelReport(
            3, "L", 0, 1, (CriterionReport("c", "C", "C holds.", "failed", 0, 1, 0.1, (law,)),)
        )
        text = render(Report("student", 0, "basic", "cpu", "float32", (level,), 1), width=60)
        assert ("      got " in text) is there
        assert all(len(line) <= 60 for line in text.splitlines() if "again: " not in line)
    assert seen(replace(one, counterexample_shown=False), after_deadline=True).comparison is None
