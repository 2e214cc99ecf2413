"""Theory of operation: many submissions on a Ray cluster (the extra `cluster`).

The driver, which alone writes the ledger, sends each task with the files of its submission. A worker of Ray
writes them to a folder of its node and passes the task on to a judge that it started beside itself
(`node.py`); no submission is imported, and no sandbox forked, in a worker. Ray keeps workers for later tasks,
and with them their judges, so a node imports torch once for each processor.

Ray runs a task again elsewhere when its worker or node is lost (`LOST_WORKERS` times); a task grades the same
wherever it runs. Whatever is left is a fault of the grader, and is tried again like one of the local engine.
The nodes need the same grader as the driver: a hash of the judging code goes along, and another is a fault.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any

from grader.batch import contents, key
from grader.batch.engine import TRIES, Conditions, Outcome, Task
from grader.report import Report
from grader.run import UsageError

LOST_WORKERS = 3
AHEAD = 2
"""Tasks that are sent for each processor: one to work on and one to begin with at once."""

GPU_SHARE = 0.125
"""The part of a GPU that a submission takes: `benchmarks/results/gpu.md` has eight at a time on one."""

JUDGE = ("-m", "grader.batch.node")
"""How Python starts a judge."""


class RayEngine:
    """Grades with the workers of a Ray cluster."""

    def __init__(
        self,
        conditions: Conditions,
        address: str | None = None,
        jobs: int | None = None,
        judge: Sequence[str] = JUDGE,
        gpu_share: float = GPU_SHARE,
    ) -> None:
        """Join the cluster at `address`, or start one on this machine. Raises UsageError without Ray.

        With the device "cuda" a submission takes `gpu_share` of a GPU; Ray says which one to the worker.
        """
        if importlib.util.find_spec("ray") is None:
            raise UsageError("--engine ray: Ray is not installed; pip install 'nanograder[cluster]'")
        self._ray: Any = importlib.import_module("ray")
        self._conditions = conditions
        self._judge = tuple(judge)
        self._pending: dict[Any, tuple[Task, int]] = {}
        self._joined = not self._ray.is_initialized()
        if self._joined:
            place = {"address": address} if address else {"num_cpus": jobs}
            try:
                self._ray.init(**place, include_dashboard=False if not address else None, log_to_driver=False)
            except (ConnectionError, ValueError) as error:
                raise UsageError(
                    f"--address {address}: no Ray cluster can be joined there: {error}"
                ) from error
        gpus = gpu_share if conditions.device == "cuda" else 0
        self._remote = self._ray.remote(num_cpus=1, num_gpus=gpus, max_retries=LOST_WORKERS)(grade_on_node)

    def grade(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """Yield the outcome of each task as it comes."""
        waiting = deque((task, 1) for task in tasks)
        while waiting or self._pending:
            ahead = AHEAD * max(1, int(self._ray.cluster_resources().get("CPU", 1)))
            while waiting and len(self._pending) < ahead:
                self._send(*waiting.popleft())
            for reference in self._ray.wait(list(self._pending), num_returns=1)[0]:
                task, attempt = self._pending.pop(reference)
                outcome = self._outcome(task, reference)
                if outcome.fault and attempt < TRIES:
                    waiting.appendleft((task, attempt + 1))
                else:
                    yield outcome

    def close(self) -> None:
        """Stop what still runs, and leave the cluster if this engine joined it."""
        for reference in self._pending:
            self._ray.cancel(reference, force=True)
        self._pending.clear()
        if self._joined:
            self._ray.shutdown()

    def _send(self, task: Task, attempt: int) -> None:
        files = {
            str(path.relative_to(task.folder)): path.read_bytes()
            for path in sorted(Path(task.folder).rglob("*"))
            if path.is_file()
        }
        given = (self._judge, asdict(task), asdict(self._conditions), files, key.judging_code())
        self._pending[self._remote.remote(*given)] = task, attempt

    def _outcome(self, task: Task, reference: Any) -> Outcome:
        try:
            said = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            return Outcome(task, None, f"Ray lost it: {type(error).__name__}: {error}")
        return (
            Outcome(task, None, said["fault"]) if "fault" in said else Outcome(task, Report.from_record(said))
        )


class Judge:
    """The process beside a worker that grades for it, one for all its tasks."""

    def __init__(self, command: Sequence[str]) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        self._process = subprocess.Popen(
            [sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._questions: IO[bytes] = self._process.stdin
        self._answers: IO[bytes] = self._process.stdout

    def ask(self, question: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return what comes of a task, None if the process was lost over it."""
        try:
            self._questions.write(json.dumps(question).encode() + b"\n")
            self._questions.flush()
            line = self._answers.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            self._process.kill()
            self._process.wait()
            return None
        found: dict[str, Any] = json.loads(line)
        return found


_judges: dict[tuple[str, ...], Judge] = {}
"""The judges of this worker, one for each GPU that it was given. Ray gives one worker one task at a time."""


def grade_on_node(
    command: tuple[str, ...],
    task: Mapping[str, Any],
    conditions: Mapping[str, Any],
    files: Mapping[str, bytes],
    code: str,
) -> dict[str, Any]:
    """Grade one task on the node where this runs; return the record of its report, or the fault."""
    if key.judging_code() != code:
        return {"fault": "the node has another grader than the driver: install the same one everywhere"}
    folder = Path(tempfile.mkdtemp(prefix="nanograder-"))
    try:
        contents.write(files, folder)
        place = (*command, os.environ.get("CUDA_VISIBLE_DEVICES", ""))
        if place not in _judges:
            _judges[place] = Judge(command)
        judge = _judges[place]
        said = judge.ask(
            {"task": asdict(replace(Task(**task), folder=str(folder))), "conditions": conditions}
        )
        if said is None:
            del _judges[place]
            return {"fault": "the process that graded it was lost"}
        return said
    finally:
        shutil.rmtree(folder, ignore_errors=True)
