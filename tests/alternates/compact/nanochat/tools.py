"""The calculator, short: a regular expression for tokens, two stacks for their values and operators."""

from __future__ import annotations

import ast
import math
import operator
import re
from typing import Any

E = r"""\\(?:[\\'"nrt]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})"""
S = rf"""(?:'(?:{E}|[^'\\\r\n])*'|"(?:{E}|[^"\\\r\n])*")"""
N = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?(?![\w.'\"])"
TOKEN = re.compile(rf"[ \t]*(?:({S})[ \t]*\.[ \t]*count[ \t]*\([ \t]*({S})[ \t]*\)|({N})|(//|[-+*/%()]))")
RANK = {"(": 0, "+": 1, "-": 1, "*": 2, "/": 2, "//": 2, "%": 2, "neg": 3, "pos": 3}
NAMES = ["", "add", "sub", "mul", "truediv", "floordiv", "mod", "neg", "pos"]
DO: dict[str, Any] = {symbol: getattr(operator, name, None) for symbol, name in zip(RANK, NAMES, strict=True)}


def use_calculator(expression: str) -> int | float | None:
    """Value or None."""
    if not isinstance(expression, str) or len(expression) > 1000:
        return None
    values: list[Any] = []
    waiting: list[str] = []

    def apply(symbol: str) -> None:
        right = values.pop()
        values.append(DO[symbol](right) if RANK[symbol] == 3 else DO[symbol](values.pop(), right))

    try:
        text, place, after_value = expression.strip(), 0, False
        while place < len(text):
            match = TOKEN.match(text, place)
            if match is None:
                return None
            whole, part, number, symbol = match.groups()
            place = match.end()
            if symbol in (None, "(") if after_value else symbol == ")":
                return None
            if symbol is None:
                # literal_eval refuses what begins with zeros, as Python does.
                literals = [ast.literal_eval(literal) for literal in ([number] if number else [whole, part])]
                values.append(literals[0] if number else literals[0].count(literals[1]))
                after_value = True
            elif not after_value:
                if symbol not in "(+-":
                    return None
                waiting.append({"(": "(", "+": "pos", "-": "neg"}[symbol])
            elif symbol == ")":
                while (last := waiting.pop()) != "(":
                    apply(last)
            else:
                while waiting and RANK[waiting[-1]] >= RANK[symbol]:
                    apply(waiting.pop())
                waiting.append(symbol)
                after_value = False
        while waiting:
            apply(waiting.pop())
        (value,) = values
        return value if after_value and math.isfinite(value) else None
    except (ValueError, ArithmeticError, SyntaxError, IndexError, KeyError, TypeError):
        return None
