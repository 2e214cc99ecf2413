"""`@law` turns a function of a probe and of drawn values into a property."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from specs.covering import Dealer
from specs.probe import Probe

SETTINGS = settings(
    # Grading must not depend on what an earlier run found, nor on how fast the machine is.
    database=None,
    deadline=None,
    report_multiple_bugs=False,
    print_blob=False,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


@dataclass
class Law:
    """What the grader knows about one property."""

    id: str
    """"criterion.name"; the name is the function's without `test_`."""
    criterion: str
    title: str
    """The first line of the docstring: the law, in words a student can argue with."""
    weight: float
    check: Callable[..., None]
    """The property itself: call it with a probe."""
    replay: Callable[..., None]
    """The property on given values: call it with a probe and those."""
    dealer: Dealer
    """What deals the small parameters; begin it before `check`."""
    case: dict[str, Any] = field(default_factory=dict)
    """The drawn values of the example that ran last: after a failure, the smallest that fails."""


def law(
    *,
    examples: int = 20,
    weight: float = 1.0,
    cases: Sequence[dict[str, Any]] = (),
    **drawn: st.SearchStrategy[Any],
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a property of a function `(probe, **drawn)`.

    `examples` inputs are drawn from the strategies `drawn`, after each of `cases`, the boundaries that
    are always tried. Parameters with few values are dealt, so that every pair comes up soon
    (`specs/covering.py`). Its module names the criterion in `CRITERION`.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        title = first_line(function)
        criterion = function.__globals__["CRITERION"]
        name = function.__name__.removeprefix("test_")

        @functools.wraps(function)
        def recorded(probe: Probe, **values: Any) -> None:
            record.case = values
            function(probe, **values)

        @functools.wraps(function)
        def dealt(probe: Probe, **values: Any) -> None:
            used = dealer.deal(values)
            try:
                recorded(probe, **used)
            except Exception:
                dealer.failed(values, used)
                raise

        dealer = Dealer(drawn, cases)
        check: Callable[..., None] = recorded
        if drawn:
            check = given(**drawn)(dealt)
            for case in reversed(cases):
                check = example(**case)(check)
            check = settings(SETTINGS, max_examples=examples)(check)
        elif cases:
            raise TypeError(f"{function.__name__} lists cases but draws nothing")
        record = Law(f"{criterion}.{name}", criterion, title, weight, check, recorded, dealer)
        check.law = record  # type: ignore[attr-defined]  # read back by laws_of
        return check

    return decorate


def laws_of(module: types.ModuleType) -> list[Law]:
    """Return the properties that `module` defines, in the order of the file."""
    found = [value.law for value in vars(module).values() if isinstance(getattr(value, "law", None), Law)]
    return [law for law in found if law.check.__module__ == module.__name__]


def first_line(function: Callable[..., None]) -> str:
    """Return the first line of a property's docstring; raise TypeError if there is none."""
    lines = (inspect.getdoc(function) or "").splitlines()
    if not lines:
        raise TypeError(
            f"{function.__module__}.{function.__name__} has no docstring: its first line is the law"
        )
    return lines[0]
