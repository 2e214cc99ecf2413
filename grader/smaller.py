"""Makes the dealt values of a failing input smaller, which Hypothesis cannot do (`specs/covering.py`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from specs.covering import Dealer, same

MOST_TRIES = 40
"""Each is a question to the submission; Hypothesis asks some hundred to make the rest smaller."""


def smaller(case: dict[str, Any], dealer: Dealer, fails: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Return a case that fails, too, with the first value of each small parameter that lets it fail.

    One parameter after the other, simplest value first, and again while something has changed.
    """
    tries = 0
    changed = True
    while changed:
        changed = False
        for name, values in dealer.values.items():
            for value in values:
                if tries == MOST_TRIES or name not in case or same(value, case[name]):
                    break
                tries += 1
                if fails({**case, name: value}):
                    case = {**case, name: value}
                    changed = True
                    break
    return case
