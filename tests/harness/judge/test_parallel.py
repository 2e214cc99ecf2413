"""Judging in several processes: the same observations, and no fault that gets lost."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from grader import parallel
from grader.levels import Level
from grader.session import grade
from grader.verdict import Observation
from specs.outcomes import GraderFault


@pytest.fixture(autouse=True)
def _share_small_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "FEWEST", 1)


def outcome(observations: list[Observation]) -> list[tuple[Any, ...]]:
    return [(one.id, one.verdict, one.message, one.counterexample) for one in observations]


def in_shares(level: Level, make: Callable[[], Any], jobs: int, **options: Any) -> list[Observation]:
    @contextlib.contextmanager
    def open_probe() -> Iterator[Any]:
        yield make()

    only = options.get("only", ())
    return parallel.grade_in_shares(level, make(), open_probe, 0, only, jobs, options.get("progress"))


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_the_number_of_processes_changes_nothing(level: Level, fake: Any, jobs: int) -> None:
    def wrong() -> Any:
        return fake(lambda *values: sum(values) + (values[:1] > (500,)))

    alone = outcome(list(grade(level, wrong(), 0)))
    assert {verdict for _, verdict, *_ in alone} == {"passed", "failed"}
    assert outcome(in_shares(level, wrong, jobs)) == alone


def test_only_what_is_chosen_is_shared_out(level: Level, fake: Any) -> None:
    observed = in_shares(level, fake, 2, only=("order", "sums.of_none"))
    assert [one.id for one in observed] == ["sums.of_none", "order.swapped"]


def test_progress_counts_what_all_have_done(level: Level, fake: Any) -> None:
    seen: list[tuple[int, int]] = []
    in_shares(level, fake, 2, progress=lambda done, count, _: seen.append((done, count)))
    assert all(0 <= done <= count == 3 for done, count in seen)
    assert seen


def test_a_fault_in_a_worker_is_a_fault(level: Level, fake: Any) -> None:
    def faulty(*_: Any) -> Any:
        raise GraderFault("no disk")

    made = iter([fake(), fake(faulty)])
    with pytest.raises(GraderFault, match="no disk"):
        in_shares(level, lambda: next(made), 2)


def test_a_worker_that_dies_is_a_fault(level: Level, fake: Any) -> None:
    judge = os.getpid()

    def dying(*values: Any) -> Any:
        if os.getpid() != judge:
            os._exit(0)
        return sum(values)

    with pytest.raises(GraderFault, match="ended before it was done"):
        in_shares(level, lambda: fake(dying), 2)


def test_a_worker_ends_with_the_judge(level: Level, fake: Any) -> None:
    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    made = iter([fake(interrupted), fake(lambda *_: sum(iter(int, 1)))])
    with pytest.raises(KeyboardInterrupt):
        in_shares(level, lambda: next(made), 2)


def test_criteria_are_dealt_out_whole_and_evenly(level: Level) -> None:
    dealt = parallel.shares(level.laws, 2)
    assert sorted(id for share in dealt for id in share) == sorted(law.id for law in level.laws)
    assert [{id.split(".")[0] for id in share} for share in dealt] == [{"sums"}, {"order"}]
    assert len(parallel.shares(level.laws, 9)) == 2
