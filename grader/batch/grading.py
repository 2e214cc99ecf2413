"""Grade a class: read what was handed in, grade what has no result yet, record each one as it finishes."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from grader import levels
from grader.arguments import MOST_HINTS
from grader.batch import intake, key
from grader.batch.engine import Conditions, Engine, Outcome, Task
from grader.batch.intake import Taken
from grader.batch.key import Setting
from grader.batch.ledger import Ledger, Wanted, lock
from grader.batch.similar.record import remembered
from grader.report import LevelReport
from grader.verdict import judge

MakeEngine = Callable[[Conditions], Engine]


@dataclass(frozen=True)
class Finished:
    """One student's level, as soon as something is known of it."""

    student: str
    level: int
    report: LevelReport | None = None
    refused: str = ""
    fault: str = ""
    remembered: bool = False
    """Whether the ledger had it already."""
    done: int = 0
    """How many gradings are finished, of `count` that this call needs."""
    count: int = 0


@dataclass(frozen=True)
class Class:
    """What to grade and how."""

    out: Path
    levels: tuple[int, ...]
    conditions: Conditions

    def setting(self) -> Setting:
        """Return what results depend on, here and now."""
        given = self.conditions
        return key.setting_for(given.seed, given.isolation, given.device, given.dtype)


def grade_class(
    entries: dict[str, list[Path]], task: Class, make_engine: MakeEngine
) -> Generator[Finished, None, None]:
    """Grade every entry on every level and yield what comes of each. Raises UsageError and GraderFault."""
    with lock(task.out), Ledger(task.out, create=True) as ledger:
        intake.clear(ledger.trees)
        taken = list(intake.take(entries, ledger.trees))
        finished = grade_taken(ledger, taken, task, make_engine)
        yield from remembered(ledger, [one.tree for one in taken], finished)


def grade_taken(
    ledger: Ledger, taken: Sequence[Taken], task: Class, make_engine: MakeEngine, again: Collection[str] = ()
) -> Generator[Finished, None, None]:
    """Grade students whose trees are in the ledger's folder; those in `again` also if they have a result."""
    setting = task.setting()
    needs = [
        Wanted(one.student, level, key.key_of(one.tree, level, setting))
        for one in taken
        if one.tree
        for level in task.levels
    ]
    ledger.enrol(taken, map(empty_report, task.levels), needs, asdict(task.conditions))
    for one in taken:
        if one.refused or one.fault:
            for level in task.levels:
                yield Finished(one.student, level, refused=one.refused, fault=one.fault)
    trees = {one.student: one.tree for one in taken}
    waiting: dict[str, list[Wanted]] = defaultdict(list)
    for need in needs:
        if need.student not in again and (report := ledger.report(need.key)):
            yield Finished(need.student, need.level, report.levels[0], remembered=True)
        else:
            waiting[need.key].append(need)
    tasks = [
        Task(name, tree := trees[first.student], str((ledger.trees / tree).resolve()), first.level)
        for name, (first, *_) in waiting.items()
    ]
    if not tasks:
        return
    with contextlib.closing(make_engine(task.conditions)) as engine:
        for done, outcome in enumerate(engine.grade(tasks), 1):
            record(ledger, outcome, setting)
            for need in waiting[outcome.task.key]:
                graded = outcome.report.levels[0] if outcome.report else None
                yield Finished(
                    need.student, need.level, graded, fault=outcome.fault, done=done, count=len(tasks)
                )


def record(ledger: Ledger, outcome: Outcome, setting: Setting) -> None:
    """Write an outcome into the ledger; durable when it returns."""
    task = outcome.task
    if outcome.report is None:
        ledger.fail(task.key, task.tree, task.level, outcome.fault)
    else:
        ledger.finish(task.key, task.tree, setting, outcome.report)


def empty_report(level: int) -> LevelReport:
    """Return the report of a level of which nothing was run: what there is to earn, and the hints."""
    return judge(levels.load(level).expected(hints=MOST_HINTS), ())
