"""`python -m nanochat.train` of the reference: it trains, saves, and goes on from what it saved."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.slow


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """Return a file of forty short documents."""
    file = tmp_path / "text.txt"
    file.write_text("\n\n".join(f"The {i}th of the goats came home before the rain did." for i in range(40)))
    return file


def train(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command as a learner does, in the folder of the reference."""
    command = [sys.executable, "-m", "nanochat.train", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT / "reference")


def test_it_goes_on_from_a_checkpoint(text: Path, tmp_path: Path) -> None:
    where = ["--text", text, "--checkpoint", tmp_path / "saved"]
    first = train("--steps", "2", *where)
    assert first.returncode == 0, first.stderr
    assert "steps 0 to 2" in first.stdout
    assert "validation loss" in first.stdout
    assert "bits per byte" in first.stdout
    second = train("--steps", "3", *where)
    assert second.returncode == 0, second.stderr
    assert "steps 2 to 3" in second.stdout
    third = train("--steps", "3", *where)
    assert third.returncode == 1
    assert "is of step 3: ask for more --steps to go on" in third.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--steps", "0"], "--steps: got 0, want at least 1"),
        (["--text", "nowhere.txt"], "--text: there is no file nowhere.txt"),
    ],
)
def test_wrong_usage(words: list[str], message: str) -> None:
    result = train(*words)
    assert result.returncode == 2
    assert message in result.stderr
