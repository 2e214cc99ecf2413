"""Notices that a submission has changed the code that answers for it: probes, codec, and what they ask torch.

All of it lies in the submission's process, where Python hides nothing. So this is no wall: code that knows of
it can get around it. It catches what is easy to write, a function of ours replaced by another one, and the
answer is then no answer. What a submission returns to a probe is its own affair, and is checked by the judge.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from operator import is_
from types import FunctionType, ModuleType
from typing import Any

_OURS = ("specs.probes.", "grader.sandbox.")
# What probes look at a submission with. A submission that replaces one of these changes what they see.
_LIBRARY = {
    "torch": (
        "equal", "allclose", "isfinite", "get_rng_state", "is_grad_enabled", "get_default_dtype",
        "get_num_threads", "from_numpy", "stack", "as_tensor", "no_grad",
    ),
    "numpy": ("array", "stack", "asarray", "array_equal"),
    "random": ("getstate",),
    "gc": ("collect", "get_objects"),
    "os": ("listdir", "scandir", "write", "read", "getpid"),
}  # fmt: skip


class Changed(Exception):
    """The submission has replaced a part of the grader in its process."""


def seal() -> Callable[[], None]:
    """Remember how everything is now, and return what raises `Changed` once it is no longer so.

    Taken once, in the fork server, because it takes 10 ms; the check takes 0.1 ms and comes with each answer.
    """
    held = tuple(_held())
    keys = [(names, name) for names, name, _, _ in held]
    values = [value for _, _, value, _ in held]
    functions = list(_functions(held))
    codes = [function.__code__ for function in functions]
    defaults = [function.__defaults__ for function in functions]

    def check() -> None:
        if (
            all(map(is_, [names.get(name) for names, name in keys], values))
            and all(map(is_, [one.__code__ for one in functions], codes))
            and all(map(is_, [one.__defaults__ for one in functions], defaults))
        ):
            return
        raise Changed(f"the submission changed {', '.join(_changed())}, which belongs to the grader")

    def _changed() -> Iterator[str]:
        for names, name, value, where in held:
            if names.get(name) is not value:
                yield f"{where}.{name}"
        for function, code, default in zip(functions, codes, defaults, strict=True):
            if function.__code__ is not code or function.__defaults__ is not default:
                yield f"{function.__module__}.{function.__qualname__}"

    return check


def _held() -> Iterator[tuple[Any, str, Any, str]]:
    """Yield (namespace, name, value, where) of all that must stay as it is."""
    for module_name, module in sorted(sys.modules.items()):
        if module_name.startswith(_OURS) and isinstance(module, ModuleType):
            for name, value in vars(module).items():
                # Functions, classes and modules; what is data may change, and so may who listens.
                if name != "_listener" and (callable(value) or isinstance(value, ModuleType)):
                    yield vars(module), name, value, module_name
                if isinstance(value, type) and value.__module__ == module_name:
                    for attribute, held in vars(value).items():
                        if callable(held) or isinstance(held, property | classmethod | staticmethod):
                            yield vars(value), attribute, held, f"{module_name}.{name}"
    for module_name, names in _LIBRARY.items():
        module = sys.modules[module_name]
        for name in names:
            yield vars(module), name, getattr(module, name), module_name


def _functions(held: tuple[tuple[Any, str, Any, str], ...]) -> Iterator[FunctionType]:
    seen = set()
    for _, _, value, _ in held:
        function = getattr(value, "__func__", getattr(value, "fget", value))
        ours = isinstance(function, FunctionType) and function.__module__.startswith(_OURS)
        if ours and id(function) not in seen:
            seen.add(id(function))
            yield function
