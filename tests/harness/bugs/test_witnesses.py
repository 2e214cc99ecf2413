"""Witnesses: they run beside one nanochat, and tell a bug from the reference without any property."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from grader import levels
from grader.bugs import catalogue, variant, witness, witnesses

ROOT = Path(__file__).parents[3]
REFERENCE = variant.sources_of(ROOT / "reference" / "nanochat")
BUGS = {bug.id: bug for number in levels.numbers() for bug in catalogue.load(number)}


def told(folder: Path, name: str) -> Any:
    """Return what a witness says of the nanochat in a folder, in a process of its own."""
    result = subprocess.run(
        [sys.executable, "-m", "grader.bugs.witness", folder, name],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return json.loads(result.stdout)


@pytest.mark.parametrize("id", ["result-as-a-float", "rotary-writes-into-its-input"])
def test_a_witness_tells_a_bug_from_the_reference(id: str, tmp_path: Path) -> None:
    bug = BUGS[id]
    variant.write(variant.with_bugs(REFERENCE, [bug]), tmp_path)
    reference = told(ROOT / "reference", bug.witness)
    assert "found" in reference
    assert not witness.differ(reference, told(ROOT / "reference", bug.witness))
    assert witness.differ(reference, told(tmp_path, bug.witness))


def test_an_exception_is_an_outcome() -> None:
    class Nothing(ModuleType):
        pass

    outcome = witness.outcome("tools.calculator", {"tools": Nothing("tools")})
    assert outcome == {"raised": "AttributeError"}
    assert witness.differ(outcome, {"found": [1]})


def test_an_unknown_witness_is_refused() -> None:
    with pytest.raises(KeyError, match=r"there is no witness 'tools\.nothing'"):
        witnesses.run("tools.nothing", {})


def test_every_witness_is_used() -> None:
    assert {bug.witness for bug in BUGS.values()} == witnesses.names()


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (1.0, 1.0005, False),
        (1.0, 1.01, True),
        (1e6, 1e6 + 1, False),
        (float("nan"), float("nan"), False),
        (float("nan"), 1.0, True),
        (float("inf"), float("-inf"), True),
        ([1.0, [2.0]], [1.0, [2.0]], False),
        ([1.0], [1.0, 2.0], True),
        ({"a": 1.0}, {"b": 1.0}, True),
        ({"a": "x"}, {"a": "y"}, True),
        (1, True, True),
        (None, 0, True),
        ("text", "text", False),
    ],
)
def test_plain_values_differ_by_a_margin(one: Any, other: Any, expected: bool) -> None:
    assert witness.differ(one, other) is expected
    assert witness.differ(other, one) is expected
