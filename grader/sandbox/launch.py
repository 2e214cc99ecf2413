"""The judge's side of the fork server, and of each submission process that comes from it.

ForkServer.launch  →  forkserver.py (one, torch imported)  →  keeper  →  the submission's process
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil  # type: ignore[import-untyped]  # psutil ships no types

import grader
import specs
from grader.sandbox import forkserver
from grader.sandbox.folders import remove
from grader.sandbox.limits import Limits
from grader.sandbox.start import Start
from specs.outcomes import GraderFault

# Everything else stays behind: a seed, a token, a PYTHON... that would change what is graded.
_KEPT_VARIABLES = ("PATH", "LANG", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_KEPT_PREFIXES = ("CUDA_", "NVIDIA_")
# Set before torch is imported: two threads in a parent and one parallel region hang every fork of it.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
_LONGEST_GOODBYE_SECONDS = 8.0
_MESSAGE_BYTES = 1 << 16
_numbers = itertools.count()


@dataclass
class Child:
    """A submission process, seen from the judge. Its descriptors do not block."""

    leash: socket.socket
    """To its keeper: tells its process id and its end. Closing it ends the process."""
    questions: int
    """Descriptor to write questions to."""
    answers: int
    """Descriptor to read answers from."""
    printed: list[int]
    """Descriptors of what it prints: standard output and standard error."""
    folder: Path
    """The root of its file system, or its working, home and temporary folder; goes when it goes."""
    told: dict[str, Any] = field(default_factory=dict)
    """What the keeper has told so far: "pid", "group", "ended", "seconds", "refused"."""
    gone: bool = False
    """Whether the keeper has ended, too."""

    @property
    def process_id(self) -> int | None:
        """The process id, as soon as the keeper has told it."""
        self.listen()
        found: int | None = self.told.get("pid")
        return found

    def ended(self) -> bool:
        """Say whether the process has ended."""
        self.listen()
        return self.gone or "ended" in self.told

    def listen(self, seconds: float = 0.0) -> None:
        """Take in what the keeper has told, waiting up to `seconds` for its end."""
        self.leash.settimeout(seconds)
        while not self.gone:
            try:
                message = self.leash.recv(_MESSAGE_BYTES)
            except (BlockingIOError, TimeoutError):
                return
            except OSError:
                message = b""
            if message:
                self.told.update(json.loads(message))
            else:
                self.gone = True

    def kill(self) -> None:
        """End the process, its descendants and its keeper, and remove what they leave behind."""
        for descriptor in (self.questions, self.answers, *self.printed):
            os.close(descriptor)
        with contextlib.suppress(OSError):
            self.leash.shutdown(socket.SHUT_WR)
        self.listen(_LONGEST_GOODBYE_SECONDS)
        if not self.gone or "ended" not in self.told:
            # The keeper was killed itself: what it would have cleared away is still there.
            self._kill_without_keeper()
        self.leash.close()
        remove(self.folder)

    def _kill_without_keeper(self) -> None:
        if (process_id := self.told.get("pid")) is None:
            return
        for process in [*descendants_of(process_id), process_id]:
            with contextlib.suppress(psutil.Error, OSError):
                os.kill(process if isinstance(process, int) else process.pid, signal.SIGKILL)


class ForkServer:
    """Holds one process that has torch imported, and has it fork. Starts in the background, at once."""

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._start()

    def launch(
        self,
        submission: Path,
        device: str,
        dtype: str,
        isolation: str,
        limits: Limits,
        refused: Sequence[str] = (),
    ) -> Child:
        """Start a submission process and return at once; its first message is `ready`.

        `refused` are modules whose import stopped an earlier process of this submission. Raises GraderFault.
        """
        folder = Path(tempfile.mkdtemp(prefix="nanograder-"))
        start = Start(
            submission=str(submission),
            device=device,
            dtype=dtype,
            isolation=isolation,
            folder=str(folder),
            group=f"nanograder-{os.getpid()}-{next(_numbers)}",
            judge=judge_folders(),
            refused=list(refused),
            memory_bytes=limits.memory_bytes,
            processor_seconds=int(limits.processor_seconds),
            processes=limits.processes,
            file_bytes=limits.file_bytes,
            disk_bytes=limits.disk_bytes,
        )
        with contextlib.ExitStack() as theirs:
            leash, their_leash = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            theirs.callback(their_leash.close)
            read_questions, questions = os.pipe()
            answers, write_answers = os.pipe()
            printed, write_printed = os.pipe()
            complained, write_complained = os.pipe()
            given = [read_questions, write_answers, write_printed, write_complained]
            for descriptor in given:
                theirs.callback(os.close, descriptor)
            child = Child(leash, questions, answers, [printed, complained], folder)
            try:
                self._send(json.dumps(start).encode(), [their_leash.fileno(), *given])
            except OSError as error:
                child.gone = True
                child.kill()
                raise GraderFault(
                    not_ready(f"the fork server has ended ({error})", self.complaint())
                ) from error
        for descriptor in (questions, answers, printed, complained):
            os.set_blocking(descriptor, False)
        return child

    def complaint(self) -> str:
        """Return what the fork server has printed, which says why it does not work."""
        self._errors.seek(0)
        return self._errors.read().decode("utf-8", "replace").strip()

    def close(self) -> None:
        """End the fork server, if this process started it; its forks end with it."""
        self._control.close()
        if self._owner == os.getpid():
            try:
                self._process.wait(timeout=_LONGEST_GOODBYE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._errors.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, message: bytes, descriptors: list[int]) -> None:
        try:
            socket.send_fds(self._control, [message], descriptors)
        except (BrokenPipeError, ConnectionError):
            # It was killed, by the system or by a submission at a weak level. A new one, once.
            self.close()
            self._owner = os.getpid()
            self._start()
            socket.send_fds(self._control, [message], descriptors)

    def _start(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the server
        of_grader, of_specs = judge_folders()
        options = {"control": theirs.fileno(), "grader": of_grader, "specs": of_specs}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-B", "-X", "utf8", forkserver.__file__, json.dumps(options)],
                stdin=subprocess.DEVNULL,
                stdout=self._errors,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs.fileno(),),
                cwd="/",
                env=_environment(),
                start_new_session=True,
            )
        except OSError as error:
            self._control.close()
            self._errors.close()
            raise GraderFault(f"cannot start a fork server with {sys.executable}: {error}") from error
        finally:
            theirs.close()


def not_ready(why: str, complaint: str) -> str:
    """Say that no submission process can be had, and what to try."""
    return (
        f"the process for the submission did not become ready: {why}\n{complaint}".rstrip()
        + "\n(`grader doctor` says what this machine offers; the process imports torch and numpy with the "
        "Python that runs the grader: try that by hand)"
    )


def descendants_of(process_id: int) -> list[psutil.Process]:
    """Return the processes that come from a process, as far as each one's parent still lives."""
    try:
        found: list[psutil.Process] = psutil.Process(process_id).children(recursive=True)
    except psutil.Error:  # it has ended
        return []
    return found


def _environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT_VARIABLES or name.startswith(_KEPT_PREFIXES)
    }
    return {**kept, **_ONE_THREAD}


def judge_folders() -> list[str]:
    """Return the folders of the packages `grader` and `specs`, in this order. Raises GraderFault."""
    found = []
    for package in (grader, specs):
        if package.__file__ is None:
            raise GraderFault(f"`{package.__name__}` has no __init__.py: install nanograder again")
        found.append(str(Path(package.__file__).parent))
    return found
