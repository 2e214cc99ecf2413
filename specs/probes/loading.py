"""Imports `nanochat` from the submission's folder, from nowhere else, and says so while it does.

The finder below sits in front of all others, for `nanochat` and its modules only. So it does not matter
whether a probe writes `imported("nanochat.gpt")` or `from nanochat.gpt import GPT`, whether one module of the
submission imports another, or whether some other `nanochat` is installed: each module comes from the
submission, and whoever listens knows which one was being imported when the process stopped.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader, SourcelessFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from specs.probes import setting
from specs.probes.sources import spec_of

Listener = Callable[[str, str], None]
"""Told ("importing", module) before, ("imported", module) after, ("not imported", module) if it raised."""


class StoppedBefore(BaseException):
    """The import of `module` stopped an earlier process of this submission, so it is not tried again.

    A BaseException, so that no `except Exception` of a probe or of the submission takes it for its own.
    """

    def __init__(self, module: str) -> None:
        self.module = module
        super().__init__(f"importing {module} stopped an earlier process")


def enter(submission: Path) -> None:
    """Make `nanochat` mean the package in `submission`; does nothing the second time.

    Raises ImportError if the folder holds none, or if another `nanochat` is already imported.
    """
    finder = _installed()
    if finder is not None and submission in (finder.given, finder.submission):
        return
    given, submission = submission, submission.resolve()
    if not (submission / "nanochat").is_dir():
        raise ImportError(f"no folder nanochat/ in the submission {submission.name}: nothing to import")
    if finder is not None and finder.submission == submission:
        return
    if finder is not None or "nanochat" in sys.modules:
        other = finder.submission if finder else getattr(sys.modules["nanochat"], "__file__", "unknown")
        raise ImportError(
            f"this process already holds another nanochat ({other}) and can never hold two: "
            "close the probe of that submission, or run this one in a process of its own"
        )
    sys.meta_path.insert(0, _SubmissionFinder(submission, given))
    # Appended, never put in front: a file torch.py beside nanochat/ must not become `import torch`.
    sys.path.append(str(submission))


def enter_sources(submission: Path, sources: Mapping[str, str]) -> None:
    """Make `nanochat` mean the modules of `sources`, texts by file name, as if they lay in `submission`.

    The folder need not exist: it only names the files in tracebacks. Raises ImportError if another `nanochat`
    is already imported.
    """
    if _installed() is not None or "nanochat" in sys.modules:
        raise ImportError("this process already holds a nanochat and can never hold two")
    sys.meta_path.insert(0, _TextFinder(submission, sources))


def leave() -> None:
    """Undo `enter` and forget every module of the submission."""
    finder = _installed()
    if finder is None:
        return
    sys.meta_path.remove(finder)
    if str(finder.submission) in sys.path:
        sys.path.remove(str(finder.submission))
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if _is_nanochat(name) or (isinstance(file, str) and Path(file).is_relative_to(finder.submission)):
            del sys.modules[name]


def imported(module: str) -> ModuleType:
    """Return the submission's module, "nanochat" or "nanochat.something", importing it the first time.

    Raises whatever the import raises, and ImportError if the module lies outside the submission.
    """
    if not _is_nanochat(module):
        raise ValueError(f"a probe imports modules of nanochat only, not {module!r}")
    submission = setting.get().submission
    enter(submission)
    if (finder := _installed()) is not None:
        submission = finder.submission
    loaded = importlib.import_module(module)
    for each in (sys.modules["nanochat"], loaded):
        _check_inside(each.__name__, _files(each), submission)
    return loaded


def listen(listener: Listener) -> None:
    """Tell `listener` about every import of the submission from now on."""
    global _listener
    _listener = listener


def refuse(modules: Iterable[str]) -> None:
    """Raise `StoppedBefore` at once wherever one of `modules` is to be imported."""
    global _refused
    _refused = frozenset(modules)


def out_of_memory(error: BaseException) -> bool:
    """Say whether an exception means that memory ran out, in Python, in torch or on a GPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    # torch's CPU allocator raises a bare RuntimeError that only its text tells apart.
    # The arguments straight from BaseException: a class of the submission's could define its own `args`.
    return isinstance(error, RuntimeError) and any(
        isinstance(part, str) and "can't allocate memory" in part
        for part in vars(BaseException)["args"].__get__(error)
    )


def _say_nothing(event: str, module: str) -> None:
    """Be the listener when nobody listens."""


_listener: Listener = _say_nothing
_refused: frozenset[str] = frozenset()


class _SubmissionFinder:
    """Finds `nanochat` and its modules in the submission's folder."""

    def __init__(self, submission: Path, given: Path) -> None:
        self.submission = submission
        self.given = given

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not _is_nanochat(name):
            return None
        if name in _refused:
            raise StoppedBefore(name)
        spec = PathFinder.find_spec(name, [str(self.submission)] if path is None else path, target)
        if spec is None:
            return None
        if spec.has_location and spec.origin is not None:
            _check_inside(name, [spec.origin], self.submission)
        if isinstance(spec.loader, SourcelessFileLoader):
            raise ImportError(f"{name} is compiled, without its source: hand in the .py file")
        if isinstance(spec.loader, SourceFileLoader) and spec.origin is not None:
            spec.loader = _FromSource(name, spec.origin)
        if hasattr(spec.loader, "exec_module"):
            # On the loader's instance, so that the module keeps the loader that finds its source.
            spec.loader.exec_module = _announced(name, spec.loader.exec_module)  # type: ignore[union-attr, method-assign]  # hasattr is the check
        return spec


class _FromSource(SourceFileLoader):
    """Runs what stands in the file, and never what `__pycache__` says of it, which may be something else."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _TextFinder(_SubmissionFinder):
    """Finds `nanochat` and its modules among texts, and never on disk."""

    def __init__(self, submission: Path, sources: Mapping[str, str]) -> None:
        super().__init__(submission, submission)
        self.sources = sources

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target  # the finder's protocol has them
        return spec_of(name, self.submission, self.sources) if _is_nanochat(name) else None


def _announced(name: str, execute: Callable[[ModuleType], Any]) -> Callable[[ModuleType], None]:
    def execute_and_tell(module: ModuleType) -> None:
        _listener("importing", name)
        try:
            execute(module)
        except BaseException as error:
            # One that ran out of memory stays open: it counts as stopped, and is not tried again.
            if not out_of_memory(error):
                _listener("not imported", name)
            raise
        _listener("imported", name)

    return execute_and_tell


def _installed() -> _SubmissionFinder | None:
    return next((finder for finder in sys.meta_path if isinstance(finder, _SubmissionFinder)), None)


def _is_nanochat(name: str) -> bool:
    return name == "nanochat" or name.startswith("nanochat.")


def _files(module: ModuleType) -> list[str]:
    """Return the file of a module, or the folders of a namespace package."""
    file = getattr(module, "__file__", None)
    return [file] if isinstance(file, str) else list(getattr(module, "__path__", []))


def _check_inside(name: str, files: Iterable[str], submission: Path) -> None:
    for file in files:
        if not _lies_inside(file, submission):
            raise ImportError(f"{name} is {file}, which lies outside the submission {submission}")


@functools.cache
def _lies_inside(file: str, submission: Path) -> bool:
    # Asked for every probe call, and resolving a path takes several calls of the system: a tenth of a
    # level's time before the answers were kept.
    return Path(file).resolve().is_relative_to(submission)
