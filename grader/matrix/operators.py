"""Generic mutation operators: each finds places in a module and says what to write there instead.

They work on the syntax tree and change the text by byte span, so that everything around stays as it is. Left
alone are docstrings and other texts, annotations, what only a type checker reads, and whatever is in an
f-string (Python 3.11 does not say where that stands).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from grader.bugs.pattern import line_offsets


@dataclass(frozen=True)
class Mutant:
    """A module with one thing changed."""

    file: str
    function: str
    """Qualified name of the innermost function or class, "" for the module itself."""
    operator: str
    line: int
    """Where the change begins."""
    lines: tuple[int, int]
    """First and last line of the statement around it, or of the head of a compound one."""
    before: str
    """The line that changed, as it was, without its indentation; the whole statement if it was deleted."""
    after: str
    occurrence: int
    """How many mutants of the same description come before this one."""
    text: str
    """The whole module."""

    @property
    def id(self) -> str:
        """A name for people: it moves when lines above do."""
        return f"{self.file}:{self.line} {self.operator} #{self.occurrence}"

    @property
    def key(self) -> tuple[str, str, str, str, str, int]:
        """What the mutant is, wherever it stands: this is how it is found again."""
        return (self.file, self.function, self.operator, self.before, self.after, self.occurrence)


@dataclass(frozen=True)
class Change:
    """A span of bytes, and what to write there."""

    operator: str
    start: int
    end: int
    text: str


class Source:
    """A module's text with its tree, and the places of nodes in bytes."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.data = text.encode()
        self.tree = ast.parse(text)
        self.offsets = line_offsets(text)
        self.parts = [self._part(statement) for statement in self.tree.body]
        """Start, end and meaning of each statement of the module."""

    def _part(self, statement: ast.stmt) -> tuple[int, int, str]:
        decorators = getattr(statement, "decorator_list", [])
        first = min([statement.lineno, *(one.lineno for one in decorators)])
        start, end = self.offsets[first - 1], self.end(statement)
        return start, end, ast.dump(ast.parse(self.data[start:end]))

    def start(self, node: ast.AST) -> int:
        """Return where a node begins."""
        return self.offsets[node.lineno - 1] + int(node.col_offset)  # type: ignore[attr-defined]  # expressions and statements have places

    def end(self, node: ast.AST) -> int:
        """Return where a node ends."""
        return self.offsets[node.end_lineno - 1] + int(node.end_col_offset)  # type: ignore[attr-defined]  # as above

    def of(self, node: ast.AST) -> str:
        """Return the text of a node."""
        return self.data[self.start(node) : self.end(node)].decode()

    def replace(self, operator: str, node: ast.AST, text: str) -> Change:
        """Return the change of a whole node."""
        return Change(operator, self.start(node), self.end(node), text)

    def between(self, operator: str, left: ast.AST, right: ast.AST, old: str, new: str) -> Iterator[Change]:
        """Yield the change of the operator `old` between two nodes."""
        start, end = self.end(left), self.start(right)
        at = self.data[start:end].find(old.encode())
        if at >= 0:
            yield Change(operator, start + at, start + at + len(old.encode()), new)


def mutants_of(file: str, text: str) -> list[Mutant]:
    """Return every mutant of a module, in the order of its text, without those that mean the same."""
    source = Source(text)
    found: list[Mutant] = []
    texts = {text}
    counts: dict[tuple[str, ...], int] = {}
    for node, function, lines in places(source):
        for change in changes(source, node):
            made = applied(source, change)
            if made is None or made in texts:
                continue
            texts.add(made)
            line = source.data[: change.start].count(b"\n") + 1
            before, after = described(source, change, line)
            seen = counts.setdefault((function, change.operator, before, after), 0)
            counts[function, change.operator, before, after] += 1
            found.append(Mutant(file, function, change.operator, line, lines, before, after, seen, made))
    return sorted(found, key=lambda one: (one.line, one.operator, one.after, one.occurrence))


def applied(source: Source, change: Change) -> str | None:
    """Return the module with the change made; None if it does not parse or means what it meant."""
    start, end, meaning = next(part for part in source.parts if change.start < part[1])
    data = source.data
    part = data[start : change.start] + change.text.encode() + data[change.end : end]
    try:
        changed = ast.parse(part)  # the top statement alone: the whole module takes ten times as long
    except (SyntaxError, ValueError):
        return None
    if ast.dump(changed) == meaning:
        return None
    return (data[:start] + part + data[end:]).decode()


def described(source: Source, change: Change, line: int) -> tuple[str, str]:
    """Return the lines that a change touches as they were and as they are, joined to one each."""
    start = source.offsets[line - 1]
    last = source.data.find(b"\n", change.end)
    end = len(source.data) if last < 0 else last
    old = source.data[start:end].decode()
    new = (source.data[start : change.start] + change.text.encode() + source.data[change.end : end]).decode()
    return " ".join(old.split()), " ".join(new.split())


def places(source: Source) -> Iterator[tuple[ast.AST, str, tuple[int, int]]]:
    """Yield each node that may change, with its function and the lines of its statement."""

    def walk(
        node: ast.AST, function: str, lines: tuple[int, int]
    ) -> Iterator[tuple[ast.AST, str, tuple[int, int]]]:
        if skipped(node):
            return
        if isinstance(node, ast.stmt):
            lines = lines_of(node)
        if isinstance(node, ast.expr | ast.stmt):
            yield node, function, lines
        inside = function
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            inside = f"{function}.{node.name}" if function else node.name
        for field, child in children(node):
            if field not in ("annotation", "returns", "type_comment", "type_params"):
                # Defaults are the function's, though they run where it is defined; decorators are not.
                belongs = inside if field in ("body", "args") else function
                yield from walk(child, belongs, lines)

    for statement in source.tree.body:
        yield from walk(statement, "", (1, 1))


def children(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Yield the children of a node with the field that holds them."""
    for field, value in ast.iter_fields(node):
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, ast.AST):
                yield field, one


def skipped(node: ast.AST) -> bool:
    """Say whether nothing in a node is to be changed."""
    if isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom):
        return True
    if isinstance(node, ast.Tuple) and all(
        isinstance(one, ast.Name) and one.id.endswith("Error") for one in node.elts
    ):
        return True  # of an `except`, whose order means nothing
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return True
    if isinstance(node, ast.ClassDef):
        return any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases)
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def lines_of(statement: ast.stmt) -> tuple[int, int]:
    """Return the first and last line of a statement; of a compound one, those of its head."""
    body = getattr(statement, "body", None) or getattr(statement, "cases", None)
    if not body:
        return statement.lineno, statement.end_lineno or statement.lineno
    first = body[0] if isinstance(body[0], ast.stmt) else body[0].body[0]
    if isinstance(statement, ast.Match):  # the patterns of its cases are expressions of the whole
        return statement.lineno, statement.end_lineno or statement.lineno
    return statement.lineno, max(statement.lineno, first.lineno - 1)


def changes(source: Source, node: ast.AST) -> Iterator[Change]:
    """Yield what every operator makes of a node."""
    for operator in OPERATORS:
        yield from operator(source, node)


ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "/"),
    ast.Mod: ("%", "*"),
    ast.Pow: ("**", "*"),
    ast.MatMult: ("@", "*"),
    ast.BitOr: ("|", "&"),
    ast.BitAnd: ("&", "|"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
}
COMPARISONS: dict[type[ast.cmpop], tuple[str, tuple[str, ...]]] = {
    ast.Lt: ("<", ("<=", ">=")),
    ast.LtE: ("<=", ("<", ">")),
    ast.Gt: (">", (">=", "<=")),
    ast.GtE: (">=", (">", "<")),
    ast.Eq: ("==", ("!=",)),
    ast.NotEq: ("!=", ("==",)),
    ast.Is: ("is", ("is not",)),
    ast.IsNot: ("is not", ("is",)),
    ast.In: ("in", ("not in",)),
    ast.NotIn: ("not in", ("in",)),
}
DTYPES = {
    "float64": "float32",
    "float32": "bfloat16",
    "bfloat16": "float32",
    "long": "int",
    "int64": "int32",
    "float": "double",
    "double": "float",
    "half": "float",
}
"""By name: attributes of torch, and methods of tensors without arguments."""


def arithmetic(source: Source, node: ast.AST) -> Iterator[Change]:
    """Change an arithmetic operator, also an augmented one, and drop a sign."""
    if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC and not is_type_union(node):
        yield from source.between("arithmetic", node.left, node.right, *ARITHMETIC[type(node.op)])
    if isinstance(node, ast.AugAssign) and type(node.op) in ARITHMETIC:
        yield from source.between("arithmetic", node.target, node.value, *ARITHMETIC[type(node.op)])
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield source.replace("arithmetic", node, f"({source.of(node.operand)})")


def is_type_union(node: ast.BinOp) -> bool:
    """Say whether `a | b` is of types, as `int | float` is."""
    return isinstance(node.op, ast.BitOr) and all(isinstance(n, ast.Name) for n in (node.left, node.right))


def comparison(source: Source, node: ast.AST) -> Iterator[Change]:
    """Move a boundary, and turn a comparison around."""
    if not isinstance(node, ast.Compare):
        return
    terms = [node.left, *node.comparators]
    for left, operator, right in zip(terms[:-1], node.ops, terms[1:], strict=True):
        old, others = COMPARISONS[type(operator)]
        for new in others:
            yield from source.between("comparison", left, right, old, new)


def boolean(source: Source, node: ast.AST) -> Iterator[Change]:
    """Swap `and` and `or`, drop one operand, drop a `not`, negate a condition, turn a truth value around."""
    if isinstance(node, ast.BoolOp):
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for index, (left, right) in enumerate(pairwise(node.values)):
            yield from source.between("boolean", left, right, old, new)
            rest = [one for i, one in enumerate(node.values) if i != index]
            yield source.replace("boolean", node, "(" + f" {old} ".join(map(source.of, rest)) + ")")
        yield source.replace("boolean", node, "(" + f" {old} ".join(map(source.of, node.values[:-1])) + ")")
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield source.replace("boolean", node, f"({source.of(node.operand)})")
    if isinstance(node, ast.If | ast.While | ast.IfExp) and not isinstance(node.test, ast.Constant):
        yield source.replace("boolean", node.test, f"(not ({source.of(node.test)}))")
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield source.replace("boolean", node, str(not node.value))


def constant(source: Source, node: ast.AST) -> Iterator[Change]:
    """Add one to an integer and take one from it, and double a float; 0.0 becomes 1.0."""
    if not isinstance(node, ast.Constant) or isinstance(node.value, bool):
        return
    if isinstance(node.value, int):
        yield source.replace("constant", node, str(node.value + 1))
        yield source.replace(
            "constant", node, f"({node.value - 1})" if node.value < 1 else str(node.value - 1)
        )
    if isinstance(node.value, float):
        yield source.replace("constant", node, repr(2 * node.value or 1.0))


def slices(source: Source, node: ast.AST) -> Iterator[Change]:
    """Move a bound of a slice by one, and drop it."""
    if not isinstance(node, ast.Subscript):
        return
    index = node.slice
    for part in index.elts if isinstance(index, ast.Tuple) else [index]:
        if isinstance(part, ast.Slice):
            for bound in (part.lower, part.upper):
                if bound is not None:
                    yield source.replace("slice", bound, "")
                    if not isinstance(bound, ast.Constant):  # else `constant` moves it
                        yield source.replace("slice", bound, f"({source.of(bound)}) + 1")
                        yield source.replace("slice", bound, f"({source.of(bound)}) - 1")


def deletion(source: Source, node: ast.AST) -> Iterator[Change]:
    """Delete a statement; a returned value becomes None, and an `else` of an expression goes alone."""
    deletable = (ast.Expr, ast.Assign, ast.AugAssign, ast.Raise, ast.Return, ast.Continue, ast.Break)
    if isinstance(node, deletable) or (isinstance(node, ast.AnnAssign) and node.value is not None):
        yield source.replace("deletion", node, "pass")
    if isinstance(node, ast.IfExp):
        yield source.replace("deletion", node, f"({source.of(node.body)})")
        yield source.replace("deletion", node, f"({source.of(node.orelse)})")


def arguments(source: Source, node: ast.AST) -> Iterator[Change]:
    """Swap two neighbouring arguments of a call, two operands, or two parts of a tuple; drop a keyword."""
    if isinstance(node, ast.Call):
        plain = [one for one in node.args if not isinstance(one, ast.Starred)]
        if len(plain) == len(node.args):
            for left, right in pairwise(plain):
                yield swapped(source, "arguments", left, right)
        for keyword in node.keywords:
            if keyword.arg is not None:
                yield dropped(source, keyword)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub | ast.Div | ast.FloorDiv | ast.MatMult):
        yield swapped(source, "arguments", node.left, node.right)
    if isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Load):
        for left, right in pairwise(node.elts):
            yield swapped(source, "arguments", left, right)


def swapped(source: Source, operator: str, left: ast.expr, right: ast.expr) -> Change:
    """Return the change that swaps two expressions."""
    middle = source.data[source.end(left) : source.start(right)].decode()
    text = f"{source.of(right)}{middle}{source.of(left)}"
    return Change(operator, source.start(left), source.end(right), text)


def dropped(source: Source, keyword: ast.keyword) -> Change:
    """Return the change that drops a keyword argument with the comma behind it."""
    start, end = source.start(keyword), source.end(keyword)
    behind = source.data[end:]
    rest = behind.lstrip()
    if rest.startswith(b","):
        end += len(behind) - len(rest) + 1
    return Change("arguments", start, end, "")


def axes(source: Source, node: ast.AST) -> Iterator[Change]:
    """Change an axis: the last becomes the one before, and any becomes the first."""
    if not isinstance(node, ast.Call):
        return
    for keyword in node.keywords:
        if keyword.arg in ("dim", "axis"):
            now = source.of(keyword.value)
            for other in ("0", "-1", "-2"):
                if other != now:
                    yield source.replace("axis", keyword.value, other)


def dtypes(source: Source, node: ast.AST) -> Iterator[Change]:
    """Change a dtype: a narrower or a wider one."""
    if isinstance(node, ast.Attribute) and node.attr in DTYPES and isinstance(node.ctx, ast.Load):
        # Also the method of a call: its name is an attribute, too.
        end = source.end(node)
        yield Change("dtype", end - len(node.attr), end, DTYPES[node.attr])


OPERATORS: tuple[Callable[[Source, ast.AST], Iterator[Change]], ...] = (
    arithmetic,
    comparison,
    boolean,
    constant,
    slices,
    deletion,
    arguments,
    axes,
    dtypes,
)
