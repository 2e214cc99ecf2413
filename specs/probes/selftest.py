"""Probes for testing the sandbox itself, on submissions that hold no model."""

from __future__ import annotations

from typing import Any

from specs.probes.loading import imported
from specs.probes.registry import probe


@probe
def call(module: str, function: str, arguments: list[Any] | None = None) -> Any:
    """Import `module` of the submission, call its `function`, return what it returns."""
    return getattr(imported(module), function)(*(arguments or []))


@probe
def echo(value: Any) -> Any:
    """Return `value`, without touching the submission."""
    return value


@probe
def size(value: Any) -> int:
    """Return the length of `value`, so that only the question is large."""
    return len(value)
