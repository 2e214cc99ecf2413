"""The fork server: imports torch once, then forks a keeper for each submission process that a judge asks for.

Started by launch.py as `python -I -B forkserver.py OPTIONS`. It holds no secret: no seed, no property, no
oracle, nothing of any submission. It has one thread and never touches a GPU, so that its forks may.
A request is one message on the control socket: a `Start` as JSON, with the descriptors
(leash, questions, answers, standard output, standard error). It ends when the last judge has let go.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

_OURS = (
    "answer", "audit", "cgroup", "child", "confine", "filesystem", "folders", "frames", "integrity", "keeper",
    "kernel", "landlock", "seccomp", "start", "unwritten", "wire",
)  # fmt: skip
_PACKAGES = frozenset({"grader", "grader.sandbox", "specs", "specs.probes"})
_MODULES = frozenset(f"grader.sandbox.{name}" for name in _OURS)
_DESCRIPTORS = 5
_LARGEST_REQUEST = 1 << 20
_IDLE_SECONDS = 0.3
_LONGEST_CLEAN_UP_SECONDS = 5.0


def main() -> None:
    """Prepare, then fork for every request until no judge is left; import what is slow when there is time."""
    options = json.loads(sys.argv.pop())
    control = socket.socket(fileno=options["control"])
    control.set_inheritable(False)
    finder = NothingElseOfTheJudge(Path(options["grader"]), Path(options["specs"]))
    sys.meta_path.insert(0, finder)
    check = prepare(Path(options["specs"]))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers are not waited for
    idle_seconds: float | None = _IDLE_SECONDS
    while True:
        if idle_seconds is not None and not select.select([control], [], [], idle_seconds)[0]:
            warm_up()
            idle_seconds = None
        if (request := next_request(control)) is None:
            let_keepers_end()
            return
        message, descriptors = request
        if os.fork() == 0:
            try:
                control.close()
                begin(message, descriptors, check)
            finally:
                os._exit(0)
        for descriptor in descriptors:
            os.close(descriptor)


def prepare(specs: Path) -> Callable[[], None]:
    """Import what submissions need and what answers for them, so that a fork has it at once.

    Return what notices a change of the latter.
    """
    import numpy
    import torch

    del numpy
    for package in ("tiktoken", "rustbpe"):
        # Only tokenizers need them: where they are missing, whoever imports them says so.
        with contextlib.suppress(ImportError):
            importlib.import_module(package)
    torch.set_num_threads(1)
    for name in _OURS:
        importlib.import_module(f"grader.sandbox.{name}")
    for file in sorted((specs / "probes").glob("*.py")):
        if file.stem != "__init__":
            importlib.import_module(f"specs.probes.{file.stem}")
    from grader.sandbox import integrity, unwritten
    from specs.probes import registry

    unwritten.fill_unwritten_memory()
    registry.probe_names()  # reads the source, which a locked-down process cannot
    check = integrity.seal()
    # Nothing here will ever be garbage: without this, the first collection in a fork copies every page.
    gc.collect()
    gc.freeze()
    return check


def warm_up() -> None:
    """Import what torch imports late, when the first forks already have their work.

    The first operation on the meta device imports 800 modules, which takes a second in every fork that builds
    a model there; so does the first optimizer. Done before the first request it would only move that second
    to the start.
    """
    import torch

    torch.outer(torch.ones(2, device="meta"), torch.ones(2, device="meta")).cos()
    torch.optim.SGD([torch.zeros(1)])
    gc.collect()
    gc.freeze()


def next_request(control: socket.socket) -> tuple[dict[str, object], list[int]] | None:
    """Wait for a request; None when there will be no more."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, _LARGEST_REQUEST, _DESCRIPTORS)
        if not message:
            return None
        if len(descriptors) == _DESCRIPTORS:
            return json.loads(message), list(descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def let_keepers_end() -> None:
    """Wait for the keepers, which end with this process: a killed judge has left the clearing to them."""
    deadline = time.monotonic() + _LONGEST_CLEAN_UP_SECONDS
    with contextlib.suppress(ChildProcessError):  # there is none any more
        while time.monotonic() < deadline:
            os.waitpid(-1, os.WNOHANG)
            time.sleep(0.005)


def begin(message: dict[str, object], descriptors: Sequence[int], check: Callable[[], None]) -> None:
    """Be the keeper of one submission process."""
    from grader.sandbox import child, keeper, kernel
    from grader.sandbox.start import Start

    if sys.platform == "linux":
        kernel.end_with_parent(signal.SIGKILL)
    start = Start(**message)  # type: ignore[typeddict-item]  # from the judge, which wrote it as a Start
    leash = socket.socket(fileno=descriptors[0])
    theirs = descriptors[1:]
    keeper.keep(start, leash, theirs, lambda: child.run(start, check, *theirs))


class NothingElseOfTheJudge:
    """Finds the modules above where the judge has them, and refuses every other one of its packages."""

    def __init__(self, grader: Path, specs: Path) -> None:
        self._folders = {"grader": grader, "specs": specs}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module of the judge's lies; ModuleNotFoundError for one that is not for here."""
        del path, target  # the finder's protocol has them; where the judge's files are is known
        top, *rest = name.split(".")
        if top not in self._folders:
            return None
        folder = self._folders[top].joinpath(*rest)
        if name in _PACKAGES:
            return importlib.util.spec_from_file_location(
                name, folder / "__init__.py", submodule_search_locations=[str(folder)]
            )
        file = folder.with_suffix(".py")
        if name in _MODULES or name.startswith("specs.probes."):
            with contextlib.suppress(OSError):
                if file.is_file():
                    return importlib.util.spec_from_file_location(name, file)
        raise ModuleNotFoundError(
            f"{name} belongs to the judge and is not in a submission's process", name=name
        )


if __name__ == "__main__":
    main()
