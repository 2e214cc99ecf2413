"""One submission, one level: run every expected property against a probe and say how each came out.

Nothing that a submission does may look like the grader's fault, and no fault of the grader like the
submission's. `observe` is where that is decided.
"""

from __future__ import annotations

import time
import traceback
import warnings
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from typing import Any

from hypothesis.errors import Flaky, HypothesisException

from grader.describe import describe_case, describe_comparison, printable
from grader.levels import Level
from grader.report import Verdict
from grader.seeding import has_cases, make_repeatable, sow, without_cases
from grader.smaller import smaller
from grader.verdict import Observation
from specs.law import Law
from specs.outcomes import (
    Comparison,
    GraderFault,
    LawBroken,
    SubmissionMemory,
    SubmissionRaised,
    SubmissionStopped,
    SubmissionTimeout,
)
from specs.probe import Plain, Probe

LONGEST_MESSAGE = 4_000
LONGEST_TRACEBACK = 20_000
DID_NOT_REPEAT = "This did not happen again with the same input in a fresh process, nor with all inputs."

Progress = Callable[[int, int, str], None]
"""Called before each property: how many are done, how many there are, and the one that starts."""


def grade(
    level: Level, probe: Probe, seed: int, only: Collection[str] = (), progress: Progress | None = None
) -> Iterator[Observation]:
    """Run the properties of `level`, or those that `only` names, in order. Raises GraderFault.

    Each criterion begins in a fresh process, so what comes of it does not depend on which others are graded.
    """
    make_repeatable()
    laws = [law for law in level.laws if not only or law.id in only or law.criterion in only]
    confirm = Confirmation(probe, seed)
    for done, law in enumerate(laws):
        if progress:
            progress(done, len(laws), law.id)
        if done and law.criterion != laws[done - 1].criterion:
            probe.renew()
        yield confirm(law, observe(law, probe, seed))


class Confirmation:
    """Tries a failure again in a fresh process, with the same input: what does not repeat is no verdict."""

    def __init__(self, probe: Probe, seed: int) -> None:
        self._probe = probe
        self._seed = seed
        self._believed: set[Verdict] = set()
        """Stops that cost their whole limit: seen twice once, they are believed from then on."""

    def __call__(self, law: Law, first: Observation) -> Observation:
        """Return `first` if it passed or happens again; else what does, or `unstable`."""
        if first.verdict == "passed" or first.verdict in self._believed:
            return first
        case = law.case
        again = self._fresh(law, lambda probe: run_case(law, probe, case))
        if again.verdict == "passed":
            # Not with this input alone: perhaps with what came before it.
            again = self._fresh(law, lambda probe: run_all(law, probe, self._seed))
        seconds = first.seconds + again.seconds
        if again.verdict == "passed":
            message = printable(f"{DID_NOT_REPEAT} It was: {first.message}", LONGEST_MESSAGE)
            return replace(first, verdict="unstable", message=message, seconds=seconds)
        if again.verdict in ("timeout", "memory"):
            self._believed.add(again.verdict)
        return replace(again if first.verdict == "unstable" else first, seconds=seconds)

    def _fresh(self, law: Law, run: Callable[[Probe], None]) -> Observation:
        self._probe.renew()
        self._probe.begin()
        return observe_run(law, self._probe, run)


def observe(law: Law, probe: Probe, seed: int) -> Observation:
    """Run one property and say how it came out. Raises GraderFault, and nothing of the submission's.

    A boundary that the property always tries is not shrunk when it fails: its drawn inputs then have a
    chance to show a smaller one. They never change whether it passed.
    """
    probe.begin()
    observation = observe_once(law, probe, seed)
    if not broke_alive(observation):
        return observation
    if has_cases(law):
        case = law.case
        with without_cases(law):
            again = observe_once(law, probe, seed)
        if again.verdict == observation.verdict:
            observation = replace(again, seconds=observation.seconds + again.seconds)
        else:
            law.case = case
            return observation
    return with_smaller_case(law, probe, observation)


def broke_alive(observation: Observation) -> bool:
    """Say whether a law was broken by a process that lives on: a second try costs no new one then."""
    # An error without a traceback is a process that died.
    return observation.verdict == "failed" or (observation.verdict == "error" and bool(observation.traceback))


def with_smaller_case(law: Law, probe: Probe, first: Observation) -> Observation:
    """Return what is observed of the smallest input with the same verdict, which becomes the law's case."""
    found, seconds, died = first, 0.0, False

    def fails(case: dict[str, Any]) -> bool:
        nonlocal found, seconds, died
        if died:  # each further one might cost a whole limit
            return False
        observation = observe_run(law, probe, lambda watched: run_case(law, watched, case))
        seconds += observation.seconds
        alive = broke_alive(observation)
        if alive and observation.verdict == first.verdict:
            found = observation
            return True
        died = not alive and observation.verdict != "passed"
        return False

    law.case = smaller(law.case, law.dealer, fails)
    return replace(found, seconds=first.seconds + seconds)


def observe_once(law: Law, probe: Probe, seed: int) -> Observation:
    """Run one property, its boundaries first, and say how it came out."""
    return observe_run(law, probe, lambda watched: run_all(law, watched, seed))


def run_all(law: Law, probe: Probe, seed: int) -> None:
    """Run a property on its boundaries and on the inputs of `seed`."""
    sow(law, seed)
    law.case = {}
    law.check(probe=probe)


def run_case(law: Law, probe: Probe, case: dict[str, Any]) -> None:
    """Run a property on one input."""
    law.replay(probe=probe, **case)


def observe_run(law: Law, probe: Probe, run: Callable[[Probe], None]) -> Observation:
    """Run a property in the way that `run` says, and say how it came out."""
    watched = WatchedProbe(probe)
    start = time.perf_counter()
    verdict: Verdict = "passed"
    message = trace = ""
    comparison: Comparison | None = None
    try:
        with warnings.catch_warnings():
            # NumPy says when an answer overflows; the property says it better.
            warnings.simplefilter("ignore", RuntimeWarning)
            run(watched)
    except _FaultPassing as passing:
        raise passing.fault from None
    except (GraderFault, KeyboardInterrupt):
        raise
    except AssertionError as error:
        verdict, message = "failed", str(error) or "an assertion of the property does not hold"
        comparison = describe_comparison(error.comparison) if isinstance(error, LawBroken) else None
    except SubmissionRaised as error:
        verdict, message, trace = "error", str(error), error.traceback
    except SubmissionStopped as error:
        verdict = stopped_verdict(error)
        message = str(error) or f"the submission stopped answering ({type(error).__name__})"
    except Flaky as error:
        verdict, message = "unstable", unstable_message(error)
    except HypothesisException as error:
        raise GraderFault(f"property {law.id}: {type(error).__name__}: {error}") from error
    except (Exception, SystemExit) as error:
        cause = f"{type(error).__name__}: {error}"
        if not watched.answers:
            said = f"property {law.id} failed before it asked the submission anything ({cause})"
            raise GraderFault(said) from error
        verdict, message = "error", f"the property could not read the submission's answer ({cause})"
        trace = traceback.format_exc()
    return Observation(
        law.id,
        verdict,
        printable(message, LONGEST_MESSAGE),
        None if verdict == "passed" else describe_case(law.case),
        time.perf_counter() - start,
        printable(trace, LONGEST_TRACEBACK),
        comparison,
    )


def stopped_verdict(stop: SubmissionStopped) -> Verdict:
    """Return the verdict for a submission that no longer answers."""
    if isinstance(stop, SubmissionTimeout):
        return "timeout"
    return "memory" if isinstance(stop, SubmissionMemory) else "error"


def unstable_message(error: Flaky) -> str:
    """Say what an answer that changed means, and what was wrong with it when it was."""
    said = "the same input gave two different outcomes: does the submission keep state between calls?"
    causes = [str(one) for one in getattr(error, "exceptions", ())]
    return f"{said} One of them: {causes[0]}" if causes else said


class _FaultPassing(BaseException):
    """Carries a GraderFault through Hypothesis, which would otherwise look for a smaller one."""

    def __init__(self, fault: GraderFault) -> None:
        self.fault = fault


class WatchedProbe:
    """A probe that counts its answers: after one, what a property cannot handle came from the submission."""

    def __init__(self, probe: Probe) -> None:
        self.answers = 0
        self.device = probe.device
        self.dtype = probe.dtype
        self._probe = probe

    def __call__(self, name: str, /, **arguments: Plain) -> Plain:
        """Call the probe `name`, see `specs.probe.Probe`."""
        return self._watch(lambda: self._probe(name, **arguments))

    def attempt(self, name: str, /, **arguments: Plain) -> Plain | SubmissionRaised:
        """Call the probe `name` and return what the submission raised, see `specs.probe.Probe`."""
        return self._watch(lambda: self._probe.attempt(name, **arguments))

    def resident_bytes(self) -> int:
        """Return the resident memory of the submission's process."""
        return self._probe.resident_bytes()

    def processor_seconds(self) -> float:
        """Return the processor time of the submission's process."""
        return self._probe.processor_seconds()

    def begin(self) -> None:
        """Start the clock of a property."""
        self._probe.begin()

    def renew(self) -> None:
        """Go on in a fresh process."""
        self._probe.renew()

    def _watch(self, call: Callable[[], Any]) -> Any:
        try:
            answer = call()
        except GraderFault as fault:
            raise _FaultPassing(fault) from fault
        except SubmissionRaised:
            self.answers += 1
            raise
        self.answers += 1
        return answer
