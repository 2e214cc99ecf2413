"""Comparisons that teach: what was got, what was wanted, and the first place where they part."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from specs import comparison
from specs.outcomes import Comparison, LawBroken, SubmissionRaised
from specs.tolerances import Tolerance

LONGEST = 300
"""Characters of a value that a message quotes."""
MOST_ITEMS = 1 << 18
"""Of an array that is compared number by number; nothing that is wanted so has as many."""


def expect_close(
    got: Any,
    want: NDArray[Any],
    tolerance: Tolerance,
    what: str,
    axes: Sequence[str] = (),
    also: str = "",
    slack: NDArray[np.float64] | float = 0.0,
) -> None:
    """Require the array `got` to have the shape of `want`, to be finite, and to lie within `tolerance`.

    `axes` names the axes of the array ("row", "position", "channel"), for the message; `also` is a hint of
    where to look, added to it. `slack` widens the tolerance, value by value, by what a free choice of the
    contract may change. Raises LawBroken.
    """
    expected = np.asarray(want, dtype=np.float64)
    # Before it is converted: 60 MiB of bytes would become eight times as much here.
    if isinstance(got, np.ndarray) and got.shape != expected.shape:
        broken(f"{what} has shape {got.shape}, want {expected.shape}")
    actual = as_numbers(got, what)
    bound = np.broadcast_to(tolerance.bound(expected) + slack, expected.shape)
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.abs(actual - expected)
    wrong = ~(difference <= bound)  # also true where the difference is not a number
    if not wrong.any():
        return
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    worst = float(np.nanmax(difference)) if np.isfinite(difference).any() else float("nan")
    message = (
        f"{what}: the first difference is at {named(place, axes)}, "
        f"got {actual[place]:.6g}, want {expected[place]:.6g} "
        f"(difference {difference[place]:.2g}, allowed {bound[place]:.2g}). "
        f"{int(wrong.sum())} of {wrong.size} values differ, by up to {worst:.2g}.{still_holds(wrong, axes)}"
        + (f" {also}" if also else "")
    )
    broken(message, comparison.of_arrays(got, want, wrong, place, named(place, axes), axes))


def expect_equal(got: Any, want: Any, what: str, also: str = "") -> None:
    """Require `got` to equal `want` exactly: numbers, texts, lists and dicts. Raises LawBroken."""
    if isinstance(got, np.ndarray):
        if got.size > MOST_ITEMS:
            broken(f"{what}: got {quoted(got)}, want {quoted(want)}")
        got = got.tolist()
    if isinstance(want, np.ndarray):
        want = want.tolist()
    if same(got, want):
        return
    where = ""
    if isinstance(got, list | tuple) and isinstance(want, list | tuple):
        agree = next((i for i, (a, b) in enumerate(zip(got, want, strict=False)) if not same(a, b)), None)
        if agree is None:
            where = f" The first {min(len(got), len(want))} agree; got {len(got)} of them, want {len(want)}."
        else:
            where = (
                f" They differ first at index {agree}: got {quoted(got[agree])}, want {quoted(want[agree])}."
            )
    message = f"{what}: got {quoted(got)}, want {quoted(want)}.{where}" + (f" {also}" if also else "")
    broken(message, comparison.of_values(got, want, same))


def expect_differs(got: Any, other: NDArray[Any], least: float, what: str) -> None:
    """Require `got` to differ from `other` somewhere by at least `least`: what must matter does matter."""
    actual = as_numbers(got, what)
    base = as_numbers(other, what)
    if actual.shape != base.shape:
        broken(f"{what} has shape {actual.shape}, want {base.shape}")
    change = float(np.abs(actual - base).max(initial=0.0))
    # A `least` that comes from the size of the answers is 0 where all of these are 0.
    if not (change >= least and change > 0):
        broken(f"{what}: changed by at most {change:.2g}, want at least {least:.2g}")


def expect_at_most(got: float, limit: float, what: str, unit: str = "") -> None:
    """Require the number `got` not to exceed `limit`. Raises LawBroken."""
    expect_number(got, what)
    if not got <= limit:
        broken(f"{what}: got {got:,}{unit}, want at most {limit:,}{unit}")


def expect_at_least(got: float, limit: float, what: str, unit: str = "") -> None:
    """Require the number `got` to reach `limit`. Raises LawBroken."""
    expect_number(got, what)
    if not got >= limit:
        broken(f"{what}: got {got:,}{unit}, want at least {limit:,}{unit}")


_NUMBER = re.compile(r"(?<![\w.])\d+(?![\w.])")
_MOST_NUMBERS = 64


def expect_raised(outcome: Any, what: str, kind: str = "Exception") -> SubmissionRaised:
    """Require `outcome`, from `probe.attempt`, to be an exception of class `kind`, and return it."""
    if not isinstance(outcome, SubmissionRaised):
        broken(f"{what}: got {quoted(outcome)}, want a {kind}")
    if not outcome.is_a(kind):
        broken(f"{what}: raised {outcome}, want a {kind}")
    return outcome


def expect_named(raised: SubmissionRaised, names: Sequence[str], what: str) -> None:
    """Require the message of an exception to hold one of `names`: what is wrong, or its value.

    A message that lists any number there is names none.
    """
    numbers = set(_NUMBER.findall(raised.message))
    if len(numbers) > _MOST_NUMBERS:
        broken(f"{what}: the message holds {len(numbers)} different numbers, want it to name the wrong one")
    if not any(name in raised.message for name in names):
        broken(f"{what}: the message is {quoted(raised.message)}, want it to name {' or '.join(names)}")


def expect(condition: bool, message: str) -> None:
    """Require `condition`; `message` says what was got and what was wanted. Raises LawBroken."""
    if not condition:
        broken(message)


def broken(message: str, seen: Comparison | None = None) -> NoReturn:
    """Raise LawBroken: the one place where a property says that a law does not hold."""
    raise LawBroken(message, seen)


def as_numbers(value: Any, what: str) -> NDArray[np.float64]:
    """Return an answer as a float64 array; an answer that is no array of numbers breaks the law."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
        broken(f"{what}: got {quoted(value)}, want an array of numbers")
    return value.astype(np.float64)


def expect_number(value: Any, what: str) -> None:
    """Require an answer to be one finite number."""
    if type(value) not in (int, float) or not np.isfinite(value):
        broken(f"{what}: got {quoted(value)}, want a number")


def same(a: Any, b: Any) -> bool:
    """Compare plain values exactly, and by type as well: True is not 1, and 1 is not 1.0."""
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and bool(a == b)


def named(place: Sequence[int], axes: Sequence[str]) -> str:
    """Name an index by its axes: "row 0, position 5"."""
    if not place:
        return "its only value"
    if len(axes) != len(place):
        return f"index {list(place)}"
    return ", ".join(f"{axis} {index}" for axis, index in zip(axes, place, strict=True))


def still_holds(wrong: NDArray[np.bool_], axes: Sequence[str]) -> str:
    """Say which positions agree, where the array has an axis of positions: that often names the cause."""
    if "position" not in axes or len(axes) != wrong.ndim:
        return ""
    others = tuple(i for i, axis in enumerate(axes) if axis != "position")
    differs = np.atleast_1d(wrong.any(axis=others))
    first, last = int(np.argmax(differs)), len(differs) - 1
    if differs.all():
        return " No position agrees." if last else ""
    if first == 0:
        return f" Of the positions, {', '.join(map(str, np.flatnonzero(~differs)[:8]))} agree."
    span = "Position 0 agrees" if first == 1 else f"Positions 0 to {first - 1} agree"
    return f" {span}, {first} is the first that differs."


def quoted(value: Any) -> str:
    """Return a short representation of a value, for a message."""
    text = (
        f"an array of shape {value.shape}"
        if isinstance(value, np.ndarray)
        else comparison.beginning(value, LONGEST)
    )
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"
