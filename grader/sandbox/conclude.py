"""What the judge makes of an answer. An answer is written by the submission: nothing in it is believed."""

from __future__ import annotations

from typing import Any

from specs.outcomes import SubmissionDied, SubmissionMemory, SubmissionRaised
from specs.probes.raised import MESSAGE_CHARACTERS, TRACEBACK_CHARACTERS

_CLASSES = 64


def conclude(reply: Any, number: int) -> Any:
    """Return the value in the reply to question `number`.

    Raises `SubmissionRaised` if the submission raised, `SubmissionMemory` if that was for want of memory, and
    `SubmissionDied` if this is no answer.
    """
    check_reply(reply, number)
    if "value" in reply:
        return reply["value"]
    if type(reply.get("changed")) is str:
        raise SubmissionDied(reply["changed"][:MESSAGE_CHARACTERS])
    raised = reply.get("raised")
    if not _is_raised(raised):
        raise no_answer("neither a value nor an exception")
    if raised["out_of_memory"]:
        raise SubmissionMemory(f"ran out of memory: {raised['message'][:MESSAGE_CHARACTERS]}")
    raise SubmissionRaised(
        raised["types"],
        raised["message"][:MESSAGE_CHARACTERS],
        raised["traceback"][:TRACEBACK_CHARACTERS],
    )


def check_reply(reply: Any, number: int) -> None:
    """Raise `SubmissionDied` unless `reply` is a reply to question `number`."""
    if type(reply) is not dict or len(reply) != 2 or type(reply.get("call")) is not int:
        raise no_answer("a message of another form")
    if reply["call"] != number:
        raise no_answer(f"an answer to question {reply['call']} when question {number} was asked")


def no_answer(what: str) -> SubmissionDied:
    """Return the exception for a process that wrote to the judge on its own."""
    return SubmissionDied(
        f"the submission's process wrote to the judge itself, and that is no answer: {what}"
    )


def _is_raised(raised: Any) -> bool:
    return (
        type(raised) is dict
        and type(raised.get("types")) is list
        and 0 < len(raised["types"]) <= _CLASSES
        and all(type(name) is str and len(name) <= MESSAGE_CHARACTERS for name in raised["types"])
        and all(type(raised.get(field)) is str for field in ("message", "traceback"))
        and type(raised.get("out_of_memory")) is bool
    )
