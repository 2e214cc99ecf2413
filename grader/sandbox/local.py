"""Probe calls in the judge's own process: for pytest and debuggers, never for a grade that counts."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from grader.sandbox import memory, unwritten, wire
from grader.sandbox.answer import answer
from grader.sandbox.conclude import conclude
from grader.sandbox.process import encode_question
from specs.outcomes import SubmissionMemory, SubmissionRaised
from specs.probes import loading, setting


class LocalProbe:
    """Calls probes in this process. Questions and answers are encoded all the same, so nothing can tell.

    No limits hold: a submission that hangs, hangs. One process can hold one submission at a time.
    """

    def __init__(self, submission: Path, device: str = "cpu", dtype: str = "float32") -> None:
        import torch

        torch.set_num_threads(1)
        unwritten.fill_unwritten_memory()
        self.submission = submission.resolve()
        self.device = device
        self.dtype = dtype
        self._calls = 0

    def __call__(self, name: str, /, **arguments: Any) -> Any:
        """Call the probe `name` and return its value.

        Raises `SubmissionRaised` (its `__cause__` is the exception itself), `SubmissionMemory`, and
        `GraderFault` if the question is wrong.
        """
        self._calls += 1
        question = wire.decode(encode_question(self._calls, name, arguments))
        setting.use(setting.Setting(self.submission, self.device, self.dtype))
        loading.refuse(())
        payload, error = answer(
            self._calls, name, question["arguments"], self.submission, let_through=(KeyboardInterrupt,)
        )
        try:
            return conclude(wire.decode(payload), self._calls)
        except (SubmissionRaised, SubmissionMemory) as outcome:
            raise outcome from error

    def attempt(self, name: str, /, **arguments: Any) -> Any:
        """Call the probe `name`; return the `SubmissionRaised` instead of raising it."""
        try:
            return self(name, **arguments)
        except SubmissionRaised as raised:
            return raised

    def resident_bytes(self) -> int:
        """Return the resident memory of this process, in bytes."""
        return memory.resident_bytes(os.getpid())

    def processor_seconds(self) -> float:
        """Return the processor time of this process, in seconds."""
        return time.process_time()

    def begin(self) -> None:
        """Do nothing: there is no limit on time here."""

    def renew(self) -> None:
        """Do nothing: there is no other process."""

    def close(self) -> None:
        """Forget the submission's modules, so that this process can hold another submission."""
        loading.leave()
        setting.use(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()
