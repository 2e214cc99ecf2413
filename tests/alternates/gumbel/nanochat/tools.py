"""The calculator: a shunting yard (Dijkstra 1961) makes postfix of infix, a stack evaluates it."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable

Number = int | float

ESC = r"\\(?:[\\'\"nrtabfv]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})"
STR = rf"'(?:{ESC}|[^'\\\r\n])*'|\"(?:{ESC}|[^\"\\\r\n])*\""
LEX = re.compile(
    rf"[ \t]*(?:(?P<count>(?P<text>{STR})[ \t]*\.[ \t]*count[ \t]*\([ \t]*(?P<part>{STR})[ \t]*\))"
    r"|(?P<float>(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![\w.'\"])|[0-9]+[eE][+-]?[0-9]+(?![\w.'\"]))"
    r"|(?P<int>(?:[1-9][0-9]*|0+)(?![\w.'\"]))"
    r"|(?P<op>//|[-+*/%])|(?P<open>\()|(?P<close>\)))[ \t]*"
)
PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2, "//": 2, "%": 2, "sign +": 3, "sign -": 3}
BINARY: dict[str, Callable[[Number, Number], Number]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
}


def postfix(text: str) -> list[Number | str]:
    """Numbers and operators in the order of evaluation."""
    done: list[Number | str] = []
    waiting: list[str] = []
    place, operand_next = 0, True
    while place < len(text):
        token = LEX.match(text, place)
        if token is None:
            raise ValueError(f"nothing known at {place}")
        place = token.end()
        kind = "count" if token["count"] else str(token.lastgroup)
        if (kind in ("op", "close")) == operand_next and not (kind == "op" and token["op"] in "+-"):
            raise ValueError(f"{token.group()!r} is out of place")
        if kind == "count":
            done.append(str(ast.literal_eval(token["text"])).count(ast.literal_eval(token["part"])))
        elif kind in ("int", "float"):
            done.append(int(token["int"]) if kind == "int" else float(token["float"]))
        elif kind == "op" and operand_next:
            waiting.append(f"sign {token['op']}")
            continue
        elif kind == "op":
            while waiting and waiting[-1] != "(" and PRECEDENCE[waiting[-1]] >= PRECEDENCE[token["op"]]:
                done.append(waiting.pop())
            waiting.append(token["op"])
        elif kind == "open":
            waiting.append("(")
        else:
            while waiting and waiting[-1] != "(":
                done.append(waiting.pop())
            if not waiting:
                raise ValueError("closed, but not open")
            waiting.pop()
        operand_next = kind in ("op", "open")
    if operand_next or "(" in waiting:
        raise ValueError("unfinished")
    return done + waiting[::-1]


def use_calculator(expression: str) -> Number | None:
    """Value or None."""
    if not isinstance(expression, str) or len(expression) > 1200:
        return None
    stack: list[Number] = []
    try:
        for item in postfix(expression.strip()):
            if not isinstance(item, str):
                stack.append(item)
            elif item.startswith("sign"):
                stack.append(-stack.pop() if item == "sign -" else +stack.pop())
            else:
                right, left = stack.pop(), stack.pop()
                stack.append(BINARY[item](left, right))
        (value,) = stack
        return value if math.isfinite(value) else None
    except (ValueError, ArithmeticError, SyntaxError):
        return None
