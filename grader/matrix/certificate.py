"""The certificate of a catalogue: each bug is there, shows, is noticed by its own criterion and by no other.

What it says of each bug: the edited lines ran; its own witness finds something else than in the reference;
its criterion fails, with the properties that the record names; no other criterion fails but those that it
declares. Of the other forms that its parameters give: their witness and those properties tell them as well.
Of bugs of other levels: they disturb nothing. Of variants as they are handed out: each of their bugs is
noticed beside the others, in every pair and in the whole, and repairing one restores its criterion. Of
correct programs: they pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from grader.bugs import variant, witness, witnesses
from grader.bugs.bug import Bug
from grader.bugs.records import Place, Recorded
from grader.matrix import combined, foreign, forms
from grader.matrix.combined import Variant
from grader.matrix.job import Job
from grader.matrix.outcome import Row
from grader.matrix.proof import edited_places
from grader.matrix.sentinel import functions_in, require_green, require_red, sentinels
from grader.matrix.session import Session, in_order

Sources = dict[str, str]
Tell = Callable[[str], None]
WITNESSES = tuple(sorted({f"grader.bugs.witnesses.{name.split('.')[0]}" for name in witnesses.names()}))
"""Modules that a session should hold before it forks."""


@dataclass(frozen=True)
class Plan:
    """What is to be judged."""

    bugs: Sequence[Recorded]
    forms: Sequence[Recorded]
    """Other forms of these bugs."""
    foreign: Sequence[Recorded]
    """Bugs of other levels."""
    correct: Mapping[str, Sources]
    variants: Sequence[Variant]


@dataclass(frozen=True)
class Judgement:
    """One bug and what was found of it."""

    bug: Bug
    sources: Sources
    row: Row
    visible: bool
    """Whether its witness finds something else than in the reference."""
    refused: tuple[str, ...]
    """What is wrong with its record, each with file and line; empty if nothing is."""


@dataclass
class Certificate:
    """Everything that was found."""

    level: int
    seed: int
    laws: tuple[str, ...]
    reference: Row
    correct: dict[str, Row] = field(default_factory=dict)
    """Correct programs by name: alternates, and the reference in disguise."""
    bugs: list[Judgement] = field(default_factory=list)
    forms: list[forms.Finding] = field(default_factory=list)
    """The other forms that the parameters of these bugs give."""
    foreign: list[foreign.Pack] = field(default_factory=list)
    """Bugs of other levels, which must disturb nothing here."""
    variants: list[combined.Finding] = field(default_factory=list)
    repeated: dict[str, list[str]] = field(default_factory=dict)
    """What differed when a row was repeated in fresh processes, by its name: nothing, if all is well."""
    refused: list[str] = field(default_factory=list)
    """What is wrong beside the records of single bugs."""

    @property
    def complaints(self) -> list[str]:
        """Everything that is wrong."""
        return [
            *(said for one in self.bugs for said in one.refused),
            *(said for one in self.forms for said in one.refused),
            *(said for one in self.foreign for said in one.refused),
            *(said for one in self.variants for said in one.refused),
            *self.refused,
        ]


def certify(session: Session, sources: Sources, plan: Plan, jobs: int, tell: Tell) -> Certificate:
    """Judge everything in the session. Raises GraderFault if the session itself cannot be trusted."""
    laws = tuple(session.laws)
    tell("judging the reference, and a sentinel in each edited function")
    reference = canary(session, sources, [bug for bug, _ in plan.bugs], jobs)
    found = Certificate(session.level.number, session.seed, laws, reference)
    tell(f"judging {len(plan.correct)} correct programs")
    for job, row in session.run((Job(name, texts, laws) for name, texts in plan.correct.items()), jobs):
        found.correct[job.name] = row
        found.refused += [
            f"{job.name}, which is correct, fails {cell.law}: {cell.kind}: {cell.message}"
            for cell in row.cells
            if cell.verdict != "passed"
        ]
    tell(f"judging {len(plan.bugs)} bugs")
    names = {bug.witness for bug, _ in plan.bugs}
    reference_shows = forms.shown(session, {name: (sources, name) for name in names}, jobs)
    found.bugs = judge_bugs(session, sources, plan.bugs, reference_shows, jobs, tell)
    tell(f"judging {len(plan.forms)} other forms of them")
    found.forms = forms.judge(session, sources, plan.forms, reference_shows, jobs)
    tell(f"judging {len(plan.foreign)} bugs of other levels, in packs")
    found.foreign = foreign.judge(session, sources, plan.foreign, jobs)
    tell(f"judging {len(plan.variants)} variants, their pairs and their repairs")
    ordered = in_order(laws, reference)
    found.variants = combined.judge(session, sources, plan.variants, ordered, jobs)
    return found


def canary(session: Session, sources: Sources, bugs: Sequence[Bug], jobs: int) -> Row:
    """Require the reference to be green, and red with each edited function raising; return its row.

    Raises GraderFault if it is otherwise.
    """
    laws = tuple(session.laws)
    ((_, reference),) = session.run([Job("reference", sources, laws)])
    require_green(reference)
    ordered = in_order(laws, reference)
    for _, row in session.run(sentinels(sources, edited_functions(sources, bugs), ordered), jobs):
        require_red(row)
    return reference


def edited_functions(sources: Sources, bugs: Sequence[Bug]) -> dict[str, list[str]]:
    """Return the functions that some bug edits, by file name. Others edit a class."""
    found: dict[str, list[str]] = {}
    for bug in bugs:
        for edit in bug.edits:
            known = functions_in(sources[edit.file])
            if edit.scope in known and edit.scope not in found.setdefault(edit.file, []):
                found[edit.file].append(edit.scope)
    return found


def judge_bugs(
    session: Session,
    sources: Sources,
    bugs: Sequence[Recorded],
    reference_shows: Mapping[str, object],
    jobs: int,
    tell: Tell,
) -> list[Judgement]:
    """Judge every bug alone, in the order given."""
    laws = tuple(session.laws)
    made = {bug.id: variant.with_bugs(sources, [bug]) for bug, _ in bugs}
    shows = forms.shown(session, {bug.id: (made[bug.id], bug.witness) for bug, _ in bugs}, jobs)
    plan = (Job(name, texts, laws, edited_places(sources, texts)) for name, texts in made.items())
    rows: dict[str, Row] = {}
    for job, row in session.run(plan, jobs):
        rows[job.name] = row
        if len(rows) % 10 == 0:
            tell(f"{len(rows)} of {len(bugs)} bugs")
    return [
        judgement(bug, place, made[bug.id], rows[bug.id], reference_shows[bug.witness], shows[bug.id])
        for bug, place in bugs
    ]


def judgement(
    bug: Bug, place: Place, texts: Sources, row: Row, at_reference: object, at_bug: object
) -> Judgement:
    """Return what is to be said of one bug."""
    visible = witness.differ(at_reference, at_bug)
    broken = row.broken_criteria()
    wrong = []
    if not visible:
        wrong.append(forms.unshown(bug))
    if not row.killers:
        wrong.append(
            ("criterion", "no property notices it" + (", though its witness does" if visible else ""))
        )
    elif bug.criterion not in broken:
        wrong.append(("criterion", f"its own criterion does not notice; {', '.join(sorted(broken))} does"))
    wrong += forms.unnoticed(bug, row)
    disturbed = sorted(broken - {bug.criterion, *bug.disturbs})
    if disturbed:
        by = [law for law in row.killers if law.split(".")[0] in disturbed]
        wrong.append(("disturbs", f"it also breaks {', '.join(disturbed)}, undeclared, by {', '.join(by)}"))
    calm = sorted(set(bug.disturbs) - broken)
    if calm:
        wrong.append(("disturbs", f"it is said to break {', '.join(calm)}, and does not"))
    # One of several places may be the message of an error that the broken code no longer raises.
    for file, spots in row.proof.missing.items() if not row.proof.ran else ():
        lines = "; ".join(", ".join(map(str, spot)) for spot in spots)
        wrong.append(("id", f"no property runs line {lines} of its {file}, so no verdict is about that edit"))
    refused = tuple(str(place.error(reason, name)) for name, reason in wrong)
    return Judgement(bug, texts, row, visible, refused)
