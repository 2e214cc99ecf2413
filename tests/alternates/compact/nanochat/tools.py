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
TOKEN = re.compile(rf"\s*(?:({S})\s*\.\s*count\s*\(\s*({S})\s*\)|({N})|(//|[-+*/%()]))")
RANK = {"(": 0, "+": 1, "-": 1, "*": 2, "/": 2, "//": 2, "%": 2, "neg": 3, "pos": 3}
DO: dict[str, Any] = dict(zip(RANK, (None, *map(vars(operator).get, "add sub mul truediv floordiv mod neg pos".split())), strict=True))


def use_calculator(expression: str) -> int | float | None:
    """Value or None."""
    if not isinstance(expression, str) or len(expression) > 1000 or re.search(r"[\n\r\f\v]", expression.strip()):
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
                values.append(ast.literal_eval(number) if number else ast.literal_eval(whole).count(ast.literal_eval(part)))
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
        return value if after_value and math.isfinite(value) else None  # type: ignore[no-any-return]  # a number
    except (ValueError, ArithmeticError, SyntaxError, IndexError, KeyError, TypeError):
        return None
