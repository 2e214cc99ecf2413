"""Mechanical refactorings of the reference, as somebody might make them without a thought for the bugs.

Each takes modules by name and returns them written otherwise; none changes what they do, which
`benchmarks/patterns.py` checks with every witness before it counts anything.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator

from grader.bugs.disguise import disguised
from grader.bugs.disguise.apply import fraction, replaced, rewritten
from grader.bugs.disguise.evidence import arguments_of, names_in
from grader.bugs.disguise.module import FunctionNode, Module, Rewrite
from grader.bugs.disguise.prose import remarks

Sources = dict[str, str]
SEED = "refactoring"
NARROW = 60
"""Columns for the reflow."""

EXTRACTED = 0.3
"""Share of expressions that move into a helper."""


def renamed(sources: Sources) -> Sources:
    """Give local variables other names."""
    return disguised(sources, SEED, ["names"])


def reordered(sources: Sources) -> Sources:
    """Put functions and independent statements into another order."""
    return disguised(sources, SEED, ["functions", "statements"])


def respelled(sources: Sources) -> Sources:
    """Write expressions and branches in an equivalent way."""
    return disguised(sources, SEED, ["branches", "spelling"])


def commented(sources: Sources) -> Sources:
    """Put comments above statements, and take the types out of signatures."""
    return {name: untyped(remarked(text)) for name, text in sources.items()}


def remarked(text: str) -> str:
    """Return a module with a comment above every third statement that can have one."""
    module = Module(text)
    return rewritten(module, remarks(module, SEED), SEED, 1 / 3)


def untyped(text: str) -> str:
    """Return a module without the annotations of parameters and results."""
    module = Module(text)
    rewrites = []
    for node in ast.walk(module.tree):
        if not isinstance(node, FunctionNode):
            continue
        for argument in arguments_of(node):
            if argument.annotation is not None:
                start = module.offset(argument.lineno, argument.col_offset) + len(argument.arg)
                rewrites.append(Rewrite(start, module.span(argument.annotation)[1], ""))
        if node.returns is not None:
            start, end = module.span(node.returns)
            rewrites.append(Rewrite(len(text[: text.rindex("->", 0, start)].rstrip()), end, ""))
    return replaced(text, rewrites)


def reflowed(sources: Sources) -> Sources:
    """Break the lines anew, at 60 columns."""
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", str(NARROW), "-"]
    return {
        name: subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
        for name, text in sources.items()
    }


def extracted(sources: Sources) -> Sources:
    """Move some of the expressions that are returned or assigned into helper functions."""
    return {name: with_helpers(text) for name, text in sources.items()}


def with_helpers(text: str) -> str:
    """Return a module in which helpers at its end compute some of its expressions."""
    module = Module(text)
    rewrites: list[Rewrite] = []
    helpers: list[str] = []
    for function, value in values_in(module):
        segment = module.segment(value)
        if fraction(SEED, segment) >= EXTRACTED:
            continue
        own = {part.arg for part in arguments_of(function)}
        own |= {part.id for part in ast.walk(function) if isinstance(part, ast.Name) and not is_read(part)}
        own |= {
            str(part.name) for part in ast.walk(function) if isinstance(part, ast.MatchAs | ast.MatchStar)
        }
        inside = {part.id for part in ast.walk(value) if isinstance(part, ast.Name) and not is_read(part)}
        needed = ", ".join(sorted(names_in(value) & own - inside))
        name = f"_helper_{len(helpers) + 1}"
        helpers.append(f"\n\ndef {name}({needed}):\n    return ({segment})\n")
        rewrites.append(Rewrite(*module.span(value), f"{name}({needed})"))
    return replaced(text, rewrites) + "".join(helpers)


def values_in(module: Module) -> Iterator[tuple[FunctionNode, ast.expr]]:
    """Yield the expressions of a module that can be computed elsewhere, with the functions they are in."""
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Return | ast.Assign) or node.value is None:
            continue
        functions = [one for one in module.ancestors(node) if isinstance(one, FunctionNode | ast.Lambda)]
        staying = ast.Name | ast.Constant | ast.Tuple
        pauses = ast.Yield | ast.Await | ast.NamedExpr | ast.Lambda
        if len(functions) != 1 or isinstance(node.value, staying):
            continue
        if not any(isinstance(part, pauses) or is_super(part) for part in ast.walk(node.value)):
            function = functions[0]
            assert isinstance(function, FunctionNode)
            yield function, node.value


def is_read(name: ast.Name) -> bool:
    """Say whether a name is read here and not bound."""
    return isinstance(name.ctx, ast.Load)


def is_super(node: ast.AST) -> bool:
    """Say whether a node is `super`, which only works where it stands."""
    return isinstance(node, ast.Name) and node.id == "super"


REFACTORINGS: dict[str, Callable[[Sources], Sources]] = {
    "other local names": renamed,
    "other order": reordered,
    "comments, and no types": commented,
    "reflow at 60 columns": reflowed,
    "helpers extracted": extracted,
    "equivalent expressions": respelled,
}
