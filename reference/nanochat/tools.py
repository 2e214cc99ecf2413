"""The calculator that the model may call while it writes.

What comes in was written by a language model that has read text from strangers, so nothing in it is trusted,
and nothing of it is ever run: the text is parsed into a syntax tree, and the tree is evaluated here, node by
node, by a function that knows numbers, six operators and `.count` of one string literal in another.

Covered: no name, attribute, call or import can be reached, because no node for one is ever evaluated. Time
and memory are bounded by construction (length, nesting and integers all have a limit), so there is no timer,
and it works in any thread. Nothing global is touched, not even the warning filters: the check in front of the
parser rejects the few spellings that Python's parser warns about.

Not covered: whether the answer is useful. An expression outside the grammar has no result, None.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable

Number = int | float

MAX_LENGTH = 1000
"""Characters of an expression."""

MAX_DEPTH = 200
"""Operations inside one another; `1+1+1` has two, because it is `(1+1)+1`."""

MAX_BITS = 1000
"""Bits of an integer, also on the way: 301 digits. Each can be made a float; some of 1024 bits cannot."""

BINARY: dict[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    # No power: 9**9**9 is seven characters long, and its value does not fit into any memory.
}
UNARY: dict[type[ast.unaryop], Callable[[Number], Number]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}

# Numbers, operators, parentheses, string literals and `.count`. A string literal stands alone (no prefix such
# as f"", no triple quotes) and holds only escapes that Python knows: an unknown one is a warning today. So is
# a number that runs into a keyword, as in `0or 1`: the letters of numbers spell no keyword.
_ESCAPE = r"""\\(?:['"\\abfnrtv]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})"""
_ONE_QUOTED, _TWO_QUOTED = (
    rf"(?<![\w'\"]){quote}(?:[^{quote}\\\n]|{_ESCAPE})*{quote}(?!['\"])" for quote in ("'", '"')
)
_LEXICON = re.compile(rf"(?:[0-9a-fA-FxXoObB_.+\-*/%() \t\n]|\.count\b|{_ONE_QUOTED}|{_TWO_QUOTED})*")


class _NotInGrammar(ValueError):
    """The expression holds something that the calculator does not know, or too much of what it knows."""


def use_calculator(expression: str) -> Number | None:
    """Return the value of an arithmetic expression or of a `.count` of string literals, None if it has none.

    The grammar: int and float literals, unary + and -, binary + - * / // %, parentheses, and
    `"text".count("part")`, all with Python's meaning. Anything else is None, and so is a division by zero, a
    result that is infinite or no number, and whatever exceeds a limit above. Never raises.
    """
    if not isinstance(expression, str) or len(expression) > MAX_LENGTH or not _LEXICON.fullmatch(expression):
        return None
    try:
        value = _evaluate(ast.parse(expression.strip(), mode="eval").body, MAX_DEPTH)
    except (SyntaxError, ValueError, ArithmeticError, RecursionError, MemoryError):
        # The parser reports text that nests too deeply as a MemoryError or a RecursionError.
        return None
    return value if math.isfinite(value) else None


def _evaluate(node: ast.expr, depth: int) -> Number:
    """Return the value of a node that may hold `depth` operations inside one another."""
    if depth < 0:
        raise _NotInGrammar(f"more than {MAX_DEPTH} operations inside one another")
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return _limited(number)
        case ast.UnaryOp(op=op, operand=operand) if type(op) in UNARY:
            return _limited(UNARY[type(op)](_evaluate(operand, depth - 1)))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in BINARY:
            return _limited(BINARY[type(op)](_evaluate(left, depth - 1), _evaluate(right, depth - 1)))
        case ast.Call(
            func=ast.Attribute(value=ast.Constant(value=str(text)), attr="count"),
            args=[ast.Constant(value=str(part))],
            keywords=[],
        ):
            return text.count(part)
    raise _NotInGrammar(f"{type(node).__name__} is not arithmetic")


def _limited(number: Number) -> Number:
    """Return `number`, unless it is an integer of more than `MAX_BITS` bits.

    Checked after every operation, so that the next one starts from numbers of bounded size.
    """
    if isinstance(number, int) and number.bit_length() > MAX_BITS:
        raise _NotInGrammar(f"an integer of {number.bit_length()} bits; the limit is {MAX_BITS}")
    return number
