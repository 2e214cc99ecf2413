"""What grades many submissions: this machine (`local.py`), or whatever else keeps the same promises.

An engine takes tasks and yields an outcome for each, in any order. It promises:
- each task gets exactly one outcome: a report, or a fault of the grader;
- a worker that is lost costs no outcome: its task is tried again, at most `TRIES` times in all;
- the submission's code runs in a sandbox that a worker starts, never in a worker;
- after `close`, also after an interruption, no process of it is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Protocol

from grader.report import Report
from grader.run import Request, grade_submission
from grader.sandbox.launch import ForkServer

TRIES = 2
"""How often a task is tried whose worker fails: what fails twice is for a person to look at."""


@dataclass(frozen=True)
class Task:
    """One submission and one level."""

    key: str
    tree: str
    folder: str
    """Where the tree lies."""
    level: int


@dataclass(frozen=True)
class Conditions:
    """How all tasks of an engine are graded."""

    seed: int
    isolation: str
    device: str = "cpu"
    dtype: str = "float32"


@dataclass(frozen=True)
class Outcome:
    """What came of a task: a report, or how the grader failed."""

    task: Task
    report: Report | None
    fault: str = ""


class Engine(Protocol):
    """Grades tasks."""

    def grade(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """Yield the outcome of each task as it comes."""

    def close(self) -> None:
        """End every process of the engine."""


def grade_task(task: Task, conditions: Conditions, server: ForkServer) -> Report:
    """Grade one task; what every engine's workers do. Raises GraderFault.

    The report does not say where the tree lay, so that it is the same from every machine.
    """
    request = Request(
        submission=task.folder,
        levels=(task.level,),
        seed=conditions.seed,
        isolation=conditions.isolation,
        device=conditions.device,
        dtype=conditions.dtype,
    )
    return replace(grade_submission(request, server=server), submission="")


Grade = Callable[[Task, Conditions, ForkServer], Report]
OpenServer = Callable[[], AbstractContextManager[ForkServer]]


def answer(task: Task, conditions: Conditions, server: ForkServer, grade: Grade) -> dict[str, object]:
    """Return what a worker says of a task: the record of its report, or how the grader failed."""
    try:
        return grade(task, conditions, server).to_record()
    except Exception as error:  # noqa: BLE001  # a fault of the grader: recorded, and never a zero
        return {"fault": f"{type(error).__name__}: {error}"}
