"""A class of the toy level, and `grader` as a function."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from grader import cli

from . import toy

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def level_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the toy level the only one; return the folder of its file."""
    for module in toy.modules():
        monkeypatch.setitem(sys.modules, module.__name__, module)
    folder = tmp_path / "levels"
    toy.install(folder, monkeypatch.setattr)
    return folder


@pytest.fixture
def class_folder(level_folder: Path, tmp_path: Path) -> Path:
    """A class: two right ones, one wrong, one half, one rejected."""
    assert level_folder
    folder = tmp_path / "class"
    for student, kind in (("alice", "right"), ("bob", "wrong"), ("carol", "half"), ("=dan", "right")):
        toy.submission(folder, student, kind)
    (folder / "eve").mkdir()
    return folder


@pytest.fixture
def grader(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `grader` with words; return the exit code and stdout, or stderr where that says more."""

    def call(*words: object) -> tuple[int, str]:
        code = cli.main([str(word) for word in words])
        said = capsys.readouterr()
        return code, said.out if code == 0 else said.out + said.err

    return call


@pytest.fixture
def batch(grader: Run) -> Callable[..., list[dict[str, object]]]:
    """Grade a class and return its lines."""

    def call(folder: Path, out: Path, *words: object, code: int = 0) -> list[dict[str, object]]:
        found, said = grader(
            *("batch", folder, "--level", "9", "--out", out, "--isolation", "basic", "--json"), *words
        )
        assert found == code, said
        return [json.loads(line) for line in said.splitlines() if line.startswith("{")]

    return call
