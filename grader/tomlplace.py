"""Where each entry of a TOML file stands, for messages that name a line: `tomllib` does not say.

The text must be one that `tomllib` reads: nothing is checked here.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field

TomlPath = tuple[str | int, ...]
"""("criterion", 0, "hints", 2): keys of tables, and places in arrays counted from 0."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}' r"|'''.*?'{3,5}" r'|"(?:\\.|[^"\\])*"' r"|'[^']*'", re.DOTALL
)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}#\n]+")


@dataclass(frozen=True)
class Places:
    """The lines of a file's entries."""

    file: str = ""
    """How messages call the file."""
    lines: Mapping[TomlPath, int] = field(default_factory=dict)
    """From 1."""

    def line(self, path: TomlPath) -> int:
        """Return the line where an entry begins, or else the innermost thing around it that is there."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def at(self, path: TomlPath) -> str:
        """Return the place of an entry as messages begin with: "level3.toml:12"."""
        return f"{self.file}:{self.line(path)}"


def places(text: str, file: str) -> Places:
    """Return where the tables, keys and elements of arrays of a TOML text stand."""
    reader = _Reader(text)
    reader.document()
    return Places(file, reader.lines)


class _Reader:
    """Walks through the text; `at` is how far it is."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[TomlPath, int] = {}
        self._ends = [found.start() for found in re.finditer("\n", text)]
        self._counts: dict[TomlPath, int] = {}
        """How many tables each array of tables (`[[name]]`) has so far."""

    def document(self) -> None:
        """Read everything."""
        table: TomlPath = ()
        while self._next():
            if self._next() == "[":
                table = self._header()
            else:
                self._entry(table)

    def _header(self) -> TomlPath:
        """Read `[a.b]` or `[[a.b]]`; return which table it begins."""
        line, many = self._line(), self.text.startswith("[[", self.at)
        self.at += 1 + many
        *parents, last = self._keys()
        self.at = self.text.index("]", self.at) + 1 + many
        path: TomlPath = ()
        for key in parents:
            path += (key,)
            self.lines.setdefault(path, line)
            if path in self._counts:
                path += (self._counts[path] - 1,)
        path += (last,)
        self.lines.setdefault(path, line)
        if many:
            self._counts[path] = self._counts.get(path, 0) + 1
            path += (self._counts[path] - 1,)
            self.lines[path] = line
        return path

    def _entry(self, table: TomlPath) -> None:
        """Read `key = value`."""
        line, path = self._line(), table
        for key in self._keys():
            path += (key,)
            self.lines.setdefault(path, line)
        self.at = self.text.index("=", self.at) + 1
        self._value(path)

    def _value(self, path: TomlPath) -> None:
        """Read a value, and what it holds."""
        first = self._next()
        self.lines.setdefault(path, self._line())
        if first == "[":
            self._list(path)
        elif first == "{":
            self._inline(path)
        else:
            pattern = _STRING if first in "\"'" else _SCALAR
            found = pattern.match(self.text, self.at)
            assert found, f"no TOML: {self.text[self.at : self.at + 20]!r}"
            self.at = found.end()

    def _list(self, path: TomlPath) -> None:
        self.at += 1
        count = 0
        while self._next() != "]":
            self._value((*path, count))
            count += 1
            self._comma()
        self.at += 1

    def _inline(self, path: TomlPath) -> None:
        self.at += 1
        while self._next() != "}":
            self._entry(path)
            self._comma()
        self.at += 1

    def _comma(self) -> None:
        if self._next() == ",":
            self.at += 1

    def _keys(self) -> list[str]:
        """Read a key with its points: `a."b.c"`."""
        keys = []
        while True:
            first = self._next()
            found = (_STRING if first in "\"'" else _BARE_KEY).match(self.text, self.at)
            assert found, f"no key: {self.text[self.at : self.at + 20]!r}"
            keys.append(str(tomllib.loads(f"key = {found[0]}")["key"]) if first in "\"'" else found[0])
            self.at = found.end()
            if self._next() != ".":
                return keys
            self.at += 1

    def _next(self) -> str:
        """Pass over blanks and comments; return the character that follows, "" at the end."""
        found = _BLANK.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return self.text[self.at : self.at + 1]

    def _line(self) -> int:
        return bisect_right(self._ends, self.at - 1) + 1
