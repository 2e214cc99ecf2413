"""The record: what goes to JSON comes back the same, and what is no record is refused."""

from __future__ import annotations

import copy
import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.render import json as record
from grader.report import SCHEMA_VERSION, CriterionReport, LevelReport, PropertyReport, Report, Visibility
from grader.verdict import MOST_TELLING_FIRST
from specs.outcomes import Comparison

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.floats(0, 1e6)
verdicts = st.sampled_from(MOST_TELLING_FIRST)
rows = st.lists(texts, max_size=3).map(tuple)
comparisons = st.builds(
    Comparison,
    **dict.fromkeys(("index", "axis", "got_kind", "want_kind"), texts),
    **dict.fromkeys(("start", "count"), st.integers(0, 99)),
    **dict.fromkeys(("got", "want"), rows),
    differs=st.lists(st.booleans(), max_size=3).map(tuple),
)
properties = st.builds(
    PropertyReport,
    id=texts,
    title=texts,
    verdict=verdicts,
    message=texts,
    counterexample=st.none() | st.dictionaries(texts, texts, max_size=3),
    seconds=numbers,
    weight=numbers,
    traceback=texts,
    visibility=st.sampled_from(get_args(Visibility)),
    counterexample_shown=st.booleans(),
    comparison=st.none() | comparisons,
)
criteria = st.builds(
    CriterionReport,
    id=texts,
    title=texts,
    statement=texts,
    verdict=verdicts,
    points=numbers,
    max_points=numbers,
    seconds=numbers,
    properties=st.lists(properties, max_size=3).map(tuple),
    hints=st.lists(texts, max_size=3).map(tuple),
)
levels = st.builds(
    LevelReport,
    level=st.integers(0, 9),
    title=texts,
    points=numbers,
    max_points=numbers,
    criteria=st.lists(criteria, max_size=3).map(tuple),
)
reports = st.builds(
    Report,
    submission=texts,
    seed=st.integers(0, 2**64),
    isolation=texts,
    device=texts,
    dtype=texts,
    levels=st.lists(levels, max_size=2).map(tuple),
    seconds=numbers,
    only=st.lists(texts, max_size=2).map(tuple),
    versions=st.dictionaries(texts, texts, max_size=2),
    schema_version=st.just(SCHEMA_VERSION),
)


@given(reports)
def test_round_trip(report: Report) -> None:
    """A report that went through JSON is the same report."""
    assert Report.from_record(json.loads(record.render(report))) == report


def sample() -> dict[str, Any]:
    """Return a record of one property."""
    one = PropertyReport("c.p", "A law.", "failed", "got 1, want 2", {"a": "1"}, 0.1, 1.0)
    criterion = CriterionReport("c", "C", "C holds.", "failed", 0, 10, 0.1, (one,))
    report = Report("student", 0, "basic", "cpu", "float32", (LevelReport(3, "L", 0, 10, (criterion,)),), 1.0)
    return json.loads(record.render(report))  # type: ignore[no-any-return]  # an object, as to_record returns


def test_record_has_the_entries_that_others_read() -> None:
    """The record's names are those of the published schema."""
    found = sample()
    assert found["schema_version"] == 2
    assert {"submission", "seed", "isolation", "levels"} <= found.keys()
    level = found["levels"][0]
    assert {"level", "title", "points", "max_points", "criteria"} <= level.keys()
    criterion = level["criteria"][0]
    assert criterion.keys() >= {
        "id", "title", "statement", "verdict", "points", "max_points", "seconds", "properties"
    }  # fmt: skip
    assert criterion["properties"][0].keys() >= {
        "id", "title", "verdict", "message", "counterexample", "seconds"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["schema_version"], 1, "schema_version is 1, want 2: .* grade the submission again"),
        (["seed"], "0", "report.seed: got '0', want int"),
        (["seed"], True, "report.seed: got True, want int"),
        (["levels"], {}, "report.levels"),
        (["levels", 0, "criteria", 0, "verdict"], "fine", r"levels\[0\]\.criteria\[0\]\.verdict: got 'fine'"),
        (["levels", 0, "criteria", 0, "extra"], 1, r"criteria\[0\]: unknown entries \['extra'\]"),
        (
            ["levels", 0, "criteria", 0, "properties", 0, "counterexample"],
            {"a": 1},
            r"counterexample\.a: got 1",
        ),
        (["levels", 0], 7, r"levels\[0\]: got 7, want an object"),
    ],
)
def test_refuses(path: list[Any], value: Any, message: str) -> None:
    """What is no record is refused, and the message names the entry."""
    found = copy.deepcopy(sample())
    place: Any = found
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ValueError, match=message):
        Report.from_record(found)


def test_refuses_missing_entries() -> None:
    """An entry that is missing is named."""
    found = sample()
    del found["seed"]
    with pytest.raises(ValueError, match=r"missing entries \['seed'\]"):
        Report.from_record(found)


@pytest.mark.parametrize("value", [None, [], "report"])
def test_refuses_what_is_no_object(value: Any) -> None:
    """Any JSON document can be given, and only a record is taken."""
    with pytest.raises(ValueError, match="not a report"):
        Report.from_record(value)


def test_nothing_graded_is_not_passed() -> None:
    """A report without a criterion has not passed."""
    assert not Report("student", 0, "basic", "cpu", "float32", (), 0.0).passed
