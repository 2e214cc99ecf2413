"""Small parameters are dealt so that every pair of their values is tried, and failures still become small."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import strategies as st

from grader.session import observe, observe_run, run_case, with_smaller_case
from specs.covering import values_of
from specs.law import law
from specs.outcomes import SubmissionTimeout

CRITERION = "toy"
seeds = st.integers(0, 2**32 - 1)


def len_of(*values: Any) -> int:
    return len(values)


@pytest.mark.parametrize(
    ("strategy", "values"),
    [
        (st.sampled_from(["a", [1], None]), ["a", [1], None]),
        (st.booleans(), [False, True]),
        (st.integers(2, 5), [2, 3, 4, 5]),
        (st.integers(0, 24), None),
        (st.integers(0), None),
        (st.integers(3, 3), None),
        (st.sampled_from([1, 2]).map(str), None),
        (st.sampled_from([1, 2]).filter(bool), None),
        (st.just(1), None),
        (st.lists(st.booleans()), None),
    ],
)
def test_few_values_are_known(strategy: st.SearchStrategy[Any], values: list[Any] | None) -> None:
    assert values_of(strategy) == values


def asked_of(check: Any, probe: Any, seed: int) -> list[tuple[Any, ...]]:
    observe(check.law, probe, seed)
    return list(probe.asked)


@pytest.mark.parametrize("seed", range(5))
def test_every_pair_is_tried_within_few_examples(fake: Any, seed: int) -> None:
    """Three parameters of 3, 2 and 4 values have 26 pairs, of which an example has 3: 14 examples do."""

    @law(examples=14, cases=[{"a": 0, "b": True, "c": "x", "n": 9}], a=st.integers(0, 2), b=st.booleans(),
         c=st.sampled_from("wxyz"), n=seeds)  # fmt: skip
    def test_toy(probe: Any, a: int, b: bool, c: str, n: int) -> None:
        """A toy law."""
        probe("sum.of", a=a, b=b, c=c, n=n)

    asked = asked_of(test_toy, fake(len_of), seed)
    assert asked[0] == (0, True, "x", 9)
    for (one, these), (other, those) in itertools.combinations(
        enumerate([range(3), (False, True), "wxyz"]), 2
    ):
        assert {(row[one], row[other]) for row in asked} == set(itertools.product(these, those))


def test_a_parameter_alone_has_each_value_in_turn(fake: Any) -> None:
    @law(examples=6, a=st.integers(0, 2), n=seeds)
    def test_toy(probe: Any, a: int, n: int) -> None:
        """A toy law."""
        probe("sum.of", a=a, n=n)

    asked = asked_of(test_toy, fake(len_of), 0)
    assert len(asked) == 6
    assert [{a for a, _ in part} for part in (asked[:3], asked[3:])] == [{0, 1, 2}] * 2


def test_all_of_few_inputs_are_tried(fake: Any) -> None:
    @law(examples=6, cases=[{"a": 1, "b": True}], a=st.integers(0, 2), b=st.booleans())
    def test_toy(probe: Any, a: int, b: bool) -> None:
        """A toy law."""
        probe("sum.of", a=a, b=b)

    asked = asked_of(test_toy, fake(len_of), 0)
    assert set(asked) == set(itertools.product(range(3), (False, True)))


def test_a_seed_deals_the_same_again(fake: Any) -> None:
    @law(examples=8, a=st.integers(0, 5), b=st.integers(0, 5), n=seeds)
    def test_toy(probe: Any, a: int, b: int, n: int) -> None:
        """A toy law."""
        probe("sum.of", a=a, b=b, n=n)

    first, again, other = (asked_of(test_toy, fake(len_of), seed) for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("seed", range(5))
def test_a_failure_becomes_small(fake: Any, seed: int) -> None:
    """What fails is made smaller, with the dealt values too, and can be asked again."""

    @law(examples=30, a=st.integers(0, 9), b=st.sampled_from(["w", "x", "y"]), n=st.integers(0, 10_000))
    def test_toy(probe: Any, a: int, b: str, n: int) -> None:
        """A toy law."""
        probe("sum.of", a=a, b=b, n=n)
        assert not (a >= 4 and b == "y" and n >= 17), f"{a} {b} {n}"

    record = test_toy.law  # type: ignore[attr-defined]  # set by @law
    observation = observe(record, fake(len_of), seed)
    assert observation.verdict == "failed"
    assert record.case == {"a": 4, "b": "y", "n": 17}
    with pytest.raises(AssertionError, match="4 y 17"):
        record.replay(probe=fake(len_of), **record.case)


def test_making_smaller_ends_where_the_submission_dies(fake: Any) -> None:
    """A smaller input that stops the process is no smaller failure, and is the last that is tried."""

    @law(examples=30, a=st.integers(0, 9), n=seeds)
    def test_toy(probe: Any, a: int, n: int) -> None:
        """A toy law."""
        probe("sum.of", a=a, n=n)
        assert a != 9

    def answer(a: int, n: int) -> int:
        if a == 2:
            raise SubmissionTimeout("no answer within 1 s")
        return a + n

    record, probe = test_toy.law, fake(answer)  # type: ignore[attr-defined]  # set by @law
    record.case = {"a": 9, "n": 5}
    first = observe_run(record, probe, lambda watched: run_case(record, watched, record.case))
    assert first.verdict == "failed"
    assert with_smaller_case(record, probe, first).message == first.message
    assert record.case == {"a": 9, "n": 5}
    assert [a for a, _ in probe.asked] == [9, 0, 1, 2]


def test_the_simplest_input_is_tried_as_it_is(fake: Any) -> None:
    @law(examples=9, a=st.integers(0, 9), b=st.sampled_from("xyz"), n=seeds)
    def test_toy(probe: Any, a: int, b: str, n: int) -> None:
        """A toy law."""
        probe("sum.of", a=a, b=b, n=n)

    assert asked_of(test_toy, fake(len_of), 0)[0] == (0, "x", 0)


def test_a_boundary_that_fails_is_kept_if_nothing_else_does(fake: Any) -> None:
    @law(examples=5, cases=[{"a": 7, "n": 3}], a=st.integers(0, 3), n=seeds)
    def test_toy(probe: Any, a: int, n: int) -> None:
        """A toy law."""
        probe("sum.of", a=a, n=n)
        assert a != 7

    record = test_toy.law  # type: ignore[attr-defined]  # set by @law
    assert observe(record, fake(len_of), 0).verdict == "failed"
    assert record.case == {"a": 7, "n": 3}
