"""Sentinels: the reference with a function that raises, which must come out red, or the session is blind."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from grader.bugs.pattern import line_offsets
from grader.matrix.job import Job
from grader.matrix.outcome import Row
from specs.outcomes import GraderFault

Function = ast.FunctionDef | ast.AsyncFunctionDef
RAISES = "raise RuntimeError('sentinel')"


def functions_in(text: str) -> dict[str, Function]:
    """Return the functions and methods of a module by qualified name, "KVCache.insert_kv", in order."""

    def walk(node: ast.AST, prefix: str) -> Iterator[tuple[str, Function]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Function):
                yield prefix + child.name, child
            if isinstance(child, Function | ast.ClassDef):
                yield from walk(child, f"{prefix}{child.name}.")

    return dict(walk(ast.parse(text), ""))


def raising(text: str, function: str) -> str:
    """Return the module's text with the function raising before it does anything.

    Raises KeyError if there is no such function.
    """
    node = functions_in(text)[function]
    first = body_of(node)[0]
    data = text.encode()
    start = line_offsets(text)[first.lineno - 1] + first.col_offset
    glue = "; " if first.lineno == node.lineno else "\n" + " " * first.col_offset
    return (data[:start] + (RAISES + glue).encode() + data[start:]).decode()


def body_of(node: Function) -> list[ast.stmt]:
    """Return the statements of a function without its docstring, or the docstring if there is no other."""
    return node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body


def sentinels(
    sources: Mapping[str, str], functions: Mapping[str, list[str]], laws: tuple[str, ...]
) -> list[Job]:
    """Return a job for each function, by file name, whose answer must be red."""
    return [
        Job(f"sentinel {file}, {name}", {**sources, file: raising(sources[file], name)}, laws, until="first")
        for file, names in functions.items()
        for name in names
    ]


def require_red(row: Row) -> None:
    """Raise GraderFault if a sentinel came out green."""
    if not row.killers:
        raise GraderFault(
            f"{row.name} raises at once, and no property noticed: what the session judges is not what it was "
            "given, or no property runs this function"
        )


def require_green(row: Row) -> None:
    """Raise GraderFault if the reference did not pass everything."""
    wrong = [f"{cell.law} ({cell.kind}: {cell.message})" for cell in row.cells if cell.verdict != "passed"]
    if wrong:
        raise GraderFault(
            f"the {row.name} must pass everything in a warm session, but {len(wrong)} did not: {wrong[0]}"
        )
