"""The calculator: a list of numbers, operators and parentheses is made shorter until one number is left."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable
from operator import add, floordiv, mod, mul, sub, truediv

Item = int | float | str
"""A value, or an operator or parenthesis."""

LIMIT = 400
BY_PRECEDENCE: list[dict[str, Callable[[int | float, int | float], int | float]]] = [
    {"*": mul, "/": truediv, "//": floordiv, "%": mod},
    {"+": add, "-": sub},
]
STRING = r"""(?:'(?:[^'\\\r\n]|\\{e})*'|"(?:[^"\\\r\n]|\\{e})*")""".replace(
    "{e}", r"""(?:[\\'"abfnrtv]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})"""
)
COUNT = re.compile(rf"({STRING})[ \t]*\.[ \t]*count[ \t]*\([ \t]*({STRING})[ \t]*\)")
FLOAT = re.compile(r"(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+")
INTEGER = re.compile(r"[1-9][0-9]*|0+")
SYMBOL = re.compile(r"//|[-+*/%()]")


def use_calculator(expression: str) -> int | float | None:
    """Return the value of the expression, None if it has none."""
    if not isinstance(expression, str) or len(expression) > LIMIT:
        return None
    try:
        value = whole(items_of(expression.strip()))
        return value if math.isfinite(value) else None
    except (ValueError, ArithmeticError, SyntaxError):
        return None


def items_of(text: str) -> list[Item]:
    """Return the values and symbols of a text; each count is a value already."""
    items: list[Item] = []
    place = 0
    while place < len(text):
        if text[place] in " \t":
            place += 1
        elif found := COUNT.match(text, place):
            string, part = (ast.literal_eval(literal) for literal in found.groups())
            items.append(string.count(part))
            place = found.end()
        elif found := FLOAT.match(text, place) or INTEGER.match(text, place):
            literal = found.group()
            items.append(int(literal) if literal.isdigit() else float(literal))
            place = found.end()
            if re.match(r"[\w.'\"]", text[place:]):
                raise ValueError(f"{literal} goes on")
        elif found := SYMBOL.match(text, place):
            items.append(found.group())
            place = found.end()
        else:
            raise ValueError(f"{text[place]!r} is nothing that counts")
    return items


def whole(items: list[Item]) -> int | float:
    """Return the value of items: first the innermost parentheses, again and again."""
    while ")" in items:
        close = items.index(")")
        opens = [place for place in range(close) if items[place] == "("]
        if not opens:
            raise ValueError("closed and never opened")
        items = [*items[: opens[-1]], flat(items[opens[-1] + 1 : close]), *items[close + 1 :]]
    return flat(items)


def flat(items: list[Item]) -> int | float:
    """Return the value of items without parentheses."""
    items = signed(items)
    for operations in BY_PRECEDENCE:
        place = 1
        while place < len(items) - 1:
            left, symbol, right = items[place - 1 : place + 2]
            if symbol in operations and not isinstance(left, str) and not isinstance(right, str):
                items[place - 1 : place + 2] = [operations[str(symbol)](left, right)]
            else:
                place += 2
    if len(items) != 1 or isinstance(items[0], str):
        raise ValueError("not one number")
    return items[0]


def signed(items: list[Item]) -> list[Item]:
    """Return the items with every sign applied to its number, the innermost sign first."""
    result: list[Item] = []
    for place in range(len(items) - 1, -1, -1):
        item = items[place]
        after_number = place > 0 and not isinstance(items[place - 1], str)
        is_sign = item in ("+", "-") and not after_number
        if is_sign and result and not isinstance(result[-1], str):
            number = result.pop()
            assert not isinstance(number, str), "checked above"
            result.append(-number if item == "-" else number)
        else:
            result.append(item)
    return result[::-1]
