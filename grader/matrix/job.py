"""What a warm session is asked: one variant, and the properties to try on it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from grader.matrix.proof import NOTHING, Places

FOLDER = "/variant"
"""Where a variant seems to lie. It is never on a disk; the name only stands in tracebacks."""


@dataclass(frozen=True)
class Job:
    """One variant to judge."""

    name: str
    sources: Mapping[str, str]
    """The text of each module, by file name."""
    laws: tuple[str, ...]
    """The properties to try, in this order."""
    places: Places = field(default_factory=lambda: NOTHING)
    """The edited places that must run, see `proof.edited_places`."""
    until: str = "all"
    """When to stop: "all" properties are done, at the "first" that notices, at the first "broken" law."""
    lines: bool = False
    """Whether to record which lines each property runs."""
    tag: Any = None
    """Whatever the caller wants to find again in its answer."""

    def enough(self, kind: str) -> bool:
        """Say whether an outcome of this kind ends the job."""
        if self.until == "first":
            return kind not in ("passed", "not run")
        return self.until == "broken" and kind in ("law broken", "non-finite")


Task = Callable[[], Any]


def fingerprint(text: str) -> str:
    """Return the SHA-256 of a module's text."""
    return hashlib.sha256(text.encode()).hexdigest()
