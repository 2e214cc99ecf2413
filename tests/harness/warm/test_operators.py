"""Every operator changes what it says, and nothing else."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from grader.matrix.operators import mutants_of

ROOT = Path(__file__).parents[3]


def made(text: str, operator: str) -> set[str]:
    """Return what one operator makes of a line, without the line's beginning."""
    return {one.after for one in mutants_of("m.py", text) if one.operator == operator}


@pytest.mark.parametrize(
    ("text", "operator", "wanted"),
    [
        ("y = a + b", "arithmetic", {"y = a - b"}),
        ("y = a // b", "arithmetic", {"y = a / b"}),
        ("y = -x", "arithmetic", {"y = (x)"}),
        ("y += 2", "arithmetic", {"y -= 2"}),
        ("y = a < b", "comparison", {"y = a <= b", "y = a >= b"}),
        ("y = a < b == c", "comparison", {"y = a <= b == c", "y = a >= b == c", "y = a < b != c"}),
        ("y = a is not b", "comparison", {"y = a is b"}),
        ("y = a and b", "boolean", {"y = a or b", "y = (a)", "y = (b)"}),
        ("y = not a", "boolean", {"y = (a)"}),
        ("y = True", "boolean", {"y = False"}),
        ("while x: f()", "boolean", {"while (not (x)): f()"}),
        ("y = 1", "constant", {"y = 2", "y = 0"}),
        ("y = 0", "constant", {"y = 1", "y = (-1)"}),
        ("y = 0.5", "constant", {"y = 1.0"}),
        ("y = x[a:b]", "slice", {"y = x[:b]", "y = x[a:]", "y = x[(a) + 1:b]", "y = x[(a) - 1:b]"}
         | {"y = x[a:(b) + 1]", "y = x[a:(b) - 1]"}),
        ("f(x)", "deletion", {"pass"}),
        ("y = a if c else b", "deletion", {"pass", "y = (a)", "y = (b)"}),
        ("f(a, b)", "arguments", {"f(b, a)"}),
        ("f(a, k=1)", "arguments", {"f(a, )"}),
        ("y = a - b", "arguments", {"y = b - a"}),
        ("y = x.sum(dim=1)", "axis", {"y = x.sum(dim=0)", "y = x.sum(dim=-1)", "y = x.sum(dim=-2)"}),
        ("y = x.float()", "dtype", {"y = x.double()"}),
        ("y = torch.float64", "dtype", {"y = torch.float32"}),
    ],
)  # fmt: skip
def test_an_operator_makes_its_mutants(text: str, operator: str, wanted: set[str]) -> None:
    assert made(text, operator) == wanted


@pytest.mark.parametrize(
    "text",
    [
        '"""A docstring with 1 and 2."""',
        "import a",
        "def f(x: int | None) -> int: ...",
        "x: a | b",
        "f'{1 + 2}'",
    ],
)
def test_some_things_are_left_alone(text: str) -> None:
    assert not [one for one in mutants_of("m.py", text) if one.operator != "deletion"]


def test_a_mutant_says_where_it_is() -> None:
    text = "class A:\n    def f(self):\n        x = 1\n        return x + 1\n"
    (one,) = [one for one in mutants_of("m.py", text) if one.operator == "arithmetic"]
    assert (one.function, one.line, one.lines) == ("A.f", 4, (4, 4))
    assert (one.before, one.after) == ("return x + 1", "return x - 1")


def test_twins_are_told_apart() -> None:
    ones = [one for one in mutants_of("m.py", "f()\nf()\n") if one.operator == "deletion"]
    assert [one.occurrence for one in ones] == [0, 1]
    assert len({one.key for one in ones}) == 2


def test_every_mutant_of_the_reference_parses_and_differs() -> None:
    for file in ("gpt.py", "engine.py", "tools.py"):
        text = (ROOT / "reference" / "nanochat" / file).read_text(encoding="utf-8")
        mutants = mutants_of(file, text)
        assert len({one.key for one in mutants}) == len({one.text for one in mutants}) == len(mutants)
        for one in mutants[::20]:
            assert ast.dump(ast.parse(one.text)) != ast.dump(ast.parse(text))
            assert one.lines[0] <= one.line <= one.lines[1]
