"""Judges that stay warm between two saves, and that can be stopped in the middle of a criterion."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import tempfile
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grader import levels
from grader.follow import follow
from grader.report import CriterionReport
from grader.run import Request, open_probe, open_server, processors
from grader.sandbox.folders import remove
from grader.sandbox.launch import ForkServer
from grader.verdict import Observation, judge, narrow


@dataclass(frozen=True)
class Result:
    """One criterion, graded or remembered."""

    criterion: CriterionReport
    modules: frozenset[str]
    """Modules of the submission that it imported."""
    remembered: bool = False


class Judges:
    """A judge for each processor, which all ask one fork server for their submission processes."""

    def __init__(self, request: Request, folder: Path, level: levels.Level) -> None:
        self._exit = contextlib.ExitStack()
        self._temporary = tempfile.mkdtemp(prefix="nanograder-")
        self._exit.callback(remove, Path(self._temporary))
        self._given = (request, folder, level, self._exit.enter_context(open_server()))
        self._start()

    def grade(self, criterion: str) -> Future[Result]:
        """Grade one criterion as soon as a judge is free."""
        return self._pool.submit(_grade, criterion)

    def restart(self) -> None:
        """Stop at once whatever is being graded, and be ready for more."""
        self._stop()
        self._start()

    def close(self) -> None:
        """Stop at once whatever is being graded."""
        self._stop()
        self._exit.close()

    def _start(self) -> None:
        # The judges are killed, and remove nothing then: each time they have a folder for what they make.
        self._folder = tempfile.mkdtemp(dir=self._temporary)
        # They are forked with the first work: they have the properties then, and no thread runs yet.
        self._pool = ProcessPoolExecutor(
            processors(),
            multiprocessing.get_context("fork"),
            initializer=_begin,
            initargs=(os.getpid(), *self._given, self._folder),
        )

    def _stop(self) -> None:
        # A shutdown alone waits for the criteria that they have begun, which takes up to 11 s.
        for one in multiprocessing.active_children():
            one.kill()
        self._pool.shutdown(cancel_futures=True)
        remove(Path(self._folder))


_judge: dict[str, Any] = {}


def _begin(
    parent: int, request: Request, folder: Path, level: levels.Level, server: ForkServer, temporary: str
) -> None:
    follow(parent)
    tempfile.tempdir = temporary
    _judge.update(level=level, request=request, folder=folder, server=server)


def _grade(criterion: str) -> Result:
    """Grade one criterion, in one of the judges."""
    from grader.sandbox.process import ProcessProbe
    from grader.session import grade

    level, request = _judge["level"], _judge["request"]
    observations: list[Observation]
    with open_probe(request, _judge["folder"], level.limits, _judge["server"]) as probe:
        observations = list(grade(level, probe, request.seed, (criterion,)))
        assert isinstance(probe, ProcessProbe)
        modules = frozenset(probe.modules)
    report = judge(narrow(level.expected(), (criterion,)), observations)
    return Result(report.criteria[0], modules)
