"""Calls in any order and in other processes: what was asked before changes no answer."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from specs.compare import expect_equal
from specs.probe import Probe


def expect_any_order(
    probe: Probe,
    ask: Callable[[list[Any]], list[Any]],
    calls: Sequence[Any],
    said: Callable[[Any], str],
) -> list[Any]:
    """Require the same answers in one order and, in a process of its own, in the opposite one; return them.

    `ask` puts all calls in their order and returns as many answers; `said` names a call. Whatever depends on
    what came before it differs in one of the two, unless it came before it in both.
    """
    forwards = ask(list(calls))
    probe.renew()
    backwards = ask(list(reversed(calls)))
    expect_equal(len(forwards), len(calls), "the number of answers")
    for number, call in enumerate(calls):
        what = f"{said(call)} as call {number + 1} of {len(calls)}, against call {len(calls) - number}"
        expect_equal(forwards[number], backwards[-1 - number], f"{what} of the same in the opposite order")
    return forwards


@contextlib.contextmanager
def another_process(probe: Probe) -> Iterator[None]:
    """Ask a process that was asked nothing before, and will be asked nothing afterwards."""
    probe.renew()
    try:
        yield
    finally:
        probe.renew()
