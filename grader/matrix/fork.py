"""One fork of a warm session: it loads the variant, judges it in process, and writes what came out to a pipe.

Only for variants that we made: the fork shares the memory and the files of the process it came from.
"""

from __future__ import annotations

import json
import mmap
import os
import resource
import signal
import struct
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hypothesis import Phase, settings

from grader.matrix.job import FOLDER, Job, fingerprint
from grader.matrix.outcome import cell_of
from grader.matrix.proof import Tracer
from grader.sandbox import kernel
from grader.sandbox.local import LocalProbe
from grader.session import observe, observe_once
from specs.law import Law
from specs.probes import loading, sources

BEAT = struct.Struct("qq")
"""In memory shared with the session: the number of the property that runs, and of the probe call."""

FILE_BYTES = 256 << 20

SETTINGS = "_hypothesis_internal_use_settings"


class ForkProbe(LocalProbe):
    """Calls probes in this fork, counts each call for whoever keeps the deadline, and traces the edit."""

    def __init__(self, beat: mmap.mmap, tracer: Tracer) -> None:
        super().__init__(Path(FOLDER))
        self._beat = beat
        self._tracer = tracer
        self._law = 0
        self._count = 0

    def enter(self, law: int) -> None:
        """Say which property begins."""
        self._law = law
        BEAT.pack_into(self._beat, 0, law, self._count)

    def __call__(self, name: str, /, **arguments: Any) -> Any:
        """Call the probe `name`, see LocalProbe."""
        self._count += 1
        BEAT.pack_into(self._beat, 0, self._law, self._count)
        with self._tracer.watching():
            return super().__call__(name, **arguments)


def confined(work: Callable[[int], None], pipe: int, session: int, memory_bytes: int) -> None:
    """Be a fork: give up what it must not have, do `work` with the pipe, and end. Never returns."""
    code = 3
    try:
        os.setpgid(0, 0)
        end_with(session)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        os.close(nowhere)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
        work(pipe)
        code = 0
    except BaseException:  # noqa: BLE001  # whatever is left is the session's own fault, and it must hear of it
        send(pipe, {"fault": traceback.format_exc()})
    finally:
        # Nothing that the variant, pytest or torch registered for an exit runs.
        os._exit(code)


def end_with(session: int) -> None:
    """Have the kernel kill this process when the session ends, however it ends (Linux)."""
    if sys.platform == "linux":
        kernel.end_with_parent(signal.SIGKILL)
        if os.getppid() != session:  # it ended before the line above
            os._exit(1)


def judge(job: Job, first: int, laws: Mapping[str, Law], seed: int, beat: mmap.mmap, pipe: int) -> None:
    """Try the properties of a job from number `first` on, and send each outcome and then the proof."""
    sys.modules.pop("nanochat", None)
    loading.enter_sources(Path(FOLDER), job.sources)
    tracer = Tracer(FOLDER, job.places, everything=job.lines)
    probe = ForkProbe(beat, tracer)
    if job.lines:
        send(pipe, {"lines": lines_of_import(probe, tracer, job), "law": ""})
    for number in range(first, len(job.laws)):
        law = laws[job.laws[number]]
        probe.enter(number)
        if job.until == "all":
            cell = cell_of(observe(law, probe, seed))
        else:
            without_shrinking(law)
            cell = cell_of(observe_once(law, probe, seed))
        message: dict[str, Any] = {"number": number, "cell": vars(cell)}
        if job.lines:
            message |= {"lines": tracer.take(), "law": law.id}
        send(pipe, message)
        if job.enough(cell.kind):
            break
    if job.witness:
        send(pipe, {"witness": witnessed(job)})
    ran, missing = tracer.proof()
    loaded = {file: fingerprint(text) for file, text in sources.texts_of(sys.modules).items()}
    send(pipe, {"loaded": loaded, "ran": ran, "missing": missing})


def lines_of_import(probe: ForkProbe, tracer: Tracer, job: Job) -> dict[str, list[int]]:
    """Import every module of the variant and return the lines that ran: every property depends on those."""
    from specs.probes import setting

    setting.use(setting.Setting(probe.submission))
    with tracer.watching():
        for file in job.sources:
            if file != "__init__.py":
                loading.imported(f"nanochat.{Path(file).stem}")
    return tracer.take()


def witnessed(job: Job) -> dict[str, Any]:
    """Return what the job's witness finds in the variant."""
    from grader.bugs import witness, witnesses
    from specs.probes import setting

    setting.use(setting.Setting(Path(FOLDER)))
    try:
        modules = {name: loading.imported(f"nanochat.{name}") for name in witnesses.MODULES}
    except Exception as error:  # noqa: BLE001  # whatever broken code raises is its outcome
        return {"raised": type(error).__name__}
    return witness.outcome(job.witness, modules)


def without_shrinking(law: Law) -> None:
    """Let a property end at its first failing input: in a fork that wants no more than the verdict."""
    # Hypothesis keeps them on the function; `settings` refuses to decorate a function twice.
    now = vars(law.check).get(SETTINGS)
    if now is not None:
        setattr(law.check, SETTINGS, settings(now, phases=[Phase.explicit, Phase.generate]))


def send(pipe: int, message: dict[str, Any]) -> None:
    """Write one message, a line of JSON."""
    data = json.dumps(message).encode() + b"\n"
    while data:
        data = data[os.write(pipe, data) :]
