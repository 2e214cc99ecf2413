"""Edits of Python source by patterns on its syntax tree.

A pattern is Python source in which a name that begins with two underscores stands for any expression, the
same one wherever it is repeated. It is matched inside one function or class, must match an exact number of
times, and is replaced in the text by byte span, so that comments, layout and everything else stay as they
are. A pattern that no longer fits is refused by name; it is never applied to something else.

Comments and docstrings are no part of that tree. An edit of prose, which keeps them from contradicting the
broken code, is matched word by word instead (`grader.bugs.prose`).
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TypeVar

from grader.bugs.prose import comment_matches, docstring_matches

Bindings = dict[str, ast.expr]
Hit = TypeVar("Hit")


class PatternError(ValueError):
    """A pattern does not fit the source as often as it says, or what it makes is not what it says."""


@dataclass(frozen=True)
class Edit:
    """One replacement inside the function or class `scope` of `file`, or in all of it (`<module>`).

    Exactly one of the patterns in `find` must match, exactly `count` times. `replace` may use its
    metavariables. With `prose` the patterns are words of the scope's docstring, or of a comment in it if
    they begin with `#`.
    """

    file: str
    scope: str
    find: tuple[str, ...]
    replace: str
    count: int = 1
    prose: bool = False


@dataclass(frozen=True)
class Span:
    """A part of a source, in bytes, and the text to put there."""

    start: int
    end: int
    text: str


def replaced(source: str, edits: list[Edit]) -> str:
    """Return `source` with all edits made, each matched against the original, or raise PatternError."""
    tree = parsed(source)
    spans = sorted((span for edit in edits for span in spans_of(source, tree, edit)), key=lambda s: s.start)
    for one, next_one in pairwise(spans):
        if next_one.start < one.end:
            raise PatternError(f"two edits overlap at {one.text!r} and {next_one.text!r}")
    data = source.encode()
    for span in reversed(spans):
        data = data[: span.start] + span.text.encode() + data[span.end :]
    changed = data.decode()
    ast.parse(changed)
    return changed


@lru_cache(maxsize=16)
def parsed(source: str) -> ast.Module:
    """Return the tree of a source; it must not be changed, because others get the same one."""
    return ast.parse(source)


def spans_of(source: str, tree: ast.Module, edit: Edit) -> list[Span]:
    """Return where and by what one edit replaces; raise PatternError unless it fits exactly."""
    scope = find_scope(tree, edit.scope)
    if edit.prose:
        return the_fitting(
            {pattern: prose_spans(source, scope, pattern, edit) for pattern in edit.find}, edit
        )
    hits = the_fitting(
        {
            pattern: list(matches(scope, pattern, whole=not is_expression(edit.replace)))
            for pattern in edit.find
        },
        edit,
    )
    return [replacement(source, nodes, bindings, edit) for nodes, bindings in hits]


def the_fitting(found: dict[str, list[Hit]], edit: Edit) -> list[Hit]:
    """Return what the only pattern that fits has found; raise PatternError unless there is just one."""
    fitting = [hits for hits in found.values() if hits]
    if len(fitting) != 1 or len(fitting[0]) != edit.count:
        counts = ", ".join(f"{pattern!r} {len(hits)} times" for pattern, hits in found.items())
        raise PatternError(
            f"{edit.file}, {edit.scope}: one pattern must match {edit.count} times, but {counts}. "
            "The source changed, so the edit must follow it."
        )
    return fitting[0]


def prose_spans(source: str, scope: ast.AST, pattern: str, edit: Edit) -> list[Span]:
    """Return where a comment or a docstring says `pattern`, and what it shall say instead."""
    find = comment_matches if pattern.lstrip().startswith("#") else docstring_matches
    return [
        Span(len(source[:start].encode()), len(source[:end].encode()), text)
        for start, end, text in find(source, scope, pattern, edit.replace)
    ]


def replacement(source: str, nodes: list[ast.AST], bindings: Bindings, edit: Edit) -> Span:
    """Return the span of the matched nodes with the text that replaces them."""
    first, last = nodes[0], nodes[-1]
    start, end = place(source, first)[0], place(source, last)[1]
    unbound = sorted(set(re.findall(r"\b__\w+", edit.replace)) - set(bindings))
    if unbound:
        raise PatternError(
            f"{edit.file}, {edit.scope}: {', '.join(unbound)} stands in `replace` and not in `find`"
        )
    meant = {name: segment(source, node) for name, node in bindings.items()}
    text = re.sub(r"\b__\w+", lambda found: meant.get(found[0], found[0]), edit.replace)
    require_meaning(text, edit, bindings)
    if isinstance(first, ast.stmt) and not text:
        # The whole lines go, so that no blank one says that something was here.
        offsets = line_offsets(source)
        return Span(offsets[first.lineno - 1], offsets[getattr(last, "end_lineno", 0)], "")
    if isinstance(first, ast.stmt):
        text = textwrap.indent(text, " " * first.col_offset).lstrip(" ")
    return Span(start, end, text)


def require_meaning(text: str, edit: Edit, bindings: Bindings) -> None:
    """Raise PatternError if the text, once its names are filled in, parses as something else.

    Filling `a + b` for `__x` into `2 * __x` would, without this check, silently mean `2 * a + b`.
    """
    meant = Filled(bindings).visit(ast.parse(edit.replace))
    if not same(meant, ast.parse(text), {}):
        raise PatternError(f"{edit.file}, {edit.scope}: {edit.replace!r} needs parentheses around its names")


class Filled(ast.NodeTransformer):
    """Replaces metavariables by what they are bound to."""

    def __init__(self, bindings: Bindings) -> None:
        self.bindings = bindings

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Return the bound expression for a metavariable, any other name as it is."""
        return self.bindings.get(node.id, node)


def is_expression(text: str) -> bool:
    """Say whether a text is one expression, and no statement or several."""
    body = ast.parse(text).body
    return len(body) == 1 and isinstance(body[0], ast.Expr)


def matches(scope: ast.AST, pattern: str, whole: bool = False) -> Iterator[tuple[list[ast.AST], Bindings]]:
    """Yield each place in `scope` that the pattern fits: its nodes, and what its names are bound to.

    With `whole` an expression fits only where it is a whole statement: one that goes, or becomes several.
    """
    wanted = ast.parse(pattern).body
    if not whole and len(wanted) == 1 and isinstance(wanted[0], ast.Expr):
        for node in ast.walk(scope):
            bindings: Bindings = {}
            if isinstance(node, ast.expr) and same(wanted[0].value, node, bindings):
                yield [node], bindings
        return
    for node in ast.walk(scope):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if not isinstance(block, list):
                continue
            for start in range(len(block) - len(wanted) + 1):
                bindings = {}
                run = block[start : start + len(wanted)]
                if all(same(want, have, bindings) for want, have in zip(wanted, run, strict=True)):
                    yield run, bindings


def same(want: object, have: object, bindings: Bindings) -> bool:
    """Say whether two syntax trees are the same, binding metavariables of `want` on the way."""
    if isinstance(want, ast.Name) and want.id.startswith("__") and isinstance(have, ast.expr):
        if want.id in bindings:
            # Not by ast.dump: that also says whether a name is read or written.
            return same(bindings[want.id], have, {})
        bindings[want.id] = have
        return True
    if isinstance(want, ast.AST):
        return type(want) is type(have) and all(
            same(getattr(want, field, None), getattr(have, field, None), bindings)
            for field in want._fields
            if field not in ("ctx", "type_comment", "kind")
        )
    if isinstance(want, list):
        return (
            isinstance(have, list)
            and len(want) == len(have)
            and all(same(a, b, bindings) for a, b in zip(want, have, strict=True))
        )
    return type(want) is type(have) and want == have


def find_scope(tree: ast.Module, scope: str) -> ast.AST:
    """Return the function or class of a qualified name, "KVCache.insert_kv", or raise PatternError."""
    if scope == "<module>":
        return tree
    node: ast.AST = tree
    for part in scope.split("."):
        inside = [
            child
            for child in getattr(node, "body", [])
            if isinstance(child, ast.FunctionDef | ast.ClassDef)
            and child.name == part
            and not is_overload(child)
        ]
        if len(inside) != 1:
            raise PatternError(
                f"there is no single {scope} in the source: {part} is found {len(inside)} times"
            )
        node = inside[0]
    return node


def is_overload(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """Say whether a definition is no more than one of the types of a function that follows."""
    return any(isinstance(one, ast.Name) and one.id == "overload" for one in node.decorator_list)


def place(source: str, node: ast.AST) -> tuple[int, int]:
    """Return where a statement or expression begins and ends, in bytes."""
    offsets = line_offsets(source)
    start: int = offsets[getattr(node, "lineno", 1) - 1] + getattr(node, "col_offset", 0)
    end: int = offsets[getattr(node, "end_lineno", 1) - 1] + getattr(node, "end_col_offset", 0)
    return start, end


def segment(source: str, node: ast.AST) -> str:
    """Return the text of a node; ast.get_source_segment splits the source anew each time, 7 ms a call."""
    start, end = place(source, node)
    return source.encode()[start:end].decode()


@lru_cache(maxsize=16)
def line_offsets(source: str) -> tuple[int, ...]:
    """Return the byte offset at which each line begins, and that of the end."""
    offsets = [0]
    for line in source.encode().split(b"\n"):
        offsets.append(offsets[-1] + len(line) + 1)
    return tuple(offsets)
