"""What importing a module of the submission starts, writes and changes in the process around it.

It has been imported by then, perhaps by an earlier question: so it is imported again beside the first.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from specs.probes.loading import imported
from specs.probes.registry import probe
from specs.probes.shared_settings import ON_IMPORT, changed_by
from specs.probes.traces import resources

_KEPT = ("PATH", "LANG", "TMPDIR")


@probe
def traces(module: str) -> list[str]:
    """Return what importing `module` once more changes; nothing if it cannot be imported twice."""
    imported(module)

    def again() -> None:
        with contextlib.suppress(Exception), _forgotten():
            importlib.import_module(module)

    with _elsewhere() as folder:
        running = resources()
        changed = changed_by(again, ON_IMPORT)
        left = resources()
        return [
            *changed,
            # Fewer is no harm: a thread of an earlier question may have ended meanwhile.
            *(
                f"the {name}, from {running[name]} to {left[name]}"
                for name in running
                if running[name] < left[name]
            ),
            *(f"the disk: it made {path.name}" for path in folder.iterdir()),
        ]


@contextlib.contextmanager
def _elsewhere() -> Iterator[Path]:
    """Make an empty folder the working folder and the home, with few variables around it; yield it.

    A variable that the first import has set already would show no difference.
    """
    variables, place = dict(os.environ), Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.clear()
        os.environ |= {name: value for name, value in variables.items() if name in _KEPT}
        os.environ["HOME"] = folder
        os.chdir(folder)
        try:
            yield Path(folder)
        finally:
            os.chdir(place)
            os.environ.clear()
            os.environ |= variables


@contextlib.contextmanager
def _forgotten() -> Iterator[None]:
    """Forget that the submission was imported, and remember it afterwards."""
    kept = {name: sys.modules.pop(name) for name in _names()}
    try:
        yield
    finally:
        for name in _names():
            del sys.modules[name]
        sys.modules.update(kept)


def _names() -> list[str]:
    return [name for name in sys.modules if name.split(".")[0] == "nanochat"]
