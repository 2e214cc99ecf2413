"""Theory of operation: one level on several processors.

The criteria of a level are dealt out to shares. This process grades one share itself and forks a worker for
each other one: a judge like this one, with a submission process of its own. A worker sends its
observations through a pipe, which is read between two properties, so that it never fills up. Which share a
criterion is in depends on the level alone, and a property's inputs on the seed and its id alone: so the
report is the same as that of one process, whatever the machine does.

Forked and not spawned, because the worker then has the properties imported. No thread runs and torch is not
imported when it happens. All workers ask one fork server for their submission processes.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from multiprocessing.connection import Connection

from grader.levels import Level
from grader.session import grade
from grader.verdict import Observation
from specs.law import Law
from specs.outcomes import GraderFault
from specs.probe import Probe

FEWEST = 20
"""Properties below which a second submission process costs more than it saves."""

Progress = Callable[[int, int, str], None]
OpenProbe = Callable[[], AbstractContextManager[Probe]]


def grade_in_shares(
    level: Level,
    probe: Probe,
    open_probe: OpenProbe,
    seed: int,
    only: Collection[str],
    jobs: int,
    progress: Progress | None,
) -> list[Observation]:
    """Grade a level with `probe` here and with a probe of `open_probe` in each worker. Raises GraderFault."""
    laws = [law for law in level.laws if not only or law.id in only or law.criterion in only]
    mine, *others = shares(laws, jobs if len(laws) >= FEWEST else 1)
    workers = [Worker(level, open_probe, seed, share) for share in others]

    def tell(done: int, _: int, property_id: str) -> None:
        for worker in workers:
            worker.read()
        if progress:
            progress(done + sum(len(worker.observations) for worker in workers), len(laws), property_id)

    try:
        observations = list(grade(level, probe, seed, mine, tell))
        for worker in workers:
            worker.finish()
    finally:
        for worker in workers:
            worker.stop()
    found = {one.id: one for one in observations}
    found |= {one.id: one for worker in workers for one in worker.observations}
    return [found[law.id] for law in laws if law.id in found]


def shares(laws: list[Law], count: int) -> list[tuple[str, ...]]:
    """Deal whole criteria out to at most `count` shares of about as many properties; return their ids."""
    criteria: dict[str, list[str]] = {}
    for law in laws:
        criteria.setdefault(law.criterion, []).append(law.id)
    dealt: list[list[str]] = [[] for _ in range(max(1, min(count, len(criteria))))]
    for ids in sorted(criteria.values(), key=len, reverse=True):
        min(dealt, key=len).extend(ids)
    return [tuple(share) for share in dealt]


class Worker:
    """A forked judge that grades one share."""

    def __init__(self, level: Level, open_probe: OpenProbe, seed: int, share: tuple[str, ...]) -> None:
        self.observations: list[Observation] = []
        self._finished = False
        context = multiprocessing.get_context("fork")
        self._pipe, theirs = context.Pipe(duplex=False)
        self._process = context.Process(
            target=_work, args=(theirs, level, open_probe, seed, share), daemon=True
        )
        self._process.start()
        theirs.close()

    def read(self, *, wait: bool = False) -> None:
        """Take in what the worker has sent. Raises GraderFault if it failed or is gone."""
        while not self._finished and (wait or self._pipe.poll()):
            try:
                kind, sent = self._pipe.recv()
            except EOFError:
                raise GraderFault(
                    "a process that graded a part of the level ended before it was done"
                ) from None
            if kind == "fault":
                raise GraderFault(sent)
            if kind == "done":
                self._finished = True
            else:
                self.observations.append(sent)

    def finish(self) -> None:
        """Wait until the share is graded. Raises GraderFault."""
        self.read(wait=True)
        self._process.join()

    def stop(self) -> None:
        """End the worker if it still runs; its submission process ends with it."""
        if self._process.is_alive() and not self._finished:
            self._process.terminate()
        self._process.join()
        self._pipe.close()


def _work(pipe: Connection, level: Level, open_probe: OpenProbe, seed: int, share: tuple[str, ...]) -> None:
    """Grade a share and send each observation as it comes."""
    try:
        with open_probe() as probe:
            for observation in grade(level, probe, seed, share):
                pipe.send(("observation", observation))
        pipe.send(("done", None))
    except GraderFault as fault:
        pipe.send(("fault", str(fault)))
    except KeyboardInterrupt:
        os._exit(130)  # the judge says so, once
