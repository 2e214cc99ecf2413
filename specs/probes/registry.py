"""Which functions a judge may call by name, "area.function", and how they are found."""

from __future__ import annotations

import ast
import difflib
import importlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

_MARK = "__is_probe__"
Function = TypeVar("Function", bound=Callable[..., Any])


class UnknownProbe(KeyError):
    """A property asked for a probe that does not exist: a mistake of the grader's, never a submission's."""

    def __str__(self) -> str:
        # KeyError would show the repr of the message.
        return str(self.args[0])


def probe(function: Function) -> Function:
    """Let the judge call `function`, which takes and returns plain values."""
    setattr(function, _MARK, True)
    return function


def check(name: str) -> None:
    """Raise `UnknownProbe`, with the nearest names, unless `name` is a probe.

    Reads the source and imports nothing, so that the judge can ask without importing torch, and without
    believing a submission that says so.
    """
    names = probe_names()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(sorted(names))}"
        raise UnknownProbe(f"no probe is called {name!r} (a function marked @probe in specs/probes): {hint}")


def find(name: str) -> Callable[..., Any]:
    """Return the probe `name`, importing its area; raise `UnknownProbe` for anything not marked."""
    check(name)
    area, function = name.split(".")
    found: Callable[..., Any] | None = getattr(
        importlib.import_module(f"specs.probes.{area}"), function, None
    )
    if not callable(found) or not getattr(found, _MARK, False):
        raise UnknownProbe(f"{name} is written as a probe, but importing it gives {found!r}, which is none")
    return found


def run(name: str, arguments: Mapping[str, Any]) -> Any:
    """Call the probe `name` with `arguments` and return what it returns."""
    return find(name)(**arguments)


@cache
def probe_names() -> frozenset[str]:
    """Return the names of all probes, read from the source of this package."""
    return frozenset(
        f"{file.stem}.{node.name}"
        for file in Path(__file__).parent.glob("*.py")
        for node in ast.parse(file.read_bytes()).body
        if isinstance(node, ast.FunctionDef) and any(map(_marks, node.decorator_list))
    )


def _marks(decorator: ast.expr) -> bool:
    return ast.unparse(decorator) in ("probe", "registry.probe")
