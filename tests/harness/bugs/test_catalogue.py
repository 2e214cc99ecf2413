"""The catalogue of bugs, and the student copy that is made from it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from grader import levels
from grader.bugs import catalogue, variant
from grader.bugs.pattern import PatternError
from grader.cli import main

ROOT = Path(__file__).parents[3]
REFERENCE = variant.sources_of(ROOT / "reference" / "nanochat")
BUGS = catalogue.load(3)


def test_the_student_copy_is_what_the_catalogue_makes() -> None:
    made = variant.with_bugs(REFERENCE, [bug for bug in BUGS if bug.classic])
    found = variant.sources_of(ROOT / "student" / "nanochat")
    assert found == made, "run `grader variants make --level 3 --out student`"


def test_the_five_classic_bugs_are_there() -> None:
    assert sorted(bug.criterion for bug in BUGS if bug.classic) == [
        "cache",
        "grouped",
        "memory",
        "rotary",
        "tools",
    ]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.id)
def test_a_bug_applies_alone_and_names_what_exists(bug: catalogue.Bug) -> None:
    changed = variant.with_bugs(REFERENCE, [bug])
    assert changed != REFERENCE
    for text in changed.values():
        ast.parse(text)
    laws = {law.id for law in levels.load(bug.level).laws}
    assert set(bug.expected) <= laws
    assert bug.criterion in {law.split(".")[0] for law in laws}
    assert bug.expected, "a bug says which properties must notice it"


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.id)
def test_nothing_gives_a_bug_away(bug: catalogue.Bug, tmp_path: Path) -> None:
    variant.write(variant.with_bugs(REFERENCE, [bug]), tmp_path)
    for command in (["format", "--check"], ["check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", "--config", ROOT / "pyproject.toml"]
        result = subprocess.run(
            [*ruff, tmp_path],
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stdout
    text = " ".join((tmp_path / "nanochat" / edit.file).read_text() for edit in bug.edits).lower()
    for word in ("bug", "broken", "wrong on purpose", bug.id):
        assert word not in text


def test_a_changed_reference_names_the_bug() -> None:
    moved = {**REFERENCE, "gpt.py": REFERENCE["gpt.py"].replace("self.n_head != self.n_kv_head", "grouped")}
    flag = next(bug for bug in BUGS if bug.id == "grouped-flag-inverted")
    with pytest.raises(PatternError, match="grouped-flag-inverted"):
        variant.with_bugs(moved, [flag])


def test_the_command_makes_what_it_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["variants", "make", "--bugs", "tool-output-order", "--out", str(tmp_path)]) == 0
    made = variant.sources_of(tmp_path / "nanochat")
    assert [name for name in made if made[name] != REFERENCE[name]] == ["engine.py"]
    assert main(["variants", "make", "--bugs", "none", "--out", str(tmp_path)]) == 0
    assert variant.sources_of(tmp_path / "nanochat") == REFERENCE
    assert main(["variants", "make", "--bugs", "nonsense", "--out", str(tmp_path)]) == 2
    assert main(["variants", "make", "--level", "9", "--out", str(tmp_path)]) == 2
    assert "there is no catalogue" in capsys.readouterr().err


def test_a_folder_with_other_modules_is_not_mixed_into(tmp_path: Path) -> None:
    (tmp_path / "nanochat").mkdir()
    (tmp_path / "nanochat" / "mine.py").touch()
    with pytest.raises(FileExistsError, match=r"mine\.py"):
        variant.write(REFERENCE, tmp_path)


def test_the_list_names_every_bug(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["variants", "list"]) == 0
    shown = capsys.readouterr().out
    assert all(bug.id in shown and bug.title in shown for bug in BUGS)
    assert main(["variants", "list", "--json"]) == 0
