"""How a submission process comes into being and how it is ended.

The one place that knows: whatever offers `launch` and a `Child` (a fork server, a container) can take over.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # psutil ships no types

import specs
from grader.sandbox import child
from grader.sandbox.limits import Limits
from specs.outcomes import GraderFault

# Everything else stays behind: a seed, a token, a PYTHON... that would change what is graded.
_KEPT_VARIABLES = ("PATH", "LANG", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_KEPT_PREFIXES = ("CUDA_", "NVIDIA_")
# Set before torch is imported: two threads in a parent and one parallel region hang every fork of it.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


@dataclass
class Child:
    """A submission process, seen from the judge. Its descriptors do not block."""

    process: subprocess.Popen[bytes]
    questions: int
    """Descriptor to write questions to."""
    answers: int
    """Descriptor to read answers from."""
    folder: Path
    """Its working, home and temporary folder, which goes when it goes."""

    @property
    def printed(self) -> list[int]:
        """Return the descriptors of what it prints: standard output and standard error."""
        return [
            stream.fileno() for stream in (self.process.stdout, self.process.stderr) if stream is not None
        ]

    def ended(self) -> bool:
        """Say whether the process has ended."""
        return self.process.poll() is not None

    def kill(self) -> None:
        """End the process, its group and its descendants, and remove what they leave behind."""
        descendants = descendants_of(self.process.pid)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for descendant in descendants:
            with contextlib.suppress(psutil.Error):
                descendant.kill()
        self.process.wait()
        for descriptor in (self.questions, self.answers):
            os.close(descriptor)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        _remove(self.folder)


def launch(submission: Path, device: str, dtype: str, limits: Limits, refused: Sequence[str]) -> Child:
    """Start a submission process and return at once; its first message is `ready`.

    `refused` are modules whose import stopped an earlier process of this submission.
    """
    folder = Path(tempfile.mkdtemp(prefix="nanograder-"))
    read_questions, write_questions = os.pipe()
    read_answers, write_answers = os.pipe()
    start: child.Start = {
        "judge": os.getpid(),
        "questions": read_questions,
        "answers": write_answers,
        "grader": str(Path(child.__file__).parents[1]),
        "specs": str(_folder_of_specs()),
        "submission": str(submission),
        "device": device,
        "dtype": dtype,
        "memory_bytes": limits.memory_bytes if device == "cpu" else None,
        "file_bytes": limits.file_bytes,
        "refused": list(refused),
    }
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-B", "-X", "utf8", child.__file__, json.dumps(start)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            pass_fds=(read_questions, write_answers),
            cwd=folder,
            env=_environment(folder),
            start_new_session=True,
        )
    except OSError as error:
        os.close(write_questions)
        os.close(read_answers)
        _remove(folder)
        raise GraderFault(
            f"cannot start a process for the submission with {sys.executable}: {error}"
        ) from error
    finally:
        os.close(read_questions)
        os.close(write_answers)
    started = Child(process, write_questions, read_answers, folder)
    for descriptor in (started.questions, started.answers, *started.printed):
        os.set_blocking(descriptor, False)
    return started


def descendants_of(process_id: int) -> list[psutil.Process]:
    """Return the processes that come from a process, as far as each one's parent still lives."""
    try:
        found: list[psutil.Process] = psutil.Process(process_id).children(recursive=True)
    except psutil.Error:  # it has ended
        return []
    return found


def _environment(folder: Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT_VARIABLES or name.startswith(_KEPT_PREFIXES)
    }
    private = dict.fromkeys(("HOME", "TMPDIR"), str(folder))
    return {**kept, **_ONE_THREAD, **private}


def _folder_of_specs() -> Path:
    if specs.__file__ is None:
        raise GraderFault("the package `specs` has no __init__.py: install nanograder again")
    return Path(specs.__file__).parent


def _remove(folder: Path) -> None:
    with contextlib.suppress(RecursionError):
        shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():  # modes without write permission, or nested too deeply for Python
        subprocess.run(["chmod", "-R", "u+rwx", folder], check=False, stderr=subprocess.DEVNULL)
        subprocess.run(["rm", "-rf", "--", folder], check=False, stderr=subprocess.DEVNULL)
