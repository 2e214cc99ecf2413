"""How a call to a submission, or a property about it, can end other than well.

Two families that never look alike: what the submission did (`LawBroken`, `SubmissionRaised`,
`SubmissionStopped`) and what went wrong with the grader itself (`GraderFault`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Comparison:
    """A few neighbouring values around the first that differs, as short texts: enough for a picture."""

    index: str
    """Where the first difference is: "row 0, position 5"."""
    axis: str
    """What the values are numbered by: "position"."""
    start: int
    """The number of the first value."""
    count: int
    """How many there are along this axis, of which only some are here."""
    got: tuple[str, ...]
    want: tuple[str, ...]
    """As many as in `got`; "" where one of the two has no value any more."""
    differs: tuple[bool, ...]
    got_kind: str
    """Type and shape of all that was got: "float32[2, 8, 3]", "list of 4"."""
    want_kind: str


class LawBroken(AssertionError):
    """The submission answered, and the answer breaks the law that the property states."""

    def __init__(self, message: str = "", comparison: Comparison | None = None) -> None:
        self.comparison = comparison
        super().__init__(message)


class SubmissionRaised(Exception):
    """The submission raised an exception while a probe ran it.

    `types` holds the names of the exception's classes, most derived first, so that
    "raises a ValueError" also accepts a subclass of it.
    """

    def __init__(self, types: list[str], message: str, traceback: str = "") -> None:
        self.types = list(types)
        self.message = message
        self.traceback = traceback
        super().__init__(f"{self.types[0] if self.types else 'Exception'}: {message}")

    def is_a(self, name: str) -> bool:
        """Say whether the exception is of class `name` or derived from it."""
        return name in self.types


class SubmissionStopped(BaseException):
    """The submission's process no longer answers.

    A BaseException, so that Hypothesis lets it pass at once: searching for a smaller input that
    hangs or crashes would cost the whole time limit, or a new process, for every try.
    """


class SubmissionTimeout(SubmissionStopped):
    """The submission did not answer within its time limit."""


class SubmissionMemory(SubmissionStopped):
    """The submission asked for more memory than its limit."""


class SubmissionDied(SubmissionStopped):
    """The submission's process ended, or wrote something that is no answer."""


class GraderFault(Exception):
    """The grader itself failed: never counted against a submission, always exit code 3."""
