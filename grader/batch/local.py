"""Theory of operation: many submissions on this machine.

The engine forks `jobs` workers from a process that has the properties imported. Each starts one fork server
(torch imported once) and keeps it: a submission costs forks, not interpreters. Tasks and reports cross a
socket as JSON. A worker has one task at a time, so what a lost worker had is known. A worker that is lost, or
whose grader failed, is replaced, and its task is tried once more in the new one.

Workers end with this process, however it ends (`PR_SET_PDEATHSIG`); their fork servers and submissions end
with them, because their sockets close.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection

from grader import levels
from grader.batch.engine import TRIES, Conditions, Grade, OpenServer, Outcome, Task, answer, grade_task
from grader.follow import follow
from grader.report import Report
from grader.sandbox.launch import ForkServer

GOODBYE_SECONDS = 10.0


class LocalEngine:
    """Grades with worker processes of this machine."""

    def __init__(
        self,
        conditions: Conditions,
        jobs: int,
        grade: Grade = grade_task,
        open_server: OpenServer = ForkServer,
    ) -> None:
        self._conditions = conditions
        self._jobs = jobs
        self._grade = grade
        self._open_server = open_server
        self._workers: list[Worker] = []

    def grade(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """Yield the outcome of each task as it comes."""
        for number in sorted({task.level for task in tasks}):
            levels.load(number)  # imported here once, and not in each worker
        waiting = deque((task, 1) for task in tasks)
        while waiting or self._busy():
            self._deal(waiting)
            for worker in self._heard():
                task, attempt = worker.take_back()
                outcome = worker.outcome(task)
                if outcome.fault:
                    self._dismiss(worker)
                    if attempt < TRIES:
                        waiting.appendleft((task, attempt + 1))
                        continue
                yield outcome

    def close(self) -> None:
        """End the workers, and all that they started."""
        for worker in self._workers:
            worker.stop()
        self._workers.clear()

    def _busy(self) -> list[Worker]:
        return [worker for worker in self._workers if worker.task]

    def _deal(self, waiting: deque[tuple[Task, int]]) -> None:
        """Give each idle worker a task, and start workers while there are tasks for them."""
        while waiting:
            idle = next((worker for worker in self._workers if not worker.task), None)
            if idle is None:
                if len(self._workers) >= self._jobs:
                    return
                idle = Worker(self._conditions, self._grade, self._open_server)
                self._workers.append(idle)
            idle.give(*waiting.popleft())

    def _heard(self) -> list[Worker]:
        """Wait until a worker says something or ends, and return those that did."""
        busy = self._busy()
        ready = connection.wait([worker.pipe for worker in busy])
        return [worker for worker in busy if worker.pipe in ready]

    def _dismiss(self, worker: Worker) -> None:
        worker.stop()
        self._workers.remove(worker)


class Worker:
    """A judge with a fork server of its own, seen from the engine."""

    def __init__(self, conditions: Conditions, grade: Grade, open_server: OpenServer) -> None:
        self.task: tuple[Task, int] | None = None
        context = get_context("fork")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_work, args=(theirs, self.pipe, conditions, grade, open_server, os.getpid()), daemon=True
        )
        self._process.start()
        theirs.close()

    def give(self, task: Task, attempt: int) -> None:
        """Have it grade a task; `attempt` counts from 1."""
        self.task = task, attempt
        with contextlib.suppress(OSError):  # it has ended: that is heard, and the task is tried again
            self.pipe.send_bytes(json.dumps(asdict(task)).encode())

    def take_back(self) -> tuple[Task, int]:
        """Return the task that it had."""
        assert self.task is not None
        task, self.task = self.task, None
        return task

    def outcome(self, task: Task) -> Outcome:
        """Return what it says of its task, or that it was lost over it."""
        try:
            said = json.loads(self.pipe.recv_bytes())
        except (EOFError, OSError):
            self._process.join(GOODBYE_SECONDS)
            return Outcome(
                task, None, f"the process that graded it was lost (exit code {self._process.exitcode})"
            )
        if "fault" in said:
            return Outcome(task, None, said["fault"])
        return Outcome(task, Report.from_record(said))

    def stop(self) -> None:
        """End it, and all that it started."""
        self.pipe.close()
        self._process.terminate()
        self._process.join(GOODBYE_SECONDS)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()


def _work(
    pipe: Connection,
    engines: Connection,
    conditions: Conditions,
    grade: Grade,
    open_server: OpenServer,
    engine: int,
) -> None:
    """Be a worker: grade what comes through the pipe until it closes."""
    follow(engine)
    engines.close()
    with contextlib.suppress(EOFError, BrokenPipeError), open_server() as server:
        while True:
            task = Task(**json.loads(pipe.recv_bytes()))
            pipe.send_bytes(json.dumps(answer(task, conditions, server, grade), allow_nan=False).encode())
