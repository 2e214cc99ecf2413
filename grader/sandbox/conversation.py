"""Question and answer with one submission process, in one loop without threads.

The process may do anything: write half an answer, print without end, never read, grow, end. None of that
can block the loop: no descriptor blocks, everything it prints is taken and counted, and each turn looks at
the clock, at its memory and at whether it lives. Ends with an answer or with a `SubmissionStopped`.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from typing import Any

from grader.sandbox import frames, wire
from grader.sandbox.conclude import no_answer
from grader.sandbox.launch import Child
from grader.sandbox.limits import Limits
from grader.sandbox.watch import Watch
from specs.outcomes import (
    GraderFault,
    SubmissionDied,
    SubmissionMemory,
    SubmissionStopped,
    SubmissionTimeout,
)

_TURN_SECONDS = 0.05
_READ_BYTES = 1 << 20
_KEPT_BYTES = 64 << 10
_IMPORT_MESSAGES = 2_000
_GOODBYE_SECONDS = 1.0
# The names are kept: without limits, 16 MiB for each message, and any number of them.
_MODULE_CHARACTERS = 200
_MODULES = 1_000


class Printed:
    """What a submission printed: the beginning of it, and how much it was."""

    def __init__(self) -> None:
        self.total = 0
        self._kept = bytearray()

    def take(self, piece: bytes) -> None:
        """Count `piece`, and keep it while there is room."""
        self.total += len(piece)
        self._kept += piece[: _KEPT_BYTES - len(self._kept)]

    def __str__(self) -> str:
        more = self.total - len(self._kept)
        return self._kept.decode("utf-8", "replace") + (f"\n... and {more} bytes more\n" if more else "")


class Conversation:
    """Talks with one process. After a `SubmissionStopped` the process must be killed."""

    def __init__(self, child: Child, limits: Limits, printed: Printed, modules: set[str]) -> None:
        self._child = child
        self._limits = limits
        self._printed = printed
        self._watch = Watch(child, limits)
        self._frames = frames.FrameReader(wire.ANSWER_BYTES)
        self._question = memoryview(b"")
        self.open_imports: list[str] = []
        """The submission's modules that are being imported, the innermost last."""
        self._modules = modules
        """Every module of the submission whose import began, in earlier processes too."""
        self._import_messages = 0
        self._selector = selectors.DefaultSelector()
        for descriptor in (child.answers, *child.printed, child.leash.fileno()):
            self._selector.register(descriptor, selectors.EVENT_READ)

    def wait_until_ready(self) -> dict[str, str]:
        """Return the versions with which the process says that it is ready.

        Nothing of the submission has run by then, so this is the one message that can be believed. Raises
        GraderFault if the process could not be prepared.
        """
        message = self._exchange(b"", self._limits.start_seconds)
        if type(message) is dict and "refused" in message:
            raise GraderFault(f"the process for the submission could not be prepared: {message['refused']}")
        if type(message) is not dict or type(message.get("ready")) is not dict:
            raise no_answer("the first message is not `ready`")
        versions: dict[str, str] = message["ready"]
        return versions

    def ask(self, question: bytes, seconds: float) -> Any:
        """Return the reply to a question within `seconds`."""
        return self._exchange(frames.frame(question), seconds)

    def close(self) -> None:
        """Let go of the descriptors, which belong to the process."""
        self._selector.close()

    def _exchange(self, question: bytes, seconds: float) -> Any:
        deadline = time.monotonic() + seconds
        printed_before = self._printed.total
        self.open_imports.clear()
        self._import_messages = 0
        self._begin_writing(question)
        while (reply := self._next_reply()) is None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise SubmissionTimeout(f"no answer within {seconds:.3g} s")
            self._watch.check()
            # Asked before the turn: what a process wrote before it ended is there to be read in the turn.
            ended = self._child.ended()
            heard = self._take_turn(min(left, _TURN_SECONDS))
            if ended and not heard:
                raise self._how_it_ended()
            self._check_printed(printed_before)
        if self._question:
            raise no_answer("an answer before the question was read")
        if self.open_imports and type(reply) is dict and "value" in reply:
            # A probe returns when the imports that it asked for are over: this was written in one of them.
            raise no_answer(f"an answer while {self.open_imports[-1]} is still being imported")
        self._take_turn(0)  # what it printed before it answered
        self._check_printed(printed_before)
        return reply

    def _next_reply(self) -> Any:
        """Return the next message that is not about an import; None while there is none."""
        try:
            while (payload := self._frames.next()) is not None:
                message = wire.decode(payload, wire.ANSWER_BYTES)
                if message is None:
                    raise no_answer("None")
                if type(message) is not dict or "import" not in message:
                    return message
                self._note_import(message)
        except wire.WireError as error:
            raise no_answer(str(error)) from error
        return None

    def _note_import(self, message: dict[Any, Any]) -> None:
        module, event = message["import"], message.get("event")
        self._import_messages += 1
        named = type(module) is str and len(module) <= _MODULE_CHARACTERS and type(event) is str
        if not named or self._import_messages > _IMPORT_MESSAGES or len(self._modules) >= _MODULES:
            raise no_answer("messages about imports that are none")
        if event == "importing":
            self.open_imports.append(module)
            self._modules.add(module)
        elif module in self.open_imports:
            self.open_imports.remove(module)

    def _take_turn(self, seconds: float) -> bool:
        """Wait until something can be read or written, read and write it; say whether answers came."""
        heard = False
        for key, _ in self._selector.select(seconds):
            if key.fd == self._child.questions:
                self._write()
            elif key.fd == self._child.leash.fileno():
                self._child.listen()
                if self._child.gone:
                    self._selector.unregister(key.fd)
            elif key.fd == self._child.answers:
                piece = os.read(key.fd, _READ_BYTES)
                if not piece:
                    raise self._how_it_ended()
                self._frames.feed(piece)
                heard = True
            else:
                self._read_printed(key.fd)
        return heard

    def _read_printed(self, descriptor: int) -> None:
        piece = os.read(descriptor, _READ_BYTES)
        if piece:
            self._printed.take(piece)
        else:  # closed, as it may
            self._selector.unregister(descriptor)

    def _begin_writing(self, question: bytes) -> None:
        if question:
            self._question = memoryview(question)
            self._selector.register(self._child.questions, selectors.EVENT_WRITE)

    def _write(self) -> None:
        try:
            self._question = self._question[os.write(self._child.questions, self._question) :]
        except BrokenPipeError:
            raise self._how_it_ended() from None
        if not self._question:
            self._selector.unregister(self._child.questions)

    def _check_printed(self, before: int) -> None:
        if self._printed.total - before > self._limits.output_bytes:
            raise SubmissionDied(
                f"the submission printed more than the {self._limits.output_bytes} bytes allowed in one call"
            )

    def _how_it_ended(self) -> SubmissionStopped:
        self._child.listen(0.0)
        deadline = time.monotonic() + _GOODBYE_SECONDS
        while not self._child.ended() and (left := deadline - time.monotonic()) > 0:
            self._child.listen(min(left, _TURN_SECONDS))
        if "ended" not in self._child.told:
            if self._child.gone:
                return SubmissionDied("the submission's process ended together with what watched over it")
            return SubmissionDied("the submission's process closed its connection to the judge")
        status, seconds = self._child.told["ended"], self._child.told["seconds"]
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGKILL, signal.SIGXCPU):
            if seconds >= self._limits.processor_seconds:
                return SubmissionTimeout(f"used up {self._limits.processor_seconds:g} s of processor time")
            return SubmissionMemory(
                "the submission's process was killed from outside (SIGKILL), "
                "as the system does with a process when memory runs out"
            )
        code = os.waitstatus_to_exitcode(status)
        how = f"exit code {code}" if code >= 0 else f"signal {_signal_name(-code)}"
        return SubmissionDied(f"the submission's process ended ({how}) before it answered")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have no name
        return str(number)
