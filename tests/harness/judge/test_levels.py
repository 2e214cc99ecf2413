"""Level files: what is read, and what is refused with the place at fault."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from grader import levels
from specs.outcomes import GraderFault


def test_reads_a_level(level: levels.Level) -> None:
    """Criteria come with their properties, in the order of the file."""
    assert [law.id for law in level.laws] == ["sums.of_two", "sums.of_none", "order.swapped"]
    assert level.limits.call_seconds == 1
    assert [one.points for one in level.criteria] == [60, 40]
    expected = level.expected()
    assert expected.criteria[0].properties[1].weight == 3
    assert expected.criteria[0].hint is None
    assert level.expected(hints=True).criteria[0].hint == "Count on your fingers."


def test_numbers_of_levels(level_folder: Path) -> None:
    """The levels are the files of the folder."""
    (level_folder / "level10.toml").touch()
    (level_folder / "level3.toml.orig").touch()
    assert levels.numbers() == [9, 10]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("number = 9", "number = ", r"level9\.toml: .*line 3"),
        ("number = 9", 'number = "9"', r"\[level\]: number is '9', want a int"),
        (
            "number = 9",
            'number = 9\nfiles = ["a/b.py"]',
            r"\[level\]: files holds 'a/b.py', want names such as",
        ),
        ("number = 9", 'number = 9\nparts = "b.py"', r"\[level\]: unknown key 'parts'"),
        ('title = "Sums"', 'title = ""', r"\[level\]: title is '', want a str that is not empty"),
        ("points = 60", "pionts = 60", r"\[\[criterion\]\] 1 \(id 'sums'\): unknown key 'pionts'"),
        ("points = 40\n", "", r"\[\[criterion\]\] 2 \(id 'order'\): 'points' is missing"),
        ("points = 40", "points = true", "points is True, want a number"),
        ("points = 40", "points = -1", "points is -1, want more than 0"),
        ("points = 40", "points = nan", "points is nan, want more than 0"),
        (
            "call_seconds = 1",
            "call_seconds = 0",
            r"\[limits\]: call_seconds is 0, want more than 0 and at most",
        ),
        ("memory_mebibytes = 3", "memory_mebibytes = 1e9", "memory_mebibytes is 1000000000.0"),
        ("call_seconds = 1\n", "call_secs = 1\n", r"\[limits\]: unknown key 'call_secs'; .*call_seconds"),
        ("call_seconds = 1\n", "processes = 1.5\n", r"\[limits\]: processes is 1.5, want a int"),
        ('id = "order"', 'id = "sums"', r"the ids are \['sums', 'sums'\]"),
        ('id = "order"', 'id = "Or.der"', "id must be lower-case"),
        ('["toy_order"]', '"toy_order"', "modules is 'toy_order', want a list"),
        ('["toy_order"]', "[]", r"modules is \[\], want a list"),
        ("[limits]", "[limitations]", "the file: unknown key 'limitations'"),
        ('["toy_order"]', '["toy_absent"]', "'order': its module toy_absent cannot be imported"),
        ('["toy_order"]', '["toy_sums"]', "sums.of_two stands in a module of criterion 'order'"),
        ('["toy_order"]', '["toy_order", "toy_order"]', "two properties have the id order.swapped"),
        ('["toy_order"]', '["types"]', "its module types holds no property"),
    ],
)
def test_refuses(level_folder: Path, old: str, new: str, message: str) -> None:
    """A file that is wrong is the grader's fault, and the message names the place."""
    file = level_folder / "level9.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(GraderFault, match=message):
        levels.load(9)


def test_refuses_an_absent_file(level_folder: Path) -> None:
    """A level that is not there is named with its file."""
    with pytest.raises(GraderFault, match=r"level8\.toml: cannot be read"):
        levels.read_file(level_folder / "level8.toml")


def test_refuses_a_law_without_weight(level_folder: Path) -> None:
    """A property of no weight could fail and cost nothing."""
    assert level_folder
    module: types.ModuleType = sys.modules["toy_order"]
    module.test_swapped.law.weight = 0
    with pytest.raises(GraderFault, match=r"order\.swapped has weight 0"):
        levels.load(9)


def test_a_module_that_breaks_is_the_graders_fault(
    level_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Properties that cannot be imported are named with what went wrong."""
    (tmp_path / "toy_broken.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    file = level_folder / "level9.toml"
    file.write_text(file.read_text().replace("toy_order", "toy_broken"))
    with pytest.raises(GraderFault, match=r"toy_broken cannot be imported \(ZeroDivisionError"):
        levels.load(9)


def test_every_level_of_the_course() -> None:
    """The files of the course can be read, say everything, and are worth 100 points each."""
    assert 3 in levels.numbers()
    for number in levels.numbers():
        level = levels.read(number)
        assert level.number == number
        assert sum(one.points for one in level.criteria) == 100


def test_criteria_of_level_3() -> None:
    """Level 3 has the seven criteria of the course, in order."""
    ids = [one.id for one in levels.read(3).criteria]
    assert ids == ["rotary", "attention", "grouped", "cache", "sampling", "memory", "tools"]
