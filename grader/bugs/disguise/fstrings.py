"""Names inside f-strings. Python 3.11 misplaces these in its syntax tree, so they are found in the text."""

from __future__ import annotations

import re
from collections.abc import Iterator

LITERAL = re.compile(r"""(?P<prefix>[a-zA-Z]*)(?P<quote>\"\"\"|'''|"|')""")


class NotUnderstood(ValueError):
    """The string is written in a way that is not worth the trouble; leave what it names alone."""


def places(text: str, name: str) -> list[int]:
    """Return where `name` stands in the expressions of an f-string, or of several that are joined.

    `text` is the source of the whole, quotes included; the offsets count from its beginning. Raises
    NotUnderstood where the name stands inside another string, is a keyword, or would be shown (`{name=}`).
    """
    word = re.compile(rf"(?<![\w.]){re.escape(name)}(?!\w)")
    found = []
    for start, end in fields(text):
        field = text[start:end]
        if not word.search(field):
            continue
        if any(mark in field for mark in "'\"{\\") or re.search(rf"{re.escape(name)}\s*=(?!=)", field):
            raise NotUnderstood(field)
        if field.rstrip().endswith("="):
            raise NotUnderstood(field)
        found += [start + hit.start() for hit in word.finditer(field)]
    return found


def fields(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each replacement field, without its braces, starts and ends."""
    position = 0
    while found := LITERAL.search(text, position):
        body, quote = found.end(), found["quote"]
        end = end_of(text, body, quote)
        if "f" in found["prefix"].lower():
            yield from fields_between(text, body, end)
        position = end + len(quote)


def end_of(text: str, start: int, quote: str) -> int:
    """Return where a string literal that starts behind its quote ends. Raises NotUnderstood.

    A backslash also keeps a quote in a raw string.
    """
    position = start
    while not text.startswith(quote, position):
        if position >= len(text):
            raise NotUnderstood("a string never ends")
        position += 2 if text[position] == "\\" else 1
    return position


def fields_between(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the replacement fields of the body of one f-string. Raises NotUnderstood."""
    position = start
    while position < end:
        if text.startswith(("{{", "}}"), position):
            position += 2
        elif text[position] == "{":
            closing, depth = position + 1, 1
            while depth:
                if closing >= end:
                    raise NotUnderstood("a brace is never closed")
                depth += {"{": 1, "}": -1}.get(text[closing], 0)
                closing += 1
            yield position + 1, closing - 1
            position = closing
        else:
            position += 1
