"""How the judge counts what a submission keeps on disk, and where it finds its own packages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import specs
from grader.sandbox import watch
from grader.sandbox.launch import judge_folders
from specs.outcomes import GraderFault, SubmissionDied

PAGE = 4096


def test_one_file_that_is_gone_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        (tmp_path / name).write_bytes(bytes(PAGE))
    real = os.scandir

    class Vanishing:
        """What `os.scandir` returns, after which every file but the last is gone."""

        def __init__(self, folder: str) -> None:
            self.entries = list(real(folder))
            for entry in self.entries[:-1]:
                os.unlink(entry.path)

        def __enter__(self) -> list[os.DirEntry[str]]:
            return self.entries

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(watch.os, "scandir", Vanishing)
    assert watch.bytes_below(tmp_path, 1 << 30) == PAGE


def test_folders_without_a_path_are_refused(tmp_path: Path) -> None:
    here = os.getcwd()
    os.chdir(tmp_path)
    try:
        for _ in range(20):
            os.mkdir("x" * 250)
            os.chdir("x" * 250)
        with pytest.raises(SubmissionDied, match="nested folders too deeply"):
            watch.bytes_below(tmp_path, 1 << 30)
    finally:
        os.chdir(here)


def test_deleted_files_that_are_open_count(tmp_path: Path) -> None:
    with open(tmp_path / "a", "wb") as file:
        file.write(bytes(3 * PAGE))
        file.flush()
        assert watch.bytes_without_a_name(os.getpid(), tmp_path) == 0
        os.unlink(tmp_path / "a")
        assert watch.bytes_without_a_name(os.getpid(), tmp_path) == 3 * PAGE
    assert watch.bytes_without_a_name(2**22 + 1, tmp_path) == 0


def test_a_package_without_a_file_is_our_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [Path(folder).name for folder in judge_folders()] == ["grader", "specs"]
    monkeypatch.setattr(specs, "__file__", None)
    with pytest.raises(GraderFault, match=r"`specs` has no __init__\.py: install nanograder again"):
        judge_folders()
