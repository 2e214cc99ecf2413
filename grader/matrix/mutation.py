"""Mutation testing of a level's properties on the reference, by a warm session.

A mutant can only show in properties that run its statement, so only those are tried, cheapest first. Which
ones run it is known from one pass of the reference under a line tracer; statements that run while a module
is imported concern every property that runs anything of the module.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grader.matrix.job import Job, fingerprint
from grader.matrix.operators import Mutant, mutants_of
from grader.matrix.outcome import Row
from grader.matrix.sentinel import functions_in, require_green, require_red, sentinels
from grader.matrix.session import Session, in_order

IMPORT = ""
"""Stands for the import of the modules among the properties of which lines are known."""

KEY = ("function", "operator", "before", "after", "occurrence")

Sources = Mapping[str, str]
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Judged:
    """A mutant and what became of it."""

    mutant: Mutant
    row: Row | None
    """None if no property runs its statement."""
    laws: int
    """How many properties run it."""

    @property
    def killed(self) -> bool:
        """Whether a property noticed."""
        return self.row is not None and bool(self.row.killers)

    @property
    def only_crashes(self) -> bool:
        """Whether it was noticed, and by exceptions and ended processes alone."""
        kinds = {cell.kind for cell in self.row.cells if cell.noticed} if self.row else set()
        return self.killed and kinds <= {"raised", "died"}


def canary(session: Session, sources: Sources, jobs: int) -> Row:
    """Judge the reference, with the lines that each property runs, and a sentinel in each function that runs.

    Raises GraderFault if the reference is not green or a sentinel is not red.
    """
    laws = tuple(session.laws)
    job = Job("reference", sources, laws, lines=True)
    # Two halves at a time: the sentinels need to know the outcome of both.
    halves = [Job("reference", sources, laws[part::jobs], lines=True) for part in range(jobs)]
    rows = [row for _, row in session.run(halves, jobs)]
    for row in rows:
        require_green(row)
    lines: dict[str, dict[str, list[int]]] = {IMPORT: rows[0].lines[IMPORT]}
    for row in rows:
        lines |= {law: found for law, found in row.lines.items() if law != IMPORT}
    cells = tuple(cell for row in rows for cell in row.cells)
    reference = Row(job.name, cells, rows[0].proof, max(row.seconds for row in rows), lines)
    for sentinel, row in session.run(watched(session, sources, reference), jobs):
        del sentinel
        require_red(row)
    return reference


def watched(session: Session, sources: Sources, reference: Row) -> Iterator[Job]:
    """Yield a sentinel for each function that a property runs, to be judged by the properties that run it."""
    ordered = in_order(tuple(session.laws), reference)
    for file, text in sources.items():
        for name, node in functions_in(text).items():
            span = (node.body[0].lineno, node.end_lineno or node.lineno)
            laws = laws_running(reference, ordered, file, span)
            if laws and not runs(reference, IMPORT, file, span):
                yield from sentinels(sources, {file: [name]}, laws)


def runs(reference: Row, law: str, file: str, lines: tuple[int, int]) -> bool:
    """Say whether a property runs one of the lines of a file."""
    first, last = lines
    return any(first <= line <= last for line in reference.lines.get(law, {}).get(file, ()))


def laws_running(reference: Row, laws: Sequence[str], file: str, lines: tuple[int, int]) -> tuple[str, ...]:
    """Return those of `laws` that run one of the lines of a file; if those run at import, any of the file."""
    if runs(reference, IMPORT, file, lines):
        return tuple(law for law in laws if reference.lines.get(law, {}).get(file))
    return tuple(law for law in laws if runs(reference, law, file, lines))


def mutants(sources: Sources, files: Iterable[str]) -> list[Mutant]:
    """Return every mutant of the files."""
    return [one for file in files for one in mutants_of(file, sources[file])]


def in_places(
    every: Iterable[Mutant], places: Collection[str], claimed: Collection[str] = ()
) -> list[Mutant]:
    """Return the mutants in the places, which are modules or functions in them, `gpt.py:GPT.generate`.

    Those in the functions that are `claimed` are left out of modules: another level judges them.
    """
    named = ((one, f"{one.file}:{one.function}") for one in every)
    return [one for one, where in named if where in places or (one.file in places and where not in claimed)]


def survivors_of(every: Sequence[Mutant], run: Mapping[str, Any]) -> list[Mutant]:
    """Return the mutants that nothing noticed in the record of an earlier run."""
    left = {
        (*one["id"].split(":")[:1], *(one[name] for name in KEY))
        for one in run["mutants"]
        if one["status"] not in ("killed", "crashed")
    }
    return [one for one in every if one.key in left]


def sample(every: Sequence[Mutant], count: int | None, seed: int) -> list[Mutant]:
    """Return `count` of the mutants, chosen by the seed and their own hashes; all if it is None."""
    if count is None or count >= len(every):
        return list(every)
    ranked = sorted(every, key=lambda one: fingerprint(f"{seed}|{one.key}"))
    return sorted(ranked[:count], key=every.index)


def judge(
    session: Session,
    sources: Sources,
    reference: Row,
    chosen: Sequence[Mutant],
    jobs: int,
    until: str = "broken",
) -> Iterator[Judged]:
    """Judge mutants, `jobs` at a time, and yield each when it is done.

    `until` is "first" to stop at the first property that notices, or "broken" to go on after a crash until a
    law is broken, so that mutants which only ever crash can be told.
    """
    ordered = in_order(tuple(session.laws), reference)
    waiting = []
    for mutant in chosen:
        laws = laws_running(reference, ordered, mutant.file, mutant.lines)
        if not laws:
            yield Judged(mutant, None, 0)
            continue
        waiting.append(Job(mutant.id, {**sources, mutant.file: mutant.text}, laws, until=until, tag=mutant))
    for job, row in session.run(waiting, jobs):
        yield Judged(job.tag, row, len(job.laws))
