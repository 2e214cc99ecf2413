"""`grader export` writes folders that hold together, and those in the repository are what it writes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped, unused-ignore]  # its stubs are a package of their own

from grader import cli
from grader.integrations.course import Course, filled
from grader.integrations.platforms import PLATFORMS, TEMPLATES

from .conftest import COURSE, ROOT, exported

IN_THE_REPOSITORY = {
    "github": ["--install", "nanograder"],
    "gradescope": ["--install", "nanograder"],
    "slurm": [],
    "kubernetes": ["--image", "registry.example/nanograder:0.1.0"],
}


def export(platform: str, out: Path, *words: object, code: int = 0) -> None:
    given = [str(word) for word in (*IN_THE_REPOSITORY[platform], "--level", 3, *words)]
    assert cli.main(["export", platform, "--out", str(out), *given]) == code


def files(folder: Path) -> dict[str, tuple[bytes, bool]]:
    """Return contents of all files by path, and whether they can be run."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), bool(path.stat().st_mode & 0o100))
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_folder_in_the_repository_is_what_export_writes(
    platform: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export(platform, tmp_path / "out")
    said = capsys.readouterr()
    assert not said.out
    assert (tmp_path / re.findall(r"see (.*)", said.err)[0]).is_file()
    again = " ".join(["grader export", platform, *IN_THE_REPOSITORY[platform], "--level 3"])
    there = files(ROOT / "integrations" / platform)
    assert there == files(tmp_path / "out"), f"make it anew: {again} --out integrations/{platform}"


def test_every_template_is_of_use() -> None:
    used = {template for platform in PLATFORMS.values() for template in platform.files.values()}
    assert used == {str(path.relative_to(TEMPLATES)) for path in TEMPLATES.rglob("*") if path.is_file()}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_what_is_written_can_be_read(platform: str, tmp_path: Path) -> None:
    for path in exported(platform, tmp_path / "out").rglob("*"):
        if path.suffix == ".yaml" or path.suffix == ".yml":
            assert list(yaml.safe_load_all(path.read_text()))
        elif path.is_file():
            text = path.read_text()
            assert not re.search(r"@[A-Z_]+@", text)
            if text.startswith("#!/bin/sh") or path.suffix == ".sh":
                subprocess.run(["sh", "-n", path], check=True)


def test_a_placeholder_that_nobody_fills_is_noticed() -> None:
    with pytest.raises(KeyError, match="NOBODY"):
        filled("level @LEVEL@ of @NOBODY@", COURSE)


def test_settings_reach_the_scripts_as_they_were_given(tmp_path: Path) -> None:
    course = Course("all", 12, "strict", 4, minutes=35, install="grader @ https://x/y'$HOME`id`\"")
    folder = exported("gradescope", tmp_path / "out", course)
    names = ("LEVEL", "SEED", "ISOLATION", "JOBS", "MINUTES", "INSTALL")
    show = "; ".join(f'printf "%s\\n" "$GRADER_{name}"' for name in names)
    said = subprocess.run(
        ["sh", "-euc", f". ./settings.sh; {show}"], cwd=folder, check=True, capture_output=True, text=True
    )
    assert said.stdout.splitlines() == ["all", "12", "strict", "4", "35", course.install]


def test_a_wheel_goes_along(tmp_path: Path) -> None:
    wheel = tmp_path / "elsewhere" / "grader-1-py3-none-any.whl"
    wheel.parent.mkdir()
    wheel.write_bytes(b"PK")
    export("github", tmp_path / "out", "--install", wheel)
    scripts = tmp_path / "out" / ".github" / "grader"
    assert (scripts / wheel.name).read_bytes() == b"PK"
    assert f"GRADER_INSTALL=./{wheel.name}\n" in (scripts / "settings.sh").read_text()


def test_a_grading_may_take_what_the_levels_allow(tmp_path: Path) -> None:
    export("gradescope", tmp_path / "out", "--level", "all")
    assert "GRADER_MINUTES=35\n" in (tmp_path / "out" / "settings.sh").read_text()
    export("gradescope", tmp_path / "short", "--minutes", 8)
    assert "GRADER_MINUTES=8\n" in (tmp_path / "short" / "settings.sh").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--install", "x.whl"], "--install x.whl: there is no such wheel"),
        (["--install", "."], "--install .: a folder is not there where the class is graded"),
        (["--level", "8"], "--level 8: there is no such level"),
        (["--out", "full"], "--out full: there is something already"),
        (["--out", "full/file"], "--out full/file: there is something already"),
        (["--out", "full/file/x"], "--out full/file/x: cannot be written: Not a directory"),
    ],
)
def test_wrong_usage_is_said_and_nothing_written(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("full").mkdir()
    Path("full", "file").touch()
    export("gradescope", Path("out"), *words, code=2)
    assert capsys.readouterr().err.startswith(f"grader: {message}")
    assert [str(path) for path in Path().rglob("*")] == ["full", "full/file"]
