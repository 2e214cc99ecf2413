"""The order of functions under one another, and of statements that have nothing to do with each other."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from itertools import pairwise

from grader.bugs.disguise.apply import rank
from grader.bugs.disguise.evidence import Evidence, names_in
from grader.bugs.disguise.module import Candidate, FunctionNode, Module, Rewrite

Unit = list[FunctionNode]
"""Functions of one name: a property with its setter, or an overloaded one. They stay together."""

PLAIN_TYPES = {"int", "float", "bool", "str"}


def functions(module: Module, seed: str) -> list[Candidate]:
    """Return one candidate for each run of functions in a class or in the module: another order of it."""
    found = []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Module | ast.ClassDef):
            gap = "\n\n\n" if isinstance(node, ast.Module) else "\n\n"
            for run in runs(module, node.body, gap):
                if is_free(run):
                    found.append(reordered(module, run, seed))
    return found


def runs(module: Module, body: Sequence[ast.stmt], gap: str) -> Iterator[list[Unit]]:
    """Yield each longest run of functions with nothing but blank lines between them."""
    run: list[Unit] = []
    for one in body:
        if not isinstance(one, FunctionNode) or one.name == "__init__":
            yield run
            run = []
            continue
        between = module.text[module.span(run[-1][-1])[1] : start_of(module, one)] if run else gap
        if run and run[-1][-1].name == one.name:
            run[-1].append(one)
        elif between == gap:
            run.append([one])
        else:
            yield run
            run = [[one]]
    yield run


def is_free(run: list[Unit]) -> bool:
    """Say whether no function of a run needs another one already when it is defined."""
    early = set[str]()
    for unit in run:
        for one in unit:
            defaults = [*one.args.defaults, *(default for default in one.args.kw_defaults if default)]
            early |= {name for node in [*one.decorator_list, *defaults] for name in names_in(node)}
    own = [unit[0].name for unit in run]
    # A second unit of a name would replace the first one, or be replaced by it.
    return len(run) > 1 and len(set(own)) == len(own) and not early & set(own)


def reordered(module: Module, run: list[Unit], seed: str) -> Candidate:
    """Return the candidate that puts the functions of a run into the order of their ranks."""
    scope = module.scope(run[0][0])
    places = [(start_of(module, unit[0]), module.span(unit[-1])[1]) for unit in run]
    order = sorted(range(len(run)), key=lambda index: rank(seed, f"{scope}|{run[index][0].name}"))
    rewrites = [
        Rewrite(*places[place], module.text[slice(*places[index])]) for place, index in enumerate(order)
    ]
    return Candidate(f"functions|{scope}|{run[0][0].name}", tuple(rewrites))


def start_of(module: Module, function: FunctionNode) -> int:
    """Return where a function starts: at its first decorator, if it has any."""
    first = min([function.lineno, *(one.lineno for one in function.decorator_list)])
    return module.starts[first - 1] + len(module.lines[first - 1]) - len(module.lines[first - 1].lstrip(" "))


def statements(module: Module, seed: str) -> list[Candidate]:  # noqa: ARG001  # a Finder; each has one form
    """Return a candidate for each two adjacent assignments that may change places."""
    evidence = Evidence(module)
    found = []
    for block in module.blocks():
        for one, other in pairwise(block):
            if are_adjacent(module, one, other) and are_independent(evidence, one, other):
                key = f"statements|{module.scope(one)}|{module.segment(one)}|{module.segment(other)}"
                rewrites = (
                    Rewrite(*module.span(one), module.segment(other)),
                    Rewrite(*module.span(other), module.segment(one)),
                )
                found.append(Candidate(key, rewrites))
    return found


def are_adjacent(module: Module, one: ast.stmt, other: ast.stmt) -> bool:
    """Say whether two statements stand on whole lines under one another in a function, without a comment.

    Not in a `try`, whose handler may see which of the two was done.
    """
    lines = module.lines[(one.end_lineno or 0) - 1 : other.lineno]
    return (
        module.function_around(one) is not None
        and not module.is_inside(one, ast.Try)
        and len(lines) == 2
        and lines[0].endswith(module.segment(one).split("\n")[-1])
        and not module.has_comment(one.lineno, other.end_lineno or 0)
    )


def are_independent(evidence: Evidence, one: ast.stmt, other: ast.stmt) -> bool:
    """Say whether two statements surely do the same in both orders."""
    if not isinstance(one, ast.Assign) or not isinstance(other, ast.Assign):
        return False
    if not all(is_movable(evidence, each) for each in (one, other)):
        return False
    stored = [targets_of(each) for each in (one, other)]
    read = [read_in(each.value) for each in (one, other)]
    return not (stored[0] & (stored[1] | read[1]) or stored[1] & read[0])


def is_movable(evidence: Evidence, node: ast.Assign) -> bool:
    """Say whether an assignment changes nothing but its targets.

    Attributes only get plain values: a module stores its parts in the order in which they are assigned.
    """
    if len(node.targets) != 1 or not evidence.is_pure(node.value):
        return False
    target = node.targets[0]
    parts = target.elts if isinstance(target, ast.Tuple) else [target]
    if all(isinstance(part, ast.Name) for part in parts):
        return True
    is_attribute = isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name)
    return is_attribute and is_plain(evidence, node.value)


def is_plain(evidence: Evidence, node: ast.expr) -> bool:
    """Say whether a value is surely a number, a text, a flag or None, or a setting of `config`."""
    match node:
        case ast.Constant():
            return True
        case ast.Name():
            return evidence.annotation(node) in PLAIN_TYPES
        case ast.Attribute(value=ast.Name(id="config")):
            return True
    return evidence.is_scalar(node)


def targets_of(node: ast.Assign) -> set[str]:
    """Return the names and attributes that an assignment binds, as text."""
    target = node.targets[0]
    return {ast.unparse(part) for part in (target.elts if isinstance(target, ast.Tuple) else [target])}


def read_in(node: ast.expr) -> set[str]:
    """Return the names and attributes that an expression reads, as text."""
    return {ast.unparse(part) for part in ast.walk(node) if isinstance(part, ast.Name | ast.Attribute)}
