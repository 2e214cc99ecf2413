"""The forms of a bug: what its parameters make of it, beside the one form whose whole row is judged.

A student may be handed any of them, so each must show to the bug's witness and be noticed by the properties
that the record names. The whole row of every form would cost seven times as much and say little more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from grader.bugs import variant, witness
from grader.bugs.bug import Bug
from grader.bugs.records import Recorded
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


def others(bugs: Iterable[Recorded], seed: int) -> list[Recorded]:
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
    forms: Sequence[Recorded],
    reference_shows: Mapping[str, object],
    jobs: int,
) -> list[Finding]:
    """Require each form to show, and to be noticed by the properties that its record names."""
    made = {named(bug): (variant.with_bugs(sources, [bug]), bug) for bug, _ in forms}
    shows = shown(session, {name: (texts, bug.witness) for name, (texts, bug) in made.items()}, jobs)
    plan = (Job(name, texts, bug.expected) for name, (texts, bug) in made.items())
    rows = {job.name: row for job, row in session.run(plan, jobs)}
    return [
        Finding(
            bug,
            tuple(
                str(place.error(f"in the form {bug.choice}, {reason}", entry))
                for entry, reason in wrong(bug, rows[name], reference_shows[bug.witness], shows[name])
            ),
        )
        for (bug, place), name in zip(forms, made, strict=True)
    ]


def wrong(bug: Bug, row: Row, at_reference: object, at_form: object) -> list[tuple[str, str]]:
    """Return the entries of the record that do not hold for a form, each with the reason."""
    found = [] if witness.differ(at_reference, at_form) else [unshown(bug)]
    return found + unnoticed(bug, row)


def unshown(bug: Bug) -> tuple[str, str]:
    """Return what is said of a record whose witness does not tell the bug."""
    return "witness", f"its witness {bug.witness} finds the same as in the reference"


def unnoticed(bug: Bug, row: Row) -> list[tuple[str, str]]:
    """Return what is said of a record that names properties which do not notice; nothing if all do."""
    absent = sorted(set(bug.expected) - set(row.killers))
    return [("expected", f"{', '.join(absent)} does not notice")] if absent else []


def shown(session: Session, programs: Mapping[str, tuple[Sources, str]], jobs: int) -> dict[str, object]:
    """Return what a witness finds in each program, given as its texts and the witness's name."""
    plan = [Job(name, texts, (), witness=wanted) for name, (texts, wanted) in programs.items()]
    return {job.name: row.witness for job, row in session.run(plan, jobs)}


def named(bug: Bug) -> str:
    """Return a name for one form of a bug."""
    return f"{bug.id} {sorted(bug.choice.items())}" if bug.choice else bug.id
