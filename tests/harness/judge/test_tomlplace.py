"""Every entry of a TOML file is found where it stands."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from grader.tomlplace import TomlPath, places

ROOT = Path(__file__).parents[3]

TEXT = '''\
top = 1 # [no] = "table"
"quoted = key".'a.b' = """
[[none]]
x = 1
\\""" ""\"""
list = [ # ]
  'a]', "b\\"]",
  [1979-05-27 07:32:00, { x = "}", y = [
    2.5] }],
]

[table.inner]
x = \'\'\'
y = 1\'\'\'\'\'
[[many]]
x = 1
[[many.more]]
y.z = 1
[[many.more]]
[many.one]
z = true
[[many]]
[[many.more]]
y = ""
'''

LINES: dict[TomlPath, int] = {
    ("top",): 1,
    ("quoted = key", "a.b"): 2,
    ("list",): 6,
    ("list", 1): 7,
    ("list", 2, 0): 8,
    ("list", 2, 1, "x"): 8,
    ("list", 2, 1, "y", 0): 9,
    ("table",): 12,
    ("table", "inner", "x"): 13,
    ("many",): 15,
    ("many", 0, "x"): 16,
    ("many", 0, "more", 0, "y", "z"): 18,
    ("many", 0, "more", 1): 19,
    ("many", 0, "one", "z"): 21,
    ("many", 1): 22,
    ("many", 1, "more", 0, "y"): 24,
}


def paths(value: Any, path: TomlPath = ()) -> Iterator[TomlPath]:
    """Yield the path of everything in a parsed file, apart from the whole."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inside:
        yield (*path, key)
        yield from paths(one, (*path, key))


def test_lines() -> None:
    """Strings, comments and lists that look like something else lead nobody astray."""
    found = places(TEXT, "x.toml")
    assert set(found.lines) == set(paths(tomllib.loads(TEXT)))
    assert {path: found.line(path) for path in LINES} == LINES
    assert found.at(("many", 0, "more", 1, "absent", 3)) == "x.toml:19", "what is around it"
    assert found.at(("absent",)) == "x.toml:1"


@pytest.mark.parametrize("file", ["specs/level*.toml", "grader/**/*.toml", "pyproject.toml"])
def test_files_of_the_project(file: str) -> None:
    """Whatever `tomllib` finds in our files has a line, and nothing else has."""
    there = list(ROOT.glob(file))
    assert there
    for path in there:
        text = path.read_text(encoding="utf-8")
        assert set(places(text, path.name).lines) == set(paths(tomllib.loads(text))), path
