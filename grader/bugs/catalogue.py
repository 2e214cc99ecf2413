"""The catalogue: what can be broken, how, who should notice, and where it was seen.

One file for each criterion, `level3/rotary.toml` and so on. Every record is checked when it is read: against
the criteria and properties of its level, the witnesses, and the reference that its patterns must fit.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from grader import levels
from grader.bugs import records, variant, witnesses
from grader.bugs.bug import Bug
from grader.bugs.pattern import PatternError, parsed, spans_of
from grader.bugs.records import Place, RecordError
from grader.run import REPOSITORY

__all__ = ["Bug", "RecordError", "load", "read_folder"]

FOLDER = Path(__file__).parent
REFERENCE = REPOSITORY / "reference" / "nanochat"


def load(level: int) -> list[Bug]:
    """Return the bugs of a level, by criterion and then as in the file.

    Raises FileNotFoundError if the level has no catalogue, RecordError if a record is wrong.
    """
    return list(load_once(level))


@cache
def load_once(level: int) -> tuple[Bug, ...]:
    """Return the bugs of a level, read once in a process."""
    return tuple(read_folder(FOLDER / f"level{level}", level, variant.sources_of(REFERENCE)))


def read_folder(folder: Path, level: int, sources: dict[str, str]) -> list[Bug]:
    """Return the bugs in a folder; each must fit `sources`, the reference's modules, unless there are none.

    A grader that was installed without its repository has no reference, and only lists its bugs.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: there is no catalogue of bugs for level {level}")
    found = [pair for path in sorted(folder.glob("*.toml")) for pair in records.read(path)]
    plan = levels.load(level)
    for bug, place in found:
        require_known(bug, place, plan)
        if sources:
            require_fit(bug, place, sources)
    require_different([bug.id for bug, _ in found], [place for _, place in found])
    require_partners(found)
    order = [criterion.id for criterion in plan.criteria]
    return sorted((bug for bug, _ in found), key=lambda bug: order.index(bug.criterion))


def require_known(bug: Bug, place: Place, plan: levels.Level) -> None:
    """Raise RecordError if the record names a level, criterion, property or witness that does not exist."""
    if bug.level != plan.number:
        raise place.error(f"level is {bug.level} in the catalogue of level {plan.number}", "level")
    criteria = {criterion.id for criterion in plan.criteria}
    laws = {law.id for law in plan.laws}
    if bug.criterion not in criteria:
        raise place.error(f"there is no criterion {bug.criterion!r}", "criterion")
    for name in bug.expected:
        if name not in laws:
            raise place.error(f"there is no property {name!r}", "expected")
        if not name.startswith(f"{bug.criterion}."):
            raise place.error(f"{name} is no property of the criterion {bug.criterion}", "expected")
    for name in bug.disturbs:
        if name not in criteria - {bug.criterion}:
            raise place.error(f"disturbs names {name!r}, want another criterion", "disturbs")
    if bug.witness not in witnesses.names():
        raise place.error(f"there is no witness {bug.witness!r} in grader/bugs/witnesses", "witness")


def require_fit(bug: Bug, place: Place, sources: dict[str, str]) -> None:
    """Raise RecordError unless each edit of the bug fits the reference, and all together change it."""
    first = bug.first()
    for number, edit in enumerate(first.edits, 1):
        if edit.file not in sources:
            raise place.error(f"there is no {edit.file} to edit", "file", number)
        try:
            spans_of(sources[edit.file], parsed(sources[edit.file]), edit)
        except (PatternError, SyntaxError) as error:
            raise place.error(str(error), "find", number) from error
    try:
        changed = variant.with_bugs(sources, [first])
    except (PatternError, SyntaxError) as error:
        raise place.error(str(error)) from error
    if changed == sources:
        raise place.error("it changes nothing")


def require_different(ids: list[str], places: list[Place]) -> None:
    """Raise RecordError at the second record with an id that another one has."""
    for index, (name, place) in enumerate(zip(ids, places, strict=True)):
        if name in ids[:index]:
            first = places[ids.index(name)]
            raise place.error(f"the id is used twice, first at {first.start}", "id")


def require_partners(found: list[records.Recorded]) -> None:
    """Raise RecordError if a record conflicts with itself or with what does not exist."""
    ids = {bug.id for bug, _ in found}
    for bug, place in found:
        for name in bug.conflicts:
            if name not in ids - {bug.id}:
                raise place.error(f"conflicts names {name!r}, want the id of another bug", "conflicts")
