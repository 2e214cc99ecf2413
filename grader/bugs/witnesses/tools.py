"""Witnesses of bugs in the use of tools."""

from __future__ import annotations

from typing import Any

from grader.bugs.witnesses.setting import (
    BOS,
    PYTHON_END,
    PYTHON_START,
    Bytes,
    Modules,
    StandIn,
    attempt,
    script,
)


def said(modules: Modules, text: list[int], prompt: int = 1, count: int = 24, **options: Any) -> Any:
    """Return columns, masks and what the model was fed when it says `text`."""
    stand_in = StandIn(script(text, prompt))
    engine = modules["engine"].Engine(stand_in, Bytes())
    options = {"temperature": 0.0, "max_tokens": count, **options}
    return attempt(lambda: [list(map(list, engine.generate([BOS] * prompt, **options))), stand_in.fed])


def call(expression: str, after: str = "ok") -> list[int]:
    """Return what a model says that has an expression calculated."""
    return [PYTHON_START, *expression.encode(), PYTHON_END, *after.encode()]


def calls(modules: Modules) -> Any:
    """Return what becomes of calls with one row and with two."""
    return [
        said(modules, call("12+30")),
        said(modules, call("7/2", "."), prompt=3, num_samples=2),
        said(modules, call("'naïve, é'.count('é')"), num_samples=2),
    ]
