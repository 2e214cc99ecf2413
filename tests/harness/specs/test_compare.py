"""The comparisons: they reject every corrupted answer, and say where it parts from what was wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from specs import compare, tolerances
from specs.outcomes import LawBroken, SubmissionRaised

WANT = np.random.default_rng(0).standard_normal((2, 5, 3))
AXES = ("row", "position", "channel")


def changed(place: tuple[int, ...], value: float) -> np.ndarray:
    answer = WANT.copy()
    answer[place] = value
    return answer


@pytest.mark.parametrize(
    ("name", "corrupt"),
    [
        ("one value off", lambda: changed((1, 3, 2), 9.0)),
        ("not a number", lambda: changed((0, 0, 0), np.nan)),
        ("infinite", lambda: changed((0, 0, 0), np.inf)),
        ("a transposed shape", lambda: WANT.transpose(1, 0, 2)),
        ("one position short", lambda: WANT[:, :-1]),
        ("one axis more", lambda: WANT[None]),
        ("a flat copy", lambda: WANT.reshape(-1)),
        ("nothing", lambda: None),
        ("text", lambda: np.array(["1"] * 30).reshape(WANT.shape)),
        ("a list", lambda: WANT.tolist()),
        ("all zero", lambda: np.zeros_like(WANT)),
        ("shifted by one", lambda: np.roll(WANT, 1, axis=1)),
    ],
)
def test_a_corrupted_array_is_rejected(name: str, corrupt: Callable[[], Any]) -> None:
    with pytest.raises(LawBroken):
        compare.expect_close(corrupt(), WANT, tolerances.FLOAT32, name, AXES)


def test_what_lies_within_the_tolerance_is_accepted() -> None:
    bound = tolerances.FLOAT32.bound(WANT)
    compare.expect_close(WANT + 0.9 * bound, WANT, tolerances.FLOAT32, "the answer", AXES)
    with pytest.raises(LawBroken):
        compare.expect_close(WANT + 1.1 * bound, WANT, tolerances.FLOAT32, "the answer", AXES)


def test_a_wanted_value_that_is_no_number_accepts_nothing() -> None:
    with pytest.raises(LawBroken):
        compare.expect_close(WANT, changed((0, 0, 0), np.nan), tolerances.FLOAT32, "the answer", AXES)


def test_the_message_names_the_first_place_and_what_still_holds() -> None:
    with pytest.raises(LawBroken) as broken:
        compare.expect_close(changed((1, 3, 2), 9.0), WANT, tolerances.FLOAT32, "the answer", AXES)
    message = str(broken.value)
    assert "row 1, position 3, channel 2, got 9, want" in message
    assert "Positions 0 to 2 agree, 3 is the first that differs" in message
    assert "1 of 30 values" in message


@pytest.mark.parametrize(
    ("got", "want"),
    [(1, 2), (True, 1), (1.0, 1), ([1, 2], [1, 3]), ([1], [1, 2]), (None, 0), ("1", 1), ({"a": 1}, {"a": 2})],
)
def test_equality_is_exact_and_by_type(got: object, want: object) -> None:
    with pytest.raises(LawBroken):
        compare.expect_equal(got, want, "the answer")


def test_an_array_of_another_shape_is_not_converted() -> None:
    broadcast = np.broadcast_to(np.zeros(1, np.uint8), 1 << 40)  # as float64 it would take eight TiB
    with pytest.raises(LawBroken, match="has shape"):
        compare.expect_close(broadcast, WANT, tolerances.FLOAT32, "the answer")


def test_equal_lists_may_be_tuples() -> None:
    compare.expect_equal((1, [2, "x"]), [1, (2, "x")], "the answer")


def test_the_first_index_that_differs_is_named() -> None:
    with pytest.raises(LawBroken, match="first at index 2: got 9, want 3"):
        compare.expect_equal([1, 2, 9], [1, 2, 3], "the answer")
    with pytest.raises(LawBroken, match="The first 2 agree; got 2 of them, want 3"):
        compare.expect_equal([1, 2], [1, 2, 3], "the answer")


def test_what_must_change_must_change() -> None:
    compare.expect_differs(WANT + 1, WANT, 0.5, "the answer")
    for same in (WANT, WANT[:1], None):
        with pytest.raises(LawBroken):
            compare.expect_differs(same, WANT, 0.5, "the answer")
    with pytest.raises(LawBroken):
        compare.expect_differs(0 * WANT, 0 * WANT, 0.0, "zeros, whose size asks for no change")


@pytest.mark.parametrize("value", [float("nan"), None, "5", float("inf"), True])
def test_a_limit_accepts_numbers_only(value: object) -> None:
    for check in (compare.expect_at_most, compare.expect_at_least):
        with pytest.raises(LawBroken):
            check(value, 5, "the answer")  # type: ignore[arg-type]  # what a submission may send


def test_limits_include_themselves() -> None:
    compare.expect_at_most(5, 5, "the answer")
    compare.expect_at_least(5, 5, "the answer")
    with pytest.raises(LawBroken, match="got 6, want at most 5"):
        compare.expect_at_most(6, 5, "the answer")
    with pytest.raises(LawBroken, match="got 4, want at least 5"):
        compare.expect_at_least(4, 5, "the answer")


def test_an_exception_is_wanted_by_class() -> None:
    raised = SubmissionRaised(["MyError", "ValueError", "Exception"], "no")
    assert compare.expect_raised(raised, "the call", "ValueError") is raised
    with pytest.raises(LawBroken, match="want a TypeError"):
        compare.expect_raised(raised, "the call", "TypeError")
    with pytest.raises(LawBroken, match="got 5, want a ValueError"):
        compare.expect_raised(5, "the call", "ValueError")


def test_an_error_names_what_is_wrong_and_not_by_naming_all() -> None:
    def named(message: str, *names: str) -> None:
        compare.expect_named(SubmissionRaised(["ValueError"], message), names, "the call")

    named("rank is 7, want 0 to 3", "7")
    named("h.0.attn, h.1.attn and wte are of other shapes", "wte")
    with pytest.raises(LawBroken, match="want it to name 7 or seven"):
        named("the rank is wrong", "7", "seven")
    with pytest.raises(LawBroken, match="497 different numbers"):
        named(" ".join(map(str, range(497))), "7")


def test_long_values_are_cut_in_messages() -> None:
    assert len(compare.quoted("x" * 10_000)) < 400
