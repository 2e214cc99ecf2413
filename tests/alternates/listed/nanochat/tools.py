"""The calculator: the syntax tree is walked with two stacks, without recursion."""

from __future__ import annotations

import ast
import math
import re

# Checked in front of the parser, which warns about some of what it does not understand.
_TOKEN = re.compile(
    r"""[ \t]+ | [-+*/%()] | \.\s*count\b
    | (?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?(?![\w.'"])
    | (?<!\w) (?P<quote>['"])
      (?: \\(?:[\\'"abfnrtv]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}) | (?!(?P=quote))[^\\\n] )*
      (?P=quote)""",
    re.VERBOSE,
)


def use_calculator(expression: str) -> int | float | None:
    """Return the number that `expression` stands for, or None."""
    if not isinstance(expression, str) or len(expression) > 2000:
        return None
    source, place = expression.strip(), 0
    while place < len(source):
        token = _TOKEN.match(source, place)
        if token is None:
            return None
        place = token.end()
    try:
        result = _run(_postfix(ast.parse(source, mode="eval").body))
    except (SyntaxError, ValueError, ArithmeticError, TypeError, RecursionError, MemoryError):
        return None
    return result


def _postfix(root: ast.expr) -> list[ast.AST]:
    """Return the nodes of a tree, operands in front of their operators."""
    waiting: list[ast.AST] = [root]
    order: list[ast.AST] = []
    while waiting:
        node = waiting.pop()
        order.append(node)
        if isinstance(node, ast.BinOp):
            waiting += [node.left, node.right]
        elif isinstance(node, ast.UnaryOp):
            waiting += [node.operand]
        elif isinstance(node, ast.Call):
            if not isinstance(node.func, ast.Attribute) or node.func.attr != "count":
                raise ValueError("not a count")
            if len(node.args) != 1 or node.keywords:
                raise ValueError("a count of one string")
            waiting += [node.func.value, node.args[0]]
    return order[::-1]


def _run(order: list[ast.AST]) -> int | float:
    """Evaluate nodes in postfix order."""
    stack: list[int | float | str] = []
    for node in order:
        if isinstance(node, ast.Constant):
            if type(node.value) not in (int, float, str):
                raise ValueError("a literal that is neither number nor string")
            stack.append(node.value)  # type: ignore[arg-type]  # checked above
        elif isinstance(node, ast.Call):
            part, text = stack.pop(), stack.pop()
            if not isinstance(text, str) or not isinstance(part, str):
                raise TypeError("strings are counted in strings")
            stack.append(text.count(part))
        elif isinstance(node, ast.UnaryOp):
            value = _number(stack.pop())
            stack.append(-value if isinstance(node.op, ast.USub) else +value)
        elif isinstance(node, ast.BinOp):
            right, left = _number(stack.pop()), _number(stack.pop())
            stack.append(_combine(node.op, left, right))
        else:
            raise ValueError(f"{type(node).__name__} means nothing here")
    (answer,) = stack
    number = _number(answer)
    if not math.isfinite(number):
        raise ValueError("not finite")
    return number


def _number(value: int | float | str) -> int | float:
    if isinstance(value, str):
        raise TypeError("a string is no number")
    return value


def _combine(op: ast.operator, left: int | float, right: int | float) -> int | float:
    match op:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.Div():
            return left / right
        case ast.FloorDiv():
            return left // right
        case ast.Mod():
            return left % right
    raise ValueError(f"{type(op).__name__} is no operator here")
