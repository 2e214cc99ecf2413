"""The level of isolation to try the cheats at, short limits, and a scene for each."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from grader import levels
from grader.bugs import variant
from grader.sandbox.isolation import choose
from grader.sandbox.launch import ForkServer

from .cheat import ISOLATION, Sources
from .scene import ROOT, Scene

LIMITS = {
    "call_seconds": 2.0,
    "submission_seconds": 20.0,
    "memory_mebibytes": 1024.0,
    "output_mebibytes": 1.0,
}


@pytest.fixture(scope="session")
def isolation() -> str:
    """The isolation to grade at: NANOGRADER_ISOLATION, or the strongest that works here."""
    chosen = choose(os.environ.get("NANOGRADER_ISOLATION"))
    assert chosen in ISOLATION, f"NANOGRADER_ISOLATION is {chosen!r}, want one of {', '.join(ISOLATION)}"
    return chosen


@pytest.fixture(scope="session")
def server() -> Iterator[ForkServer]:
    """One fork server for all cheats, which it must survive."""
    with ForkServer() as shared:
        yield shared


@pytest.fixture(scope="session")
def reference() -> Sources:
    """The reference's modules by file name."""
    return variant.sources_of(ROOT / "reference" / "nanochat")


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A scene whose secret the judge holds in its environment, its memory and its home."""
    made = Scene(tmp_path)
    monkeypatch.setenv("NANOGRADER_SECRET", made.secret)
    monkeypatch.setenv("TMPDIR", str(made.temporary))
    monkeypatch.setattr(tempfile, "tempdir", str(made.temporary))
    read = levels.read
    monkeypatch.setattr(levels, "read", lambda number: _limited(read(number)))
    yield made
    made.close()


def _limited(level: levels.Level) -> levels.Level:
    return replace(level, limits=replace(level.limits, **LIMITS))
