"""The calculator: tokens by a regular expression, one function for each rule of the grammar.

sum     = product (("+" | "-") product)*
product = signed (("*" | "/" | "//" | "%") signed)*
signed  = ("+" | "-") signed | atom
atom    = number | "(" sum ")" | string ".count" "(" string ")"
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator

MAX_NESTING = 100

_PATTERN = re.compile(
    r"""(?P<number>(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)(?:[eE][+-]?[0-9]+)?)
    |(?P<string>'(?:[^'\\\n\r]|\\.)*'|"(?:[^"\\\n\r]|\\.)*")
    |(?P<count>\.[ \t]*count\b)
    |(?P<symbol>//|[-+*/%()])""",
    re.VERBOSE,
)
_ESCAPES = re.compile(r"""(?:[^\\]|\\(?:[\\'"nrt]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}))*""")

Token = tuple[str, str]
END: Token = ("end", "")


def tokenize(text: str) -> Iterator[Token]:
    """Yield (kind, text) of every token, and an end."""
    place = 0
    while place < len(text):
        if text[place] in " \t":
            place += 1
            continue
        match = _PATTERN.match(text, place)
        if match is None or match.lastgroup is None:
            raise ValueError(f"{text[place]!r} begins no token")
        yield match.lastgroup, match.group()
        place = match.end()
        if match.lastgroup == "number" and text[place : place + 1] in ("_", "."):
            raise ValueError("a number goes on strangely")
    yield END


class Cursor:
    """A place in a list of tokens."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.place = 0
        self.nesting = 0

    def peek(self) -> Token:
        """Return the next token."""
        return self.tokens[self.place]

    def accept(self, *wanted: str) -> str:
        """Step over the next token if it is one of the symbols wanted; return it, or an empty string."""
        kind, text = self.peek()
        if kind != "symbol" or text not in wanted:
            return ""
        self.place += 1
        return text

    def expect(self, kind: str, wanted: str | None = None) -> str:
        """Step over a token of a kind and return its text; ValueError if the next one is not of it."""
        got, text = self.peek()
        if got != kind or wanted not in (None, text):
            raise ValueError(f"got {text!r}, expected {wanted or kind}")
        self.place += 1
        return text


def parse_sum(cursor: Cursor) -> int | float:
    """Return the value of a sum."""
    value = parse_product(cursor)
    while operator := cursor.accept("+", "-"):
        right = parse_product(cursor)
        value = value + right if operator == "+" else value - right
    return value


def parse_product(cursor: Cursor) -> int | float:
    """Return the value of a product."""
    value = parse_signed(cursor)
    while operator := cursor.accept("*", "/", "//", "%"):
        right = parse_signed(cursor)
        if operator == "*":
            value = value * right
        elif operator == "/":
            value = value / right
        elif operator == "//":
            value = value // right
        else:
            value = value % right
    return value


def parse_signed(cursor: Cursor) -> int | float:
    """Return the value of an atom with any number of signs."""
    sign = 1
    while operator := cursor.accept("+", "-"):
        sign = -sign if operator == "-" else sign
    value = parse_atom(cursor)
    return value if sign == 1 else -value


def parse_atom(cursor: Cursor) -> int | float:
    """Return the value of an atom."""
    kind, text = cursor.peek()
    if kind == "number":
        cursor.place += 1
        return read_number(text)
    if kind == "string":
        whole = read_string(cursor.expect("string"))
        cursor.expect("count")
        cursor.expect("symbol", "(")
        part = read_string(cursor.expect("string"))
        cursor.expect("symbol", ")")
        return whole.count(part)
    cursor.expect("symbol", "(")
    cursor.nesting += 1
    if cursor.nesting > MAX_NESTING:
        raise ValueError("too many parentheses inside one another")
    value = parse_sum(cursor)
    cursor.expect("symbol", ")")
    cursor.nesting -= 1
    return value


def read_number(text: str) -> int | float:
    """Return an int or a float; as in Python, an integer has no leading zeros."""
    if not text.isdigit():
        return float(text)
    if text.startswith("0") and text.strip("0"):
        raise ValueError("leading zeros")
    return int(text)


def read_string(text: str) -> str:
    """Return what a string literal stands for."""
    if not _ESCAPES.fullmatch(text):
        raise ValueError("an escape that is not known")
    value = ast.literal_eval(text)
    if not isinstance(value, str):
        raise ValueError("no string")
    return value


def use_calculator(expression: str) -> int | float | None:
    """Return the value of an expression, or None."""
    if not isinstance(expression, str) or len(expression) > 1000:
        return None
    try:
        cursor = Cursor(list(tokenize(expression.strip())))
        value = parse_sum(cursor)
        cursor.expect("end")
        return value if math.isfinite(value) else None
    except (ValueError, ArithmeticError, SyntaxError, RecursionError):
        return None
