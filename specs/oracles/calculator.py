"""Arithmetic whose value is known, because it is worked out in Python while its text is put together."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

PRECISION = 1e-12
"""Of the largest numbers on the way: floats round at 1.1e-16 an operation."""

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}


@dataclass(frozen=True)
class Expression:
    """A text, the value that it has, and how large the numbers on the way to it can be."""

    text: str
    value: int | float | None
    """None where there is none, after a division by zero."""
    size: float
    """A bound on the absolute values added up on the way: rounding errors are relative to it."""
    is_exact: bool
    """Whether the value is free of rounding."""
    rank: int
    """0 a sum, 1 a product or a sign, 2 a number or parentheses."""

    @property
    def tolerance(self) -> float:
        """Return how far from the value an answer may lie: integers are exact."""
        return PRECISION * self.size if isinstance(self.value, float) else 0.0


def number(text: str) -> Expression:
    """Return a number, written as in Python without a sign."""
    value = int(text) if text.isdigit() else float(text)
    return Expression(text, value, abs(float(value)), Fraction(text) == Fraction(value), 2)


def count(text: str, part: str) -> Expression:
    """Return the count of `part` in `text`."""
    value = text.count(part)
    return Expression(f"{text!r}.count({part!r})", value, float(value), True, 2)


def parenthesised(inner: Expression) -> Expression:
    """Return (inner)."""
    return Expression(f"({inner.text})", inner.value, inner.size, inner.is_exact, 2)


def negative(inner: Expression) -> Expression:
    """Return -inner."""
    operand = inner if inner.rank == 2 else parenthesised(inner)
    value = None if operand.value is None else -operand.value
    return Expression(f"-{operand.text}", value, operand.size, operand.is_exact, 1)


def positive(inner: Expression) -> Expression:
    """Return +inner."""
    operand = inner if inner.rank == 2 else parenthesised(inner)
    return Expression(f"+{operand.text}", operand.value, operand.size, operand.is_exact, 1)


def binary(left: Expression, symbol: str, right: Expression, space: str = "") -> Expression:
    """Return left symbol right, with the parentheses that it needs.

    A quotient that hangs on how its operands were rounded becomes a product.
    """
    if symbol in ("/", "//", "%") and not _is_certain(left, symbol, right):
        symbol = "*"
    rank = 0 if symbol in "+-" else 1
    # The right side of - and / needs parentheses already when its rank is the same.
    one = left if left.rank >= rank else parenthesised(left)
    other = right if right.rank > rank else parenthesised(right)
    text = f"{one.text}{space}{symbol}{space}{other.text}"
    if left.value is None or right.value is None or (rank and symbol != "*" and right.value == 0):
        return Expression(text, None, 0.0, False, rank)
    value = OPERATORS[symbol](left.value, right.value)
    is_exact = left.is_exact and right.is_exact
    if is_exact:
        is_exact = OPERATORS[symbol](Fraction(left.value), Fraction(right.value)) == Fraction(value)
    return Expression(text, value, _size(left, symbol, right), is_exact, rank)


def _size(left: Expression, symbol: str, right: Expression) -> float:
    if symbol in "+-":
        return left.size + right.size
    if symbol == "*":
        return left.size * right.size
    assert right.value is not None
    return left.size * right.size / float(right.value) ** 2 + right.size


def _is_certain(left: Expression, symbol: str, right: Expression) -> bool:
    if left.value is None or right.value is None or (right.is_exact and right.value == 0):
        return True
    # Rounding moves a floor by a whole.
    if symbol != "/":
        return left.is_exact and right.is_exact
    return right.is_exact or abs(right.value) > right.size / 1000


def written(value: float) -> str:
    """Return the text of a value as a tool's output holds it: an integer without a point."""
    return str(int(value)) if value == int(value) else str(value)
