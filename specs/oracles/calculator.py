"""Arithmetic whose value is known exactly, because it is built together with its text, in fractions."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

PRECISION = 1e-12
"""Of the largest numbers on the way: binary floats round at 1.1e-16 an operation, decimals at less."""

_EXACT = 2**53
"""Up to here floats hold every integer."""


@dataclass(frozen=True)
class Expression:
    """A text, the value that it has, and how large the numbers on the way to it can be."""

    text: str
    value: Fraction | None
    """None where there is none, after a division by zero."""
    size: Fraction
    """A bound on the absolute values added up on the way: rounding errors are relative to it."""
    is_exact: bool
    """Whether floats get the value without any rounding."""
    rank: int
    """0 a sum, 1 a product, 2 a number or parentheses."""

    @property
    def tolerance(self) -> float:
        """Return how far from the value an answer may lie."""
        return PRECISION * float(self.size)


def number(text: str) -> Expression:
    """Return a number, written as in Python without a sign."""
    value = Fraction(text)
    return Expression(text, value, abs(value), _is_dyadic(value), 2)


def parenthesised(inner: Expression) -> Expression:
    """Return (inner)."""
    return Expression(f"({inner.text})", inner.value, inner.size, inner.is_exact, 2)


def negative(inner: Expression) -> Expression:
    """Return -inner."""
    operand = inner if inner.rank == 2 else parenthesised(inner)
    value = None if operand.value is None else -operand.value
    return Expression(f"-{operand.text}", value, operand.size, operand.is_exact, 1)


def binary(left: Expression, symbol: str, right: Expression, space: str = "") -> Expression:
    """Return left symbol right, with the parentheses that it needs.

    A division by what is zero or nearly zero only after rounding has no certain value: it becomes a product.
    """
    if symbol == "/" and not _can_divide_by(right):
        symbol = "*"
    rank = 0 if symbol in "+-" else 1
    # The right side of - and / needs parentheses already when its rank is the same.
    one = left if left.rank >= rank else parenthesised(left)
    other = right if right.rank > rank else parenthesised(right)
    text = f"{one.text}{space}{symbol}{space}{other.text}"
    if left.value is None or right.value is None or (symbol == "/" and right.value == 0):
        return Expression(text, None, Fraction(0), False, rank)
    value, size = _combined(left, symbol, right)
    is_exact = left.is_exact and right.is_exact and _is_dyadic(value) and size < _EXACT
    return Expression(text, value, size, is_exact, rank)


def _combined(left: Expression, symbol: str, right: Expression) -> tuple[Fraction, Fraction]:
    assert left.value is not None
    assert right.value is not None
    if symbol == "+":
        return left.value + right.value, left.size + right.size
    if symbol == "-":
        return left.value - right.value, left.size + right.size
    if symbol == "*":
        return left.value * right.value, left.size * right.size
    return left.value / right.value, left.size * right.size / right.value**2


def _can_divide_by(divisor: Expression) -> bool:
    if divisor.value is None or divisor.is_exact:
        return True
    return abs(divisor.value) > divisor.size / 1000


def _is_dyadic(value: Fraction) -> bool:
    """Say whether a float holds `value` exactly: the denominator is a small power of two."""
    return value.denominator in (1, 2, 4, 8, 16, 32, 64) and abs(value.numerator) < _EXACT


def written(value: Fraction) -> str:
    """Return the text of a dyadic value as a tool's output holds it: an integer without a point."""
    return str(value.numerator) if value.denominator == 1 else repr(float(value))
