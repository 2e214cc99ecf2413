"""One module's text with its syntax tree, comments and lines, and the rewrites that are made of them."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

WIDTH = 110
"""Columns of a line, as in pyproject.toml: what the formatter of the reference breaks lines at."""

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Rewrite:
    """Puts `text` in place of the characters from `start` to `end`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Candidate:
    """One change that leaves the behaviour as it is: all of its rewrites, or none."""

    key: str
    """What the seed is hashed with: it names the place by what stands there, not by its position."""
    rewrites: tuple[Rewrite, ...]
    group: str = ""
    """Candidates of one group are alternatives, of which at most one is made."""
    claims: frozenset[str] = frozenset()
    """Of two candidates with a claim in common only one is made."""
    preference: int = 0
    """Of the alternatives in a group those with the smallest number are tried first."""
    stable: bool = False
    """The formatter leaves lines as they are here: comments, docstrings, one argument a line."""


Finder = Callable[["Module", str], list[Candidate]]
"""Finds candidates in a module. The seed is for those that pick one of many forms."""


@dataclass(frozen=True)
class Comment:
    """A comment with its `#`: characters `start` to `end` of the text."""

    start: int
    end: int
    line: int
    text: str
    alone: bool
    """Whether nothing stands before it on its line."""


class Module:
    """A module's text and what is known of it. Offsets count characters, lines count from 1."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = text.split("\n")
        self.tree = ast.parse(text)
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line) + 1)
        self.parents = {
            child: parent for parent in ast.walk(self.tree) for child in ast.iter_child_nodes(parent)
        }

    def offset(self, line: int, byte: int) -> int:
        """Return the offset of a place that the tree gives as a line and a column in bytes."""
        text = self.lines[line - 1]
        column = byte if text.isascii() else len(text.encode()[:byte].decode())
        return self.starts[line - 1] + column

    def span(self, node: ast.expr | ast.stmt | ast.keyword) -> tuple[int, int]:
        """Return where the text of a node starts and ends."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.offset(node.lineno, node.col_offset), self.offset(node.end_lineno, node.end_col_offset)

    def segment(self, node: ast.expr | ast.stmt | ast.keyword) -> str:
        """Return the text of a node."""
        start, end = self.span(node)
        return self.text[start:end]

    def is_on_one_line(self, *nodes: ast.expr | ast.stmt | ast.keyword) -> bool:
        """Say whether all nodes stand on one and the same line."""
        return len({line for node in nodes for line in (node.lineno, node.end_lineno)}) == 1

    def functions(self) -> Iterator[FunctionNode]:
        """Yield the functions that stand in no other function."""
        for node in ast.walk(self.tree):
            if isinstance(node, FunctionNode) and self.function_around(node) is None:
                yield node

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield what is around a node, from the inside out."""
        while node in self.parents:
            node = self.parents[node]
            yield node

    def function_around(self, node: ast.AST) -> FunctionNode | None:
        """Return the outermost function that a node stands in, not the node itself."""
        found = [one for one in self.ancestors(node) if isinstance(one, FunctionNode)]
        return found[-1] if found else None

    def scope(self, node: ast.AST) -> str:
        """Return the qualified name of the function or class around a node, "" for the module."""
        names = [one.name for one in self.ancestors(node) if isinstance(one, FunctionNode | ast.ClassDef)]
        return ".".join(reversed(names))

    def is_inside(self, node: ast.AST, *kinds: type[ast.AST]) -> bool:
        """Say whether a node stands in another one of these kinds."""
        return any(isinstance(one, kinds) for one in self.ancestors(node))

    def blocks(self) -> Iterator[list[ast.stmt]]:
        """Yield each list of statements that stand under one another."""
        for node in ast.walk(self.tree):
            for name in ("body", "orelse", "finalbody"):
                block = getattr(node, name, None)
                if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
                    yield block

    @cached_property
    def comments(self) -> list[Comment]:
        """The comments, from top to bottom."""
        return [
            Comment(
                self.starts[token.start[0] - 1] + token.start[1],
                self.starts[token.end[0] - 1] + token.end[1],
                token.start[0],
                token.string,
                not token.line[: token.start[1]].strip(),
            )
            for token in self.tokens
            if token.type == tokenize.COMMENT
        ]

    @cached_property
    def tokens(self) -> list[tokenize.TokenInfo]:
        """What the text is made of."""
        return list(tokenize.generate_tokens(io.StringIO(self.text).readline))

    @cached_property
    def continued(self) -> set[int]:
        """Lines that share a logical line with others: the formatter may join or break these anew."""
        found: set[int] = set()
        first = 0
        for token in self.tokens:
            if token.type in (tokenize.NL, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT) and not first:
                continue
            first = first or token.start[0]
            if token.type == tokenize.NEWLINE:
                if token.start[0] > first:
                    found.update(range(first, token.start[0] + 1))
                first = 0
        return found

    @cached_property
    def identifiers(self) -> set[str]:
        """Every name that occurs in the code, whatever it stands for."""
        found: set[str] = set()
        for node in ast.walk(self.tree):
            for field in ("id", "attr", "arg", "name", "asname", "rest", "module"):
                value = getattr(node, field, None)
                if isinstance(value, str):
                    found.update(value.split("."))
        return found

    def line_of(self, offset: int) -> int:
        """Return the number of the line that holds a character."""
        return self.text.count("\n", 0, offset) + 1

    def is_in_function(self, line: int) -> bool:
        """Say whether a line stands in the body of a function."""
        return any(one.body[0].lineno <= line <= (one.end_lineno or 0) for one in self.functions())

    def has_comment(self, first: int, last: int) -> bool:
        """Say whether one of these lines holds a comment."""
        return any(first <= comment.line <= last for comment in self.comments)


def same_tree(one: ast.AST, other: ast.AST) -> bool:
    """Say whether two trees are the same code."""
    return ast.dump(one) == ast.dump(other)


def expression(text: str) -> ast.expr | None:
    """Return the tree of an expression, None if the text is none."""
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError:
        return None
