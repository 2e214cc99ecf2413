"""A submission that does not answer gets a clear verdict where it is concerned; the rest is still judged."""

from __future__ import annotations

import pytest

from .gradings import Gradings, criteria
from .hostile import HOSTILE, Hostile

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: case.name)
def test_the_rest_is_still_judged(grade: Gradings, case: Hostile) -> None:
    record = grade(3, f"hostile {case.name}")
    laws = {law["id"]: law for criterion in criteria(record).values() for law in criterion["properties"]}
    for name in case.concerned:
        assert laws[name]["verdict"] == case.verdict, laws[name]
        assert case.says in laws[name]["message"], laws[name]["message"]
    for name in case.spared:
        verdicts = {law["id"]: law["verdict"] for law in criteria(record)[name]["properties"]}
        assert set(verdicts.values()) == {"passed"}, verdicts
    # Nothing but this: a law that is not concerned holds, and none is lost. (A law that wants an exception
    # of another class says that it got this one.)
    for law in laws.values():
        said = law["verdict"] == case.verdict or (law["verdict"] == "failed" and case.says in law["message"])
        assert law["verdict"] == "passed" or said, law
    points = record["levels"][0]["points"]
    assert 0 < points < record["levels"][0]["max_points"]
