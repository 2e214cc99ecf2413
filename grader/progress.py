"""One line on stderr that says what is being graded; nothing when nobody is looking."""

from __future__ import annotations

import shutil
import sys


class ProgressLine:
    """Writes over itself, and leaves nothing behind when it is closed."""

    def __init__(self) -> None:
        self.visible = sys.stderr.isatty()

    def __call__(self, done: int, count: int, property_id: str) -> None:
        """Say that `done` of `count` properties are judged and that the next one starts."""
        if self.visible:
            columns = shutil.get_terminal_size().columns
            line = f"[{done}/{count}] {property_id}"[: columns - 1]
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Remove the line."""
        if self.visible:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
