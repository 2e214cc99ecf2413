"""What a person sees of a long run: how much is done, and how long the rest will take."""

from __future__ import annotations

import sys
import time

FEWEST_SECONDS = 10.0
"""Between two lines where no line can be written over."""


class ClassProgress:
    """Writes to stderr: one line over itself on a terminal, else a line now and then."""

    def __init__(self) -> None:
        self._began = self._said = time.monotonic()
        self._over = sys.stderr.isatty()

    def tell(self, done: int, count: int) -> None:
        """Say that `done` of `count` gradings are finished."""
        now = time.monotonic()
        line = progress_line(done, count, now - self._began)
        if self._over:
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
        elif now - self._said >= FEWEST_SECONDS or done == count:
            self._said = now
            print(line, file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Remove the line, so that another one can be written."""
        if self._over:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def progress_line(done: int, count: int, seconds: float) -> str:
    """Return the line: the rest is thought to go on as fast as what is done."""
    if not done:
        return f"0 of {count} graded"
    left = in_words(seconds / done * (count - done))
    return f"{done} of {count} graded, {60 * done / max(seconds, 1e-9):.1f} a minute, {left} left"


def in_words(seconds: float) -> str:
    """Return a duration as a person says it."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return (
        f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"
    )
