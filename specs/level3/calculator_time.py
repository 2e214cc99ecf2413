"""The time of the calculator within its limits. What lies beyond them is in calculator_safety.py."""

from __future__ import annotations

from specs.calculations import brief, quick_outcome
from specs.compare import expect_equal
from specs.law import law
from specs.probe import Probe

CRITERION = "tools"

WITHIN_THE_LIMITS = {
    "1" + "+1" * 50: 51,
    "1" + "-1" * 50: -49,
    "2" + "*1" * 50: 2,
    "(" * 50 + "7" + ")" * 50: 7,
    "3-(" * 40 + "1" + ")" * 40: 1,
    "1+(" * 40 + "1" + ")" * 40: 41,
    "-" * 50 + "7": 7,
    "1*(2+" * 20 + "3" + ")" * 20: 43,
    "(1+1)" + "*(1+1)" * 24: 2**25,
    "9" * 100 + "+" + "9" * 99: int("9" * 100) + int("9" * 99),
    "'" + "ab" * 60 + "'.count('ab')": 60,
}


@law()
def test_an_answer_takes_no_noticeable_time(probe: Probe) -> None:
    """An expression within the limits takes no noticeable time, however deep its operations lie.

    Kills: parts that are computed twice at some depths, a search that begins anew at each character, a limit
    of time by a clock that the calculator itself has stopped.
    """
    for text, want in WITHIN_THE_LIMITS.items():
        expect_equal(quick_outcome(probe, text), want, f"use_calculator({brief(text)})")
