"""Expressions for a calculator, and how the laws about it ask and read its answers."""

from __future__ import annotations

from random import Random
from typing import Any

from specs.compare import broken, expect, quoted
from specs.oracles import calculator
from specs.oracles.calculator import Expression
from specs.probe import Probe

NOTICEABLE_SECONDS = 1.0
"""Of processor time for one expression, some hundred times what the longest takes."""


def random_expressions(seed: int, number: int) -> list[Expression]:
    """Return expressions of one to six numbers, the shortest first: the first that fails teaches most."""
    random = Random(seed)
    found = [joined(random, random.randint(1, 6), random.random() < 0.5) for _ in range(number)]
    return sorted((each for each in found if len(each.text) <= 200), key=lambda each: len(each.text))


def joined(random: Random, leaves: int, only_integers: bool) -> Expression:
    """Return an expression of so many numbers, joined in pairs at any depth, with signs and parentheses."""
    if leaves == 1:
        made = any_number(random, only_integers)
    else:
        first = random.randint(1, leaves - 1)
        left = joined(random, first, only_integers)
        right = joined(random, leaves - first, only_integers)
        made = calculator.binary(left, random.choice(SYMBOLS), right, random.choice(["", " "]))
    chance = random.random()
    if chance < 0.15:
        return calculator.negative(made)
    if chance < 0.2:
        return calculator.positive(made)
    return calculator.parenthesised(made) if chance < 0.25 else made


SYMBOLS = ["+", "-", "*", "/", "+", "-", "*", "/", "//", "%"]


def any_number(random: Random, only_integers: bool) -> Expression:
    """Return a number without a sign, in one of the ways to write it, or now and then a count."""
    if random.random() < 0.1:
        text = "".join(random.choices("aab1,", k=random.randint(0, 6)))
        return calculator.count(text, random.choice(["a", "b", "aa", ",", "1"]))
    whole = random.randint(0, random.choice([3, 12, 9_999, 10**9]))
    if only_integers:
        return calculator.number(str(whole))
    after = "".join(random.choices("0123456789", k=random.randint(1, 3)))
    exponent = random.choice(["e2", "E3", "e-2", "e+1"])
    ways = [
        f"{whole}.{after}",
        f"{whole}.5",
        f"{whole}",
        f"{whole}.",
        f".{after}",
        f"{whole}.{after}{exponent}",
    ]
    return calculator.number(random.choice(ways))


def expect_value(got: Any, drawn: Expression) -> None:
    """Require the answer to an expression to be its value, in Python's type."""
    what = f"use_calculator({drawn.text!r})"
    if drawn.value is None:
        expect(got is None, f"{what}, which divides by zero: got {shown(got)}, want None")
    elif type(got) is not type(drawn.value):
        kind = type(drawn.value).__name__
        broken(f"{what}: got {shown(got)}, want {drawn.value!r}, which Python gives as {kind}")
    elif not abs(got - drawn.value) <= drawn.tolerance:
        broken(f"{what}: got {shown(got)}, want {drawn.value!r} within {drawn.tolerance:.1g}")


def outcome(probe: Probe, expression: Any) -> Any:
    """Return what the calculator makes of one expression."""
    (got,) = probe("tools.calculate", expressions=[expression])
    return got


def quick_outcome(probe: Probe, expression: Any) -> Any:
    """Return `outcome`, which must take no noticeable time of a processor, seen from outside."""
    before = probe.processor_seconds()
    got = outcome(probe, expression)
    took = probe.processor_seconds() - before
    expect(
        took < NOTICEABLE_SECONDS,
        f"use_calculator({brief(expression)}) took {took:.1f} s of processor time, want no noticeable time, "
        f"less than {NOTICEABLE_SECONDS:g} s",
    )
    return got


def was_raised(got: Any) -> bool:
    """Say whether an outcome is an exception."""
    return isinstance(got, dict) and "raised" in got


def shown(got: Any) -> str:
    """Return an outcome as a reader expects it."""
    if isinstance(got, dict):
        return f"raised {got['raised']}" if was_raised(got) else f"a {got.get('type')}"
    return quoted(got)


def brief(text: str) -> str:
    """Return the beginning of a long text and its length."""
    return repr(text) if len(text) <= 40 else f"{text[:40]!r}..., {len(text):,} characters"
