"""Probe calls in a process of the submission's own."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from grader.sandbox import memory, wire
from grader.sandbox.conclude import check_reply, conclude, no_answer
from grader.sandbox.conversation import Conversation, Printed
from grader.sandbox.launch import Child, launch
from grader.sandbox.limits import Limits
from specs.outcomes import GraderFault, SubmissionRaised, SubmissionStopped, SubmissionTimeout
from specs.probes import registry

__all__ = ["Limits", "ProcessProbe", "encode_question"]


class ProcessProbe:
    """Calls probes in a process of the submission's own, which is killed when it misbehaves.

    The process starts with the object, in the background. After a `SubmissionStopped` the next call gets a
    fresh one, which is told the modules whose import stopped an earlier one: these stop it again, at once.
    """

    def __init__(
        self, submission: Path, device: str = "cpu", dtype: str = "float32", limits: Limits | None = None
    ) -> None:
        self.submission = submission.resolve()
        self.device = device
        self.dtype = dtype
        self.limits = limits or Limits()
        self.versions: dict[str, str] = {}
        """Versions of what the submission process runs on, from the first call on."""
        self._seconds_used = 0.0
        self._calls = 0
        self._stopped_imports: dict[str, SubmissionStopped] = {}
        self._printed = Printed()
        self._conversation: Conversation | None = None
        self._child: Child | None = None
        self._launch()

    def __call__(self, name: str, /, **arguments: Any) -> Any:
        """Call the probe `name` in the submission's process and return its value.

        Raises `SubmissionRaised` or a `SubmissionStopped` for what the submission did, and `GraderFault` if
        the question is wrong or no process can be had.
        """
        self._calls += 1
        question = encode_question(self._calls, name, arguments)
        seconds = self._seconds_left()
        conversation = self._ready_conversation()
        began = time.monotonic()
        try:
            reply = conversation.ask(question, seconds)
            again = self._stopped_again(reply)
            if again is None:
                return conclude(reply, self._calls)
        except SubmissionStopped as stop:
            self._remember(stop, conversation)
            self._kill()
            raise
        finally:
            self._seconds_used += time.monotonic() - began
        raise again  # the process itself is well, and goes on

    def attempt(self, name: str, /, **arguments: Any) -> Any:
        """Call the probe `name`; return the `SubmissionRaised` instead of raising it."""
        try:
            return self(name, **arguments)
        except SubmissionRaised as raised:
            return raised

    def resident_bytes(self) -> int:
        """Return the resident memory of the submission's process, in bytes."""
        self._ready_conversation()
        assert self._child is not None
        return memory.resident_bytes(self._child.process.pid)

    @property
    def captured_output(self) -> str:
        """What the submission has printed so far, both streams, of all its processes: the first 64 KiB."""
        return str(self._printed)

    def close(self) -> None:
        """End the process. Harmless when there is none; a later call would start one again."""
        self._kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def _seconds_left(self) -> float:
        left = self.limits.submission_seconds - self._seconds_used
        if left <= 0:
            raise SubmissionTimeout(
                f"the submission has used up the {self.limits.submission_seconds:g} s that it has in all"
            )
        return min(left, self.limits.call_seconds)

    def _launch(self) -> Child:
        refused = list(self._stopped_imports)
        self._child = launch(self.submission, self.device, self.dtype, self.limits, refused)
        return self._child

    def _ready_conversation(self) -> Conversation:
        if self._conversation is None:
            child = self._child or self._launch()
            conversation = Conversation(child, self.limits, printed := Printed())
            try:
                self.versions = conversation.wait_until_ready()
            except SubmissionStopped as stop:
                conversation.close()
                self._kill()
                # Nothing of the submission had run.
                raise GraderFault(
                    f"the process for the submission did not become ready: {stop}\n{printed}".rstrip()
                    + "\n(it imports torch and numpy with the Python that runs the grader: try that by hand)"
                ) from stop
            self._conversation = Conversation(child, self.limits, self._printed)
            conversation.close()
        return self._conversation

    def _stopped_again(self, reply: Any) -> SubmissionStopped | None:
        """Return the stop of a call that came to a module that had stopped an earlier process, else None."""
        check_reply(reply, self._calls)
        if "stopped" not in reply:
            return None
        module = reply["stopped"]
        if type(module) is not str or module not in self._stopped_imports:
            raise no_answer("a stop that never was")
        stop = self._stopped_imports[module]
        return type(stop)(f"importing {module} stopped an earlier process: {stop}")

    def _remember(self, stop: SubmissionStopped, conversation: Conversation) -> None:
        if conversation.open_imports:
            self._stopped_imports[conversation.open_imports[-1]] = stop

    def _kill(self) -> None:
        if self._conversation is not None:
            self._conversation.close()
            self._conversation = None
        if self._child is not None:
            self._child.kill()
            self._child = None


def encode_question(number: int, name: str, arguments: dict[str, Any]) -> bytes:
    """Return the payload that asks for a probe; raise `GraderFault` if there is no such question."""
    try:
        registry.check(name)
        return wire.encode({"call": number, "probe": name, "arguments": arguments})
    except (registry.UnknownProbe, wire.WireError) as error:
        raise GraderFault(f"a property cannot ask {name!r}: {error}") from error
