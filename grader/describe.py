"""Values and texts that came from elsewhere, made short and safe to show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from grader.render.escape import visible
from specs.outcomes import Comparison

LONGEST_VALUE = 200
LONGEST_CELL = 40
"""Of one value in a comparison; they are shorter than that where they are made."""
MOST_NUMBERS = 8
"""An array of up to so many numbers is shown whole."""


def describe_case(values: Mapping[str, Any]) -> dict[str, str]:
    """Return a short text for each drawn value."""
    return {name: describe(value) for name, value in values.items()}


def describe(value: Any) -> str:
    """Return a value as Python would write it, with arrays and long values abbreviated."""
    return printable(written(value), LONGEST_VALUE)


def written(value: Any) -> str:
    """Return `repr`, but a line for an array wherever it stands."""
    if isinstance(value, np.ndarray):
        return array_written(value)
    if type(value) is dict:
        return "{" + ", ".join(f"{key!r}: {written(one)}" for key, one in value.items()) + "}"
    if type(value) is list:
        return "[" + ", ".join(map(written, value)) + "]"
    if type(value) is tuple:
        return "(" + ", ".join(map(written, value)) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, np.generic):
        return repr(value.item())
    return repr(value)


def array_written(array: np.ndarray[Any, Any]) -> str:
    """Return type and shape of an array, and its numbers or, when there are many, the first and the range."""
    name = f"{array.dtype}{list(array.shape)}"
    if array.size <= MOST_NUMBERS:
        return f"{name} {array.tolist()}"
    if array.dtype.kind not in "biuf":
        return f"{name} {array.reshape(-1)[:3].tolist()}…"
    first = ", ".join(f"{number:.4g}" for number in array.reshape(-1)[:3].tolist())
    return f"{name} {first}, … between {array.min():.4g} and {array.max():.4g}"


def describe_comparison(seen: Comparison | None) -> Comparison | None:
    """Return a comparison whose texts are safe to show, and short."""
    if seen is None:
        return None
    got, want = (tuple(printable(one, LONGEST_CELL) for one in row) for row in (seen.got, seen.want))
    index, axis, got_kind, want_kind = (
        printable(one, LONGEST_VALUE) for one in (seen.index, seen.axis, seen.got_kind, seen.want_kind)
    )
    return replace(seen, index=index, axis=axis, got=got, want=want, got_kind=got_kind, want_kind=want_kind)


def printable(text: str, longest: int) -> str:
    """Return `text` cut to `longest` characters, with what could steer a terminal written as an escape.

    Messages of a submission pass here: colour codes, carriage returns and characters that turn the
    direction of writing could otherwise make a report say what the grader did not. Half a surrogate
    pair cannot be written to any file.
    """
    if len(text) > longest:
        text = f"{text[:longest]}… ({len(text) - longest} characters more)"
    return visible(text)
