"""Numbers on the command line, for argparse."""

from __future__ import annotations

import argparse


def natural(text: str) -> int:
    """Return a number that is not negative."""
    return at_least(0, "0 or more", text)


def positive(text: str) -> int:
    """Return a number of at least one."""
    return at_least(1, "at least 1", text)


def at_least(least: int, want: str, text: str) -> int:
    """Return a number that is `least` or more; what argparse shows says what was wanted otherwise."""
    number = int(text)
    if number < least:
        raise argparse.ArgumentTypeError(f"{text}: want {want}")
    return number
