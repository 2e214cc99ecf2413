"""Chooses the bugs of a variant by a seed: the same on every machine, and stable when the catalogue grows.

Each bug has a rank, the SHA-256 of the seed and its id, and the bugs with the smallest ranks are taken. A bug
that is added to the catalogue has a rank of its own and moves no other one: it appears in the variants in
which it comes first, and all others stay as they were. Nothing here is drawn from a generator, whose stream
may differ between versions of Python, and nothing depends on the order of a set or of a folder.
"""

from __future__ import annotations

import ast
import hashlib
import hmac
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product

from grader.bugs.bug import Bug
from grader.bugs.pattern import Edit, PatternError, spans_of

SECRET_BYTES = 16
"""The shortest secret of a course. A shorter one could be found by trying all."""


class ChoiceError(ValueError):
    """Bugs were asked for by name that do not exist or do not go together."""


@dataclass(frozen=True)
class PassedOver:
    """A bug whose turn it was, and why it was left out."""

    id: str
    reason: str


@dataclass(frozen=True)
class Choice:
    """The bugs of one variant, each bound to its choices, in the order of the catalogue."""

    bugs: tuple[Bug, ...]
    passed_over: tuple[PassedOver, ...] = ()
    missing: tuple[tuple[str, int], ...] = ()
    """Criteria that have fewer bugs than asked for, and how many fewer."""


def by_seed(bugs: Sequence[Bug], sources: dict[str, str], seed: str, per_criterion: int = 1) -> Choice:
    """Return `per_criterion` bugs for each criterion, those with the smallest ranks that go together.

    A bug is passed over if it conflicts with one already taken, if it edits the same place of `sources` (the
    reference's modules), or if it disturbs a criterion that gets bugs of its own: repairing those would not
    restore that criterion. Raises PatternError if a bug does not fit the sources at all.
    """
    criteria = {bug.criterion for bug in bugs}
    taken: list[Bug] = []
    passed_over: list[PassedOver] = []
    for bug in sorted(bugs, key=lambda one: rank(seed, one.id)):
        if sum(one.criterion == bug.criterion for one in taken) >= per_criterion:
            continue
        candidate = bug.bound(seed)
        disturbed = sorted(set(bug.disturbs) & criteria)
        if disturbed:
            reason = f"it also breaks {', '.join(disturbed)}"
        else:
            reason = obstacle(candidate, taken, sources)
        if reason:
            passed_over.append(PassedOver(bug.id, reason))
        else:
            taken.append(candidate)
    return Choice(in_order(taken, bugs), tuple(passed_over), missing(taken, bugs, per_criterion))


def by_name(bugs: Sequence[Bug], sources: dict[str, str], names: Sequence[str], seed: str | None) -> Choice:
    """Return the bugs that are named, bound by the seed, or to their first choices without one.

    Raises ChoiceError for a name that the catalogue does not have, and for bugs that do not go together.
    """
    unknown = sorted(set(names) - {bug.id for bug in bugs})
    if unknown:
        raise ChoiceError(
            f"there is no bug {', '.join(unknown)}; there are {', '.join(bug.id for bug in bugs)}"
        )
    taken: list[Bug] = []
    for bug in bugs:
        if bug.id in names:
            candidate = bug.first() if seed is None else bug.bound(seed)
            reason = obstacle(candidate, taken, sources)
            if reason:
                raise ChoiceError(f"{bug.id} cannot be added: {reason}")
            taken.append(candidate)
    return Choice(tuple(taken))


def obstacle(bug: Bug, taken: Sequence[Bug], sources: dict[str, str]) -> str:
    """Say why a bug cannot stand beside those taken, or return "" if it can. Raises PatternError.

    The error is for a bug that does not even fit alone.
    """
    against = [one.id for one in taken if one.id in bug.conflicts or bug.id in one.conflicts]
    if against:
        return f"it conflicts with {', '.join(against)}"
    own = places(bug, sources)
    same = [one.id for one in taken if any(overlap(*pair) for pair in product(own, places(one, sources)))]
    return f"it edits the same place as {', '.join(same)}" if same else ""


Place = tuple[str, int, int]
"""A file, and where in it an edit starts and ends."""


def places(bug: Bug, sources: dict[str, str]) -> tuple[Place, ...]:
    """Return where a bound bug edits. Raises PatternError, naming the bug, if an edit does not fit."""
    return places_once(bug.edits, tuple(sources.items()), bug.id)


@cache
def places_once(
    edits: tuple[Edit, ...], sources: tuple[tuple[str, str], ...], bug_id: str
) -> tuple[Place, ...]:
    """Return where edits are made: once for the same ones, since each look takes milliseconds."""
    texts = dict(sources)
    found: list[Place] = []
    for edit in edits:
        try:
            spans = spans_of(texts[edit.file], tree_of(texts[edit.file]), edit)
        except PatternError as error:
            raise PatternError(f"bug {bug_id}: {error}") from error
        found += [(edit.file, span.start, span.end) for span in spans]
    return tuple(found)


@cache
def tree_of(source: str) -> ast.Module:
    """Return the syntax tree of a source, parsed once."""
    return ast.parse(source)


def overlap(one: Place, other: Place) -> bool:
    """Say whether two edits touch the same text."""
    same_start = one[:2] == other[:2]
    return same_start or (one[0] == other[0] and one[1] < other[2] and other[1] < one[2])


def in_order(taken: Sequence[Bug], bugs: Sequence[Bug]) -> tuple[Bug, ...]:
    """Return the bugs taken in the order of the catalogue."""
    order = [bug.id for bug in bugs]
    return tuple(sorted(taken, key=lambda bug: order.index(bug.id)))


def missing(taken: Sequence[Bug], bugs: Sequence[Bug], per_criterion: int) -> tuple[tuple[str, int], ...]:
    """Return each criterion that has fewer than `per_criterion` bugs, and how many fewer."""
    short = []
    for criterion in dict.fromkeys(bug.criterion for bug in bugs):
        count = sum(bug.criterion == criterion for bug in taken)
        if count < per_criterion:
            short.append((criterion, per_criterion - count))
    return tuple(short)


def rank(seed: str, bug_id: str) -> bytes:
    """Return where a bug stands in the order that a seed makes; smallest first."""
    return hashlib.sha256(f"bug|{seed}|{bug_id}".encode()).digest()


def seed_of(student: str, secret: bytes, term: str, level: int | str) -> str:
    """Return the seed of one student, which nobody can work out without the course's secret.

    `term` is the seed of the course, so that the same secret serves many terms. Raises ValueError for a
    secret that is too short and for a student without a name.
    """
    name = unicodedata.normalize("NFC", student).strip()
    if not name:
        raise ValueError("the student has no name")
    if len(secret) < SECRET_BYTES:
        raise ValueError(f"the secret has {len(secret)} bytes and must have at least {SECRET_BYTES}")
    message = "\0".join(("nanograder", str(level), term, name))
    return hmac.new(secret, message.encode(), hashlib.sha256).hexdigest()
