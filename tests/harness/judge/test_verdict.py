"""Verdicts and points from what was expected and what was observed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.report import Verdict
from grader.verdict import (
    MOST_TELLING_FIRST,
    ExpectedCriterion,
    ExpectedLevel,
    ExpectedProperty,
    Observation,
    judge,
    narrow,
)


def level(points: float, weights: list[float]) -> ExpectedLevel:
    """Return a level of one criterion with properties of the given weights."""
    properties = tuple(ExpectedProperty(f"c.p{i}", f"law {i}", weight) for i, weight in enumerate(weights))
    return ExpectedLevel(9, "toy", (ExpectedCriterion("c", "C", "C holds.", points, properties),))


points_of_a_criterion = st.integers(1, 100_000).map(lambda cents: cents / 100)
weight = st.floats(0.001, 1000)
verdict = st.sampled_from(MOST_TELLING_FIRST)


@given(points_of_a_criterion, st.lists(st.tuples(weight, verdict), min_size=1, max_size=12))
def test_points_are_earned_and_no_more(points: float, properties: list[tuple[float, Verdict]]) -> None:
    """Points lie between 0 and all of them, and are all of them exactly when every property passed."""
    expected = level(points, [one for one, _ in properties])
    report = judge(expected, [Observation(f"c.p{i}", one) for i, (_, one) in enumerate(properties)])
    (criterion,) = report.criteria
    assert 0 <= criterion.points <= points
    all_passed = all(one == "passed" for _, one in properties)
    assert (criterion.points == points) == all_passed
    assert (criterion.verdict == "passed") == all_passed
    assert report.points == criterion.points
    assert report.max_points == points
    if all(one != "passed" for _, one in properties):
        assert criterion.points == 0


def test_points_are_divided_by_weight() -> None:
    """A criterion of 10 points with weights 1 and 3 earns 7.5 for the heavier property."""
    report = judge(level(10, [1, 3]), [Observation("c.p0", "failed"), Observation("c.p1", "passed")])
    assert report.points == 7.5


def test_rounding_never_gives_everything() -> None:
    """A failed property of almost no weight still costs a hundredth of a point."""
    report = judge(level(10, [1000, 0.001]), [Observation("c.p0", "passed"), Observation("c.p1", "failed")])
    assert report.points == 9.99


@given(st.lists(verdict, min_size=1, max_size=8))
def test_criterion_shows_the_most_telling_verdict(verdicts: list[Verdict]) -> None:
    """A criterion's verdict is the first in the order of telling that a property has."""
    expected = level(1, [1.0] * len(verdicts))
    report = judge(expected, [Observation(f"c.p{i}", one) for i, one in enumerate(verdicts)])
    assert report.criteria[0].verdict == min(verdicts, key=MOST_TELLING_FIRST.index)


def test_missing_outcome_is_not_run() -> None:
    """A property without an outcome is `not run`, and its criterion is not passed."""
    report = judge(level(10, [1, 1]), [Observation("c.p0", "passed")])
    assert [one.verdict for one in report.criteria[0].properties] == ["passed", "not run"]
    assert report.criteria[0].verdict == "not run"
    assert report.points == 5


def test_criterion_without_properties_is_not_passed() -> None:
    """Nothing checked is nothing earned."""
    (criterion,) = judge(level(10, []), []).criteria
    assert (criterion.verdict, criterion.points) == ("not run", 0)


@pytest.mark.parametrize(
    ("ids", "message"), [(["c.p0", "c.p0"], "more than once: c.p0"), (["c.p7"], "not expected: c.p7")]
)
def test_outcomes_that_nobody_expects(ids: list[str], message: str) -> None:
    """Two outcomes of one property, or one of an unknown property, are refused."""
    with pytest.raises(ValueError, match=message):
        judge(level(10, [1]), [Observation(one, "passed") for one in ids])


def test_properties_expected_twice() -> None:
    """Two expected properties with one id are refused: one outcome would count twice."""
    (criterion,) = level(10, [1]).criteria
    with pytest.raises(ValueError, match="expected more than once"):
        judge(ExpectedLevel(9, "toy", (criterion, criterion)), [])


def test_narrowed_level_is_worth_its_part() -> None:
    """One property of a criterion is worth its share of the points, the whole criterion all of them."""
    expected = level(10, [1, 3])
    (criterion,) = narrow(expected, ["c.p1"]).criteria
    assert ([one.id for one in criterion.properties], criterion.points) == (["c.p1"], 7.5)
    assert narrow(expected, ["c"]) == narrow(expected, []) == expected
    assert narrow(expected, ["other"]).criteria == ()
