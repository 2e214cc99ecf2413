"""Bugs of other levels: none of them may disturb a property of this one.

A student repairs the levels in any order. Packs of many bugs are judged at once, since all of them should
pass; where one does not, each of its bugs is judged alone, and the one at fault is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from grader.bugs import choose, variant
from grader.bugs.bug import Bug
from grader.bugs.records import Recorded
from grader.matrix.job import Job
from grader.matrix.session import Session

Sources = dict[str, str]

LARGEST = 12
"""Bugs of a pack. The more there are, the more of them an early return or an exception of one may hide."""


@dataclass(frozen=True)
class Pack:
    """Bugs that are judged together."""

    bugs: tuple[Recorded, ...]
    refused: tuple[str, ...] = ()
    """What is wrong with them, each with file and line of the record."""


def judge(session: Session, sources: Sources, bugs: Sequence[Recorded], jobs: int) -> list[Pack]:
    """Require the level of the session to pass with any of the `bugs`, which are other levels'."""
    laws = tuple(session.laws)
    packs = packed(sources, bugs)
    plan = (job_of(str(number), sources, one.bugs, laws) for number, one in enumerate(packs))
    noticed = {int(job.name) for job, row in session.run(plan, jobs) if row.killers}
    suspects = {bug.id: (bug, place) for number in noticed for bug, place in packs[number].bugs}
    plan = (job_of(name, sources, [one], laws) for name, one in suspects.items())
    said = {job.name: complaint(suspects[job.name], row.killers) for job, row in session.run(plan, jobs)}
    return [
        replace(one, refused=refusals(one, said, session.level.number)) if number in noticed else one
        for number, one in enumerate(packs)
    ]


def packed(sources: Sources, bugs: Sequence[Recorded]) -> list[Pack]:
    """Return the bugs in packs, each in the first that it goes into."""
    packs: list[list[Recorded]] = []
    for one in bugs:
        room = next((pack for pack in packs if fits(sources, pack, one[0])), None)
        if room is None:
            packs.append([one])
        else:
            room.append(one)
    return [Pack(tuple(pack)) for pack in packs]


def fits(sources: Sources, pack: Sequence[Recorded], bug: Bug) -> bool:
    """Say whether a bound bug goes together with those of a pack. Raises PatternError if it fits nowhere."""
    return len(pack) < LARGEST and not choose.obstacle(bug, [other for other, _ in pack], sources)


def job_of(name: str, sources: Sources, bugs: Sequence[Recorded], laws: tuple[str, ...]) -> Job:
    """Return the job that judges bugs together."""
    return Job(name, variant.with_bugs(sources, [bug for bug, _ in bugs]), laws, until="first")


def complaint(one: Recorded, killers: Sequence[str]) -> str:
    """Say what a bug of another level breaks, or return ""."""
    place = one[1]
    return str(place.error(f"it breaks another level, by {', '.join(killers)}", "level")) if killers else ""


def refusals(pack: Pack, said: dict[str, str], level: int) -> tuple[str, ...]:
    """Return the complaints about the bugs of a pack; about the pack if none of them alone is at fault."""
    alone = tuple(said[bug.id] for bug, _ in pack.bugs if said[bug.id])
    names = ", ".join(bug.id for bug, _ in pack.bugs)
    return alone or (f"level {level} does not pass with these bugs of other levels together: {names}",)
