"""Other names for local variables. Parameters, attributes and whatever a module shares keep theirs."""

from __future__ import annotations

import ast
import builtins
import keyword
import re
from collections.abc import Iterator

from grader.bugs.disguise.apply import replaced
from grader.bugs.disguise.evidence import arguments_of, names_in
from grader.bugs.disguise.fstrings import NotUnderstood, places
from grader.bugs.disguise.module import Candidate, FunctionNode, Module, Rewrite, same_tree
from grader.bugs.disguise.synonyms import SYNONYMS

FORMS = ("the_{}", "{}_here", "this_{}", "{}_now", "own_{}", "my_{}")
"""For a name without synonyms, and where no synonym fits."""

LOOKS_AT_NAMES = {"locals", "eval", "exec"}
"""Functions that see what local variables are called, as do `vars()` and `dir()` without an argument."""

Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
Scope = FunctionNode | Comprehension
"""What holds names of its own."""


def find(module: Module, seed: str) -> list[Candidate]:  # noqa: ARG001  # a Finder; all forms are candidates
    """Return candidates for each local variable, one for each other name that it may get."""
    found: list[Candidate] = []
    for scope in scopes(module):
        where = f"{module.scope(scope)}.{getattr(scope, 'name', '')}"
        for name in local_names(module, scope):
            found += candidates(module, scope, name, f"{where}.{name}")
    return found


def scopes(module: Module) -> Iterator[Scope]:
    """Yield functions that stand in no other function, and comprehensions that stand in none."""
    yield from module.functions()
    for node in ast.walk(module.tree):
        around = module.ancestors(node)
        if isinstance(node, Comprehension) and not any(isinstance(one, Scope) for one in around):
            yield node


def local_names(module: Module, scope: Scope) -> list[str]:
    """Return the names that a scope binds and may call otherwise without anybody noticing."""
    nodes = list(ast.walk(scope))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    if any(isinstance(node, ast.ClassDef) or looks_at_names(node) for node in nodes):
        return []
    stored = [node for node in names if isinstance(node.ctx, ast.Store)]
    fixed = fixed_names(nodes) | names_outside(scope)
    own = {node.id for node in stored if owner(module, node) is scope}
    return [
        name
        for name in dict.fromkeys(node.id for node in stored)
        if not name.startswith("_")
        and name not in fixed
        and (name in own or is_only_inside(module, names, name))
    ]


def looks_at_names(node: ast.AST) -> bool:
    """Say whether a call sees what local variables are called."""
    match node:
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return name in LOOKS_AT_NAMES or (name in ("vars", "dir") and not arguments)
    return False


def names_outside(scope: Scope) -> set[str]:
    """Return the names in those parts of a scope that are evaluated outside of it."""
    if not isinstance(scope, FunctionNode):
        return names_in(scope.generators[0].iter)
    every = scope.args
    defaults = [*every.defaults, *(default for default in every.kw_defaults if default)]
    annotations = [argument.annotation for argument in arguments_of(scope) if argument.annotation]
    returned = [scope.returns] if scope.returns else []
    parts = [*scope.decorator_list, *defaults, *annotations, *returned]
    return {name for part in parts for name in names_in(part)}


def owner(module: Module, name: ast.Name) -> ast.AST | None:
    """Return the function or comprehension that binds a name where it is stored."""
    is_walrus = isinstance(module.parents[name], ast.NamedExpr)
    kinds = FunctionNode | ast.Lambda if is_walrus else Scope | ast.Lambda
    return next((node for node in module.ancestors(name) if isinstance(node, kinds)), None)


def fixed_names(nodes: list[ast.AST]) -> set[str]:
    """Return the names that are bound in another way than by an assignment, or shared with the outside."""
    fixed = set[str]()
    for node in nodes:
        match node:
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                fixed.update(names)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                fixed.add(name)
                fixed.update(argument.arg for argument in arguments_of(node))
            case ast.Lambda():
                fixed.update(argument.arg for argument in arguments_of(node))
            case (
                ast.ExceptHandler(name=str(name))
                | ast.MatchAs(name=str(name))
                | ast.MatchStar(name=str(name))
            ):
                fixed.add(name)
            case ast.MatchMapping(rest=str(name)):
                fixed.add(name)
            case ast.alias(name=name, asname=other):
                fixed.add((other or name).split(".")[0])
    return fixed


def is_only_inside(module: Module, names: list[ast.Name], name: str) -> bool:
    """Say whether a name that comprehensions bind is used in these alone, and not by their first iterable."""
    return all(binder(module, node) is not None for node in names if node.id == name)


def binder(module: Module, name: ast.Name) -> ast.AST | None:
    """Return the comprehension around a use of a name that binds it, None if there is none."""
    inner: ast.AST = name
    for node in module.ancestors(name):
        if isinstance(node, Comprehension):
            stored = {
                part.id
                for one in node.generators
                for part in ast.walk(one.target)
                if isinstance(part, ast.Name)
            }
            first = node.generators[0]
            in_first = inner is first and any(part is name for part in ast.walk(first.iter))
            if name.id in stored and not in_first:
                return node
        inner = node
    return None


def candidates(module: Module, scope: Scope, name: str, where: str) -> Iterator[Candidate]:
    """Yield a candidate for each other name of a local variable."""
    if is_in_prose(module, scope, name):
        return
    try:
        uses = list(occurrences(module, scope, name))
    except NotUnderstood:
        return
    if not uses or not is_complete(module, scope, name, uses):
        return
    taken = module.identifiers | set(dir(builtins)) | set(keyword.kwlist) | set(keyword.softkwlist)
    synonyms = SYNONYMS.get(name, ())
    for option in (*synonyms, *(form.format(name) for form in FORMS)):
        if option not in taken:
            rewrites = tuple(Rewrite(start, start + len(name), option) for start in uses)
            key = f"{where}|{option}"
            claims = frozenset({f"{where.rpartition('.')[0]}|{option}"})
            yield Candidate(key, rewrites, f"names|{where}", claims, 0 if option in synonyms else 1)


def is_in_prose(module: Module, scope: Scope, name: str) -> bool:
    """Say whether a comment or docstring in the scope speaks of a name that is no ordinary word."""
    if len(name) > 2 and name.isalpha():
        return False
    first, last = scope.lineno, scope.end_lineno or 0
    words = [comment.text for comment in module.comments if first <= comment.line <= last]
    words += [ast.get_docstring(node) or "" for node in ast.walk(scope) if isinstance(node, FunctionNode)]
    return any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) for text in words)


def occurrences(module: Module, scope: ast.AST, name: str) -> Iterator[int]:
    """Yield where a name stands in a scope. Raises NotUnderstood."""
    for node in ast.iter_child_nodes(scope):
        if isinstance(node, ast.JoinedStr):
            start = module.span(node)[0]
            yield from (start + place for place in places(module.segment(node), name))
        elif isinstance(node, ast.Name):
            if node.id == name:
                yield module.span(node)[0]
        else:
            yield from occurrences(module, node, name)


class Renamed(ast.NodeTransformer):
    """Renames one variable in a tree."""

    def __init__(self, old: str, new: str) -> None:
        self.old, self.new = old, new

    def visit_Name(self, node: ast.Name) -> ast.Name:
        """Return a name as it shall be."""
        return ast.Name(self.new if node.id == self.old else node.id, node.ctx)


def is_complete(module: Module, scope: Scope, name: str, uses: list[int]) -> bool:
    """Say whether renaming these uses renames the variable everywhere in its scope and changes nothing else.

    Only asked where an f-string holds the name: elsewhere the syntax tree says where names are.
    """
    inside = [node for node in ast.walk(scope) if isinstance(node, ast.JoinedStr)]
    if not any(name in names_in(node) for node in inside):
        return True
    new = f"{name}_renamed"
    rewrites = [Rewrite(start, start + len(name), new) for start in uses]
    tree = ast.parse(module.text)
    for node in ast.walk(tree):
        if type(node) is type(scope) and (node.lineno, node.col_offset) == (scope.lineno, scope.col_offset):
            Renamed(name, new).visit(node)
            break
    try:
        return same_tree(tree, ast.parse(replaced(module.text, rewrites)))
    except SyntaxError:
        return False
