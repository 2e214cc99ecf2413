"""Patterns of bugs survive mechanical refactorings of the reference, or are refused.

`benchmarks/patterns.py` also proves that those which apply do what they did, with every witness, in minutes.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from grader.bugs import catalogue, variant
from grader.bugs.pattern import PatternError

from .test_disguise import behaviour

ROOT = Path(__file__).parents[3]
REFERENCE = variant.sources_of(ROOT / "reference" / "nanochat")
BUGS = catalogue.load(3)

pytestmark = pytest.mark.slow


def loaded() -> ModuleType:
    """Return the script of the refactorings as a module."""
    spec = importlib.util.spec_from_file_location("refactorings", ROOT / "benchmarks" / "refactorings.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["refactorings"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def versions() -> dict[str, dict[str, str]]:
    """The reference in each refactoring, by its name."""
    return {name: refactor(REFERENCE) for name, refactor in loaded().REFACTORINGS.items()}


def test_a_refactoring_does_what_the_reference_does(
    versions: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    folders = [tmp_path / str(number) for number in range(len(versions))]
    for folder, sources in zip(folders, versions.values(), strict=True):
        folder.mkdir()
        variant.write(sources, folder)
    reference, *others = behaviour(ROOT / "reference", *folders)
    assert len(others) == 6
    for name, other in zip(versions, others, strict=True):
        assert versions[name] != REFERENCE
        assert other["does"] == reference["does"], name


def test_most_patterns_survive_and_the_others_are_refused(versions: dict[str, dict[str, str]]) -> None:
    applied = {name: sum(applies(sources, bug) for bug in BUGS) for name, sources in versions.items()}
    total = len(BUGS) * len(versions)
    assert sum(applied.values()) >= 0.85 * total, applied
    for name in ("other local names", "other order", "comments, and no types", "reflow at 60 columns"):
        assert applied[name] >= 0.95 * len(BUGS), applied


def applies(sources: dict[str, str], bug: catalogue.Bug) -> bool:
    """Say whether a bug fits some modules; another error than a refusal is one."""
    try:
        return variant.with_bugs(sources, [bug]) != sources
    except PatternError:
        return False
