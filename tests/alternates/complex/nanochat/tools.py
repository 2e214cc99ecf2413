"""The calculator: precedence climbing (Pratt 1973) over single characters."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable

Number = int | float

BINDING = {"+": 1, "-": 1, "*": 2, "/": 2, "//": 2, "%": 2}
SIGN_BINDING = 3
OPERATIONS: dict[str, Callable[[Number, Number], Number]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}
ESCAPES = {"\\": "\\", "'": "'", '"': '"', "n": "\n", "r": "\r", "t": "\t"}
CODES = {"x": 2, "u": 4, "U": 8}
DIGITS = "0123456789"
HEX = DIGITS + "abcdefABCDEF"


class Refused(Exception):
    """No value."""


class Reader:
    """Reads values off a text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def skip(self) -> str:
        """Go to the next character that is no blank and return it; empty at the end."""
        while self.text[self.at : self.at + 1] in (" ", "\t"):
            self.at += 1
        return self.text[self.at : self.at + 1]

    def literally(self, wanted: str) -> None:
        """Read `wanted`."""
        self.skip()
        if not self.text.startswith(wanted, self.at):
            raise Refused(f"no {wanted!r} at {self.at}")
        self.at += len(wanted)

    def value(self, binding: int = 0, depth: int = 0) -> Number:
        """Read an operand and all operators that bind more tightly than `binding`."""
        if depth > 120:
            raise Refused("too deep")
        left = self.operand(depth)
        while True:
            symbol = self.skip()
            if self.text.startswith("//", self.at):
                symbol = "//"
            if BINDING.get(symbol, 0) <= binding:
                return left
            self.at += len(symbol)
            left = OPERATIONS[symbol](left, self.value(BINDING[symbol], depth + 1))

    def operand(self, depth: int) -> Number:
        """Read one operand, signs included."""
        symbol = self.skip()
        if symbol in ("+", "-"):
            self.at += 1
            value = self.value(SIGN_BINDING, depth + 1)
            return -value if symbol == "-" else value
        if symbol == "(":
            self.at += 1
            value = self.value(0, depth + 1)
            self.literally(")")
            return value
        if symbol in ("'", '"'):
            return self.count()
        return self.number()

    def digits(self) -> str:
        """Read as many digits as there are."""
        begin = self.at
        while self.at < len(self.text) and self.text[self.at] in DIGITS:
            self.at += 1
        return self.text[begin : self.at]

    def number(self) -> Number:
        """Read an unsigned literal."""
        begin = self.at
        whole = self.digits()
        point = self.text.startswith(".", self.at)
        self.at += point
        fraction = self.digits() if point else ""
        if not whole and not fraction:
            raise Refused(f"no number at {begin}")
        exponent = self.text[self.at : self.at + 1] in ("e", "E")
        if exponent:
            self.at += 1
            self.at += self.text[self.at : self.at + 1] in ("+", "-")
            if not self.digits():
                raise Refused("an exponent without digits")
        if self.at < len(self.text) and (self.text[self.at].isalnum() or self.text[self.at] in "_."):
            raise Refused("a number that goes on")
        if point or exponent:
            return float(self.text[begin : self.at])
        if len(whole) > 1 and whole[0] == "0" and set(whole) != {"0"}:
            raise Refused("leading zeros")
        return int(whole)

    def count(self) -> int:
        """Read `text.count(part)`."""
        text = self.string()
        self.literally(".")
        self.literally("count")
        self.literally("(")
        part = self.string()
        self.literally(")")
        return text.count(part)

    def string(self) -> str:
        """Read a string literal."""
        quote = self.skip()
        if quote not in ("'", '"'):
            raise Refused(f"no string at {self.at}")
        self.at += 1
        found: list[str] = []
        while True:
            character = self.text[self.at : self.at + 1]
            self.at += 1
            if character in ("", "\n", "\r"):
                raise Refused("a string without an end")
            if character == quote:
                return "".join(found)
            found.append(self.escape() if character == "\\" else character)

    def escape(self) -> str:
        """Read what follows a backslash."""
        kind = self.text[self.at : self.at + 1]
        self.at += 1
        if kind in CODES:
            code = self.text[self.at : self.at + CODES[kind]]
            self.at += CODES[kind]
            if len(code) != CODES[kind] or not set(code) <= set(HEX):
                raise Refused("no such character")
            # Beyond the last character, chr raises a ValueError.
            return chr(int(code, 16))
        if kind not in ESCAPES:
            raise Refused(f"escape \\{kind}")
        return ESCAPES[kind]


def use_calculator(expression: str) -> Number | None:
    """The number that the text stands for, or None."""
    if not isinstance(expression, str) or len(expression) > 1500 or "\0" in expression:
        return None
    reader = Reader(expression.strip())
    try:
        value = reader.value()
        at_end = not reader.skip()
        return value if at_end and math.isfinite(value) else None
    except (Refused, ArithmeticError, ValueError, RecursionError):
        return None
