"""Other spellings of expressions: operands, comparisons, arguments and sizes the other way round."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import pairwise

from grader.bugs.disguise.evidence import Evidence, is_constant_like
from grader.bugs.disguise.module import Candidate, Module, Rewrite, expression, same_tree

MIRRORED = {ast.Lt: ">", ast.Gt: "<", ast.LtE: ">=", ast.GtE: "<=", ast.Eq: "==", ast.NotEq: "!="}
NEGATED = {
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.In: "not in",
    ast.NotIn: "in",
}
"""Not `<` and its kin: with NaN, `not a < b` is not `a >= b`."""

LISTS_OR_TUPLES = {"cat", "stack"}
"""Functions of torch that take either."""


def find(module: Module, seed: str) -> list[Candidate]:  # noqa: ARG001  # a Finder; each has one form
    """Return a candidate for each expression that can be spelled otherwise."""
    evidence = Evidence(module)
    found = []
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.expr) or not is_within_reach(module, node):
            continue
        for rewrites in spellings(module, evidence, node):
            key = f"spelling|{module.scope(node)}|{module.segment(node)}|{len(rewrites)}"
            found.append(Candidate(key, rewrites, stable=all(fills_line(module, one) for one in rewrites)))
    return found


def is_within_reach(module: Module, node: ast.expr) -> bool:
    """Say whether an expression stands on one line, and in no f-string: older Pythons misplace it."""
    is_reached = module.is_on_one_line(node) or isinstance(node, ast.Call)
    return is_reached and not module.is_inside(node, ast.JoinedStr, ast.arg, ast.AnnAssign, ast.match_case)


def fills_line(module: Module, rewrite: Rewrite) -> bool:
    """Say whether a rewrite is of an argument on a line of its own: the comma behind it keeps it there."""
    line = module.lines[module.line_of(rewrite.start) - 1].strip()
    return line == f"{module.text[rewrite.start : rewrite.end]},"


def spellings(module: Module, evidence: Evidence, node: ast.expr) -> Iterator[tuple[Rewrite, ...]]:
    """Yield the rewrites of each other spelling of one expression."""
    match node:
        case ast.BinOp(op=ast.Add() | ast.Mult()):
            yield from operands(module, evidence, node)
        case ast.Compare():
            yield from comparison(module, evidence, node)
        case ast.IfExp():
            yield from conditional(module, node)
        case ast.Call():
            yield from call(module, evidence, node)
        case ast.Subscript(value=ast.Attribute(value=value, attr="shape"), slice=index):
            if is_torch(module) and isinstance(node.ctx, ast.Load) and not isinstance(index, ast.Slice):
                yield (whole(module, node, f"{module.segment(value)}.size({module.segment(index)})"),)


def operands(module: Module, evidence: Evidence, node: ast.BinOp) -> Iterator[tuple[Rewrite, ...]]:
    """Yield `b + a` for `a + b` and `b * a` for `a * b`: both are exact, also in floating point."""
    left, right = node.left, node.right
    if isinstance(node.op, ast.Add) and not (evidence.is_numeric(left) or evidence.is_numeric(right)):
        return
    if not may_change_places(evidence, left, right):
        return
    start, end = module.span(node)
    left_text, right_text = module.segment(left), module.segment(right)
    if (
        module.text[start:end]
        != left_text + module.text[module.span(left)[1] : module.span(right)[0]] + right_text
    ):
        return  # there are parentheses around one of them
    text = f"{right_text}{module.text[module.span(left)[1] : module.span(right)[0]]}{left_text}"
    made = expression(text)
    if made is not None and same_tree(made, ast.BinOp(right, node.op, left)):
        yield swapped(module, left, right)


def may_change_places(evidence: Evidence, one: ast.expr, other: ast.expr) -> bool:
    """Say whether it surely does not matter which of two expressions is evaluated first."""
    if any(
        isinstance(part, ast.NamedExpr | ast.Await | ast.Yield)
        for each in (one, other)
        for part in ast.walk(each)
    ):
        return False
    still = ast.Name | ast.Constant
    pure = evidence.is_pure(one) and evidence.is_pure(other)
    return pure or isinstance(one, still) or isinstance(other, still)


def comparison(module: Module, evidence: Evidence, node: ast.Compare) -> Iterator[tuple[Rewrite, ...]]:
    """Yield `b > a` for `a < b`, unless a linter wants the constant on the right."""
    parts = [node.left, *node.comparators]
    operators = [MIRRORED.get(type(op)) for op in node.ops]
    if not all(evidence.is_pure(part) for part in parts) or None in operators:
        return
    if len(parts) == 2 and (is_constant_like(parts[1]) or is_constant_like(parts[0])):
        return
    texts = [module.segment(part) for part in reversed(parts)]
    text = texts[0] + "".join(
        f" {operator} {other}" for operator, other in zip(reversed(operators), texts[1:], strict=True)
    )
    made = expression(text)
    if isinstance(made, ast.Compare) and len(text) == len(module.segment(node)):
        wanted = [ast.dump(part) for part in reversed(parts)]
        if [ast.dump(part) for part in (made.left, *made.comparators)] == wanted:
            yield (whole(module, node, text),)


def conditional(module: Module, node: ast.IfExp) -> Iterator[tuple[Rewrite, ...]]:
    """Yield `b if not c else a` for `a if c else b`."""
    test = negation(module, node.test)
    if test is None:
        return
    text = f"{module.segment(node.orelse)} if {test} else {module.segment(node.body)}"
    made = expression(text)
    if (
        isinstance(made, ast.IfExp)
        and same_tree(made.body, node.orelse)
        and same_tree(made.orelse, node.body)
    ):
        yield (whole(module, node, text),)


def negation(module: Module, test: ast.expr) -> str | None:
    """Return the text of the opposite of a condition, None if it would read badly."""
    if not module.is_on_one_line(test):
        return None
    match test:
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in NEGATED:
            return f"{module.segment(left)} {NEGATED[type(op)]} {module.segment(right)}"
        case ast.UnaryOp(op=ast.Not(), operand=ast.Name() | ast.Attribute() | ast.Call() as operand):
            return module.segment(operand)
        case ast.Name() | ast.Attribute() | ast.Call():
            return f"not {module.segment(test)}"
    return None


def call(module: Module, evidence: Evidence, node: ast.Call) -> Iterator[tuple[Rewrite, ...]]:
    """Yield other spellings of a call: of sizes, transpositions, lists of tensors, and its keywords."""
    if module.is_on_one_line(node):
        match node:
            case ast.Call(func=ast.Attribute(value=value, attr="size"), args=[index], keywords=[]):
                if not isinstance(index, ast.Starred) and is_torch(module) and "size" not in evidence.defined:
                    yield (whole(module, node, f"{module.segment(value)}.shape[{module.segment(index)}]"),)
            case ast.Call(func=ast.Attribute(value=value, attr="size"), args=[], keywords=[]):
                if is_torch(module) and "size" not in evidence.defined:
                    yield (whole(module, node, f"{module.segment(value)}.shape"),)
            case ast.Call(func=ast.Attribute(attr="transpose"), args=[one, other], keywords=[]):
                if is_torch(module) and evidence.is_pure(one) and evidence.is_pure(other):
                    yield swapped(module, one, other)
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="torch"), attr=name), args=[ast.List() as parts, *_]
            ):
                if name in LISTS_OR_TUPLES and len(parts.elts) > 1:
                    yield (whole(module, parts, f"({module.segment(parts)[1:-1]})"),)
    yield from keywords(module, evidence, node)


def keywords(module: Module, evidence: Evidence, node: ast.Call) -> Iterator[tuple[Rewrite, ...]]:
    """Yield each two adjacent keywords of a call in the other order. A dict remembers which came first."""
    if isinstance(node.func, ast.Name) and node.func.id == "dict":
        return
    for one, other in pairwise(node.keywords):
        known = one.arg is not None and other.arg is not None
        flat = module.is_on_one_line(one) and module.is_on_one_line(other)
        if known and flat and may_change_places(evidence, one.value, other.value):
            yield swapped(module, one, other)


def whole(module: Module, node: ast.expr, text: str) -> Rewrite:
    """Return the rewrite of a whole expression."""
    return Rewrite(*module.span(node), text)


def swapped(
    module: Module, one: ast.expr | ast.keyword, other: ast.expr | ast.keyword
) -> tuple[Rewrite, Rewrite]:
    """Return the rewrites that put two nodes in each other's place."""
    return (
        Rewrite(*module.span(one), module.segment(other)),
        Rewrite(*module.span(other), module.segment(one)),
    )


def is_torch(module: Module) -> bool:
    """Say whether `.size` and `.shape` are those of tensors: the module uses torch and no NumPy."""
    return "torch" in module.identifiers and "numpy" not in module.identifiers
