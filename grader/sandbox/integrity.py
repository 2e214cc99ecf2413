"""Notices that a submission has changed the code that answers for it: probes, codec, and what they call.

All of it lies in the submission's process, where Python hides nothing. So this is no wall: code that knows of
it can get around it. It catches what is easy to write, a function of ours replaced by another one, and the
answer is then no answer. What a submission returns to a probe is its own affair, and is checked by the judge.
"""

from __future__ import annotations

import builtins
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator
from operator import is_, itemgetter
from types import CodeType, FunctionType, ModuleType
from typing import Any

_OURS = ("specs.probes.", "grader.sandbox.")
# What probes look at a submission with. A submission that replaces one of these changes what they see. Not
# everything that they call: torch itself replaces some of that when it compiles.
_LIBRARY = {
    "torch": (
        "equal", "allclose", "isfinite", "get_rng_state", "is_grad_enabled", "get_default_dtype",
        "get_num_threads", "from_numpy", "stack", "as_tensor", "no_grad", "tensor",
    ),
    "torch:Tensor": ("clone", "contiguous", "detach", "float", "numpy", "tolist", "to", "untyped_storage"),
    "torch:UntypedStorage": ("nbytes",),
    "torch.utils._python_dispatch:TorchDispatchMode": ("__enter__", "__exit__", "__torch_dispatch__"),
    "numpy": ("array", "stack", "concatenate", "asarray", "array_equal"),
    "random": ("getstate",),
    "gc": ("collect", "enable", "freeze", "get_objects", "isenabled"),
    "weakref": ("ref",),
    "tracemalloc": ("start", "stop", "get_traced_memory"),
    "importlib": ("import_module",),
    "itertools": ("islice",),
    "json": ("dumps", "loads"),
    "math": ("isfinite",),
    "os": ("listdir", "scandir", "write", "read", "getpid", "getcwd", "fstat", "waitid"),
    "signal": ("getsignal", "getitimer"),
    "sys": ("_getframe", "addaudithook", "getprofile", "gettrace", "getrecursionlimit", "getrefcount"),
    "threading": ("active_count",),
}  # fmt: skip

# Keys for which torch registers kernels from Python itself, late.
_EMPTY = ("Meta", "MPS", "CUDA")

Held = tuple[Any, str, Any, str]
"""A namespace, a name, what it must go on to mean there (None: nothing), and the namespace in words."""


class Changed(Exception):
    """The submission has replaced a part of the grader in its process."""


def seal() -> Callable[[], None]:
    """Remember how everything is now, and return what raises `Changed` once it is no longer so.

    Taken once, in the fork server, because it takes 20 ms; the check takes 0.1 ms and comes with each answer.
    """
    ours = list(_of_ours())
    functions = list(_functions(ours))
    builtin = [
        (function.__globals__, name)
        for function in functions
        # Not those that every module has of its own, such as `__name__`.
        for name in _names_in(function.__code__) & vars(builtins).keys() - function.__globals__.keys()
    ]
    named = {name: vars(builtins)[name] for _, name in builtin}
    of_builtins = ((vars(builtins), name, value, "builtins") for name, value in named.items())
    held = (*ours, *_of_libraries(), *of_builtins)
    present, absent = _grouped(held)
    codes = [function.__code__ for function in functions]
    defaults = [function.__defaults__ for function in functions]
    globals_of_ours = list(
        {id(function.__globals__): function.__globals__ for function in functions}.values()
    )
    sizes = list(map(len, globals_of_ours))
    function_modes, dispatch_modes = _stacks_of_modes()
    replaced_kernels = _kernels()

    def modes() -> int:
        return function_modes() + dispatch_modes()

    def check() -> None:
        if (
            all(all(map(is_, look(names), values)) for look, names, values in present)
            and not any(name in names for names, name in absent)
            and all(map(is_, [one.__code__ for one in functions], codes))
            and all(map(is_, [one.__defaults__ for one in functions], defaults))
            and list(map(len, globals_of_ours)) == sizes
            and sys.getprofile() is None
            and sys.gettrace() is None
            and not modes()
            and not replaced_kernels()
        ):
            return
        if changed := sorted(set(_changed())):
            raise Changed(f"the submission changed {', '.join(changed)}, which belongs to the grader")

    def _changed() -> Iterator[str]:
        if sys.getprofile() is not None or sys.gettrace() is not None:
            yield "who is told of every call"
        if modes():
            yield "the modes that answer in torch's place"
        yield from (f"torch's {name}" for name in replaced_kernels())
        for names, name, value, where in held:
            if names.get(name) is not value:
                yield f"{where}.{name}"
        for function, code, default in zip(functions, codes, defaults, strict=True):
            if function.__code__ is not code or function.__defaults__ is not default:
                yield f"{function.__module__}.{function.__qualname__}"
        # A global would take the place of a builtin.
        yield from (f"{names['__name__']}.{name}" for names, name in builtin if name in names)

    return check


def _stacks_of_modes() -> tuple[Callable[[], int], Callable[[], int]]:
    """Return what counts the modes that stand between a caller and torch: none, once a probe is done.

    One that stays there answers every later call, so that a copy may be no copy.
    """
    import torch

    return torch._C._len_torch_function_stack, torch._C._len_torch_dispatch_stack


def _kernels() -> Callable[[], list[str]]:
    """Return what names the operations of torch that have come to be computed from Python since."""
    import torch

    known: set[str] = getattr(torch.library, "_impls", set())
    before, seen, found = frozenset(known), len(known), []

    def replaced() -> list[str]:
        nonlocal seen, found
        if len(known) != seen:
            new = (name.split("/") for name in known - before)
            seen = len(known)
            found = sorted(
                {"::".join(name[:2]) for name in new if name[0] == "aten" and name[-1] not in _EMPTY}
            )
        return found

    return replaced


def _grouped(held: Iterable[Held]) -> tuple[list[tuple[Any, Any, tuple[Any, ...]]], list[tuple[Any, str]]]:
    """Return how to look up all names that a namespace holds at once, and those that it must not hold."""
    found: dict[str, tuple[Any, dict[str, Any]]] = {}
    absent = []
    for names, name, value, where in held:
        if value is None:
            absent.append((names, name))
        else:
            found.setdefault(where, (names, {}))[1][name] = value
    # Twice the first, so that the getter returns a tuple also of a single name.
    present = [
        (itemgetter(first := next(iter(wanted)), *wanted), names, (wanted[first], *wanted.values()))
        for names, wanted in found.values()
    ]
    return present, absent


def _of_ours() -> Iterator[Held]:
    """Yield what our own modules hold, and that they are what is imported by their names."""
    for module_name, module in sorted(sys.modules.items()):
        if not module_name.startswith(_OURS) or not isinstance(module, ModuleType):
            continue
        yield sys.modules, module_name, module, "sys.modules"
        for name, value in vars(module).items():
            # Functions, classes and modules; what is data may change, and so may who listens.
            if name != "_listener" and (callable(value) or isinstance(value, ModuleType)):
                yield vars(module), name, value, module_name
            if isinstance(value, type) and value.__module__ == module_name:
                for attribute, held in vars(value).items():
                    if callable(held) or isinstance(held, property | classmethod | staticmethod):
                        yield vars(value), attribute, held, f"{module_name}.{name}"


def _of_libraries() -> Iterator[Held]:
    """Yield what our functions look at a submission with."""
    for name, attributes in _LIBRARY.items():
        owner = pkgutil.resolve_name(name)
        for attribute in attributes:
            # A class hands on what its bases have: whoever sets it there puts it before theirs.
            for space in owner.__mro__ if isinstance(owner, type) else (owner,):
                where = f"{space.__module__}.{space.__name__}" if isinstance(owner, type) else name
                yield vars(space), attribute, vars(space).get(attribute), where


def _names_in(code: CodeType) -> set[str]:
    """Return the globals and attributes that a function's code names, those of its inner functions too."""
    inner = (_names_in(one) for one in code.co_consts if isinstance(one, CodeType))
    return set(code.co_names).union(*inner)


def _functions(held: Iterable[Held]) -> Iterator[FunctionType]:
    seen = set()
    for _, _, value, _ in held:
        function: Any = getattr(value, "__func__", getattr(value, "fget", value))
        ours = isinstance(function, FunctionType) and function.__module__.startswith(_OURS)
        if ours and id(function) not in seen:
            seen.add(id(function))
            yield function
