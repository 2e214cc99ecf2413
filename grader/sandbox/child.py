"""The submission's process: locked down, says that it is ready, then answers questions until they end.

A fork of its keeper, which is a fork of the fork server, so torch and the probes are there already. Until it
is ready nothing of the submission is imported.
"""

from __future__ import annotations

import fcntl
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from grader.sandbox import frames, wire
from grader.sandbox.answer import answer
from grader.sandbox.confine import confine
from grader.sandbox.start import Start
from specs.probes import loading, setting

_KEPT_VARIABLES = ("PATH", "LANG", "LC_CTYPE", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_KEPT_PREFIXES = ("OMP_", "MKL_", "OPENBLAS_", "KMP_", "TORCH", "CUDA_", "NVIDIA_")
_QUESTIONS, _ANSWERS = 3, 4
_OUT_OF_THE_WAY = 100


class Refused(Exception):
    """This process could not be prepared: nothing of the submission has run, and it is not at fault."""


def run(
    start: Start, check: Callable[[], None], questions: int, answers: int, printed: int, complained: int
) -> None:
    """Be a submission's process, then end without running anything that the submission has registered.

    `check` raises if the submission has changed the code that answers for it.
    """
    take_descriptors(questions, answers, printed, complained)
    try:
        folder = confine(start)
        use_folder(folder)
        versions = wake(start["device"])
    except (OSError, Refused) as error:
        frames.write_frame(_ANSWERS, wire.encode({"refused": str(error)}))
        return
    serve(start, versions, check)


def take_descriptors(*given: int) -> None:
    """Keep standard input (empty), output and error and the two ends of the wire, and close all others."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    wanted = (nothing, given[2], given[3], given[0], given[1])
    # Out of the way first, so that none is overwritten before it is moved.
    moved = [fcntl.fcntl(each, fcntl.F_DUPFD, _OUT_OF_THE_WAY) for each in wanted]
    for number, each in enumerate(moved):
        os.dup2(each, number, inheritable=number < _QUESTIONS)
    os.closerange(_ANSWERS + 1, os.sysconf("SC_OPEN_MAX"))


def use_folder(folder: str) -> None:
    """Make `folder` the working, home and temporary folder, and forget the rest of the environment."""
    for name in set(os.environ) - set(_KEPT_VARIABLES):
        if not name.startswith(_KEPT_PREFIXES):
            del os.environ[name]
    os.environ["HOME"] = os.environ["TMPDIR"] = folder
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = os.path.join(folder, "torchinductor")
    tempfile.tempdir = None
    os.chdir(folder)
    sys.argv = sys.argv[:1]


def wake(device: str) -> dict[str, str]:
    """Set torch to one thread and wake the GPU; return the versions of what is used."""
    import numpy
    import torch

    torch.set_num_threads(1)
    versions = {
        "python": ".".join(map(str, sys.version_info[:3])),
        "numpy": numpy.__version__,
        "torch": str(torch.__version__),
    }
    if device == "cuda":
        if not torch.cuda.is_available():
            raise Refused("device 'cuda' was asked for, but torch sees no GPU here: choose device 'cpu'")
        torch.zeros(1, device=device)
        versions["cuda"] = torch.cuda.get_device_name()
    return versions


def serve(start: Start, versions: dict[str, str], check: Callable[[], None]) -> None:
    """Say ready, then answer questions until there are no more."""

    def send(message: dict[str, Any]) -> None:
        frames.write_frame(_ANSWERS, wire.encode(message))

    submission = Path(start["submission"])
    setting.use(setting.Setting(submission, start["device"], start["dtype"]))
    loading.refuse(start["refused"])
    loading.listen(lambda event, module: send({"import": module, "event": event}))
    printed = (sys.stdout, sys.stderr)
    reader = frames.FrameReader()
    send({"ready": versions})
    while (payload := frames.read_frame(_QUESTIONS, reader)) is not None:
        question = wire.decode(payload)
        reply, _ = answer(question["call"], question["probe"], question["arguments"], submission, check=check)
        flush(printed)
        frames.write_frame(_ANSWERS, reply)


def flush(streams: Sequence[Any]) -> None:
    """Write out what was printed; the submission may have closed or replaced a stream."""
    for stream in streams:
        try:
            stream.flush()
        except BaseException:  # noqa: BLE001  # as above
            continue
