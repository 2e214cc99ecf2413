"""The one way in which a property reaches a submission."""

from __future__ import annotations

from typing import Any, Protocol

from specs.outcomes import SubmissionRaised

# None, bool, int, float, str, bytes, NumPy arrays, and lists, tuples and dicts of these. `Any`, because
# a recursive union would have to be narrowed again at every use; the wire checks it at run time.
Plain = Any


class Probe(Protocol):
    """Calls probe functions beside one submission, in this process or in another."""

    device: str
    """Where the submission's models run: "cpu" or "cuda"."""

    dtype: str
    """What the submission's models compute in: "float32" or "bfloat16"."""

    def __call__(self, name: str, /, **arguments: Plain) -> Plain:
        """Call the probe `name` ("area.function") and return its value.

        Raises `SubmissionRaised` when the submission raised, and a `SubmissionStopped` when its
        process stopped answering.
        """
        ...

    def attempt(self, name: str, /, **arguments: Plain) -> Plain | SubmissionRaised:
        """Call the probe `name`; return the exception that the submission raised instead of raising it."""
        ...

    def resident_bytes(self) -> int:
        """Return the resident memory of the process that the submission runs in, seen from outside it."""
        ...

    def processor_seconds(self) -> float:
        """Return the processor time that the submission's process has used, seen from outside it."""
        ...

    def begin(self) -> None:
        """Let a new property begin: it has its own time."""
        ...

    def renew(self) -> None:
        """Go on in a fresh process of the submission, where there is one."""
        ...
