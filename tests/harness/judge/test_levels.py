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
    assert expected.criteria[0].hints == ()
    assert level.expected(hints=1).criteria[0].hints == ("Count on your fingers.",)
    assert len(level.expected(hints=9).criteria[0].hints) == 3


def test_numbers_of_levels(level_folder: Path) -> None:
    """The levels are the files of the folder."""
    (level_folder / "level10.toml").touch()
    (level_folder / "level3.toml.orig").touch()
    assert levels.numbers() == [9, 10]


SECOND = r"\[\[criterion\]\] 2 \(id 'order'\): "
END = '["toy_order"]\n'


def with_property(text: str) -> str:
    """Return what stands at the end of the file, and a table of a property behind it."""
    return f"{END}\n[[property]]\n{text}\n"


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("number = 9", 'number = "9"', 3, r"\[level\]: number is '9', want a whole number"),
        ("number = 9", 'files = [\n"a.py",\n"a/b.py"]\nnumber = 9', 5, r"files holds 'a/b.py', want names"),
        ("number = 9", 'number = 9\nparts = "b.py"', 4, r"\[level\]: parts is 'b.py', want a list"),
        ("number = 9", 'number = 9\nparts = ["b.py:"]', 4, r"parts holds 'b.py:', want .*GPT.generate"),
        ("number = 9", "number = 9\nhint_stages = -1", 4, "hint_stages is -1, want 0 or more"),
        ("number = 9", "number = 9\npoints = 90", 4, "points is 90, but those of the criteria add up to 100"),
        ('title = "Sums"', 'title = ""', 4, r"\[level\]: title is '', want a text that is not empty"),
        ("points = 60", "pionts = 60", 18, r"\[\[criterion\]\] 1 \(id 'sums'\): unknown key 'pionts'; the"),
        ("points = 40\n", "", 22, SECOND + "'points' is missing"),
        ("points = 40", "points = true", 26, SECOND + "points is True, want a number"),
        ("points = 40", "points = -1", 26, "points is -1, want more than 0"),
        ("points = 40", "points = nan", 26, "points is nan, want more than 0"),
        ('["Swap them."]', '"Swap them."', 27, SECOND + "hints is 'Swap them.', want a list"),
        ('["Swap them."]', '["Swap.",\n\n3]', 29, SECOND + "hints holds 3, want a text that is not empty"),
        ('["Swap them."]', "[]", 27, r"hints is \[\], want a list of at least one text"),
        ('hints = ["Swap them."]', 'hint = "Swap them."', 27, "unknown key 'hint'"),
        ("call_seconds = 1", "call_seconds = 0", 9, r"\[limits\]: call_seconds is 0, want more than 0 and"),
        ("memory_mebibytes = 3", "memory_mebibytes = 1e9", 11, "memory_mebibytes is 1000000000.0"),
        ("call_seconds = 1\n", "call_secs = 1\n", 9, r"\[limits\]: unknown key 'call_secs'; .*call_seconds"),
        ("call_seconds = 1\n", "processes = 1.5\n", 9, r"\[limits\]: processes is 1.5, want a whole number"),
        ('id = "order"', 'id = "sums"', 23, r"\[\[criterion\]\]: the id 'sums' is used twice"),
        ('id = "order"', 'id = "Or.der"', 23, "id must be lower-case"),
        ('id = "order"', 'id = "order"\nvisibility = "dim"', 24, "'dim', want one of visible, after"),
        ('["toy_order"]', '"toy_order"', 28, "modules is 'toy_order', want a list"),
        ('["toy_order"]', "[]", 28, r"modules is \[\], want a list"),
        ("[limits]", "[limitations]", 8, "the file: unknown key 'limitations'"),
        ('["toy_order"]', '["toy_absent"]', 28, "'order': its module toy_absent cannot be imported"),
        ('["toy_order"]', '["toy_order",\n"toy_sums"]', 29, "sums.of_two stands in a module of criterion"),
        ('["toy_order"]', '["toy_order", "toy_order"]', 1, "two properties have the id order.swapped"),
        ('["toy_order"]', '["types"]', 28, "its module types holds no property"),
        (END, with_property("weight = 2"), 30, r"\[\[property\]\] 1: 'id' is missing"),
        (END, with_property('id = "order.swapped"\nweight = 0'), 32, "weight is 0, want more than 0"),
        (END, with_property('id = "order.swapped"\ncounterexample = 1'), 32, "is 1, want true or false"),
        (END, with_property('id = "order.swapped"\nvisibility = ""'), 32, "visibility is ''"),
        (END, with_property('id = "order.swaped"'), 31, r"'order.swaped'; did you mean order.swapped"),
        (END, with_property('id = "a"\n[[property]]\nid = "a"'), 33, r"\[\[property\]\] 2: a stands in"),
        (END, END + '[[counts_with]]\nneed = ["sums.of_two"]\nlaws = [\n"sums.none"]', 32, "no property"),
        (END, END + "property = 1", 29, "unknown key 'property'"),
        (END, END + "[[counts_with]]\nneed = []\nlaws = []", 30, r"\[\[counts_with\]\] 1: need is \[\]"),
    ],
)  # fmt: skip  # one case a line reads better
def test_refuses(level_folder: Path, old: str, new: str, line: int, message: str) -> None:
    """A file that is wrong is the grader's fault, and the message names the line and the entry."""
    file = level_folder / "level9.toml"
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))
    with pytest.raises(GraderFault, match=rf"^level9\.toml:{line}: .*{message}"):
        levels.load(9)


def test_refuses_what_is_no_toml(level_folder: Path) -> None:
    """What cannot be read at all is refused with the line that the reader names."""
    (level_folder / "level9.toml").write_text("[level]\nnumber =\n")
    with pytest.raises(GraderFault, match=r"^level9\.toml: cannot be read as TOML: .*line 2"):
        levels.load(9)


def test_a_level_says_what_students_see_and_what_counts(level_folder: Path) -> None:
    """A property has its criterion's visibility and its law's weight, unless its own table says otherwise."""
    file = level_folder / "level9.toml"
    text = file.read_text().replace("number = 9", "number = 9\nhint_stages = 2")
    text = text.replace('id = "sums"', 'id = "sums"\nvisibility = "after_deadline"')
    more = 'id = "sums.of_two"\nweight = 2.5\nvisibility = "hidden"\ncounterexample = false'
    file.write_text(text.replace(END, with_property(more)))
    level = levels.load(9)
    found = [
        (one.id, one.weight, one.visibility, one.counterexample_shown)
        for criterion in level.expected().criteria
        for one in criterion.properties
    ]
    assert found == [
        ("sums.of_two", 2.5, "hidden", False),
        ("sums.of_none", 3, "after_deadline", True),
        ("order.swapped", 1, "visible", True),
    ]
    assert [len(one.hints) for one in level.expected(hints=9).criteria] == [2, 1]


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
    """The files of the course can be read, say everything, and are worth 100 points."""
    assert 3 in levels.numbers()
    for number in levels.numbers():
        level = levels.read(number)
        assert level.number == number
        assert sum(one.points for one in level.criteria) == 100
        for one in level.criteria:
            assert len(one.hints) == 3, f"{one.id}: where to look, a small case, nearly the repair"
            assert all(hint.strip() == hint and "  " not in hint and "\n" not in hint for hint in one.hints)


def test_criteria_of_level_3() -> None:
    """Level 3 has the seven criteria of the course, in order."""
    ids = [one.id for one in levels.read(3).criteria]
    assert ids == ["rotary", "attention", "grouped", "cache", "sampling", "memory", "tools"]
