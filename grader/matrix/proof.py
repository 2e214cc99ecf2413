"""Proof that edited lines ran: what was edited, and a tracer that watches it beside the submission.

A verdict on a bug whose line never ran says nothing about the bug. The tracer is on only while a probe runs,
in the functions that were edited, and only until each edited place has run: Hypothesis, the oracles and the
comparisons never run under it.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import sys
import types
from collections.abc import Iterator, Mapping
from typing import Any

Places = dict[str, list[frozenset[int]]]
"""Edited places by file name, each as the lines of the variant that show it when they run."""

NOTHING: Places = {}


def edited_places(before: Mapping[str, str], after: Mapping[str, str]) -> Places:
    """Return the places in which two sets of sources differ and that can run.

    A change of comments or docstrings alone has no place. Where a statement was deleted, or the line that
    changed has no code of its own, the place is the function around it.
    """
    places: Places = {}
    for file in after:
        if before.get(file, "") != after[file]:
            found = places_of(before.get(file, ""), after[file])
            if found:
                places[file] = found
    return places


def places_of(before: str, after: str) -> list[frozenset[int]]:
    """Return the edited places of one file."""
    functions = functions_of(after)
    old, new = before.splitlines(), after.splitlines()
    code_before, code_after = code_lines(before), code_lines(after)
    runnable = frozenset().union(*functions.values())
    places = []
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        removed, added = frozenset(range(i1 + 1, i2 + 1)), frozenset(range(j1 + 1, j2 + 1))
        if tag != "equal" and (removed & code_before or added & code_after):
            places.append(added & runnable or around(functions, j1 + 1))
    return [place for place in places if place]


def code_lines(text: str) -> frozenset[int]:
    """Return the lines that hold anything but blanks, comments and docstrings."""
    written = {i for i, line in enumerate(text.splitlines(), 1) if line.strip() and line.strip()[0] != "#"}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            written -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return frozenset(written)


def around(functions: Mapping[tuple[int, int], frozenset[int]], line: int) -> frozenset[int]:
    """Return the runnable lines of the innermost function that reaches around `line`."""
    holding = [(end - start, lines) for (start, end), lines in functions.items() if start <= line <= end + 1]
    return min(holding, key=lambda one: one[0])[1] if holding else frozenset()


def functions_of(text: str) -> dict[tuple[int, int], frozenset[int]]:
    """Return the runnable lines of each code object of a module, by its first and last line.

    Without the first line, which is also where an enclosing code object defines it.
    """
    found = {}
    pending = [compile(text, "<text>", "exec", dont_inherit=True)]
    while pending:
        code = pending.pop()
        pending += [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
        lines = {line for _, _, line in code.co_lines() if line}
        if code.co_name != "<module>":
            lines.discard(code.co_firstlineno)
        if lines:
            found[code.co_firstlineno, max(lines)] = frozenset(lines)
    return found


class Tracer:
    """Watches lines of the submission while entered; asks for nothing once it has seen what it wants."""

    def __init__(self, folder: str, places: Places, *, everything: bool = False) -> None:
        self.everything = everything
        self.wanted = {f"{folder}/nanochat/{file}": (file, spots) for file, spots in places.items()}
        self.seen: dict[str, set[int]] = {}
        self._watchers: dict[str, Any] = {}
        self._folder = f"{folder}/nanochat/"
        self._missing = {
            path: frozenset().union(*spots) if spots else frozenset()
            for path, (_, spots) in self.wanted.items()
        }

    @property
    def active(self) -> bool:
        """Whether there is something left to see."""
        return self.everything or bool(self._missing)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Trace what runs inside, in this thread, if there is something left to see."""
        if not self.active:
            yield
            return
        # Put back afterwards and never in between: a property asks whether a call changed the tracer.
        before = sys.gettrace()
        sys.settrace(self._call)
        try:
            yield
        finally:
            sys.settrace(before)
            self._forget_seen()

    def take(self) -> dict[str, list[int]]:
        """Return the lines seen since this was last called, by file name, and forget them."""
        taken = {file: sorted(lines) for file, lines in self.seen.items() if lines}
        for lines in self.seen.values():
            lines.clear()
        return taken

    def proof(self) -> tuple[dict[str, list[int]], dict[str, list[list[int]]]]:
        """Return the edited lines that ran, and the edited places that did not, by file name."""
        ran: dict[str, list[int]] = {}
        missing: dict[str, list[list[int]]] = {}
        for file, spots in self.wanted.values():
            seen = self.seen.get(file, set())
            lines = sorted(seen & frozenset().union(*spots))
            if lines:
                ran[file] = lines
            absent = [sorted(spot) for spot in spots if not spot & seen]
            if absent:
                missing[file] = absent
        return ran, missing

    def _call(self, frame: types.FrameType, _event: str, _argument: Any) -> Any:
        path = frame.f_code.co_filename
        if not path.startswith(self._folder):
            return None
        if not self.everything:
            missing = self._missing.get(path)
            if missing is None or not _reaches(frame.f_code, missing):
                return None
        return self._watchers.get(path) or self._watcher(path)

    def _watcher(self, path: str) -> Any:
        """Return the function that notes the lines of a file: one for all calls, so that none makes one."""
        seen = self.seen.setdefault(path.removeprefix(self._folder), set())

        def line(frame: types.FrameType, event: str, _argument: Any) -> Any:
            if event == "line":
                seen.add(frame.f_lineno)
            return line

        self._watchers[path] = line
        return line

    def _forget_seen(self) -> None:
        """Stop wanting the places that ran."""
        for path, (file, spots) in self.wanted.items():
            seen = self.seen.get(file)
            if path not in self._missing or not seen:
                continue
            left = frozenset().union(*(spot for spot in spots if not spot & seen))
            if left:
                self._missing[path] = left
            else:
                del self._missing[path]


_reach: dict[tuple[types.CodeType, frozenset[int]], bool] = {}


def _reaches(code: types.CodeType, lines: frozenset[int]) -> bool:
    """Say whether a code object holds one of the lines."""
    key = (code, lines)
    if key not in _reach:
        _reach[key] = any(line in lines for _, _, line in code.co_lines())
    return _reach[key]
