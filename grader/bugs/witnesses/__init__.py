"""Witnesses: for each bug, a small experiment whose outcome differs between the reference and the bug.

They know nothing of the properties, so that "nothing notices" and "there is nothing to notice" are two
different findings. A witness takes the modules of one `nanochat` by name ("gpt", "engine", "tools",
"tokenizer") and returns plain values: numbers, texts, lists and dicts. It tries at least two configurations
and two seeds.
"""

from __future__ import annotations

import ast
import importlib
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

MODULES = ("gpt", "engine", "tools", "tokenizer", "dataloader", "optim", "train", "sft")
"""The modules of `nanochat` that a witness may use."""


def run(name: str, modules: dict[str, ModuleType]) -> Any:
    """Return what the witness `name` finds in `modules`. Raises KeyError, or whatever the modules raise."""
    if name not in names():
        raise KeyError(f"there is no witness {name!r}; there are {', '.join(sorted(names()))}")
    file, function = name.split(".")
    return getattr(importlib.import_module(f"grader.bugs.witnesses.{file}"), function)(modules)


@cache
def names() -> frozenset[str]:
    """Return the names of all witnesses, "file.function", read from the sources: torch is not imported."""
    return frozenset(
        f"{path.stem}.{node.name}"
        for path in Path(__file__).parent.glob("[a-z]*.py")
        for node in ast.parse(path.read_bytes()).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and takes_modules(node)
    )


def takes_modules(function: ast.FunctionDef) -> bool:
    """Say whether a function takes the modules of one `nanochat` and nothing else."""
    return [one.arg for one in function.args.args] == ["modules"]
