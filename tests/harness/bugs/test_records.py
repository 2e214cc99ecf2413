"""A wrong record is refused with its file, its line and the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.bugs import catalogue, variant
from grader.bugs.bug import Bug
from grader.bugs.catalogue import RecordError

ROOT = Path(__file__).parents[3]
REFERENCE = variant.sources_of(ROOT / "reference" / "nanochat")

GOOD = """\
# A catalogue of one bug.

[[bug]]
id = "another-base"
level = 3
criterion = "rotary"
title = "The base of the frequencies is another one"
story = "A number from another model."
hint = "Which base does the contract name?"
source = "made up for this test"
symptom = "silent"
difficulty = 1
witness = "rotary.tables"
parameters = { base = ["1000.0", "500000.0"] }
expected = ["rotary.table_holds_the_right_angles"]

[[bug.edits]]
file = "gpt.py"
scope = "rotary_tables"
find = ["10000.0"]
replace = "${base}"
"""


def read(text: str, folder: Path) -> list[Bug]:
    """Return the bugs of a catalogue that is one file."""
    (folder / "rotary.toml").write_text(text)
    return catalogue.read_folder(folder, 3, REFERENCE)


def test_a_right_record_is_read(tmp_path: Path) -> None:
    (bug,) = read(GOOD, tmp_path)
    assert (bug.id, bug.classic, bug.disturbs, bug.choice) == ("another-base", False, (), {})
    assert bug.parameters == {"base": ("1000.0", "500000.0")}


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ('find = ["10000.0"]', 'find = ["10001.0"]', 20, "must match 1 times, but '10001.0' 0 times"),
        ('find = ["10000.0"]', 'find = ["torch.float64"]', 20, "'torch.float64' 2 times"),
        ('find = ["10000.0"]', 'find = ["__x"]', 20, "must match 1 times"),
        ('find = ["10000.0"]', 'find = ["10000.0", "float"]', 20, "one pattern must match"),
        ('find = ["10000.0"]', 'find = "10000.0"', 20, "want a list of patterns"),
        ('find = ["10000.0"]', 'find = ["${base}"]', 20, "only replace may have one"),
        ('scope = "rotary_tables"', 'scope = "tables"', 20, "there is no single tables"),
        ('file = "gpt.py"', 'file = "model.py"', 18, "there is no model.py"),
        ('criterion = "rotary"', 'criterion = "rotation"', 6, "there is no criterion 'rotation'"),
        ("rotary.table_holds_the_right_angles", "rotary.is_right", 15, "no property 'rotary.is_right'"),
        ("rotary.table_holds_the_right_angles", "cache.every_split_equals_uncached", 15, "no property of"),
        ('["rotary.table_holds_the_right_angles"]', "[]", 15, "expected is empty"),
        ("rotary.tables", "rotary.nothing", 13, "no witness 'rotary.nothing'"),
        ('witness = "rotary.tables"\n', "", 3, r"missing \['witness'\]"),
        ("difficulty = 1", "difficulty = 4", 12, "want 1, 2 or 3"),
        ('symptom = "silent"', 'symptom = "loud"', 11, "want one of silent, crash"),
        ('title = "The', 'colour = "red"\ntitle = "The', 7, r"unknown \['colour'\]"),
        ('replace = "${base}"', 'replace = "${base}"\ncolour = 3', 22, r"edit 1: missing \[\], unknown \["),
        ('replace = "${base}"', 'replace = "1000.0"', 14, r"unused \['base'\], undefined \[\]"),
        ('replace = "${base}"', 'replace = "${bass}"', 14, r"unused \['base'\], undefined \['bass'\]"),
        ('["1000.0", "500000.0"]', '["1000.0"]', 14, "at least two different"),
        ('["1000.0", "500000.0"]', '"1000.0"', 14, "want a list of at least two"),
        ('{ base = ["1000.0", "500000.0"] }', "3", 14, "want a table of lists"),
        ('hint = "Which base does the contract name?"', 'hint = ""', 9, "hint is ''"),
        ("difficulty = 1", 'difficulty = 1\ndisturbs = ["rotary"]', 13, "want another criterion"),
        ("difficulty = 1", 'difficulty = 1\ndisturbs = "cache"', 13, "want a list of texts"),
        ("difficulty = 1", 'difficulty = 1\nconflicts = ["no-such"]', 13, "want the id of another bug"),
        ("level = 3", "level = 2", 5, "level is 2 in the catalogue of level 3"),
        ('replace = "${base}"', 'replace = "${base} +"', 20, "invalid syntax"),
    ],
)  # fmt: skip  # one case a line reads better
def test_a_wrong_record_is_refused(old: str, new: str, line: int, reason: str, tmp_path: Path) -> None:
    assert GOOD.count(old) == 1
    where = rf"^{tmp_path.name}/rotary.toml:{line}: bug 'another-base': .*"
    with pytest.raises(RecordError, match=where + reason):
        read(GOOD.replace(old, new), tmp_path)


def test_a_record_that_changes_nothing_is_refused(tmp_path: Path) -> None:
    idle = GOOD.replace("${base}", "10000.0").replace('parameters = { base = ["1000.0", "500000.0"] }\n', "")
    with pytest.raises(RecordError, match=r"rotary\.toml:3: bug 'another-base': it changes nothing"):
        read(idle, tmp_path)
    with pytest.raises(RecordError, match="so it changes nothing"):
        read(GOOD.split("[[bug.edits]]")[0] + "edits = []\n", tmp_path)


def test_an_id_that_is_used_twice_is_refused(tmp_path: Path) -> None:
    again = GOOD[GOOD.index("[[bug]]") :]
    with pytest.raises(RecordError, match=r"rotary\.toml:23: .*used twice, first at .*rotary\.toml:3"):
        read(GOOD + again, tmp_path)


def test_what_is_no_catalogue_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"rotary\.toml: cannot be read as TOML"):
        read("[[bug", tmp_path)
    with pytest.raises(RecordError, match="want a list of"):
        read("x = 1\n", tmp_path)
    with pytest.raises(RecordError, match=r"rotary\.toml:4: bug '\(no id\)': got 3, want a table"):
        read('# "[[bug]]"\n\nbug = [\n3, ]', tmp_path)
    with pytest.raises(FileNotFoundError, match="no catalogue of bugs for level 9"):
        catalogue.read_folder(tmp_path / "none", 9, REFERENCE)


def test_two_edits_of_one_place_are_refused(tmp_path: Path) -> None:
    again = GOOD[GOOD.index("[[bug.edits]]") :]
    with pytest.raises(RecordError, match=r"rotary\.toml:3: bug 'another-base': .*overlap"):
        read(GOOD + "\n" + again, tmp_path)


def test_a_binding_depends_on_its_seed_and_its_name_alone(tmp_path: Path) -> None:
    (bug,) = read(GOOD, tmp_path)
    choices = [bug.bound(seed).choice["base"] for seed in range(8)]
    # Fixed for good: students' copies of past courses must be made again byte for byte.
    assert choices == ["500000.0", "500000.0", "1000.0", "500000.0", "500000.0", "1000.0", "1000.0", "1000.0"]
    more = read(GOOD.replace('"500000.0"]', '"500000.0", "20000.0"]'), tmp_path)[0]
    for seed, choice in enumerate(choices):
        assert more.bound(seed).choice["base"] in (choice, "20000.0")
    assert bug.bound("alice").edits == bug.with_choice(bug.bound("alice").choice).edits
    assert "${" not in bug.bound(1).edits[0].replace


def test_instances_are_all_combinations(tmp_path: Path) -> None:
    two = GOOD.replace("parameters = { ", 'parameters = { sign = ["", "-"], ').replace(
        "${base}", "${sign}${base}"
    )
    (bug,) = read(two, tmp_path)
    made = [one.edits[0].replace for one in bug.instances()]
    assert made == ["1000.0", "500000.0", "-1000.0", "-500000.0"]
    assert [one.choice for one in bug.instances()][2] == {"sign": "-", "base": "1000.0"}
    plain = bug.instances()[1]
    assert plain.first() is plain


def test_a_bug_that_is_not_bound_gets_its_first_choices(tmp_path: Path) -> None:
    (bug,) = read(GOOD, tmp_path)
    assert "base: float = 1000.0" in variant.with_bugs(REFERENCE, [bug])["gpt.py"]
    assert "base: float = 500000.0" in variant.with_bugs(REFERENCE, [bug.instances()[1]])["gpt.py"]
