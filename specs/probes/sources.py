"""A submission that is a text for each module and lies in no folder: one process loads thousands of them."""

from __future__ import annotations

import functools
import importlib.abc
import importlib.util
import types
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path


class TextLoader(importlib.abc.InspectLoader):
    """Loads one module from its text. Tracebacks and `inspect` find the text through it."""

    def __init__(self, name: str, path: str, text: str) -> None:
        self.name = name
        self.path = path
        self.text = text

    def get_source(self, fullname: str) -> str:
        """Return the text that the module was made of."""
        del fullname  # a loader here has one module
        return self.text

    def get_code(self, fullname: str) -> types.CodeType:
        """Return the compiled text; the same text is compiled once, also for the forks that follow."""
        del fullname
        return compiled(self.text, self.path)

    def is_package(self, fullname: str) -> bool:
        """Say whether the module is the package itself."""
        del fullname
        return Path(self.path).name == "__init__.py"


@functools.lru_cache(maxsize=64)
def compiled(text: str, path: str) -> types.CodeType:
    """Return the code of a module's text; SyntaxError as for any module."""
    return compile(text, path, "exec", dont_inherit=True)


def spec_of(name: str, submission: Path, sources: Mapping[str, str]) -> ModuleSpec | None:
    """Return the spec of module `name` if `sources`, texts by file name, hold it, else None."""
    file = "__init__.py" if name == "nanochat" else f"{name.removeprefix('nanochat.')}.py"
    if file not in sources:
        return None
    package = submission / "nanochat"
    path = str(package / file)
    return importlib.util.spec_from_file_location(
        name,
        path,
        loader=TextLoader(name, path, sources[file]),
        submodule_search_locations=[str(package)] if name == "nanochat" else None,
    )


def texts_of(modules: Mapping[str, types.ModuleType | None]) -> dict[str, str]:
    """Return, by file name, the text that each module of `nanochat` among `modules` was made of.

    Raises ImportError for one that came from elsewhere.
    """
    texts = {}
    for name, module in list(modules.items()):
        if module is None or not (name == "nanochat" or name.startswith("nanochat.")):
            continue
        loader = getattr(module, "__loader__", None)
        if not isinstance(loader, TextLoader) or loader.name != name:
            raise ImportError(f"{name} was loaded by {loader!r}, and not from the variant's text")
        texts[Path(loader.path).name] = loader.text
    return texts
