"""What a broken law shows of two answers: few values, the first that differs among them, and nothing long."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specs import compare, comparison, tolerances
from specs.outcomes import Comparison, LawBroken

AXES = ("row", "position", "channel")


def seen(got: Any, want: Any, axes: tuple[str, ...] = ()) -> Comparison | None:
    """Return the comparison of two answers that differ."""
    if isinstance(want, np.ndarray):
        with pytest.raises(LawBroken) as broken:
            compare.expect_close(got, want, tolerances.FLOAT32, "the answer", axes)
    else:
        with pytest.raises(LawBroken) as broken:
            compare.expect_equal(got, want, "the answer")
    return broken.value.comparison


def test_an_array_is_shown_along_its_positions() -> None:
    want = np.arange(2 * 20 * 3, dtype=np.float64).reshape(2, 20, 3)
    got = want.astype(np.float32)
    got[1, 7, 2] = np.nan
    got[1, 8:, :] += 0.5
    found = seen(got, want, AXES)
    assert found == Comparison(
        *("row 1, position 7, channel 2", "position", 3, 20),
        ("71", "74", "77", "80", "nan", "86.5", "89.5", "92.5", "95.5"),
        ("71", "74", "77", "80", "83", "86", "89", "92", "95"),
        (False, False, False, False, True, True, True, True, True),
        *("float32[2, 20, 3]", "float64[2, 20, 3]"),
    )


@pytest.mark.parametrize(
    ("shape", "axes", "place", "axis", "start", "count"),
    [
        ((4, 30), (), (2, 29), "index", 21, 30),
        ((4, 30), ("row", "position"), (2, 0), "position", 0, 30),
        ((4, 30), ("position", "channel"), (3, 1), "position", 0, 4),
        ((1, 30), ("position", "channel"), (0, 12), "channel", 8, 30),
        ((2, 1, 3), AXES, (1, 0, 1), "channel", 0, 3),
        ((30, 1), (), (3, 0), "index", 0, 30),
    ],
)
def test_the_first_difference_is_among_what_is_shown(
    shape: tuple[int, ...], axes: tuple[str, ...], place: tuple[int, ...], axis: str, start: int, count: int
) -> None:
    """Whatever the shape: along the positions where there are several, else along the last axis."""
    want = np.zeros(shape)
    got = want.copy()
    got[place] = 7
    found = seen(got, want, axes)
    assert found is not None
    assert (found.axis, found.start, found.count, found.got.count("7")) == (axis, start, count, 1)
    assert found.differs.index(True) == found.got.index("7")
    assert len(found.got) == len(found.want) == len(found.differs) <= comparison.CELLS


def test_numbers_that_differ_do_not_look_alike() -> None:
    found = seen(np.array([1.0, 0.1]), np.array([1.0, 0.1 + 9e-4]))
    assert found is not None
    assert found.got == ("1", "0.1")
    close = comparison.number_texts(0.1, 0.1 + 1e-12, True)
    assert close[0] != close[1]
    assert comparison.number_texts(0.1, 0.1 + 1e-12, False) == ("0.1", "0.1")


def test_lists_and_texts() -> None:
    assert seen([1, 2, 3], [1, 5, 3]) == Comparison(
        "index [1]",
        "index",
        0,
        3,
        ("1", "2", "3"),
        ("1", "5", "3"),
        (False, True, False),
        "list of 3",
        "list of 3",
    )
    short = seen(list(range(20)), list(range(22)))
    assert short is not None
    assert (short.start, short.count, short.index) == (13, 22, "index [20]")
    assert (short.got[-3:], short.want[-3:]) == (("19", "", ""), ("19", "20", "21"))
    assert short.differs == (False,) * 7 + (True,) * 2
    deep = seen([[1], [1, [2, "a" * 20 + "\x1b"]]], [[1], [1, [2, "a" * 20 + "b"]]])
    assert deep is not None
    assert (deep.index, deep.axis, deep.start) == ("index [1, 1, 1, 20]", "character", 12)
    assert (deep.got[-1], deep.want[-1]) == ("'\\x1b'", "'b'")
    assert deep.got_kind == "text of 21 characters"


@pytest.mark.parametrize(
    ("got", "want"),
    [(1, 2), (None, [1]), ([1], "1"), ({"a": 1}, {"a": 2}), ("int32", "int64"), ([1], [2]), ([[]], [[3]])],
)
def test_what_has_no_parts_has_no_picture(got: Any, want: Any) -> None:
    """A message is enough there."""
    assert seen(got, want) is None
    assert seen(np.ones((1, 1)), np.zeros((1, 1))) is None


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=30) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=40,
)


# Drawing takes long on a machine that does something else, too.
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(values, values)
def test_any_two_values_give_a_small_comparison_or_none(got: Any, want: Any) -> None:
    """Nothing that a submission answers makes a comparison fail or grow."""
    if compare.same(got, want):
        return
    found = comparison.of_values(got, want, compare.same)
    if found is not None:
        assert True in found.differs
        assert len(found.got) == len(found.want) == len(found.differs) <= comparison.CELLS
        assert all(len(one) <= comparison.LONGEST for one in (*found.got, *found.want))
        assert len(json.dumps(asdict(found))) < 2000
