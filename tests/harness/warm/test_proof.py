"""What was edited is found, and a tracer sees it run without being seen."""

from __future__ import annotations

import sys
import types
from typing import Any

from grader.matrix.proof import Tracer, edited_places, places_of

TEXT = '''"""A module."""

LIMIT = 3


def f(x):
    """Add."""
    # A comment.
    y = x + 1
    if y > 10:
        y = 0
    return y


def g(x):
    return x
'''


def test_an_edited_line_is_a_place() -> None:
    assert places_of(TEXT, TEXT.replace("x + 1", "x + 2")) == [frozenset({9})]


def test_comments_and_docstrings_are_no_places() -> None:
    assert places_of(TEXT, TEXT.replace("A comment", "Another")) == []
    assert edited_places({"m.py": TEXT}, {"m.py": TEXT.replace("Add", "Subtract")}) == {}


def test_a_deleted_statement_stands_for_its_function() -> None:
    (place,) = places_of(TEXT, TEXT.replace("    y = x + 1\n", ""))
    assert place == {9, 10, 11}


def test_each_edit_is_a_place_of_its_own() -> None:
    changed = TEXT.replace("x + 1", "x + 2").replace("LIMIT = 3", "LIMIT = 4")
    assert places_of(TEXT, changed) == [frozenset({3}), frozenset({9})]


def loaded(text: str) -> Any:
    """Return a module that seems to lie in a variant."""
    module = types.ModuleType("m")
    exec(compile(text, "/variant/nanochat/m.py", "exec"), module.__dict__)
    return module


def test_a_tracer_sees_the_edit_run_and_then_no_more() -> None:
    tracer = Tracer("/variant", {"m.py": [frozenset({9}), frozenset({11})]})
    module = loaded(TEXT)
    with tracer.watching():
        module.g(1)
    assert tracer.proof() == ({}, {"m.py": [[9], [11]]})
    with tracer.watching():
        module.f(1)
    assert tracer.proof() == ({"m.py": [9]}, {"m.py": [[11]]})
    assert tracer.active
    with tracer.watching():
        module.f(20)
    assert tracer.proof() == ({"m.py": [9, 11]}, {})
    assert not tracer.active


def test_a_tracer_puts_back_what_was_there() -> None:
    before = sys.gettrace()
    tracer = Tracer("/variant", {}, everything=True)
    with tracer.watching():
        loaded(TEXT).f(1)
    assert sys.gettrace() is before
    assert tracer.take() == {"m.py": sorted({1, 3, 6, 9, 10, 12, 15})}
    assert tracer.take() == {}
