"""The forms of a bug: what its parameters make of it, beside the one form whose whole row is judged.

A student may be handed any of them, so each must show to the bug's witness and be noticed by the properties
that the record names. The whole row of every form would cost seven times as much and say little more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from grader.bugs import variant, witness
from grader.bugs.bug import Bug
from grader.bugs.records import Place
from grader.matrix.job import Job
from grader.matrix.outcome import Row
from grader.matrix.session import Session

Sources = dict[str, str]


@dataclass(frozen=True)
class Finding:
    """One form of a bug and what was found of it."""

    bug: Bug
    refused: tuple[str, ...]
    """What is wrong with it, each with file and line; empty if nothing is."""


def others(bugs: Iterable[tuple[Bug, Place]], seed: int) -> list[tuple[Bug, Place]]:
    """Return every form of the unbound `bugs` but the one that the seed chooses."""
    return [
        (form, place)
        for bug, place in bugs
        for form in bug.instances()
        if form.choice != bug.bound(seed).choice
    ]


def judge(
    session: Session,
    sources: Sources,
    forms: Sequence[tuple[Bug, Place]],
    reference_shows: Mapping[str, object],
    jobs: int,
) -> list[Finding]:
    """Require each form to show, and to be noticed by the properties that its record names."""
    made = {named(bug): variant.with_bugs(sources, [bug]) for bug, _ in forms}
    shows = shown(session, {named(bug): (made[named(bug)], bug.witness) for bug, _ in forms}, jobs)
    plan = [Job(named(bug), made[named(bug)], bug.expected) for bug, _ in forms]
    rows = {job.name: row for job, row in session.run(plan, jobs)}
    return [
        Finding(
            bug,
            tuple(
                str(place.error(f"in the form {bug.choice}, {reason}", name))
                for name, reason in wrong(
                    bug, rows[named(bug)], reference_shows[bug.witness], shows[named(bug)]
                )
            ),
        )
        for bug, place in forms
    ]


def wrong(bug: Bug, row: Row, at_reference: object, at_form: object) -> list[tuple[str, str]]:
    """Return the entries of the record that do not hold for a form, each with the reason."""
    found = []
    if not witness.differ(at_reference, at_form):
        found.append(("witness", f"its witness {bug.witness} finds the same as in the reference"))
    absent = sorted(set(bug.expected) - set(row.killers))
    if absent:
        found.append(("expected", f"{', '.join(absent)} does not notice"))
    return found


def shown(session: Session, programs: Mapping[str, tuple[Sources, str]], jobs: int) -> dict[str, object]:
    """Return what a witness finds in each program, given as its texts and the witness's name."""
    plan = [Job(name, texts, (), witness=wanted) for name, (texts, wanted) in programs.items()]
    return {job.name: row.witness for job, row in session.run(plan, jobs)}


def named(bug: Bug) -> str:
    """Return a name for one form of a bug."""
    return f"{bug.id} {sorted(bug.choice.items())}" if bug.choice else bug.id
