"""`grader variants release`: the bundle grades as the repository does, and says nothing of its bugs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from grader import levels
from grader.bugs import catalogue, variant
from grader.bugs.choose import by_seed
from grader.bugs.disguise import disguised
from grader.cli import main

from .conftest import files_in

ROOT = Path(__file__).parents[3]
REFERENCE = variant.sources_of(ROOT / "reference" / "nanochat")
BUGS = catalogue.load(3)
SECRET = "the secret of the course"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release for seed 7, with everything published."""
    folder = tmp_path_factory.mktemp("release")
    arguments = ["--seed", "7", "--manifest", str(folder / "manifest.json"), "--out", str(folder / "bundle")]
    assert main(["variants", "release", "--level", "3", *arguments]) == 0
    return folder / "bundle"


def inside(bundle: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a bundle, with the bundle's grader, and leave no caches in it."""
    environment = {**os.environ, "PYTHONPATH": str(bundle), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, cwd=bundle, env=environment
    )


def verdicts(record: str) -> dict[str, tuple[str, str]]:
    """Return verdict and message of each property in a report."""
    return {
        law["id"]: (law["verdict"], law["message"])
        for criterion in json.loads(record)["levels"][0]["criteria"]
        for law in criterion["properties"]
    }


def test_the_bundle_holds_what_a_student_needs_and_nothing_else(bundle: Path) -> None:
    files = set(files_in(bundle))
    top = {path.split("/")[0] for path in files}
    assert top == {
        "LICENSE",
        "README.md",
        "grader",
        "notebooks",
        "pyproject.toml",
        "setup.sh",
        "specs",
        "student",
        "tests",
    }
    assert {path for path in files if path.startswith(("tests/", "notebooks/"))} == {
        "notebooks/level3.ipynb",
        "tests/conftest.py",
        "tests/test_level3.py",
    }
    assert not [path for path in files if path.startswith(("grader/bugs", "grader/matrix"))]
    known = set(
        subprocess.run(
            ["git", "ls-files"], capture_output=True, text=True, check=False, cwd=ROOT
        ).stdout.split()
    )
    if known:
        assert {path for path in files if not path.startswith("student/")} <= known


def test_the_students_copy_is_the_variant_of_the_seed(bundle: Path) -> None:
    chosen = by_seed(BUGS, REFERENCE, "7").bugs
    assert variant.sources_of(bundle / "student" / "nanochat") == variant.with_bugs(REFERENCE, chosen)
    record = json.loads((bundle.parent / "manifest.json").read_text())
    assert [bug["id"] for bug in record["bugs"]] == [bug.id for bug in chosen]


def test_the_grader_in_the_bundle_is_its_own(bundle: Path) -> None:
    result = inside(bundle, "-c", "import grader, specs; print(grader.__file__, specs.__file__)")
    assert all(path.startswith(str(bundle)) for path in result.stdout.split())


@pytest.mark.parametrize(
    "words",
    [
        ["variants", "list"],
        ["variants", "make", "--seed", "7", "--out", "x"],
        ["mutate", "--level", "3"],
        ["variants"],
        ["variants", "--help"],
    ],
)
def test_the_bundle_says_that_it_has_no_catalogue(bundle: Path, words: list[str]) -> None:
    result = inside(bundle, "-m", "grader", *words)
    assert result.returncode == 2
    assert (
        result.stderr
        == f"grader: {words[0]}: this copy of the grader has no catalogue of bugs; ask your instructor\n"
    )


@pytest.mark.parametrize("command", ["batch", "merge", "show", "regrade", "report", "export"])
def test_the_bundle_grades_no_classes(bundle: Path, command: str) -> None:
    result = inside(bundle, "-m", "grader", command, "--out", "x")
    assert result.returncode == 2
    assert (
        result.stderr
        == f"grader: {command}: this copy of the grader grades no classes; ask your instructor\n"
    )


def test_the_bundle_lists_the_same_laws(bundle: Path) -> None:
    here = inside(bundle, "-m", "grader", "run", "--level", "3", "--list")
    there = inside(ROOT, "-m", "grader", "run", "--level", "3", "--list")
    assert here.stdout == there.stdout != ""


def test_a_criterion_is_graded_in_the_bundle_as_in_the_repository(bundle: Path) -> None:
    arguments = ["-m", "grader", "run", "--level", "3", "--only", "rotary", "--json", "--jobs", "1"]
    here = inside(bundle, *arguments)
    there = inside(ROOT, *arguments, "--submission", str(bundle / "student"))
    assert here.returncode == there.returncode == 1, here.stderr
    assert verdicts(here.stdout) == verdicts(there.stdout)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_everything_is_graded_in_the_bundle_as_in_the_repository(bundle: Path) -> None:
    arguments = ["-m", "grader", "run", "--level", "3", "--json"]
    here = inside(bundle, *arguments)
    there = inside(ROOT, *arguments, "--submission", str(bundle / "student"))
    assert here.returncode == there.returncode == 1, here.stderr
    assert verdicts(here.stdout) == verdicts(there.stdout)


def test_the_published_tests_run_in_the_bundle(bundle: Path) -> None:
    result = inside(
        bundle,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "tests",
        "-k",
        "tools_the_calculator or rotary_rotation",
        "-q",
    )
    assert re.search(r"\d+ (passed|failed)", result.stdout), result.stdout + result.stderr
    assert "error" not in result.stdout.lower().splitlines()[-1]


@pytest.mark.slow
def test_the_notebook_runs_in_the_bundle(bundle: Path) -> None:
    pytest.importorskip("nbval")
    result = inside(bundle, "-m", "pytest", "-p", "no:cacheprovider", "--nbval", "notebooks/", "-q")
    assert re.search(r"\d+ passed", result.stdout), result.stdout + result.stderr


def test_the_page_for_the_student_names_what_is_there(bundle: Path) -> None:
    page = (bundle / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", page):
        assert (bundle / target).exists(), target
    for path in re.findall(r"`((?:specs|student|tests|notebooks)/[\w./-]*)", page):
        assert (bundle / path).exists(), path
    for criterion in levels.read(3).criteria:
        assert f"| {criterion.title} | {' '.join(criterion.statement.split())} |" in page
    assert max(len(line) for line in page.splitlines() if not line.startswith("|")) <= 110


def test_one_student_gets_one_archive_whenever_it_is_made(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    options = [
        "--seed",
        "2026",
        "--secret-file",
        str(tmp_path / "secret"),
        "--disguise",
        "--per-criterion",
        "1",
    ]
    for name, student in (("a.zip", "alice"), ("b.zip", "alice"), ("c.zip", "carol"), ("a.tar.gz", "alice")):
        out = ["--manifest", str(tmp_path / f"{name}.json"), "--out", str(tmp_path / name)]
        assert main(["variants", "release", *options, "--for", student, *out]) == 0
    contents = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert contents["a.zip"] == contents["b.zip"] != contents["c.zip"]
    assert contents["a.zip.json"] == contents["a.tar.gz.json"] != contents["c.zip.json"]
    for word in (SECRET, "alice"):
        assert word.encode() not in contents["a.zip"]


def test_a_disguised_release_holds_the_disguised_copy(tmp_path: Path) -> None:
    assert main(["variants", "release", "--seed", "7", "--disguise", "--out", str(tmp_path / "x")]) == 0
    plain = variant.with_bugs(REFERENCE, by_seed(BUGS, REFERENCE, "7").bugs)
    assert variant.sources_of(tmp_path / "x" / "student" / "nanochat") == disguised(plain, "7") != plain


def test_only_the_published_properties_are_in_the_bundle(tmp_path: Path) -> None:
    published = "rotary,cache.every_split_equals_uncached"
    assert (
        main(
            ["variants", "release", "--seed", "7", "--publish-tests", published, "--out", str(tmp_path / "x")]
        )
        == 0
    )
    listed = inside(tmp_path / "x", "-m", "grader", "run", "--level", "3", "--list")
    assert listed.returncode == 0, listed.stderr
    wanted = [law.id for law in levels.load(3).laws if law.id in published or law.criterion == "rotary"]
    assert [
        word
        for word in re.findall(r"[a-z]+\.\w+", listed.stdout)
        if word in {law.id for law in levels.load(3).laws}
    ] == wanted
    plan = tomllib.loads((tmp_path / "x" / "specs" / "level3.toml").read_text(encoding="utf-8"))
    assert [one["id"] for one in plan["criterion"]] == ["rotary", "cache"]
    only = "cache.every_split_equals_uncached"
    result = inside(tmp_path / "x", "-m", "grader", "run", "--level", "3", "--only", only, "--jobs", "1")
    assert result.returncode in (0, 1), result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--publish-tests", "colour"], "--publish-tests colour: there are "),
        (["--manifest", "OUT/bugs.json"], "which the student gets"),
        (["--level", "9"], "there is no such level; there are "),
        (["--level", "all"], "a release is of one level"),
        (["--disguise"], "--disguise needs --seed or --for"),
    ],
)
def test_what_cannot_be_released_is_refused(
    tmp_path: Path, refuse: Callable[..., str], options: list[str], message: str
) -> None:
    out = str(tmp_path / "out")
    given = [option.replace("OUT", out) for option in options]
    assert message in refuse("variants", "release", *given, "--out", out)


def test_nothing_is_released_over_something_else(tmp_path: Path, refuse: Callable[..., str]) -> None:
    (tmp_path / "mine.txt").touch()
    said = refuse("variants", "release", "--seed", "7", "--out", str(tmp_path))
    assert "is not empty: name a folder that does not exist yet" in said


def test_a_leak_is_the_graders_fault_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers: dict[str, Any] = {"notes.txt": REFERENCE["gpt.py"].encode()}
    real = __import__("grader.bugs.bundle", fromlist=["contents"]).contents
    monkeypatch.setattr("grader.bugs.bundle.contents", lambda *given: real(*given) | answers)
    arguments = ["--bugs", "grouped-flag-inverted", "--out", str(tmp_path / "x")]
    assert main(["variants", "release", *arguments]) == 3
    assert not (tmp_path / "x").exists()
    said = capsys.readouterr().err
    assert "the release would give its bugs away:\n  notes.txt: it holds the answer 'enable_gqa" in said
