"""Values and texts in a report are short and safe."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.describe import LONGEST_VALUE, describe, describe_case, printable


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        ("a\n", r"'a\n'"),
        ({"n_head": 2, "sizes": (1,)}, "{'n_head': 2, 'sizes': (1,)}"),
        ([np.float32(0.5)], "[0.5]"),
        (np.array([[1, 2]]), "int64[1, 2] [[1, 2]]"),
        (np.arange(100.0), "float64[100] 0, 1, 2, … between 0 and 99"),
        (np.array(["x"] * 9), "<U1[9] ['x', 'x', 'x']…"),
        (np.array([True] * 9), "bool[9] 1, 1, 1, … between 1 and 1"),
        ({"w": np.zeros((0, 4))}, "{'w': float64[0, 4] []}"),
    ],
)
def test_values(value: Any, text: str) -> None:
    """Values read as Python, arrays as type, shape and range."""
    assert describe(value) == text


def test_case_keeps_the_names() -> None:
    """Each drawn value has its name."""
    assert describe_case({"b": 1, "a": "x"}) == {"b": "1", "a": "'x'"}


def test_long_values_are_cut() -> None:
    """A long value says how much is missing."""
    text = describe("x" * 1000)
    assert len(text) < LONGEST_VALUE + 40
    assert "characters more" in text


@given(st.text(st.characters(), max_size=50))
def test_printable(text: str) -> None:
    """Only printing characters, newlines and tabs are left, and the text can be encoded."""
    shown = printable(text, 1000)
    assert all(one.isprintable() or one in "\n\t" for one in shown)
    shown.encode()
