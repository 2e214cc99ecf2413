"""What submissions without any work earn of a whole level, known to the property."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from grader import levels
from grader.bugs import variant
from grader.report import LevelReport
from grader.run import Request, grade_submission
from grader.sandbox.isolation import choose
from grader.verdict import Observation, judge

from .earned_by_nothing import FREE, MOST_POINTS, TEXT_AND_TRAINING, earned_by
from .trivial import TRIVIAL, Trivial

pytestmark = pytest.mark.slow
each = pytest.mark.parametrize("trivial", TRIVIAL, ids=lambda one: one.name.replace(" ", "-"))


def check(trivial: Trivial, level: LevelReport) -> None:
    """Assert that a submission has earned what is known, and no more."""
    laws = [law for criterion in level.criteria for law in criterion.properties]
    earned = {law.id for law in laws if law.verdict == "passed" and not law.counts_with}
    known = earned_by(trivial.name)
    assert earned - known == set(), "a property that no work should earn"
    assert known - earned == set(), "earned no longer: take it out of earned_by_nothing.py"
    assert level.points <= MOST_POINTS


@each
def test_no_work_earns_what_is_known_and_no_more(
    trivial: Trivial, judged: Callable[[int], dict[str, dict[str, str]]]
) -> None:
    # A whole grading of each takes minutes: every failure is tried again and made smaller.
    verdicts = judged(trivial.level)[trivial.name]
    observed = [Observation(law, verdict) for law, verdict in verdicts.items()]  # type: ignore[arg-type]  # as JSON
    check(trivial, judge(levels.load(trivial.level).expected(), observed))


@pytest.mark.exhaustive
@each
def test_no_work_earns_no_more_when_it_is_graded(trivial: Trivial, tmp_path: Path) -> None:
    variant.write(trivial.sources, tmp_path)
    isolation = choose(os.environ.get("NANOGRADER_ISOLATION"))
    report = grade_submission(Request(str(tmp_path), levels=(trivial.level,), isolation=isolation, jobs=2))
    check(trivial, report.levels[0])


def test_what_is_known_exists() -> None:
    known = {law.id for number in levels.numbers() for law in levels.load(number).laws}
    assert known >= FREE
    assert known >= {law for laws in TEXT_AND_TRAINING.values() for law in laws}
