"""Mechanical refactorings of a module: what people do to a file without changing what it does."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Callable

Refactoring = Callable[[str], str]


def same(source: str) -> str:
    """Change nothing."""
    return source


def narrow(source: str) -> str:
    """Break lines at 79 columns, with single quotes kept as they are."""
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", "79", "-"]
    return subprocess.run(command, input=source, capture_output=True, text=True, check=True).stdout


def with_comments(source: str) -> str:
    """Put a comment above every statement of every function."""
    lines = source.split("\n")
    places = {
        (statement.lineno, statement.col_offset)
        for function in functions_of(source)
        for node in ast.walk(function)
        for name in ("body", "orelse")
        for statement in listed(getattr(node, name, None))
        if isinstance(statement, ast.stmt) and not is_docstring(statement)
    }
    decorated = {node.lineno for node in ast.walk(ast.parse(source)) if getattr(node, "decorator_list", None)}
    for line, column in sorted(places, reverse=True):
        # `elif` is a statement in the branch of another one: nothing can stand above it.
        if line not in decorated and not lines[line - 1].lstrip().startswith("elif"):
            lines.insert(line - 1, " " * column + "# What happens next.")
    return "\n".join(lines)


def reordered(source: str) -> str:
    """Turn around the order of the methods of each class."""
    lines = source.split("\n")
    classes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    for node in reversed(classes):
        methods = [one for one in node.body if isinstance(one, ast.FunctionDef)]
        spans = [
            (min([one.lineno, *(each.lineno for each in one.decorator_list)]) - 1, one.end_lineno or 0)
            for one in methods
        ]
        if methods:
            texts = ["\n".join(lines[start:end]) for start, end in reversed(spans)]
            lines[spans[0][0] : spans[-1][1]] = "\n\n".join(texts).split("\n")
    return "\n".join(lines)


def with_checks(source: str) -> str:
    """Begin every function with an assertion that always holds."""
    lines = source.split("\n")
    for function in sorted(functions_of(source), key=lambda one: one.lineno, reverse=True):
        body = function.body
        first = body[1] if is_docstring(body[0]) and len(body) > 1 else body[0]
        if not is_docstring(first):
            lines.insert(first.lineno - 1, " " * first.col_offset + "assert __debug__ or True")
    return "\n".join(lines)


def renamed(source: str) -> str:
    """Give every local variable of every function another name; parameters keep theirs."""
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    keywords = keywords_of(tokens)
    spans = [(f.lineno, f.end_lineno or 0, locals_of(f)) for f in functions_of(source)]
    lines = source.split("\n")
    for index in range(len(tokens) - 2, 0, -1):
        token = tokens[index]
        if token.type != tokenize.NAME or index in keywords or tokens[index - 1].string == ".":
            continue
        line, column = token.start
        inside = [names for start, end, names in spans if start <= line <= end]
        if any(token.string in names for names in inside):
            text = lines[line - 1]
            lines[line - 1] = text[:column] + f"{token.string}_here" + text[column + len(token.string) :]
    text = "\n".join(lines)
    return in_strings(text, set().union(*(names for *_, names in spans)))


def in_strings(source: str, names: set[str]) -> str:
    """Rename in f-strings too, which are single tokens before Python 3.12."""
    for node in sorted(
        (one for one in ast.walk(ast.parse(source)) if isinstance(one, ast.JoinedStr)),
        key=lambda one: (one.lineno, one.col_offset),
        reverse=True,
    ):
        start, end = node.lineno - 1, node.end_lineno or 0
        lines = source.split("\n")
        part = "\n".join(lines[start:end])
        for name in names:
            part = re.sub(rf"(?<=\{{){name}(?=[}} :.!\[])", f"{name}_here", part)
        source = "\n".join([*lines[:start], *part.split("\n"), *lines[end:]])
    return source


def keywords_of(tokens: list[tokenize.TokenInfo]) -> set[int]:
    """Return the indices of names of arguments in calls: within brackets, and before `=`."""
    depth, found = 0, set()
    for index, token in enumerate(tokens[:-1]):
        depth += (token.string in ("(", "[", "{")) - (token.string in (")", "]", "}"))
        if depth and token.type == tokenize.NAME and tokens[index + 1].string == "=":
            found.add(index)
    return found


def locals_of(function: ast.FunctionDef) -> set[str]:
    """Return the local variables of a function without its parameters."""
    arguments = function.args
    parameters = {one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    stored = {
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    captured = {node.name for node in ast.walk(function) if isinstance(node, ast.MatchAs) and node.name}
    return (stored | captured) - parameters - {"_"}


def functions_of(source: str) -> list[ast.FunctionDef]:
    """Return all functions and methods of a module."""
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]


def listed(value: object) -> list[object]:
    """Return a list as it is, and anything else as no list: a lambda's body is an expression."""
    return value if isinstance(value, list) else []


def is_docstring(statement: ast.stmt) -> bool:
    """Say whether a statement is only a text."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def form(source: str) -> str:
    """Return a form in which modules are equal that differ in local names, layout and comments alone."""
    tree = ast.parse(source)
    for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
        numbers: dict[str, str] = {}
        names = locals_of(function)
        for node in ast.walk(function):
            if isinstance(node, ast.Name) and node.id in names:
                node.id = numbers.setdefault(node.id, f"local{len(numbers)}")
            elif isinstance(node, ast.MatchAs) and node.name in names:
                node.name = numbers.setdefault(node.name, f"local{len(numbers)}")
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            node.body.sort(key=lambda one: getattr(one, "name", ""))
    return ast.dump(tree)
