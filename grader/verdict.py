"""Who passed: what was expected and what was observed make the report. Pure; nothing here runs anything."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from grader.report import CriterionReport, LevelReport, PropertyReport, Verdict, Visibility
from specs.outcomes import Comparison

MOST_TELLING_FIRST: tuple[Verdict, ...] = (
    "failed",  # a law is broken: nothing else in the criterion can take that back
    "error",
    "timeout",
    "memory",
    "not run",
    "unstable",
    "passed",
)
"""A criterion's verdict is the first of these that one of its properties has."""

assert set(MOST_TELLING_FIRST) == set(get_args(Verdict))


@dataclass(frozen=True)
class ExpectedProperty:
    """A property that must have an outcome."""

    id: str
    title: str
    weight: float = 1.0
    needs: tuple[str, ...] = ()
    """Laws without which this one earns nothing: it compares answers with each other, or says that something
    does not happen, and so holds for a submission that does nothing."""
    visibility: Visibility = "visible"
    counterexample_shown: bool = True


@dataclass(frozen=True)
class ExpectedCriterion:
    """A criterion and the properties it consists of."""

    id: str
    title: str
    statement: str
    points: float
    properties: tuple[ExpectedProperty, ...]
    hints: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExpectedLevel:
    """A level: what must be judged, known before the submission is looked at."""

    number: int
    title: str
    criteria: tuple[ExpectedCriterion, ...]

    def ids(self) -> set[str]:
        """Return every name that `--only` understands: of criteria and of properties."""
        return {c.id for c in self.criteria} | {p.id for c in self.criteria for p in c.properties}


@dataclass(frozen=True)
class Observation:
    """How one property came out when it was run."""

    id: str
    verdict: Verdict
    message: str = ""
    counterexample: dict[str, str] | None = None
    seconds: float = 0.0
    traceback: str = ""
    comparison: Comparison | None = None


def judge(expected: ExpectedLevel, observed: Sequence[Observation]) -> LevelReport:
    """Return the report of a level: every expected property, with its outcome or `not run`.

    Raises ValueError for an observation that nobody expected, or two of the same property.
    """
    outcomes = {one.id: one for one in observed}
    expected_ids = [one.id for criterion in expected.criteria for one in criterion.properties]
    for ids, what in (([one.id for one in observed], "observed"), (expected_ids, "expected")):
        twice = sorted({one for one in ids if ids.count(one) > 1})
        if twice:
            raise ValueError(f"{what} more than once: {', '.join(twice)}")
    strangers = sorted(set(outcomes) - set(expected_ids))
    if strangers:
        raise ValueError(f"observed but not expected: {', '.join(strangers)}")
    broken = frozenset(
        one for one in expected_ids if one not in outcomes or outcomes[one].verdict != "passed"
    )
    criteria = tuple(judge_criterion(criterion, outcomes, broken) for criterion in expected.criteria)
    return LevelReport(
        level=expected.number,
        title=expected.title,
        points=round(sum(criterion.points for criterion in criteria), 2),
        max_points=round(sum(criterion.max_points for criterion in criteria), 2),
        criteria=criteria,
    )


def judge_criterion(
    expected: ExpectedCriterion, outcomes: dict[str, Observation], broken: Collection[str]
) -> CriterionReport:
    """Return the report of one criterion; `broken` are the laws of the level that do not hold.

    Where every law of the criterion holds, all count: a fault elsewhere costs nothing here.
    """
    if not any(one.id in broken for one in expected.properties):
        broken = ()
    properties = tuple(judge_property(one, outcomes.get(one.id), broken) for one in expected.properties)
    verdicts = {one.verdict for one in properties} or {"not run"}
    return CriterionReport(
        id=expected.id,
        title=expected.title,
        statement=expected.statement,
        verdict=next(verdict for verdict in MOST_TELLING_FIRST if verdict in verdicts),
        points=points_earned(expected.points, properties),
        max_points=expected.points,
        seconds=round(sum(one.seconds for one in properties), 3),
        properties=properties,
        hints=expected.hints,
    )


def judge_property(
    expected: ExpectedProperty, outcome: Observation | None, broken: Collection[str]
) -> PropertyReport:
    """Return the report of one property; without an outcome it was not run, and is not passed."""
    if outcome is None:
        outcome = Observation(expected.id, "not run", "grading ended before it was judged")
    return PropertyReport(
        id=expected.id,
        title=expected.title,
        verdict=outcome.verdict,
        message=outcome.message,
        counterexample=outcome.counterexample,
        seconds=round(outcome.seconds, 3),
        weight=expected.weight,
        traceback=outcome.traceback,
        counts_with=tuple(one for one in expected.needs if one in broken and outcome.verdict == "passed"),
        visibility=expected.visibility,
        counterexample_shown=expected.counterexample_shown,
        comparison=outcome.comparison,
    )


def points_earned(points: float, properties: Sequence[PropertyReport]) -> float:
    """Return the share of `points` that the passed weight earns, to 2 decimals: all only when all hold."""
    if properties and all(one.verdict == "passed" for one in properties):
        return points
    total = sum(one.weight for one in properties)
    passed = sum(one.weight for one in properties if one.verdict == "passed" and not one.counts_with)
    share = round(points * passed / total, 2) if total else 0.0
    # Rounding must not turn nearly everything into everything.
    return share if share < points else max(0.0, round(points - 0.01, 2))


def narrow(expected: ExpectedLevel, only: Collection[str]) -> ExpectedLevel:
    """Return the part of a level that `only` names: criteria, properties, or nothing for all of it.

    A criterion of which a part is taken is worth that part of its points, so that a report of one
    property never shows the points of its whole criterion.
    """
    if not only:
        return expected
    criteria = []
    for criterion in expected.criteria:
        kept = tuple(one for one in criterion.properties if one.id in only or criterion.id in only)
        if kept:
            share = sum(one.weight for one in kept) / sum(one.weight for one in criterion.properties)
            points = criterion.points if kept == criterion.properties else round(criterion.points * share, 2)
            criteria.append(replace(criterion, points=points, properties=kept))
    return replace(expected, criteria=tuple(criteria))
