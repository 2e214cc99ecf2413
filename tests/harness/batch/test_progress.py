"""What a person sees of a class while it is graded, and what a result hangs on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from grader.batch import key, progress

from . import toy

Run = Callable[..., tuple[int, str]]


@pytest.mark.parametrize(
    ("done", "seconds", "line"),
    [
        (0, 0.0, "0 of 10 graded"),
        (5, 50.0, "5 of 10 graded, 6.0 a minute, 50 s left"),
        (1, 60.0, "1 of 10 graded, 1.0 a minute, 9 min 0 s left"),
        (1, 1000.0, "1 of 10 graded, 0.1 a minute, 2 h 30 min left"),
        (10, 100.0, "10 of 10 graded, 6.0 a minute, 0 s left"),
    ],
)
def test_progress(done: int, seconds: float, line: str) -> None:
    assert progress.progress_line(done, 10, seconds) == line


def test_progress_goes_to_stderr(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    told = progress.ClassProgress()
    told.tell(1, 3)
    told.tell(3, 3)
    told.clear()
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("3 of 3 graded"), "a line now and then, and one at the end"
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    over = progress.ClassProgress()
    over.tell(1, 3)
    over.clear()
    said = capsys.readouterr()
    assert said.err.startswith("\r\x1b[K1 of 3 graded")
    assert said.err.endswith("\r\x1b[K")


def test_a_line_for_each_student(class_folder: Path, tmp_path: Path, grader: Run) -> None:
    toy.submission(class_folder, "hal", "fault")
    words = ("batch", class_folder, "--level", "all", "--out", tmp_path / "out", "--isolation", "basic")
    code, said = grader(*words)
    assert code == 3
    lines = said.splitlines()
    assert "carol  level 9  40 of 100 points, 1 of 2 criteria hold" in lines
    assert "eve  level 9  rejected: it holds no folder nanochat/: it is empty" in lines
    assert "hal  level 9  held, the grader failed: GraderFault: no process can be had" in lines
    assert "grader: the grader itself failed 1 times, see above" in said
    assert "carol  level 9  40 of 100 points, 1 of 2 criteria hold (already graded)" in grader(*words)[1]


def test_a_key_hangs_on_all_that_a_result_does(level_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def now(seed: int = 0, isolation: str = "basic", tree: str = "t", level: int = 9) -> str:
        return key.key_of(tree, level, key.setting_for(seed, isolation, "cpu", "float32"))

    first = now()
    assert now() == first
    keys = {first, now(seed=1), now(isolation="strict"), now(tree="u"), now(level=8)}
    (level_folder / "level9.toml").write_text(toy.LEVEL.replace("points = 60", "points = 61"))
    keys.add(now())
    monkeypatch.setattr(key, "versions", lambda: {"torch": "another"})
    keys.add(now())
    monkeypatch.setattr(key, "judging_code", lambda: "another")
    keys.add(now())
    assert len(keys) == 8
