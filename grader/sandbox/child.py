"""The submission process: imports torch, says that it is ready, then answers questions until they end.

Started by launch.py as `python -I -B child.py START`, where START is JSON. Until it is ready nothing of the
submission is imported. Of the judge it can import only what it needs to answer: no property, no oracle, no
comparison. (A submission can still read those files from disk; keeping it from that takes a file system of
its own, not an import rule.)
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, TypedDict

_OURS = ("answer", "confine", "frames", "wire")
_PACKAGES = frozenset({"grader", "grader.sandbox", "specs", "specs.probes"})
_MODULES = frozenset(f"grader.sandbox.{name}" for name in _OURS)


class Start(TypedDict):
    """What the judge tells a new submission process."""

    judge: int
    """Process id of the judge."""
    questions: int
    """File descriptor to read questions from."""
    answers: int
    """File descriptor to write answers to."""
    grader: str
    """Folder of the package `grader`."""
    specs: str
    """Folder of the package `specs`."""
    submission: str
    device: str
    dtype: str
    memory_bytes: int | None
    file_bytes: int
    refused: list[str]
    """Modules whose import stopped an earlier process of this submission."""


def main() -> None:
    """Be a submission process, then end without running anything the submission has registered."""
    start: Start = json.loads(sys.argv.pop())
    sys.meta_path.insert(0, _NothingElseOfTheJudge(Path(start["grader"]), Path(start["specs"])))

    from grader.sandbox import confine

    confine.end_with(start["judge"])
    versions = _prepare_torch(start["device"])
    for descriptor in (start["questions"], start["answers"]):
        os.set_inheritable(descriptor, False)
    confine.limit(start["memory_bytes"], start["file_bytes"])
    serve(start, versions)
    os._exit(0)


def serve(start: Start, versions: dict[str, str]) -> None:
    """Say ready, then answer questions until there are no more."""
    from grader.sandbox import frames, wire
    from grader.sandbox.answer import answer
    from specs.probes import loading, setting

    def send(message: dict[str, Any]) -> None:
        frames.write_frame(start["answers"], wire.encode(message))

    submission = Path(start["submission"])
    setting.use(setting.Setting(submission, start["device"], start["dtype"]))
    loading.refuse(start["refused"])
    loading.listen(lambda event, module: send({"import": module, "event": event}))
    printed = (sys.stdout, sys.stderr)
    reader = frames.FrameReader()
    send({"ready": versions})
    while (payload := frames.read_frame(start["questions"], reader)) is not None:
        question = wire.decode(payload)
        reply, _ = answer(question["call"], question["probe"], question["arguments"], submission)
        _flush(printed)
        frames.write_frame(start["answers"], reply)


def _prepare_torch(device: str) -> dict[str, str]:
    """Import torch, with one thread, and wake the GPU; return the versions of what is used."""
    import numpy
    import torch

    torch.set_num_threads(1)
    versions = {
        "python": ".".join(map(str, sys.version_info[:3])),
        "numpy": numpy.__version__,
        "torch": str(torch.__version__),
    }
    if device == "cuda":
        if not torch.cuda.is_available():
            sys.exit("device 'cuda' was asked for, but torch sees no GPU here: choose device 'cpu'")
        torch.zeros(1, device=device)
        versions["cuda"] = torch.cuda.get_device_name()
    return versions


def _flush(streams: Sequence[Any]) -> None:
    for stream in streams:
        try:
            stream.flush()
        except BaseException:  # noqa: BLE001  # the submission may have closed or replaced it
            continue


class _NothingElseOfTheJudge:
    """Finds the modules above where the judge has them, and refuses every other one of its packages."""

    def __init__(self, grader: Path, specs: Path) -> None:
        self._folders = {"grader": grader, "specs": specs}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
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
        if (name in _MODULES or name.startswith("specs.probes.")) and file.is_file():
            return importlib.util.spec_from_file_location(name, file)
        raise ModuleNotFoundError(
            f"{name} belongs to the judge and is not in a submission's process", name=name
        )


if __name__ == "__main__":
    main()
