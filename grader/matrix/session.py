"""A warm session: one prepared process that judges each variant in a fork of itself.

Theory of operation. The process imports torch, the probes and the properties once, with one thread, draws
once from every property so that Hypothesis has built its strategies, freezes the heap, and forks for each
variant. A fork loads the variant's modules from their texts, runs the properties in process through
`grader.session.observe`, as `grader run` does, and writes each outcome to a pipe. Here a single loop reads
the pipes and keeps the deadlines: processor time of one probe call, so that a busy machine changes no
verdict. A fork that runs over is killed, and another one goes on with the next property.
"""

from __future__ import annotations

import json
import mmap
import os
import selectors
import signal
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import psutil  # type: ignore[import-untyped]  # psutil ships no types

from grader import levels
from grader.matrix import fork
from grader.matrix.job import Job, fingerprint
from grader.matrix.outcome import Cell, Proof, Row
from grader.sandbox import warm
from grader.seeding import make_repeatable, sow
from specs.law import Law
from specs.outcomes import GraderFault, SubmissionTimeout

MOST_STOPS = 3
"""Forks of one variant that may be killed or die; what is left of its properties is then not run."""
WALL_FACTOR = 5.0
"""How much more wall-clock time than processor time one probe call may take: for a call that only waits."""
LOOK_SECONDS = 0.2


class Session:
    """Judges variants of one level. Make it in a process that has not imported torch, see `alone`."""

    def __init__(
        self, level: int, seed: int = 0, *, call_seconds: float | None = None, preload: Sequence[str] = ()
    ) -> None:
        self.level = levels.read(level)
        self.seed = seed
        self.call_seconds = call_seconds or self.level.limits.call_seconds
        make_repeatable()
        self.level = levels.load_laws(self.level)
        self.laws = {law.id: law for law in self.level.laws}
        for law in self.laws.values():
            draw_once(law, seed)
        warm.prepare(preload)
        self._memory_bytes = psutil.Process().memory_info().data + int(
            self.level.limits.memory_mebibytes * (1 << 20)
        )

    def run(self, jobs: Iterable[Job], at_a_time: int = 1) -> Iterator[tuple[Job, Row]]:
        """Judge all jobs, so many at a time; yield each with its row when it is done. Raises GraderFault."""
        waiting = iter(jobs)
        running: list[Running] = []
        selector = selectors.DefaultSelector()
        try:
            while True:
                while len(running) < at_a_time and (job := next(waiting, None)) is not None:
                    running.append(Running(self, job, selector))
                if not running:
                    return
                for key, _ in selector.select(LOOK_SECONDS):
                    key.data.read()
                for one in running:
                    one.check_deadline()
                done = [one for one in running if one.finished]
                running = [one for one in running if not one.finished]
                for one in done:
                    yield one.job, one.row()
        finally:
            for one in running:
                one.stop()
            selector.close()

    def start(self, work: Callable[[int], None], *, keep_out: Collection[int] = ()) -> tuple[int, int]:
        """Fork, let the fork do `work` with a pipe, and return its process id and the pipe's other end."""
        read_end, write_end = os.pipe()
        session = os.getpid()
        process = os.fork()
        if process == 0:
            for descriptor in (read_end, *keep_out):
                os.close(descriptor)
            fork.confined(work, write_end, session, self._memory_bytes)
        os.close(write_end)
        return process, read_end


@dataclass
class Running:
    """One job that is being judged, by one fork after another if need be."""

    session: Session
    job: Job
    selector: selectors.BaseSelector
    finished: bool = False
    cells: list[Cell] = field(default_factory=list)
    lines: dict[str, dict[str, list[int]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._began = time.perf_counter()
        self._beat = mmap.mmap(-1, mmap.PAGESIZE)
        self._loaded: dict[str, str] = {}
        self._ran: dict[str, list[int]] = {}
        self._missing: dict[str, list[list[int]]] | None = None
        self._stops = 0
        self._witness: Any = None
        self._fork(0)

    def _fork(self, first: int) -> None:
        """Judge the properties from number `first` on in a new fork."""
        fork.BEAT.pack_into(self._beat, 0, first, 0)
        work = partial(fork.judge, self.job, first, self.session.laws, self.session.seed, self._beat)
        others = [key.fd for key in self.selector.get_map().values()]
        self._process, self._pipe = self.session.start(work, keep_out=others)
        self._buffer = b""
        self._over = False
        self._look = (fork.BEAT.unpack_from(self._beat), 0.0, time.monotonic())
        self.selector.register(self._pipe, selectors.EVENT_READ, self)

    def read(self) -> None:
        """Take in what the fork has sent; if it is gone, say what became of the property it was at."""
        data = os.read(self._pipe, 1 << 16)
        if data:
            *lines, self._buffer = (self._buffer + data).split(b"\n")
            for line in lines:
                self._take(json.loads(line))
            return
        status = self._reap()
        if self._over:
            self.finished = True
        else:
            self._stopped("error", "died", f"the process ended, {ended(status)}")

    def _take(self, message: dict[str, Any]) -> None:
        if "fault" in message:
            raise GraderFault(f"{self.job.name}: {message['fault']}")
        if "lines" in message:
            self.lines[message["law"]] = message["lines"]
        if "cell" in message:
            self.cells.append(Cell(**message["cell"]))
        if "witness" in message:
            self._witness = message["witness"]
        if "loaded" in message:
            self._over = True
            self._loaded |= message["loaded"]
            self._note_lines(message["ran"], message["missing"])

    def _note_lines(self, ran: dict[str, list[int]], missing: dict[str, list[list[int]]]) -> None:
        for file, lines in ran.items():
            self._ran[file] = sorted({*self._ran.get(file, ()), *lines})
        before = self._missing
        self._missing = {
            file: [spot for spot in spots if before is None or spot in before.get(file, ())]
            for file, spots in missing.items()
        }

    def check_deadline(self) -> None:
        """Kill the fork if the probe call that it is at takes too long, and go on with the next property."""
        if self.finished:
            return
        beat, used, since = self._look
        now = time.monotonic()
        if fork.BEAT.unpack_from(self._beat) != beat:
            self._look = (fork.BEAT.unpack_from(self._beat), self._processor_seconds(), now)
            return
        if now - since < self.session.call_seconds:
            return
        if (
            self._processor_seconds() - used < self.session.call_seconds
            and now - since < WALL_FACTOR * self.session.call_seconds
        ):
            return
        os.killpg(self._process, signal.SIGKILL)
        self._reap()
        said = str(SubmissionTimeout(f"no answer within {self.session.call_seconds:g} s"))
        self._stopped("timeout", "timeout", said)

    def _processor_seconds(self) -> float:
        try:
            times = psutil.Process(self._process).cpu_times()
        except psutil.Error:  # it has ended, which the pipe says as well
            return 0.0
        return float(times.user + times.system)

    def _stopped(self, verdict: Any, kind: Any, message: str) -> None:
        """Note what the property came to at which a fork stopped, and go on after it or give up."""
        at = len(self.cells)
        if at == len(self.job.laws):  # it was at the witness
            self._witness = {"raised": kind}
            self.finished = True
            return
        self.cells.append(Cell(self.job.laws[at], verdict, kind, message))
        self._stops += 1
        rest = self.job.laws[at + 1 :]
        if not rest or self.job.enough(kind):
            self.finished = True
        elif self._stops >= MOST_STOPS:
            said = f"{MOST_STOPS} processes of the variant were stopped before"
            self.cells += [Cell(law, "not run", "not run", said) for law in rest]
            self.finished = True
        else:
            self._fork(at + 1)

    def row(self) -> Row:
        """Return what came of the job. Raises GraderFault if something else than the variant was loaded."""
        for file, found in self._loaded.items():
            if found != fingerprint(self.job.sources[file]):
                raise GraderFault(f"{self.job.name}: the {file} that was judged is not the variant's")
        missing = self._missing
        if missing is None:  # every fork was stopped before it could say
            missing = {file: [sorted(spot) for spot in spots] for file, spots in self.job.places.items()}
        proof = Proof(self._loaded, self._ran, {file: spots for file, spots in missing.items() if spots})
        self._beat.close()
        return Row(
            self.job.name,
            tuple(self.cells),
            proof,
            time.perf_counter() - self._began,
            self.lines,
            self._witness,
        )

    def stop(self) -> None:
        """End the fork, if there is one."""
        if not self.finished:
            os.killpg(self._process, signal.SIGKILL)
            self._reap()
            self.finished = True

    def _reap(self) -> int:
        self.selector.unregister(self._pipe)
        os.close(self._pipe)
        return os.waitpid(self._process, 0)[1]


def ended(status: int) -> str:
    """Say how a process ended."""
    code = os.waitstatus_to_exitcode(status)
    return f"with exit code {code}" if code >= 0 else f"by {signal.Signals(-code).name}"


class _Nothing(BaseException):
    """Ends a property at its first question, before anything answers."""


class _NobodyAnswers:
    """A probe with no submission behind it."""

    device = "cpu"
    dtype = "float32"

    def __call__(self, name: str, /, **arguments: Any) -> Any:
        del name, arguments
        raise _Nothing

    attempt = __call__

    def resident_bytes(self) -> int:
        """Answer nothing."""
        raise _Nothing

    def processor_seconds(self) -> float:
        """Answer nothing."""
        raise _Nothing


def draw_once(law: Law, seed: int) -> None:
    """Let a property draw up to its first question, so that every fork finds its strategies built."""
    sow(law, seed)
    try:
        law.check(probe=_NobodyAnswers())
    except _Nothing:
        return
    except BaseExceptionGroup:
        return


def in_order(laws: Sequence[str], row: Row) -> tuple[str, ...]:
    """Return the properties with the cheapest first, by what they took in `row`."""
    seconds = {cell.law: cell.seconds for cell in row.cells}
    return tuple(sorted(laws, key=lambda law: (seconds.get(law, 0.0), law)))
