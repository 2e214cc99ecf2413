"""Watching: a save grades what it can have changed, and nothing else."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from grader import watch
from grader.cli import main

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.slow


def heed_interrupts() -> None:
    """Undo what a shell does to a command in the background: it ignores SIGINT, and hands that on."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Watched:
    """A running `grader watch --json` on a copy of the student's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(ROOT / "student" / "nanochat", folder / "nanochat")
        temporary = folder.parent / "temporary"
        temporary.mkdir()
        command = [sys.executable, "-m", "grader", "watch", "--level", "1", "--json", "--submission", folder]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(temporary)},
            preexec_fn=heed_interrupts,
        )
        self.lines: queue.Queue[dict[str, Any]] = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(json.loads(line))

    def round(self) -> dict[str, dict[str, Any]]:
        """Wait for a result of every criterion."""
        results = [self.lines.get(timeout=120) for _ in range(5)]
        return {one["criterion"]: one for one in results}

    def save(self, file: str, old: str, new: str) -> None:
        path = self.folder / "nanochat" / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path / "work")
    yield made
    made.process.terminate()
    made.process.wait()
    made.reader.join()
    assert made.process.stdout is not None
    made.process.stdout.close()


def test_a_save_grades_what_it_can_have_changed(watched: Watched) -> None:
    first = watched.round()
    broken = {name for name, one in first.items() if one["verdict"] != "passed"}
    assert broken == {"encoding", "data"}
    assert not any(one["remembered"] for one in first.values())

    wrong = (watched.folder / "nanochat" / "tokenizer.py").read_text(encoding="utf-8")
    right = (ROOT / "reference" / "nanochat" / "tokenizer.py").read_text(encoding="utf-8")
    watched.save("tokenizer.py", wrong, right)
    assert watched.lines.get(timeout=120)["remembered"]
    watched.save("tokenizer.py", right, wrong)
    start = time.monotonic()
    assert all(one["remembered"] for one in watched.round().values())
    assert time.monotonic() - start < 3, "what had begun is not waited for: four criteria take longer"

    watched.save("tokenizer.py", wrong, right)
    second = watched.round()
    assert second["encoding"]["verdict"] == "passed"
    # What never imports the tokenizer is not graded again.
    assert {name for name, one in second.items() if one["remembered"]} == {"data"}
    assert not second["encoding"]["remembered"]

    watched.save("tokenizer.py", right, wrong)
    third = watched.round()
    assert all(one["remembered"] for one in third.values())
    assert third["encoding"]["verdict"] == "failed"


def test_files_are_seen_when_they_have_been_written(tmp_path: Path) -> None:
    file = tmp_path / "nanochat" / "m.py"
    file.parent.mkdir()
    texts = ["", "x =", "x = 1", "x = 1", "x = 1", "x = 2", "x = 2"]
    written: list[str] = []

    def save(_: float) -> None:
        written.append(texts[len(written)])
        file.write_text(written[-1])

    seen = watch.saves(tmp_path, save)
    assert next(seen) == {}
    one = next(seen)
    assert written == texts[:4]
    two = next(seen)
    assert written == texts
    assert list(one) == list(two) == ["nanochat/m.py"]
    assert one != two


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--level", "3", "--isolation", "none"], "a process of the submission's own"),
        (["--level", "3", "--isolation", "other"], "there are strict, medium, basic"),
        (["--level", "9"], "there is no such level"),
        (["--level", "3", "--submission", "nowhere"], "there is no such folder"),
    ],
)
def test_wrong_usage(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", *words]) == 2
    assert message in capsys.readouterr().err


def test_an_interrupted_watch_ends_at_once_and_leaves_nothing(watched: Watched, tmp_path: Path) -> None:
    watched.lines.get(timeout=120)
    assert list((tmp_path / "temporary").iterdir()), "both judges are in the middle of a criterion"
    watched.process.send_signal(signal.SIGINT)
    # Two criteria begun and two waiting take about ten seconds.
    assert watched.process.wait(timeout=4) == 130
    assert list((tmp_path / "temporary").iterdir()) == []
