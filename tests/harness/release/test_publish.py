"""Properties that are not published are cut out, and what is left still is a level."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

from grader import levelfile, levels
from grader.bugs.publish import UnknownLaw, laws_in, level_file, published_modules

ROOT = Path(__file__).parents[3]
MODULES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "specs" / "level3").glob("*.py"))
}
PLAN = (ROOT / "specs" / "level3.toml").read_text(encoding="utf-8")
LAWS = [law.id for law in levels.load(3).laws]


def laws_of(modules: dict[str, str]) -> set[str]:
    return {law for text in modules.values() for law in laws_in(text)}


def test_the_properties_are_read_from_the_text_as_the_level_loads_them() -> None:
    assert sorted(laws_of(MODULES)) == sorted(LAWS)


def test_everything_is_published_if_nothing_is_named() -> None:
    assert published_modules(MODULES, []) == MODULES
    assert tomllib.loads(level_file(PLAN, MODULES)) == tomllib.loads(PLAN)


@pytest.mark.parametrize(
    "published",
    [["rotary"], [LAWS[0]], [LAWS[0], LAWS[-1]], ["cache", LAWS[0]], LAWS],
)
def test_only_what_is_published_stays(published: list[str]) -> None:
    kept = published_modules(MODULES, published)
    wanted = {law for law in LAWS if law in published or law.split(".")[0] in published}
    assert laws_of(kept) == wanted
    for path, text in kept.items():
        ast.parse(text)
        for law in laws_in(MODULES[path]).keys() - wanted:
            assert f"def test_{law.split('.')[1]}(" not in text
    said = '\n[[property]]\nid = "cache.every_split_equals_uncached"\nweight = 2\n'
    plan = levelfile.read(level_file(PLAN + said, kept), "level3.toml")
    assert [one.id for one in plan.criteria] == list(
        dict.fromkeys(law.split(".")[0] for law in LAWS if law in wanted)
    )
    assert plan.named.keys() <= wanted, "nothing is said of a law that is not there"
    assert list(plan.settings) == [law for law in wanted if law == "cache.every_split_equals_uncached"]
    named = {name for one in plan.criteria for name in one.modules}
    assert named == {path[:-3].replace("/", ".") for path, text in kept.items() if laws_in(text)}


def test_a_module_that_others_import_stays_without_its_properties() -> None:
    modules = {
        "specs/level3/__init__.py": "",
        "specs/level3/a.py": 'CRITERION = "a"\nHELP = 1\n\n\n@law()\ndef test_x(probe):\n    """X."""\n',
        "specs/level3/b.py": 'from specs.level3.a import HELP\nCRITERION = "b"\n\n\n'
        '@law()\ndef test_y(probe):\n    """Y."""\n',
    }
    kept = published_modules(modules, ["b"])
    assert kept["specs/level3/a.py"] == 'CRITERION = "a"\nHELP = 1\n'
    assert kept["specs/level3/b.py"] == modules["specs/level3/b.py"]
    assert "specs/level3/b.py" not in published_modules(modules, ["a.x"])


def test_what_does_not_exist_cannot_be_published() -> None:
    with pytest.raises(UnknownLaw, match=r"colour, rotary\.nothing: there are attention, attention\."):
        published_modules(MODULES, ["rotary.nothing", "colour"])


def test_a_criterion_without_modules_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no line `modules = \[...\]` in 'id = \"x\"'"):
        level_file('[level]\n[[criterion]]\nid = "x"\n', MODULES)
