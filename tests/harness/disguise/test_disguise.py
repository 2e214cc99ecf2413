"""A disguise changes how a copy reads and nothing that it does."""

from __future__ import annotations

import ast
import difflib
import json
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from grader.bugs import catalogue, variant
from grader.bugs.bug import Bug
from grader.bugs.disguise import KINDS, disguised

ROOT = Path(__file__).parents[3]
REFERENCE = variant.sources_of(ROOT / "reference" / "nanochat")
BUGS = catalogue.load(3)
CLASSIC = [bug for bug in BUGS if bug.classic]
SEEDS = [str(seed) for seed in range(5)]


@pytest.fixture(scope="module")
def copies() -> dict[str, dict[str, str]]:
    """The reference in many disguises, by seed."""
    return {seed: disguised(REFERENCE, seed) for seed in SEEDS}


@pytest.fixture(scope="module")
def folders(copies: dict[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Where the disguised copies lie, by seed."""
    found = {}
    for seed, sources in copies.items():
        found[seed] = tmp_path_factory.mktemp(f"seed{seed}")
        variant.write(sources, found[seed])
    return found


def behaviour(*folders: Path) -> list[dict[str, Any]]:
    """Return what the packages in folders do."""
    script = Path(__file__).with_name("behaviour.py")
    result = subprocess.run(
        [sys.executable, script, *folders], capture_output=True, text=True, check=False, cwd=script.parent
    )
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def changed_share(one: dict[str, str], other: dict[str, str]) -> float:
    """Return the share of lines of `one`, blank ones aside, that `other` does not have at that place."""
    total = same = 0
    for name, text in one.items():
        lines, others = ([line for line in each.split("\n") if line.strip()] for each in (text, other[name]))
        total += len(lines)
        matcher = difflib.SequenceMatcher(a=lines, b=others, autojunk=False)
        same += sum(block.size for block in matcher.get_matching_blocks())
    return 1 - same / total


def test_a_disguise_does_what_the_reference_does_bit_for_bit(folders: dict[str, Path]) -> None:
    reference, *others = behaviour(ROOT / "reference", *folders.values())
    assert len(others) == len(SEEDS)
    assert len(reference["does"]) == 10
    assert len(set(map(str, reference["does"]["refusals"]))) == len(reference["does"]["refusals"]) >= 20
    for seed, other in zip(folders, others, strict=True):
        for what, outcome in reference["does"].items():
            assert other["does"][what] == outcome, f"seed {seed}: {what}"
        assert other["offers"] == reference["offers"], f"seed {seed}"


def test_the_behaviour_check_can_fail(tmp_path: Path) -> None:
    """It sees every bug of the catalogue that is silent, so it would see a disguise that changes a value."""
    for bug in CLASSIC:
        (tmp_path / bug.id).mkdir()
        variant.write(variant.with_bugs(REFERENCE, [bug]), tmp_path / bug.id)
    reference, *others = behaviour(ROOT / "reference", *(tmp_path / bug.id for bug in CLASSIC))
    for bug, other in zip(CLASSIC, others, strict=True):
        assert other["does"] != reference["does"], bug.id


def test_the_formatter_and_the_linter_have_nothing_to_say(folders: dict[str, Path]) -> None:
    for command in (["format", "--diff"], ["check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", "--config", ROOT / "pyproject.toml"]
        result = subprocess.run([*ruff, *folders.values()], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    "bugs", [CLASSIC[::3], pytest.param(CLASSIC, marks=pytest.mark.exhaustive)], ids=["some", "all"]
)
def test_disguised_bugs_are_still_the_same_bugs(bugs: list[Bug], tmp_path: Path) -> None:
    """The same witness: what a bug breaks, it breaks in the same way in disguise."""
    folders = {}
    for seed, bug in enumerate(bugs):
        plain = variant.with_bugs(REFERENCE, [bug])
        for kind, sources in (("plain", plain), ("disguised", disguised(plain, str(seed)))):
            folders[bug.id, kind] = tmp_path / f"{bug.id}-{kind}"
            folders[bug.id, kind].mkdir()
            variant.write(sources, folders[bug.id, kind])
    outcomes = dict(zip(folders, behaviour(*folders.values()), strict=True))
    for bug in bugs:
        assert outcomes[bug.id, "plain"]["does"] == outcomes[bug.id, "disguised"]["does"], bug.id


def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not(
    copies: dict[str, dict[str, str]],
) -> None:
    assert disguised(REFERENCE, "3") == copies["3"]
    assert len({json.dumps(sources) for sources in copies.values()}) == len(SEEDS)


def test_a_disguise_of_a_variant_differs_from_that_of_the_reference_near_the_bug_only() -> None:
    """Candidates are ranked by what stands there: a bug does not shuffle the disguise of the rest."""
    bug = next(bug for bug in BUGS if bug.id == "tool-output-order")
    plain, broken = disguised(REFERENCE, "5"), disguised(variant.with_bugs(REFERENCE, [bug]), "5")
    assert plain["gpt.py"] == broken["gpt.py"]
    assert 0 < changed_share(plain, broken) < 0.03


def test_most_of_what_a_diff_shows_is_no_bug(copies: dict[str, dict[str, str]]) -> None:
    """Against the reference and between two students 28 to 34 % of the lines, by the classic bugs 1.4 %."""
    against = [changed_share(REFERENCE, copy) for copy in copies.values()]
    between = [changed_share(copies[one], copies[other]) for one, other in combinations(SEEDS, 2)]
    bugs = changed_share(REFERENCE, variant.with_bugs(REFERENCE, CLASSIC))
    assert min(against) > 0.25, against
    assert min(between) > 0.25, between
    assert bugs < 0.03


def test_every_kind_of_rewrite_is_made() -> None:
    for kind in KINDS:
        assert disguised(REFERENCE, "1", [kind]) != REFERENCE, kind


def test_functions_and_code_stay_under_other_names_and_orders(copies: dict[str, dict[str, str]]) -> None:
    for seed, sources in copies.items():
        for name, text in sources.items():
            there, here = (defined(source) for source in (REFERENCE[name], text))
            assert there == here, f"seed {seed}, {name}"


def defined(source: str) -> list[str]:
    """Return the functions and classes of a module with their parameters, sorted."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            found.append(f"{node.name}({ast.unparse(node.args)})")
        elif isinstance(node, ast.ClassDef):
            found.append(node.name)
    return sorted(found)
