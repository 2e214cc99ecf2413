"""Folders and archives: the same bytes every time, readable by everybody's tools."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.bugs import archive

FILES = {
    "README.md": b"hello\n",
    "a/b.py": b"",
    "a/c/d.bin": bytes(range(256)) * 600,
    "setup.sh": b"#!/bin/sh\n",
}


def contents_of(target: Path) -> dict[str, bytes]:
    """Return what an archive holds, by path, as Python's own readers see it."""
    if target.suffix == ".zip":
        with zipfile.ZipFile(target) as opened:
            assert opened.testzip() is None
            return {name: opened.read(name) for name in opened.namelist()}
    with tarfile.open(target) as opened:
        members = [(one.name, opened.extractfile(one)) for one in opened.getmembers()]
        return {name: file.read() for name, file in members if file is not None}


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz"])
def test_an_archive_holds_the_files_below_one_folder(tmp_path: Path, name: str) -> None:
    archive.write(FILES, tmp_path / name, "level3")
    assert contents_of(tmp_path / name) == {f"level3/{path}": content for path, content in FILES.items()}


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz"])
def test_the_same_files_give_the_same_bytes_in_any_order(tmp_path: Path, name: str) -> None:
    archive.write(FILES, tmp_path / f"1{name}", "level3")
    archive.write(dict(reversed(FILES.items())), tmp_path / f"2{name}", "level3")
    assert (tmp_path / f"1{name}").read_bytes() == (tmp_path / f"2{name}").read_bytes()


@given(st.sampled_from([0, 1, 65534, 65535, 65536, 131070, 131071]), st.binary(max_size=40))
def test_stored_gzip_is_gzip(size: int, end: bytes) -> None:
    content = bytes(size) + end
    assert gzip.decompress(archive.gzipped(content)) == content


def test_a_folder_has_one_time_and_the_usual_permissions(tmp_path: Path) -> None:
    previous = os.umask(0o077)
    try:
        archive.write(FILES, tmp_path / "out", "level3")
    finally:
        os.umask(previous)
    paths = [tmp_path / "out", *(tmp_path / "out").rglob("*")]
    assert len(paths) == 1 + len(FILES) + 2
    assert {path.stat().st_mtime for path in paths} == {archive.TIME}
    for path in paths:
        executable = path.is_dir() or path.name == "setup.sh"
        assert path.stat().st_mode & 0o777 == (0o755 if executable else 0o644), path
    assert {
        str(path.relative_to(tmp_path / "out")): path.read_bytes() for path in paths if path.is_file()
    } == FILES


def test_entries_of_archives_have_one_time_and_no_owner() -> None:
    with zipfile.ZipFile(io.BytesIO(archive.zipped(FILES, "x"))) as opened:
        assert {one.date_time for one in opened.infolist()} == {(2000, 1, 1, 0, 0, 0)}
        modes = {one.filename: one.external_attr >> 16 & 0o777 for one in opened.infolist()}
    assert modes["x/setup.sh"] == 0o755
    assert modes["x/README.md"] == 0o644
    with tarfile.open(fileobj=io.BytesIO(archive.tarred(FILES, "x"))) as tar:
        entries = tar.getmembers()
    assert {(one.mtime, one.uid, one.gid, one.uname, one.gname) for one in entries} == {
        (archive.TIME, 0, 0, "", "")
    }


@pytest.mark.parametrize("name", ["out", "x.zip", "x.tar.gz"])
def test_nothing_is_written_over(tmp_path: Path, name: str) -> None:
    archive.write(FILES, tmp_path / name, "level3")
    with pytest.raises(FileExistsError, match=r"exists: remove it|is not empty"):
        archive.write(FILES, tmp_path / name, "level3")


def test_an_empty_folder_is_used_and_a_file_is_not(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    archive.write(FILES, tmp_path / "empty", "level3")
    assert (tmp_path / "empty" / "README.md").is_file()
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match="file exists"):
        archive.write(FILES, tmp_path / "file", "level3")
