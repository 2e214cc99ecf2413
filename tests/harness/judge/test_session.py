"""Every way in which a property can end, and the verdict for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume
from hypothesis import strategies as st

from grader.levels import Level
from grader.session import Confirmation, grade, observe
from specs.law import Law, law
from specs.outcomes import (
    GraderFault,
    LawBroken,
    SubmissionDied,
    SubmissionMemory,
    SubmissionRaised,
    SubmissionTimeout,
)

CRITERION = "toy"


def law_that(act: Callable[[Any, int], None]) -> Law:
    """Return a property of a number that does what `act` does."""

    @law(examples=30, number=st.integers(0, 1000))
    def test_toy(probe: Any, number: int) -> None:
        """A toy law."""
        act(probe, number)

    made: Law = test_toy.law  # type: ignore[attr-defined]  # set by @law
    return made


def raising(error: BaseException) -> Callable[..., Any]:
    def answer(*_: Any) -> Any:
        raise error

    return answer


def ask(probe: Any, number: int) -> None:
    probe("sum.of", number=number)


def test_passes(fake: Any) -> None:
    """A property that returns is passed, and shows no input."""
    seen = observe(law_that(ask), fake(), 0)
    assert (seen.verdict, seen.message, seen.counterexample) == ("passed", "", None)


def test_broken_law_shows_the_smallest_input(fake: Any) -> None:
    """A broken law is failed, with its message and the smallest input that breaks it."""

    def act(probe: Any, number: int) -> None:
        if probe("sum.of", number=number) >= 7:
            raise LawBroken(f"got {number}, want less than 7")

    seen = observe(law_that(act), fake(), 0)
    assert seen.verdict == "failed"
    assert seen.message == "got 7, want less than 7"
    assert seen.counterexample == {"number": "7"}


def test_a_boundary_that_fails_is_not_the_smallest_input(fake: Any) -> None:
    """Where a boundary fails that is always tried, drawn inputs still show the smallest."""

    @law(examples=50, cases=[{"number": 500}], number=st.integers(0, 1000))
    def test_toy(probe: Any, number: int) -> None:
        """A toy law."""
        if probe("sum.of", number=number) >= 7:
            raise LawBroken(f"got {number}")

    made: Law = test_toy.law  # type: ignore[attr-defined]  # set by @law
    for _ in range(2):
        seen = observe(made, fake(), 0)
        assert (seen.message, seen.counterexample) == ("got 7", {"number": "7"})


def test_a_boundary_that_alone_fails_is_shown(fake: Any) -> None:
    """A boundary that no drawn input reaches is failed all the same."""

    @law(examples=20, cases=[{"number": 10**6}], number=st.integers(0, 1000))
    def test_toy(probe: Any, number: int) -> None:
        """A toy law."""
        if probe("sum.of", number=number) == 10**6:
            raise LawBroken("too large")

    made: Law = test_toy.law  # type: ignore[attr-defined]  # set by @law
    for _ in range(2):
        seen = observe(made, fake(), 0)
        assert (seen.verdict, seen.counterexample) == ("failed", {"number": "1000000"})


def test_plain_assertion_is_a_broken_law(fake: Any) -> None:
    """An assertion of the property without a word is failed, and the message is not empty."""

    def act(probe: Any, number: int) -> None:
        if probe("sum.of", number=number) >= 0:
            raise AssertionError

    seen = observe(law_that(act), fake(), 0)
    assert seen.verdict == "failed"
    assert seen.message


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (SubmissionRaised(["KeyError", "Exception"], "'x'", 'File "nanochat/gpt.py", line 3'), "error"),
        (SubmissionTimeout("no answer within 20 s"), "timeout"),
        (SubmissionMemory("more than 4 GiB"), "memory"),
        (SubmissionDied("ended with exit code 0"), "error"),
    ],
)
def test_what_the_submission_did(fake: Any, error: BaseException, verdict: str) -> None:
    """What a submission did other than answer has its own verdict, and says which input it was."""
    seen = observe(law_that(ask), fake(raising(error)), 0)
    assert seen.verdict == verdict
    assert str(error) in seen.message
    assert seen.counterexample is not None
    assert seen.counterexample.keys() == {"number"}
    assert bool(seen.traceback) == isinstance(error, SubmissionRaised)


def test_stop_is_not_tried_again(fake: Any) -> None:
    """A submission that hangs is asked once: every try would cost the whole limit."""
    probe = fake(raising(SubmissionTimeout("20 s")))
    observe(law_that(ask), probe, 0)
    assert len(probe.asked) == 1


def test_fault_of_the_grader_passes(fake: Any) -> None:
    """A fault of the grader is raised as it is, and at once."""
    probe = fake(raising(GraderFault("no such probe")))
    with pytest.raises(GraderFault, match="no such probe"):
        observe(law_that(ask), probe, 0)
    assert len(probe.asked) == 1


def test_fault_of_the_property_is_ours(fake: Any) -> None:
    """A property that breaks before it asked anything is the grader's fault."""

    def act(_probe: Any, number: int) -> None:
        raise ZeroDivisionError(number)

    with pytest.raises(GraderFault, match="before it asked"):
        observe(law_that(act), fake(), 0)


@pytest.mark.parametrize("error", [IndexError("list index out of range"), SystemExit(0)])
def test_unreadable_answer_is_theirs(fake: Any, error: BaseException) -> None:
    """A property that breaks on an answer makes an error of the submission, and says so."""

    def act(probe: Any, number: int) -> None:
        probe("sum.of", number=number)
        raise error

    seen = observe(law_that(act), fake(), 0)
    assert seen.verdict == "error"
    assert "could not read the submission's answer" in seen.message
    assert str(error) in seen.message
    assert "test_session.py" in seen.traceback


def test_attempt_counts_as_an_answer(fake: Any) -> None:
    """What was raised and returned by `attempt` is an answer."""

    def act(probe: Any, number: int) -> None:
        answer = probe.attempt("sum.of", number=number)
        answer[0]

    seen = observe(law_that(act), fake(raising(SubmissionRaised(["ValueError"], "no"))), 0)
    assert seen.verdict == "error"


def test_changing_answers_are_unstable(fake: Any) -> None:
    """A law that breaks and then holds for the same input is unstable."""
    asked: set[int] = set()

    def forgetful(number: int) -> int:
        first = number not in asked
        asked.add(number)
        return number + first

    def act(probe: Any, number: int) -> None:
        if probe("sum.of", number=number) != number:
            raise LawBroken("wrong the first time")

    seen = observe(law_that(act), fake(forgetful), 0)
    assert seen.verdict == "unstable"
    assert "two different outcomes" in seen.message
    assert "wrong the first time" in seen.message


def test_property_without_inputs_is_ours(fake: Any) -> None:
    """A property that refuses every input it draws is the grader's fault: it would check nothing."""

    def act(_probe: Any, number: int) -> None:
        assume(number < 0)

    with pytest.raises(GraderFault, match="Unsatisfiable"):
        observe(law_that(act), fake(), 0)


def test_interruption_passes(fake: Any) -> None:
    """Ctrl-C ends the grading."""
    with pytest.raises(KeyboardInterrupt):
        observe(law_that(ask), fake(raising(KeyboardInterrupt())), 0)


def test_messages_are_made_safe(fake: Any) -> None:
    """What a submission says cannot steer the terminal, nor fill it, nor break the encoding."""
    message = "\x1b[2J\r passed \ud800" + "x" * 100_000
    seen = observe(law_that(ask), fake(raising(SubmissionRaised(["Error"], message))), 0)
    assert "\x1b" not in seen.message
    assert "\\x1b[2J\\r passed \\ud800" in seen.message
    assert len(seen.message.encode()) < 10_000


def test_same_seed_same_inputs(fake: Any, level: Level) -> None:
    """A seed decides every input: again in this process, and for a property alone."""
    probes = [fake() for _ in range(4)]
    for probe, seed in zip(probes, (0, 0, 1, 0), strict=True):
        list(grade(level, probe, seed, only=("sums.of_two",) if probe is probes[3] else ()))
    assert probes[0].asked == probes[1].asked
    assert probes[0].asked != probes[2].asked
    assert probes[3].asked == probes[0].asked[: len(probes[3].asked)]
    assert len(set(probes[0].asked)) > 20


def test_order_and_progress(fake: Any, level: Level) -> None:
    """Properties run in the level's order, and progress is told before each."""
    told: list[tuple[int, int, str]] = []
    seen = list(grade(level, fake(), 0, progress=lambda *what: told.append(what)))
    assert [one.id for one in seen] == ["sums.of_two", "sums.of_none", "order.swapped"]
    assert told == [(0, 3, "sums.of_two"), (1, 3, "sums.of_none"), (2, 3, "order.swapped")]
    assert all(one.seconds > 0 for one in seen)


def test_one_failure_does_not_stop_the_others(fake: Any, level: Level) -> None:
    """A property that fails leaves the others to be judged."""
    seen = list(grade(level, fake(lambda *values: sum(values) + len(values)), 0))
    assert [one.verdict for one in seen] == ["failed", "passed", "passed"]
    assert seen[0].counterexample == {"a": "0", "b": "0"}


def test_a_criterion_begins_in_a_fresh_process(level: Level, fake: Any) -> None:
    probe = fake()
    assert len(list(grade(level, probe, 0))) == 3
    assert probe.renewed == 1


@pytest.mark.parametrize("state", ["always", "after others", "once"])
def test_a_failure_is_tried_again_in_a_fresh_process(level: Level, fake: Any, state: str) -> None:
    """A failure that repeats is one, alone or after the same inputs; one that does not is unstable."""
    answered = [0]

    def add(*values: int) -> int:
        answered[0] += 1
        wrong = {"always": True, "after others": answered[0] > 2, "once": broken[0] and answered[0] == 3}
        broken[0] = broken[0] and answered[0] != 3
        return sum(values) + wrong[state]

    broken = [True]

    class Renewed(fake):  # type: ignore[misc]  # a class that a fixture hands out
        def renew(self) -> None:
            super().renew()
            answered[0] = 0

    law = next(law for law in level.laws if law.id == "sums.of_two")
    only = Renewed(add)
    first = observe(law, only, 0)
    seen = Confirmation(only, 0)(law, first)
    if state == "once":
        assert first.verdict == "unstable"
        assert seen.verdict == "unstable"
        assert "did not happen again" in seen.message
    else:
        assert seen.verdict == "failed"
    assert only.renewed == (1 if state == "always" else 2)


def test_a_time_limit_is_waited_for_twice_and_then_believed(level: Level, fake: Any) -> None:
    probe = fake(raising(SubmissionTimeout("no answer within 20 s")))
    assert [one.verdict for one in grade(level, probe, 0)] == ["timeout"] * 3
    assert len(probe.asked) == 4
