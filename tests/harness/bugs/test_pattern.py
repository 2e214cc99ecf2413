"""Patterns on the syntax tree: they fit exactly, or they are refused."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.bugs.pattern import Edit, PatternError, replaced

SOURCE = '''\
"""A module with é and 猫 in it, so that bytes and characters differ."""


class Cache:
    def insert(self, layer, tokens):
        # advances at the end: é
        if layer == self.layers - 1:
            self.position += tokens
        return self.position

    def other(self, layer):
        return layer == self.layers - 1


def free(a, b):
    total = a + b
    if total > 3:
        total = 0
    return total * 2
'''


def edit(scope: str, find: str | tuple[str, ...], replace: str, count: int = 1) -> Edit:
    return Edit("module.py", scope, (find,) if isinstance(find, str) else find, replace, count)


def test_an_expression_is_replaced_in_its_scope_only() -> None:
    changed = replaced(SOURCE, [edit("Cache.insert", "__x == self.layers - 1", "__x == 0")])
    assert changed == SOURCE.replace("if layer == self.layers - 1:", "if layer == 0:")


def test_statements_are_replaced_with_their_indentation() -> None:
    changed = replaced(SOURCE, [edit("free", "if __t > 3:\n    __t = 0", "__t = min(__t, 3)\nprint(__t)")])
    assert "    total = min(total, 3)\n    print(total)\n    return" in changed


def test_a_deleted_statement_leaves_no_blank_line() -> None:
    changed = replaced(SOURCE, [edit("free", "if __t > 3:\n    __t = 0", "")])
    assert "    total = a + b\n    return total * 2\n" in changed


def test_one_of_several_patterns_may_fit() -> None:
    changed = replaced(SOURCE, [edit("free", ("__a * 3", "__a * 2"), "__a * 4")])
    assert "return total * 4" in changed


@pytest.mark.parametrize(
    ("scope", "find", "count"),
    [
        ("free", "__x == 0", 1),
        ("Cache.insert", "self.position", 1),
        ("free", "total", 2),
        ("Cache.missing", "self.position", 1),
        ("Nowhere", "x", 1),
    ],
)
def test_what_does_not_fit_exactly_is_refused(scope: str, find: str, count: int) -> None:
    with pytest.raises(PatternError):
        replaced(SOURCE, [edit(scope, find, "0", count)])


def test_two_patterns_that_both_fit_are_refused() -> None:
    with pytest.raises(PatternError, match="one pattern must match"):
        replaced(SOURCE, [edit("free", ("a + b", "total * 2"), "0")])


def test_a_repeated_name_must_be_the_same_expression() -> None:
    with pytest.raises(PatternError):
        replaced(SOURCE, [edit("free", "__x + __x", "0")])


def test_edits_that_overlap_are_refused() -> None:
    with pytest.raises(PatternError, match="overlap"):
        replaced(SOURCE, [edit("free", "a + b", "b"), edit("free", "total = a + b", "total = 1")])


def test_a_replacement_that_would_mean_something_else_is_refused() -> None:
    # `total + 0` for `__x` in `-__x` would read `(-total) + 0`.
    with pytest.raises(PatternError, match="parentheses"):
        replaced(SOURCE, [edit("free", "total = __x\nif total > 3:\n    total = 0", "total = -__x")])


def test_parentheses_make_the_replacement_mean_what_it_says() -> None:
    changed = replaced(SOURCE, [edit("free", "total = __x + __y", "total = (__x + __y) * 2")])
    assert "total = (a + b) * 2" in changed


@given(st.integers(0, 999), st.integers(0, 999))
def test_an_edit_and_its_inverse_restore_every_byte(old: int, new: int) -> None:
    source = f"# é\ndef f(x):\n    return x + {old}  # {old}\n"
    there = replaced(source, [edit("f", f"x + {old}", f"x + {new}")])
    assert ast.literal_eval(there.split("x + ")[1].split()[0]) == new
    assert replaced(there, [edit("f", f"x + {new}", f"x + {old}")]) == source


def test_an_expression_that_becomes_statements_must_be_one_itself() -> None:
    source = "def f(x):\n    x.run()\n    return x.run()\n"
    changed = replaced(source, [edit("f", "x.run()", "x.run()\nx.stop()")])
    assert changed == "def f(x):\n    x.run()\n    x.stop()\n    return x.run()\n"
    assert replaced(source, [edit("f", "x.run()", "")]) == "def f(x):\n    return x.run()\n"


def test_a_name_that_is_not_bound_is_refused() -> None:
    with pytest.raises(PatternError, match="__z stands in `replace` and not in `find`"):
        replaced(SOURCE, [edit("free", "__x + __y", "__x + __z")])


def test_the_types_of_an_overloaded_function_are_no_scope() -> None:
    source = "class C:\n    @overload\n    def f(self): ...\n\n    def f(self):\n        return 1\n"
    assert "return 2" in replaced(source, [edit("C.f", "return 1", "return 2")])
