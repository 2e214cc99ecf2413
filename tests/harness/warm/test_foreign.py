"""Bugs of other levels: judged in packs, and one by one where a pack does not pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from grader.bugs import variant
from grader.bugs.bug import Bug
from grader.bugs.catalogue import load
from grader.bugs.pattern import Edit
from grader.matrix import foreign
from grader.matrix.job import Job
from grader.matrix.outcome import Row

from .made import PLACE, bug, cell, row

SOURCES = {"gpt.py": "def f():\n    return [1, 2, 3, 4]\n"}


def edit(find: str, replacement: str = "0") -> tuple[Edit, ...]:
    """Return an edit of one number."""
    return (Edit("gpt.py", "f", (find,), replacement),)


class Sensitive:
    """A session whose one property notices programs that hold a certain text."""

    level = SimpleNamespace(number=2)
    laws = ("loop.one",)

    def __init__(self, text: str) -> None:
        self.text = text

    def run(self, jobs: Iterable[Job], at_a_time: int) -> Iterator[tuple[Job, Row]]:
        """Answer, the last first."""
        assert at_a_time == 2
        for job in reversed(list(jobs)):
            kind: Any = "law broken" if self.text in job.sources["gpt.py"] else "passed"
            yield job, row(job.name, cell("loop.one", kind))


ONE, TWO, THREE = (bug(name, edits=edit(name, f"{name}0")) for name in ("1", "2", "3"))


def judged(text: str, *bugs: Bug) -> list[foreign.Pack]:
    """Judge bugs by a session that notices a text."""
    session: Any = Sensitive(text)
    return foreign.judge(session, SOURCES, [(one, PLACE) for one in bugs], 2)


def test_packs_that_disturb_nothing_are_not_refused() -> None:
    (pack,) = judged("nowhere", ONE, TWO, THREE)
    assert [one.id for one, _ in pack.bugs] == ["1", "2", "3"]
    assert pack.refused == ()


def test_the_bug_at_fault_is_named_with_its_place() -> None:
    (pack,) = judged("20", ONE, TWO, THREE)
    (said,) = pack.refused
    assert said.startswith("level3/rotary.toml:1: bug 'b': ")
    assert said.endswith("it breaks another level, by loop.one")


def test_bugs_that_break_it_only_together_are_refused_together() -> None:
    (pack,) = judged("10, 20", ONE, TWO, THREE)
    assert pack.refused == ("level 2 does not pass with these bugs of other levels together: 1, 2, 3",)


def test_bugs_that_do_not_go_together_are_in_different_packs() -> None:
    same = bug("again", edits=edit("1", "7"))
    foe = replace(TWO, id="foe", edits=edit("4"), conflicts=("1",))
    packs = foreign.packed(SOURCES, [(one, PLACE) for one in (ONE, same, foe, TWO)])
    assert [[one.id for one, _ in pack.bugs] for pack in packs] == [["1", "2"], ["again", "foe"]]


def test_every_bug_of_the_catalogue_is_in_a_pack_of_limited_size() -> None:
    sources = variant.sources_of(Path(__file__).parents[3] / "reference" / "nanochat")
    packs = foreign.packed(sources, [(one.first(), PLACE) for one in load(2)])
    assert sorted(one.id for pack in packs for one, _ in pack.bugs) == sorted(one.id for one in load(2))
    assert 7 <= len(packs) <= 20
    assert max(len(pack.bugs) for pack in packs) <= foreign.LARGEST
