"""Comments and docstrings: said otherwise, left out, or put in where there was none."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from grader.bugs.disguise.apply import fraction, rank
from grader.bugs.disguise.module import Candidate, Comment, FunctionNode, Module, Rewrite
from grader.bugs.disguise.synonyms import PHRASES, REMARKS

DROPPED, REMARKED, UNDOCUMENTED = 0.3, 0.12, 0.15
"""Shares of comments that go, of statements that get one, and of one-line docstrings of helpers that go."""

KEPT = re.compile(r"#\s*(type:|noqa|pragma|fmt:|!)|#.*[-=]{4}", re.IGNORECASE)
"""Comments that tools read, and lines that divide a file."""


def find(module: Module, seed: str) -> list[Candidate]:
    """Return candidates for comments and docstrings. The shares above are on top of the driver's."""
    return [
        *rewordings(module),
        *(one for one in removals(module) if fraction(seed, one.key) < DROPPED),
        *(one for one in undocumented(module) if fraction(seed, one.key) < UNDOCUMENTED),
        *(one for one in remarks(module, seed) if fraction(seed, one.key) < REMARKED),
    ]


def rewordings(module: Module) -> Iterator[Candidate]:
    """Yield a candidate for each phrase that can be said otherwise."""
    for start, end in prose_spans(module):
        text = module.text[start:end]
        for old, new in PHRASES:
            for hit in re.finditer(rf"(?<!\w){re.escape(old)}(?!\w)", text):
                rewrite = Rewrite(start + hit.start(), start + hit.end(), new)
                yield Candidate(f"word|{text}|{old}|{hit.start()}", (rewrite,), stable=True)


def prose_spans(module: Module) -> Iterator[tuple[int, int]]:
    """Yield where each comment and each docstring starts and ends."""
    for comment in module.comments:
        yield comment.start, comment.end
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Module | ast.ClassDef | FunctionNode):
            for statement in node.body:
                if is_text(statement):
                    yield module.span(statement)


def is_text(node: ast.stmt) -> bool:
    """Say whether a statement is a docstring, or a text below an attribute."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def removals(module: Module) -> Iterator[Candidate]:
    """Yield a candidate for each comment, or block of comment lines, that can go."""
    for block in comment_blocks(module):
        first, last = block[0], block[-1]
        text = " ".join(comment.text for comment in block)
        if any(KEPT.search(comment.text) for comment in block):
            continue
        if not first.alone:
            if first.line not in module.continued:
                before = module.text[: first.start]
                rewrite = Rewrite(len(before.rstrip(" ")), first.end, "")
                yield Candidate(f"drop|{text}", (rewrite,), stable=True)
        elif is_followed_by_code(module, last) and module.is_in_function(first.line):
            rewrite = Rewrite(module.starts[first.line - 1], module.starts[last.line], "")
            yield Candidate(f"drop|{text}", (rewrite,), stable=True)


def comment_blocks(module: Module) -> Iterator[list[Comment]]:
    """Yield comments that stand alone on adjacent lines together, and every other one by itself."""
    block: list[Comment] = []
    for comment in module.comments:
        if block and not (comment.alone and block[-1].alone and comment.line == block[-1].line + 1):
            yield block
            block = []
        block.append(comment)
    if block:
        yield block


def is_followed_by_code(module: Module, comment: Comment) -> bool:
    """Say whether the line below a comment is code of the same indentation, on lines of its own."""
    line, below = module.lines[comment.line - 1], module.lines[comment.line]
    indent = len(line) - len(line.lstrip(" "))
    return (
        bool(below.strip())
        and len(below) - len(below.lstrip(" ")) == indent
        and is_start(module, comment.line + 1)
    )


def is_start(module: Module, line: int) -> bool:
    """Say whether a statement starts on a line."""
    return any(isinstance(node, ast.stmt) and node.lineno == line for node in ast.walk(module.tree))


def undocumented(module: Module) -> Iterator[Candidate]:
    """Yield a candidate for each one-line docstring of a private function that can go."""
    for node in ast.walk(module.tree):
        if isinstance(node, FunctionNode) and node.name.startswith("_") and not node.name.startswith("__"):
            first = node.body[0]
            if is_text(first) and module.is_on_one_line(first) and len(node.body) > 1:
                below = module.lines[first.lineno]
                if below.strip() and not below.lstrip().startswith("#"):
                    rewrite = Rewrite(module.starts[first.lineno - 1], module.starts[first.lineno], "")
                    yield Candidate(f"undocumented|{module.scope(node)}.{node.name}", (rewrite,), stable=True)


def remarks(module: Module, seed: str) -> Iterator[Candidate]:
    """Yield a candidate for each statement in a function that can get a comment above it."""
    for node in ast.walk(module.tree):
        kind = kind_of(node)
        if not kind or not isinstance(node, ast.stmt) or module.function_around(node) is None:
            continue
        line = module.lines[node.lineno - 1]
        above = module.lines[node.lineno - 2].strip()
        if above.startswith(("#", "elif", "else", "@")) or line[: node.col_offset].strip() or is_elif(line):
            continue
        key = f"remark|{module.scope(node)}|{line.strip()}"
        text = min(REMARKS[kind], key=lambda remark: rank(seed, f"{key}|{remark}"))
        start = module.starts[node.lineno - 1]
        # In place of the indentation, so that it clashes with whatever else is done to this line's beginning.
        indent = " " * node.col_offset
        if node.col_offset:
            rewrite = Rewrite(start, start + node.col_offset, f"{indent}# {text}\n{indent}")
            yield Candidate(key, (rewrite,), stable=True)


def is_elif(line: str) -> bool:
    """Say whether a line goes on with an `if` above it."""
    return line.strip().startswith("elif")


def kind_of(node: ast.AST) -> str:
    """Return which remarks a statement can get, "" for none."""
    match node:
        case ast.Return():
            return "return"
        case ast.Raise():
            return "raise"
        case ast.For():
            return "for"
        case ast.If():
            return "if"
        case ast.Assign(targets=[ast.Name() | ast.Tuple()]):
            return "assign"
    return ""
