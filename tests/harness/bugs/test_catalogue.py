"""The catalogue of bugs, and the student copy that is made from it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from grader import levels
from grader.bugs import catalogue, variant
from grader.bugs.bug import Bug
from grader.bugs.pattern import PatternError
from grader.cli import main

ROOT = Path(__file__).parents[3]
REFERENCE = variant.sources_of(ROOT / "reference" / "nanochat")
EVERY = {number: catalogue.load(number) for number in levels.numbers()}
BUGS = [bug for bugs in EVERY.values() for bug in bugs]
INSTANCES = [instance for bug in BUGS for instance in bug.instances()]


def test_the_student_copy_is_what_the_catalogue_makes() -> None:
    made = variant.with_bugs(REFERENCE, [bug for bug in BUGS if bug.classic])
    found = variant.sources_of(ROOT / "student" / "nanochat")
    assert found == made, "run `grader variants make --level all --out student`"


@pytest.mark.parametrize(
    ("level", "criteria"),
    [
        (1, {"data", "encoding"}),
        (2, {"accumulation", "finetuning", "optimizers", "schedule"}),
        (3, {"cache", "grouped", "memory", "rotary", "tools"}),
    ],
)
def test_the_classic_bugs_are_there(level: int, criteria: set[str]) -> None:
    assert {bug.criterion for bug in EVERY[level] if bug.classic} == criteria


def test_no_two_bugs_of_any_level_have_one_id() -> None:
    assert len({bug.id for bug in BUGS}) == len(BUGS)


@pytest.mark.parametrize(("level", "bugs", "each"), [(1, 25, 4), (2, 25, 4), (3, 60, 8)])
def test_there_are_enough_bugs_of_every_kind(level: int, bugs: int, each: int) -> None:
    every = EVERY[level]
    assert len(every) >= bugs
    for criterion in levels.read(level).criteria:
        here = [bug for bug in every if bug.criterion == criterion.id]
        assert len(here) >= each, criterion.id
        assert {bug.difficulty for bug in here} == {1, 2, 3}, criterion.id
    assert sum(bug.symptom == "silent" for bug in every) >= len(every) / 2
    assert sum(bug.difficulty >= 2 for bug in every) >= len(every) / 2
    assert sum(bool(bug.disturbs) for bug in every) <= len(every) / 20


Made = list[tuple[Bug, dict[str, str]]]
"""Each form of each bug, with the modules that it changes."""


@pytest.fixture(scope="module")
def made() -> Made:
    """Apply every form of every bug to the reference."""
    found = []
    for bug in INSTANCES:
        texts = variant.with_bugs(REFERENCE, [bug])
        found.append((bug, {name: text for name, text in texts.items() if text != REFERENCE[name]}))
    return found


def test_every_instance_is_a_program_of_its_own(made: Made) -> None:
    seen: dict[str, str] = {}
    for bug, changed in made:
        assert changed
        for text in changed.values():
            ast.parse(text)
        assert "${" not in str(changed)
        name = f"{bug.id} {bug.choice}"
        assert seen.setdefault(str(changed), name) == name
    assert len(seen) >= 300


def test_nothing_gives_a_bug_away(made: Made, tmp_path: Path) -> None:
    for number, (bug, changed) in enumerate(made):
        # With all modules, without which ruff takes their imports for those of another package.
        variant.write({**REFERENCE, **changed}, tmp_path / str(number))
        text = " ".join(changed[edit.file] for edit in bug.edits).lower()
        for word in ("bug", "broken", "wrong on purpose", bug.id):
            assert word not in text, bug.id
    for command in (["format", "--check"], ["check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", "--config", ROOT / "pyproject.toml"]
        result = subprocess.run([*ruff, tmp_path], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout


def test_two_bugs_that_touch_one_place_are_refused_together() -> None:
    """Bugs that conflict by their records may also overlap in the text."""
    named = {bug.id: bug for bug in BUGS}
    wrap, stop = named["rotary-positions-wrap"], named["rotary-positions-stop"]
    assert stop.id in wrap.conflicts
    with pytest.raises(PatternError, match="overlap"):
        variant.with_bugs(REFERENCE, [wrap, stop])


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
    assert "there is no such level" in capsys.readouterr().err


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
