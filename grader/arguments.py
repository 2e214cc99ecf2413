"""What several commands read from the command line, for argparse."""

from __future__ import annotations

import argparse


def natural(text: str) -> int:
    """Return a number that is not negative."""
    return at_least(0, "0 or more", text)


def positive(text: str) -> int:
    """Return a number of at least one."""
    return at_least(1, "at least 1", text)


def share(text: str) -> float:
    """Return a part of one."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text}: want a number above 0 and at most 1")
    return value


MOST_HINTS = 9
"""Stages of hints that can be asked for."""


def add_hints(command: argparse.ArgumentParser) -> None:
    """Add `--hints`, with or without a stage."""
    command.add_argument(
        "--hints",
        type=hint_stage,
        nargs="?",
        const=1,
        default=0,
        metavar="STAGE",
        help="a hint for each broken criterion: where to look; 2 also what should come of a small case, "
        "3 nearly the repair",
    )


def add_show_hidden(command: argparse.ArgumentParser) -> None:
    """Add `--show-hidden`."""
    command.add_argument(
        "--show-hidden", action="store_true", help="also what the file of the level withholds from students"
    )


def hint_stage(text: str) -> int:
    """Return the last stage of hints to show."""
    if text not in map(str, range(1, MOST_HINTS + 1)):
        raise argparse.ArgumentTypeError(
            f"{text!r}: want a stage from 1 to {MOST_HINTS}, or nothing and then another option"
        )
    return int(text)


def at_least(least: int, want: str, text: str) -> int:
    """Return a number that is `least` or more; what argparse shows says what was wanted otherwise."""
    number = int(text)
    if number < least:
        raise argparse.ArgumentTypeError(f"{text}: want {want}")
    return number
