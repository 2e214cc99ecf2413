"""The audit finds what would give a bug away, and nothing in a release as it should be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from grader.bugs import audit, bundle, catalogue, variant
from grader.bugs.audit import Hidden
from grader.bugs.disguise import disguised

ROOT = Path(__file__).parents[3]
REFERENCE = variant.sources_of(ROOT / "reference" / "nanochat")
BUGS = catalogue.load(3)
FLAG = next(bug for bug in BUGS if bug.id == "grouped-flag-inverted")
PLAIN = variant.with_bugs(REFERENCE, [FLAG])
HIDDEN = Hidden(REFERENCE, PLAIN, BUGS, ("seed", "a secret of the course"))


@pytest.fixture(scope="module")
def released() -> bundle.Files:
    """The files of a release without bugs."""
    return bundle.contents(ROOT, 3, REFERENCE, [])


@pytest.mark.exhaustive
def test_a_release_with_any_bug_is_clean(released: bundle.Files) -> None:
    assert len(BUGS) > 10
    for number, bug in enumerate(BUGS):
        plain = variant.with_bugs(REFERENCE, [bug.bound("7")])
        student = disguised(plain, "7") if number % 20 == 0 else plain
        files = released | {f"student/nanochat/{name}": text.encode() for name, text in student.items()}
        assert audit.findings(files, Hidden(REFERENCE, plain, BUGS)) == [], bug.id


def test_the_reference_in_place_of_the_students_copy_is_found(released: bundle.Files) -> None:
    found = audit.findings(released, HIDDEN)
    assert (
        "student/nanochat/gpt.py: it holds the answer 'enable_gqa = self.n_head != self.n_kv_head'" in found
    )
    assert any("it holds lines of the reference, from" in one for one in found)


@pytest.mark.parametrize(
    ("path", "text", "finding"),
    [
        ("student/.git/HEAD", "", "a hidden file may hold the history or a cache"),
        ("grader/__pycache__/x.pyc", "", "__pycache__/ is for the instructor"),
        ("grader/__pycache__/x.pyc", "", "the file was left over by a tool"),
        ("reference/nanochat/x.py", "", "reference/ is for the instructor"),
        ("grader/bugs/level3/rotary.toml", "", "bugs/ is for the instructor"),
        ("student/nanochat/gpt.py.orig", "", "the file was left over by a tool"),
        ("specs/x.py", "# kills grouped-flag-inverted", "it names the bug grouped-flag-inverted"),
        ("x.md", FLAG.title.replace(" ", "\n"), "it holds the title of the bug grouped-flag-inverted"),
        ("x.md", f"> {FLAG.story}", "it holds the story of the bug grouped-flag-inverted"),
        ("x.md", FLAG.hint, "it holds the hint of the bug grouped-flag-inverted"),
        ("x.md", "made with: a secret of the course", "it holds the seed or the secret"),
        ("x.md", "  enable_gqa = self.n_head != self.n_kv_head", "it holds the answer 'enable_gqa ="),
        (
            "notebooks/x.ipynb",
            json.dumps({"cells": [{"source": ["a = 1\n", "enable_gqa = self.n_head != self.n_kv_head\n"]}]}),
            "it holds the answer",
        ),
        (
            "notebooks/x.ipynb",
            json.dumps({"cells": [{"outputs": [{"text": "1\nenable_gqa = self.n_head != self.n_kv_head"}]}]}),
            "it holds the answer",
        ),
    ],
)
def test_what_gives_a_bug_away_is_found(path: str, text: str, finding: str) -> None:
    assert any(finding in one and one.startswith(f"{path}: ") for one in findings_of(path, text))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("student/nanochat/gpt.py", PLAIN["gpt.py"]),
        ("specs/x.py", "# not-grouped-flag-inverted-at-all, and the seed"),
        ("specs/contract.md", "enable_gqa = self.n_head != self.n_kv_head"),
        ("x.bin", "\udce9"),
    ],
)
def test_what_gives_nothing_away_is_left_alone(path: str, text: str) -> None:
    assert findings_of(path, text) == []


def findings_of(path: str, text: str) -> list[str]:
    return audit.findings({path: text.encode(errors="surrogateescape")}, HIDDEN)
