"""An answer of the right form is a value or an exception; any other is no answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from grader.sandbox.conclude import conclude
from specs.outcomes import SubmissionDied, SubmissionMemory, SubmissionRaised

RAISED = {"types": ["E", "Exception"], "message": "m", "traceback": "t", "out_of_memory": False}


def test_a_value_is_returned() -> None:
    assert conclude({"call": 3, "value": [None]}, 3) == [None]


def test_an_exception_is_raised() -> None:
    with pytest.raises(SubmissionRaised) as caught:
        conclude({"call": 3, "raised": RAISED}, 3)
    assert (caught.value.types, caught.value.message, caught.value.traceback) == (
        ["E", "Exception"],
        "m",
        "t",
    )


def test_want_of_memory_is_told_apart() -> None:
    with pytest.raises(SubmissionMemory, match="ran out of memory: m"):
        conclude({"call": 3, "raised": {**RAISED, "out_of_memory": True}}, 3)


def test_a_long_text_is_cut() -> None:
    with pytest.raises(SubmissionRaised) as caught:
        conclude({"call": 3, "raised": {**RAISED, "message": "m" * 10**6, "traceback": "t" * 10**6}}, 3)
    assert len(caught.value.message) == 2_000
    assert len(caught.value.traceback) == 6_000


@pytest.mark.parametrize(
    "reply",
    [
        None,
        1,
        [],
        {},
        np.ones(3),
        {"value": 1},
        {"ready": {}},
        {"call": 4, "value": 1},
        {"call": True, "value": 1},
        {"call": [3], "value": 1},
        {"call": np.full(2, 3), "value": 1},
        {"call": 3},
        {"call": 3, "other": 1},
        {"call": 3, "value": 1, "raised": RAISED},
        {"call": 3, "raised": None},
        {"call": 3, "raised": {}},
        {"call": 3, "raised": {**RAISED, "types": []}},
        {"call": 3, "raised": {**RAISED, "types": "E"}},
        {"call": 3, "raised": {**RAISED, "types": [1]}},
        {"call": 3, "raised": {**RAISED, "types": ["E"] * 1000}},
        {"call": 3, "raised": {**RAISED, "types": ["E" * 10**6]}},
        {"call": 3, "raised": {**RAISED, "message": b"m"}},
        {"call": 3, "raised": {**RAISED, "traceback": None}},
        {"call": 3, "raised": {**RAISED, "out_of_memory": 1}},
    ],
    ids=lambda reply: str(reply)[:60],
)
def test_any_other_form_is_no_answer(reply: Any) -> None:
    with pytest.raises(SubmissionDied, match="that is no answer"):
        conclude(reply, 3)
