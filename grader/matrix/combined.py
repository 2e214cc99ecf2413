"""Several bugs together: each is noticed beside the others, and repairing one restores its criterion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from grader.bugs import choose, variant
from grader.bugs.bug import Bug
from grader.matrix.job import Job
from grader.matrix.outcome import Row
from grader.matrix.session import Session

Sources = dict[str, str]


@dataclass(frozen=True)
class Variant:
    """A set of bugs that is handed out together."""

    name: str
    bugs: tuple[Bug, ...]


@dataclass(frozen=True)
class Finding:
    """A variant and what was found of it."""

    variant: Variant
    checks: int
    """How often a criterion was judged for it."""
    seconds: float
    refused: tuple[str, ...]


@dataclass(frozen=True)
class Question:
    """One criterion with some bugs of a variant in place, and whether it must fail."""

    variant: int
    bugs: tuple[Bug, ...]
    criterion: str
    broken: bool
    why: str


def chosen(bugs: Sequence[Bug], sources: Sources, seed: int, count: int) -> list[Variant]:
    """Return the student copy's bugs, if they are here, and `count` variants as `make` chooses them."""
    classic = tuple(bug.first() for bug in bugs if bug.classic)
    found = [Variant("student copy", classic)] if len(classic) > 1 else []
    for number in range(count):
        name = f"{seed}/{number}"
        found.append(Variant(f"seed {name}", choose.by_seed(bugs, sources, name).bugs))
    return [one for one in found if len(one.bugs) > 1]


def judge(
    session: Session,
    sources: Sources,
    variants: Sequence[Variant],
    ordered: Sequence[str],
    jobs: int,
    *,
    pairs: bool = True,
) -> list[Finding]:
    """Judge variants; `ordered` are all properties, the cheapest first. Without `pairs`, leave those out."""
    refused: list[list[str]] = [[] for _ in variants]
    checks = [0] * len(variants)
    seconds = [0.0] * len(variants)
    for number, one in enumerate(variants):
        refused[number] += restores(sources, one)
    questions = (
        question for number, one in enumerate(variants) for question in questions_of(number, one, pairs)
    )
    for job, row in session.run((job_of(sources, question, ordered) for question in questions), jobs):
        question: Question = job.tag
        checks[question.variant] += 1
        seconds[question.variant] += row.seconds
        said = complaint(question, row)
        if said:
            refused[question.variant].append(f"variant {variants[question.variant].name}: {said}")
    return [
        Finding(one, checks[number], round(seconds[number], 3), tuple(refused[number]))
        for number, one in enumerate(variants)
    ]


def questions_of(number: int, one: Variant, pairs: bool = True) -> Iterator[Question]:
    """Yield what is asked of a variant: every pair, the whole, and the whole with each bug repaired."""
    for pair in combinations(one.bugs, 2) if pairs else ():
        for bug in pair:
            other = pair[1] if bug is pair[0] else pair[0]
            yield Question(number, pair, bug.criterion, True, f"{bug.id} beside {other.id}")
    for bug in one.bugs:
        yield Question(number, one.bugs, bug.criterion, True, f"{bug.id} beside all others")
        rest = tuple(other for other in one.bugs if other is not bug)
        # With another bug of the same criterion left, or one that disturbs it, it must stay broken.
        stays = any(bug.criterion in (other.criterion, *other.disturbs) for other in rest)
        yield Question(number, rest, bug.criterion, stays, f"{bug.id} repaired, all others left")


def job_of(sources: Sources, question: Question, ordered: Sequence[str]) -> Job:
    """Return the job that answers a question."""
    laws = [law for law in ordered if law.startswith(f"{question.criterion}.")]
    if question.broken:
        expected = {law for bug in question.bugs for law in bug.expected}
        laws.sort(key=lambda law: law not in expected)
    return Job(
        question.why,
        variant.with_bugs(sources, question.bugs),
        tuple(laws),
        until="first",
        tag=question,
    )


def complaint(question: Question, row: Row) -> str:
    """Say what is wrong with the answer to a question, or return ""."""
    if question.broken and not row.killers:
        return f"{question.why}: no property of {question.criterion} notices"
    if not question.broken and row.killers:
        cell = next(cell for cell in row.cells if cell.noticed)
        return f"{question.why}: {cell.law} still fails: {cell.kind}: {cell.message}"
    return ""


def restores(sources: Sources, one: Variant) -> list[str]:
    """Repair the bugs one after another; complain if the last repair does not give the reference's bytes."""
    left = list(one.bugs)
    texts = variant.with_bugs(sources, left)
    while left:
        if texts == sources:
            return [f"variant {one.name}: with {', '.join(bug.id for bug in left)} it is the reference"]
        left.pop()
        texts = variant.with_bugs(sources, left)
    changed = [name for name in sources if texts[name].encode() != sources[name].encode()]
    return [f"variant {one.name}: with all repaired, {name} is not the reference's" for name in changed]
