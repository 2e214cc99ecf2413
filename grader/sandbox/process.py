"""Probe calls in a process of the submission's own."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil  # type: ignore[import-untyped]  # psutil ships no types

from grader.sandbox import memory, wire
from grader.sandbox.conclude import check_reply, conclude, no_answer
from grader.sandbox.conversation import Conversation, Printed
from grader.sandbox.launch import Child, ForkServer, not_ready
from grader.sandbox.limits import Limits
from specs.outcomes import GraderFault, SubmissionRaised, SubmissionStopped, SubmissionTimeout
from specs.probes import registry

__all__ = ["Limits", "ProcessProbe", "encode_question"]

_STOPPED_IMPORTS = 32


class ProcessProbe:
    """Calls probes in a process of the submission's own, which is killed when it misbehaves.

    The process starts with the object, in the background. After a `SubmissionStopped` the next call gets a
    fresh one, which is told the modules whose import stopped an earlier one: these stop it again, at once.
    """

    def __init__(
        self,
        submission: Path,
        device: str = "cpu",
        dtype: str = "float32",
        limits: Limits | None = None,
        isolation: str = "basic",
        server: ForkServer | None = None,
    ) -> None:
        self.submission = submission.resolve()
        self.device = device
        self.dtype = dtype
        self.limits = limits or Limits()
        self.isolation = isolation
        self.versions: dict[str, str] = {}
        """Versions of what the submission process runs on, from the first call on."""
        self.modules: set[str] = set()
        """Modules of the submission whose import began, in any of its processes."""
        self._seconds_used = self._seconds_used_by_property = 0.0
        self._calls = 0
        self._stopped_imports: dict[str, SubmissionStopped] = {}
        self._printed = Printed()
        self._conversation: Conversation | None = None
        self._child: Child | None = None
        self._own_server = None if server else ForkServer()
        self._server = server or self._own_server
        try:
            self._launch()
        except BaseException:
            self.close()
            raise

    def begin(self) -> None:
        """Let a new property begin: it has its own time."""
        self._seconds_used_by_property = 0.0

    def renew(self) -> None:
        """Go on in a fresh process, which knows nothing of the calls so far. It starts in the background."""
        if self._conversation is not None:  # else it is fresh
            self._kill()
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
            passed = time.monotonic() - began
            self._seconds_used += passed
            self._seconds_used_by_property += passed
        raise again  # the process itself is well, and goes on

    def attempt(self, name: str, /, **arguments: Any) -> Any:
        """Call the probe `name`; return the `SubmissionRaised` instead of raising it."""
        try:
            return self(name, **arguments)
        except SubmissionRaised as raised:
            return raised

    def resident_bytes(self) -> int:
        """Return the resident memory of the submission's process, in bytes."""
        return memory.resident_bytes(self._living())

    def processor_seconds(self) -> float:
        """Return the processor time of the submission's process, in seconds."""
        times = psutil.Process(self._living()).cpu_times()
        return float(times.user + times.system)

    def _living(self) -> int:
        """Return the process id of the submission's process, started if need be."""
        self._ready_conversation()
        assert self._child is not None
        assert self._child.process_id is not None
        return self._child.process_id

    @property
    def captured_output(self) -> str:
        """What the submission has printed so far, both streams, of all its processes: the first 64 KiB."""
        return str(self._printed)

    def close(self) -> None:
        """End the process, and the fork server if it is this probe's own. Harmless when there is none."""
        self._kill()
        if self._own_server is not None:
            self._own_server.close()
            self._own_server = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def _seconds_left(self) -> float:
        limits = self.limits
        left = limits.submission_seconds - self._seconds_used
        if left <= 0:
            raise SubmissionTimeout(
                f"the submission has used up the {limits.submission_seconds:g} s that it has in all"
            )
        here = limits.property_seconds - self._seconds_used_by_property
        if here <= 0:
            raise SubmissionTimeout(
                f"the submission has used up the {limits.property_seconds:g} s that it has for one property"
            )
        return min(left, here, limits.call_seconds)

    def _launch(self) -> Child:
        assert self._server is not None
        refused = list(self._stopped_imports)
        self._child = self._server.launch(
            self.submission, self.device, self.dtype, self.isolation, self.limits, refused
        )
        return self._child

    def _ready_conversation(self) -> Conversation:
        if self._conversation is None:
            child = self._child or self._launch()
            conversation = Conversation(child, self.limits, printed := Printed(), set())
            try:
                self.versions = conversation.wait_until_ready()
            except (SubmissionStopped, GraderFault) as stop:
                # Nothing of the submission had run.
                assert self._server is not None
                said = child.told.get("refused") or stop
                complaint = f"{printed}\n{self._server.complaint()}".strip()
                raise GraderFault(not_ready(str(said), complaint)) from stop
            finally:
                conversation.close()
                if not self.versions:
                    self._kill()
            self._conversation = Conversation(child, self.limits, self._printed, self.modules)
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
        # A submission can announce what it never imports, and a new process is told all of them.
        if conversation.open_imports and len(self._stopped_imports) < _STOPPED_IMPORTS:
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
