"""Experiments on the submission's calculator, and on what it leaves behind."""

from __future__ import annotations

import contextlib
import decimal
import io
import os
import resource
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from specs.probes.byte_tokenizer import ByteTokenizer
from specs.probes.generation import new_engine, scripted_model
from specs.probes.loading import imported
from specs.probes.registry import probe
from specs.probes.traces import resources

Outcome = None | int | float | dict[str, str]
"""A number or None as the calculator returned it; {"type": ...} for another value, {"raised": ...}."""


@probe
def calculate(expressions: list[Any], module: str = "tools", thread: bool = False) -> list[Outcome]:
    """Return the calculator's outcome for each expression, in the main thread or in one of its own."""
    calculator = imported(f"nanochat.{module}").use_calculator
    if not thread:
        return [outcome(calculator, expression) for expression in expressions]
    outcomes: list[Outcome] = []
    worker = threading.Thread(
        target=lambda: outcomes.extend(outcome(calculator, expression) for expression in expressions)
    )
    worker.start()
    worker.join()
    return outcomes


def outcome(calculator: Callable[[Any], Any], expression: Any) -> Outcome:
    """Return what `calculator` makes of an expression, as a plain value."""
    try:
        value = calculator(expression)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # that it raises is what the judge asks
        return {"raised": f"{type(error).__name__}: {str(error)[:200]}"}
    if value is None:
        return None
    if type(value) is int and value.bit_length() > _BITS:
        return {"type": f"int of {value.bit_length()} bits"}
    return value if type(value) in (int, float) else {"type": type(value).__name__}


_BITS = 8000
"""Longer integers cannot be written by Python without asking."""


@probe
def said(expressions: list[str]) -> list[list[str]]:
    """Return, for each expression, the warnings and the texts that the calculator let out."""
    calculator = imported("nanochat.tools").use_calculator
    heard = []
    for expression in expressions:
        stream = io.StringIO()
        with (
            warnings.catch_warnings(record=True) as warned,
            contextlib.redirect_stdout(stream),
            contextlib.redirect_stderr(stream),
        ):
            warnings.simplefilter("always")
            outcome(calculator, expression)
        shown = [f"{entry.category.__name__}: {entry.message}" for entry in warned]
        heard.append([text[:200] for text in [*shown, stream.getvalue()] if text])
    return heard


@probe
def audited(harmless: list[str], attacks: list[str]) -> dict[str, list[list[str]]]:
    """Return the names of the audit events that each expression causes, harmless ones at their second run."""
    calculator = imported("nanochat.tools").use_calculator
    with warnings.catch_warnings():
        # A warning that is shown opens the source file it speaks of, which no expression has.
        warnings.simplefilter("ignore")
        for expression in harmless:
            outcome(calculator, expression)
        return {
            "harmless": [_events(calculator, expression) for expression in harmless],
            "attacks": [_events(calculator, expression) for expression in attacks],
        }


def _events(calculator: Callable[[str], Any], expression: str) -> list[str]:
    _install_hook()
    _heard.clear()
    global _listening
    _listening = True
    try:
        outcome(calculator, expression)
    finally:
        _listening = False
    return sorted(set(_heard))


_heard: list[str] = []
_listening = False
_installed = False


def _install_hook() -> None:
    """Install the audit hook, once: there is no way to take one out again."""
    global _installed
    if not _installed:
        sys.addaudithook(_hear)
        _installed = True


def _hear(event: str, _arguments: tuple[Any, ...]) -> None:
    if _listening:
        _heard.append(event)


@probe
def changes(expressions: list[str]) -> list[str]:
    """Return what of the process differs after the calculator has seen `expressions`."""
    calculator = imported("nanochat.tools").use_calculator
    with _unusual_state():
        before = _process_state()
        for expression in expressions:
            outcome(calculator, expression)
        after = _process_state()
    return [what for what in before if before[what] != after[what]]


@contextlib.contextmanager
def _unusual_state() -> Iterator[None]:
    """Give the process settings that nobody has set before, so that setting the usual ones is a change."""
    with contextlib.ExitStack() as undo:
        undo.enter_context(decimal.localcontext(prec=31))
        undo.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", message="no warning that anybody gives")
        undo.callback(sys.setrecursionlimit, sys.getrecursionlimit())
        sys.setrecursionlimit(sys.getrecursionlimit() + 7)
        undo.callback(sys.set_int_max_str_digits, sys.get_int_max_str_digits())
        sys.set_int_max_str_digits(4400)
        # Only the main thread may set signal handlers.
        if threading.current_thread() is threading.main_thread():
            undo.callback(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, _marker))
            undo.callback(signal.setitimer, signal.ITIMER_REAL, *signal.getitimer(signal.ITIMER_REAL))
            signal.setitimer(signal.ITIMER_REAL, _TIMER_SECONDS)
        yield


_TIMER_SECONDS = 5000.0


def _marker(_number: int, _frame: Any) -> None:
    """Stand for a handler that the caller has installed."""


def _process_state() -> dict[str, object]:
    """Return what everybody in the process shares and a calculator might touch."""
    return {
        "the handler of SIGALRM": signal.getsignal(signal.SIGALRM),
        # A timer that is put back may have lost the time that passed.
        "the caller's interval timer": signal.getitimer(signal.ITIMER_REAL)[0] > _TIMER_SECONDS / 2,
        "the recursion limit": sys.getrecursionlimit(),
        "the limit of digits of an integer": sys.get_int_max_str_digits(),
        "the warning filters": list(warnings.filters),
        # Not its flags, which every operation on decimals raises.
        "the decimal context": (decimal.getcontext().prec, decimal.getcontext().rounding),
        "the working directory": os.getcwd(),
        "the environment": dict(os.environ),
        "standard output or error": (sys.stdout, sys.stderr),
        "a limit of resources": [
            resource.getrlimit(kind)
            for kind in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_STACK)
        ],
        "the trace or profile function": (sys.gettrace(), sys.getprofile()),
    }


@probe
def left_behind(script: dict[str, Any], options: dict[str, Any], times: int) -> dict[str, list[int]]:
    """Return threads, child processes and open files after one generation, and after `times` more."""
    bos = ByteTokenizer().get_bos_token_id()
    engine = new_engine(scripted_model(script, 1, 200, 0))
    counts = []
    # The first call may start what later calls use again.
    for number_of_calls in (1, times):
        for _ in range(number_of_calls):
            for _ in engine.generate([bos], **options):
                pass
        counts.append(resources())
    return {what: [int(count[what]) for count in counts] for what in counts[0]}
