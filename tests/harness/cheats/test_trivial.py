"""What submissions without any work earn of a whole level, known to the property."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader import levels
from grader.bugs import variant
from grader.run import Request, grade_submission
from grader.sandbox.launch import ForkServer

from .earned_by_nothing import FREE, MOST_POINTS, TEXT_AND_TRAINING, earned_by
from .trivial import TRIVIAL, Trivial

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "trivial",
    [
        pytest.param(
            one,
            id=one.name.replace(" ", "-"),
            marks=[pytest.mark.exhaustive] if one.exhaustive else [],
        )
        for one in TRIVIAL
    ],
)
def test_no_work_earns_what_is_known_and_no_more(
    trivial: Trivial, isolation: str, tmp_path: Path, server: ForkServer
) -> None:
    variant.write(trivial.sources, tmp_path)
    report = grade_submission(
        Request(str(tmp_path), levels=(trivial.level,), isolation=isolation, jobs=2), server=server
    )
    laws = [law for criterion in report.levels[0].criteria for law in criterion.properties]
    earned = {law.id for law in laws if law.verdict == "passed" and not law.counts_with}
    known = earned_by(trivial.name)
    assert earned - known == set(), "a property that no work should earn"
    assert known - earned == set(), "earned no longer: take it out of earned_by_nothing.py"
    assert report.levels[0].points <= MOST_POINTS


def test_what_is_known_exists() -> None:
    known = {law.id for number in levels.numbers() for law in levels.load(number).laws}
    assert known >= FREE
    assert known >= {law for laws in TEXT_AND_TRAINING.values() for law in laws}
