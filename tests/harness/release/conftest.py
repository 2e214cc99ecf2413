"""What the tests of variants and releases share: the command as an instructor calls it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from grader.cli import main

Made = tuple[dict[str, str], dict[str, Any]]
"""The files that a call wrote, by path, and the manifest that it printed."""
Make = Callable[..., Made]


def files_in(folder: Path) -> dict[str, str]:
    """Return every file below a folder, by path."""
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def make(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Make:
    """Return `grader variants make` with other options, into a folder of its own."""
    count = 0

    def run(*options: str) -> Made:
        nonlocal count
        count += 1
        folder = tmp_path / f"made{count}"
        assert main(["variants", "make", *options, "--out", str(folder)]) == 0
        return files_in(folder), json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def refuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return a call of `grader` that must be refused, with what it says; nothing may be written."""

    def run(*arguments: str) -> str:
        before = sorted(tmp_path.rglob("*"))
        assert main(list(arguments)) == 2
        assert sorted(tmp_path.rglob("*")) == before
        out, err = capsys.readouterr()
        assert out == ""
        return err

    return run
