"""The calculator: a scanner, a recursive descent parser and a tree of nodes, each of which has a value."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

Number = int | float
LONGEST = 800
DEEPEST = 130
"""Signs and parentheses inside one another."""

BLANKS = " \t"
DIGITS = "0123456789"
PLAIN_ESCAPES = {"\\": "\\", "'": "'", '"': '"', "n": "\n", "r": "\r", "t": "\t", "a": "\a"}
HEX_ESCAPES = {"x": 2, "u": 4, "U": 8}


class NoValue(ValueError):
    """The text has no value."""


class Node(ABC):
    """A part of an expression."""

    @abstractmethod
    def value(self) -> Number:
        """Return its value."""


@dataclass(frozen=True)
class Literal(Node):
    """A number."""

    number: Number

    def value(self) -> Number:
        """Return the number."""
        return self.number


@dataclass(frozen=True)
class Count(Node):
    """Occurrences of one text in another."""

    text: str
    part: str

    def value(self) -> Number:
        """Return how many there are."""
        return self.text.count(self.part)


@dataclass(frozen=True)
class Negative(Node):
    """A minus sign."""

    operand: Node

    def value(self) -> Number:
        """Return the operand with its sign turned."""
        return -self.operand.value()


@dataclass(frozen=True)
class Chain(Node):
    """Operators of equal precedence, from left to right."""

    first: Node
    rest: tuple[tuple[str, Node], ...]

    def value(self) -> Number:
        """Return the value of all."""
        result = self.first.value()
        for symbol, node in self.rest:
            result = OPERATORS[symbol](result, node.value())
        return result


OPERATORS: dict[str, Callable[[Number, Number], Number]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
    "//": lambda left, right: left // right,
    "%": lambda left, right: left % right,
}


class Scanner:
    """Reads characters."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0

    def peek(self) -> str:
        """Return the next character, empty at the end."""
        return self.text[self.place : self.place + 1]

    def skip_blanks(self) -> None:
        """Go past blanks."""
        while self.peek() and self.peek() in BLANKS:
            self.place += 1

    def take(self, wanted: str) -> bool:
        """Go past blanks and past `wanted`, if it is there."""
        self.skip_blanks()
        found = self.text.startswith(wanted, self.place)
        self.place += len(wanted) * found
        return found

    def require(self, wanted: str) -> None:
        """Go past blanks and past `wanted`."""
        if not self.take(wanted):
            raise NoValue(f"expected {wanted!r} at {self.place}")

    def take_any(self, characters: str) -> str:
        """Go past as many of the characters as there are, and return them."""
        begin = self.place
        while self.peek() and self.peek() in characters:
            self.place += 1
        return self.text[begin : self.place]


class Parser:
    """Turns a text into a node."""

    def __init__(self, text: str) -> None:
        self.scanner = Scanner(text)
        self.depth = 0

    def parse(self) -> Node:
        """Return the node of the whole text."""
        node = self.sum()
        self.scanner.skip_blanks()
        if self.scanner.peek():
            raise NoValue(f"{self.scanner.peek()!r} is too much")
        return node

    def sum(self) -> Node:
        """Return products and what joins them."""
        return self.chain(self.product, ("+", "-"))

    def product(self) -> Node:
        """Return signed operands and what joins them."""
        return self.chain(self.signed, ("//", "*", "/", "%"))

    def chain(self, part: Callable[[], Node], symbols: tuple[str, ...]) -> Node:
        """Return one part, or several joined by symbols."""
        first, rest = part(), []
        while symbol := next((each for each in symbols if self.scanner.take(each)), None):
            rest.append((symbol, part()))
        return Chain(first, tuple(rest)) if rest else first

    def signed(self) -> Node:
        """Return an operand with its signs."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise NoValue("too deep")
        if self.scanner.take("-"):
            node: Node = Negative(self.signed())
        elif self.scanner.take("+"):
            node = self.signed()
        elif self.scanner.take("("):
            node = self.sum()
            self.scanner.require(")")
        elif self.scanner.peek() and self.scanner.peek() in "'\"":
            node = self.count()
        else:
            node = self.number()
        self.depth -= 1
        return node

    def number(self) -> Node:
        """Return a literal."""
        begin = self.scanner.place
        whole = self.scanner.take_any(DIGITS)
        is_float = self.scanner.peek() == "."
        if is_float:
            self.scanner.place += 1
        if not self.scanner.take_any(DIGITS) and not whole:
            raise NoValue(f"expected a number at {begin}")
        if self.scanner.peek() and self.scanner.peek() in "eE":
            is_float = True
            self.scanner.place += 1
            if self.scanner.peek() and self.scanner.peek() in "+-":
                self.scanner.place += 1
            if not self.scanner.take_any(DIGITS):
                raise NoValue("expected an exponent")
        literal = self.scanner.text[begin : self.scanner.place]
        if not is_float and whole[0] == "0" and whole.strip("0"):
            raise NoValue(f"{literal} begins with 0")
        if self.scanner.peek().isidentifier():
            raise NoValue(f"{literal} runs into a word")
        return Literal(float(literal) if is_float else int(literal))

    def count(self) -> Node:
        """Return a count."""
        text = self.string()
        self.scanner.require(".")
        self.scanner.require("count")
        self.scanner.require("(")
        self.scanner.skip_blanks()
        part = self.string()
        self.scanner.require(")")
        return Count(text, part)

    def string(self) -> str:
        """Return the text of a string literal."""
        quote = self.scanner.peek()
        if not quote or quote not in "'\"":
            raise NoValue(f"expected a string at {self.scanner.place}")
        self.scanner.place += 1
        characters = []
        while (character := self.scanner.peek()) != quote:
            self.scanner.place += 1
            if character in ("", "\n", "\r", "\0"):
                raise NoValue("a string that does not end")
            characters.append(self.escaped() if character == "\\" else character)
        self.scanner.place += 1
        return "".join(characters)

    def escaped(self) -> str:
        """Return the character of an escape, whose backslash has been read."""
        kind = self.scanner.peek()
        self.scanner.place += 1
        if kind in PLAIN_ESCAPES:
            return PLAIN_ESCAPES[kind]
        digits = self.scanner.text[self.scanner.place : self.scanner.place + HEX_ESCAPES.get(kind, 0)]
        self.scanner.place += len(digits)
        if not digits or len(digits) < HEX_ESCAPES[kind] or digits.strip(DIGITS + "abcdefABCDEF"):
            raise NoValue(f"no escape: \\{kind}{digits}")
        return chr(int(digits, base=16))


class Calculator:
    """Has an answer to every text."""

    def answer(self, text: str) -> Number | None:
        """Return the value of the text, or None."""
        try:
            value = Parser(text).parse().value()
            return value if math.isfinite(value) else None
        except (ValueError, ArithmeticError, RecursionError):
            return None


def use_calculator(expression: str) -> Number | None:
    """Return the value of arithmetic or of a count of strings, else None."""
    if not isinstance(expression, str) or len(expression) > LONGEST:
        return None
    return Calculator().answer(expression.strip())
