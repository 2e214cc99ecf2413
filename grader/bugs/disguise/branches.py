"""Other spellings of statements: conditions the other way round, assignments apart or together, loops."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import pairwise

from grader.bugs.disguise.evidence import Evidence, names_in
from grader.bugs.disguise.module import WIDTH, Candidate, FunctionNode, Module, Rewrite, expression, same_tree
from grader.bugs.disguise.order import are_adjacent, are_independent
from grader.bugs.disguise.spelling import negation

SYMBOLS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%"}


def find(module: Module, seed: str) -> list[Candidate]:  # noqa: ARG001  # a Finder; each has one form
    """Return a candidate for each statement that can be written otherwise."""
    evidence = Evidence(module)
    found: list[Candidate] = []
    for block in module.blocks():
        if module.function_around(block[0]) is None:
            continue
        for node in block:
            found += candidates(module, node, alone(module, evidence, node))
        for one, other in pairwise(block):
            found += candidates(module, one, together(module, evidence, one, other))
    return found


def candidates(module: Module, node: ast.stmt, texts: Iterator[tuple[ast.stmt, str]]) -> Iterator[Candidate]:
    """Yield the candidates that put a text in place of `node` and what follows it up to a last statement."""
    start = module.span(node)[0]
    for last, text in texts:
        end = module.span(last)[1]
        width = node.col_offset
        lines = text.split("\n")
        placed = "\n".join([lines[0], *(" " * width + line if line else line for line in lines[1:])])
        if module.has_comment(node.lineno, last.end_lineno or 0):
            continue
        if all(len(line) + width <= WIDTH for line in lines):
            key = f"branches|{module.scope(node)}|{module.text[start:end]}|{text}"
            yield Candidate(key, (Rewrite(start, end, placed),))


def alone(module: Module, evidence: Evidence, node: ast.stmt) -> Iterator[tuple[ast.stmt, str]]:
    """Yield the other texts of one statement."""
    match node:
        case ast.AugAssign(target=ast.Name() as target, op=op, value=value) if type(op) in SYMBOLS:
            if evidence.is_scalar_local(target) and module.is_on_one_line(node):
                text = f"{target.id} {SYMBOLS[type(op)]} {module.segment(value)}"
                if same_code(text, ast.BinOp(ast.Name(target.id, ast.Load()), op, value)):
                    yield node, f"{target.id} = {text}"
        case ast.Assign(targets=[ast.Name() as target], value=ast.BinOp(left=ast.Name(), op=op, right=right)):
            is_own = isinstance(node.value, ast.BinOp) and target.id in names_in(node.value.left)
            if (
                is_own
                and type(op) in SYMBOLS
                and evidence.is_scalar_local(target)
                and module.is_on_one_line(node)
            ):
                yield node, f"{target.id} {SYMBOLS[type(op)]}= {module.segment(right)}"
        case ast.Assign(targets=[ast.Tuple() as targets], value=ast.Tuple() as values):
            is_free = module.is_on_one_line(node) and not may_be_seen_halfway(module, node)
            if is_free and may_be_split(targets, values):
                pairs = zip(targets.elts, values.elts, strict=True)
                yield node, "\n".join(f"{module.segment(a)} = {module.segment(b)}" for a, b in pairs)
        case ast.If(test=test, body=body, orelse=orelse) if orelse and not is_elif(module, node):
            opposite = negation(module, test)
            is_chain = len(orelse) == 1 and isinstance(orelse[0], ast.If)
            if opposite and not is_chain and has_no_long_strings(module, node):
                yield node, f"if {opposite}:\n{block_text(module, orelse)}\nelse:\n{block_text(module, body)}"
        case ast.Return(value=ast.IfExp(test=test, body=body, orelse=other)) if module.is_on_one_line(node):
            texts = [module.segment(part) for part in (test, body, other)]
            yield node, f"if {texts[0]}:\n    return {texts[1]}\nreturn {texts[2]}"
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.ListComp() as made):
            loop = loop_text(module, node, made, name)
            if loop:
                yield node, loop


def together(
    module: Module, evidence: Evidence, one: ast.stmt, other: ast.stmt
) -> Iterator[tuple[ast.stmt, str]]:
    """Yield the other texts of two statements under one another."""
    match one, other:
        case ast.If(test=test, body=[ast.Return(value=early)], orelse=[]), ast.Return(value=late) if (
            early and late
        ):
            if not module.is_on_one_line(test) or not all(
                module.is_on_one_line(each) for each in (early, late)
            ):
                return
            texts = [module.segment(each) for each in (test, early, late)]
            opposite = negation(module, test)
            if opposite:
                yield other, f"if {opposite}:\n    return {texts[2]}\nreturn {texts[1]}"
            if same_code(f"{texts[1]} if {texts[0]} else {texts[2]}", ast.IfExp(test, early, late)):
                yield other, f"return {texts[1]} if {texts[0]} else {texts[2]}"
        case ast.Assign(targets=[ast.Name()]), ast.Assign(targets=[ast.Name()]):
            is_pair = module.is_on_one_line(one) and module.is_on_one_line(other)
            if is_pair and are_adjacent(module, one, other) and are_independent(evidence, one, other):
                targets = [module.segment(each.targets[0]) for each in (one, other)]
                values = [each.value for each in (one, other)]
                if not any(isinstance(value, ast.Tuple) for value in values):
                    yield (
                        other,
                        f"{', '.join(targets)} = {', '.join(module.segment(value) for value in values)}",
                    )


def may_be_split(targets: ast.Tuple, values: ast.Tuple) -> bool:
    """Say whether `a, b = c, d` surely does what `a = c` and `b = d` do one after the other."""
    if len(targets.elts) != len(values.elts) or any(
        isinstance(value, ast.Starred | ast.Tuple) for value in values.elts
    ):
        return False
    bound = [target.id for target in targets.elts if isinstance(target, ast.Name)]
    if len(bound) == len(targets.elts):
        return not any(names_in(value) & set(bound[:index]) for index, value in enumerate(values.elts))
    are_plain = all(isinstance(target, ast.Name | ast.Attribute) for target in targets.elts)
    still = ast.Constant | ast.List
    return are_plain and all(isinstance(value, still) and not names_in(value) for value in values.elts)


def is_elif(module: Module, node: ast.If) -> bool:
    """Say whether an `if` is the `elif` of another one."""
    return not module.segment(node).startswith("if")


def block_text(module: Module, block: list[ast.stmt]) -> str:
    """Return the lines of a block, indented by four columns."""
    first, last = block[0].lineno, block[-1].end_lineno or 0
    return "\n".join(line[block[0].col_offset - 4 :] for line in module.lines[first - 1 : last])


def has_no_long_strings(module: Module, node: ast.stmt) -> bool:
    """Say whether no string in a statement goes over several lines: indentation would be part of it."""
    strings = [part for part in ast.walk(node) if isinstance(part, ast.Constant | ast.JoinedStr)]
    return all(module.is_on_one_line(part) or '"""' not in module.segment(part) for part in strings)


def may_be_seen_halfway(module: Module, node: ast.stmt) -> bool:
    """Say whether somebody could look at local names between two steps of a statement, or if one raises."""
    function = module.function_around(node)
    closures = [one for one in ast.walk(function) if one is not function] if function else []
    pauses = ast.NamedExpr | ast.Await | ast.Yield | ast.YieldFrom
    return (
        module.is_inside(node, ast.Try)
        or any(isinstance(one, FunctionNode | ast.Lambda) for one in closures)
        or any(isinstance(part, pauses) for part in ast.walk(node))
    )


def loop_text(module: Module, node: ast.Assign, made: ast.ListComp, name: str) -> str:
    """Return the loop that does what `name = [...]` does, "" if that is not sure or too wide."""
    if len(made.generators) != 1 or not module.is_on_one_line(node) or may_be_seen_halfway(module, node):
        return ""
    one = made.generators[0]
    function = module.function_around(node)
    own = {part.id for part in ast.walk(one.target) if isinstance(part, ast.Name)}
    inside = {part for part in ast.walk(made) if isinstance(part, ast.Name)}
    elsewhere = {
        part.id for part in ast.walk(function or made) if isinstance(part, ast.Name) and part not in inside
    }
    arguments = {part.arg for part in ast.walk(function or made) if isinstance(part, ast.arg)}
    if one.is_async or own & (elsewhere | arguments) or name in names_in(made) or function is None:
        return ""
    # A function or generator inside would see the last value of the loop and not its own.
    deferred = ast.Lambda | ast.GeneratorExp | ast.NamedExpr | ast.ListComp | ast.SetComp | ast.DictComp
    if any(isinstance(part, deferred) for part in ast.walk(made) if part is not made):
        return ""
    head = f"{name} = []\nfor {module.segment(one.target).strip('()')} in {module.segment(one.iter)}:\n"
    tests = "".join(f"    if {module.segment(test)}:\n" for test in one.ifs[:1])
    if len(one.ifs) > 1 or "(" in module.segment(one.target)[1:]:
        return ""
    indent = "        " if tests else "    "
    return f"{head}{tests}{indent}{name}.append({module.segment(made.elt)})"


def same_code(text: str, tree: ast.expr) -> bool:
    """Say whether a text is the code of a tree."""
    made = expression(text)
    return made is not None and same_tree(made, tree)
