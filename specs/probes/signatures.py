"""Whether what a submission offers can be called with arguments that are given by their order."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


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
