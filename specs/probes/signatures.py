"""Calls with arguments in their order or by name, and whether what a submission offers takes the former."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def called(function: Callable[..., Any], arguments: dict[str, Any], named: bool) -> Any:
    """Return what a function answers that is given all of these arguments by name, or all in this order.

    One that does not take them all without names is given them by name.
    """
    if named or not takes_in_order(function, len(arguments)):
        return function(**arguments)
    return function(*arguments.values())


def takes_in_order(called: Callable[..., Any], count: int) -> bool:
    """Say whether `called` takes `count` arguments without their names, as far as its signature tells.

    One that takes some by name alone is free to; one whose signature cannot be read is asked to take them.
    """
    try:
        signature = inspect.signature(called)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True
