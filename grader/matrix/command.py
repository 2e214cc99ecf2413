"""`grader mutate` and `grader variants verify`: what the properties notice, and what they do not."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grader.matrix.alone import alone
from grader.run import REPOSITORY, UsageError, processors

if TYPE_CHECKING:
    from grader.bugs.records import Recorded

REFERENCE = REPOSITORY / "reference" / "nanochat"
DISGUISES = 3
"""How many disguised references are among the correct programs."""

CALL_SECONDS = 5.0
"""Processor time of one probe call of a mutant: the longest call of the reference takes 0.3 s."""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `grader mutate` to the command line."""
    part = commands.add_parser("mutate", help="change the reference in small ways, and see what notices")
    part.set_defaults(command=alone(mutate_command))
    part.add_argument(
        "files", nargs="*", metavar="FILE", help="modules of the reference (default: the level's)"
    )
    part.add_argument("--sample", type=int, metavar="N", help="judge only N mutants, chosen by the seed")
    part.add_argument(
        "--again", type=Path, metavar="FILE", help="only what nothing noticed in a run that --json wrote"
    )
    part.add_argument(
        "--first",
        action="store_true",
        help="stop at the first property that notices (default: go on until a law is broken, so that mutants "
        "which only ever crash are known)",
    )
    add_common(part)


def add_verify(parts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `grader variants verify`."""
    part = parts.add_parser("verify", help="prove that every bug is there, shows, and is noticed")
    part.set_defaults(command=alone(verify_command))
    part.add_argument("--bugs", metavar="ID[,ID...]", help="only these bugs")
    part.add_argument(
        "--variants",
        type=int,
        default=3,
        metavar="N",
        help="how many variants to judge beside the student copy, with their pairs (default: %(default)s)",
    )
    part.add_argument(
        "--no-correct", action="store_true", help="leave out the alternates and the reference in disguise"
    )
    part.add_argument(
        "--no-repeat", action="store_true", help="repeat nothing in fresh processes, which takes 20 s each"
    )
    part.add_argument(
        "--no-forms",
        action="store_true",
        help="judge one form of a bug only, not all that its parameters give",
    )
    part.add_argument(
        "--no-others", action="store_true", help="leave out the bugs of other levels, as --bugs does"
    )
    part.add_argument("--markdown", type=Path, metavar="FILE", help="write the matrix as Markdown")
    part.add_argument("--html", type=Path, metavar="FILE", help="write the matrix as a page of its own")
    add_common(part)


def add_common(part: argparse.ArgumentParser) -> None:
    """Add what both commands take."""
    part.add_argument("--level", type=int, default=3, help="the level (default: %(default)s)")
    part.add_argument("--seed", type=int, default=0, help="chooses the inputs (default: %(default)s)")
    part.add_argument("--jobs", type=int, metavar="J", help="forks at a time (default: 2 on two processors)")
    part.add_argument("--json", type=Path, metavar="FILE", help="write everything as JSON")
    part.add_argument(
        "--schema", type=Path, metavar="FILE", help="write a report of the public mutation-testing schema"
    )
    part.add_argument("--debug", action="store_true", help="show the traceback of a fault of the grader")


def mutate_command(options: argparse.Namespace) -> int:
    """`grader mutate`; the exit code is 1 if a mutant survives that is not recorded as equivalent."""
    from grader.matrix import equivalent, mutation, schema, score
    from grader.matrix.session import Session

    require_folders(options.json, options.schema)
    places = chosen_places(options.level, options.files)
    earlier = read(options.again) if options.again else None
    sources = sources_of(REFERENCE)
    known = equivalent.read()
    session = Session(options.level, options.seed, call_seconds=CALL_SECONDS)
    jobs = options.jobs or processors()
    say("judging the reference and a sentinel in each function")
    reference = mutation.canary(session, sources, jobs)
    existing = mutation.mutants(sources, dict.fromkeys(map(module_of, places)))
    every = mutation.in_places(existing, places, claimed_elsewhere(options.level))
    chosen = mutation.survivors_of(every, earlier) if earlier else every
    mutants = mutation.sample(chosen, options.sample, options.seed)
    judged = []
    until = "first" if options.first else "broken"
    for one in mutation.judge(session, sources, reference, mutants, jobs, until):
        judged.append(one)
        if len(judged) % 50 == 0:
            say(f"{len(judged)} of {len(mutants)} mutants, {sum(not each.killed for each in judged)} survive")
    judged.sort(key=lambda one: mutants.index(one.mutant))
    run = score.record(judged, known, sources, session.laws, first=options.first)
    wrong = equivalent.stale(known, existing, [one.mutant for one in judged if one.killed])
    sys.stdout.write(score.page(run))
    write(options.json, json.dumps(run, indent=1))
    if options.schema:
        write(options.schema, json.dumps(schema.of_mutants(judged, known, sources, session.level), indent=1))
    for each in wrong:
        say(f"grader/matrix/{equivalent.FILE.name}: {each}")
    return 1 if wrong or score.survivors(judged, known) else 0


def verify_command(options: argparse.Namespace) -> int:
    """`grader variants verify`; the exit code is 1 if anything is refused."""
    from grader.bugs.records import RecordError
    from grader.matrix import certificate, combined, forms, html, repeat, report, schema
    from grader.matrix.session import Session

    require_folders(options.json, options.schema, options.markdown, options.html)
    sources = sources_of(REFERENCE)
    try:
        recorded = chosen_bugs(options.level, options.bugs)
        own_only = options.bugs or options.no_others
        elsewhere = [] if own_only else bugs_of_other_levels(options.level, options.seed)
    except RecordError as error:
        say(f"refused: {error}")
        return 1
    bugs = [(bug.bound(options.seed), place) for bug, place in recorded]
    others = [] if options.no_forms else forms.others(recorded, options.seed)
    session = Session(options.level, options.seed, preload=certificate.WITNESSES)
    jobs = options.jobs or processors()
    correct = {} if options.no_correct else correct_programs(sources, session.level.files, options.seed)
    variants = combined.chosen([bug for bug, _ in bugs], sources, options.seed, options.variants)
    plan = certificate.Plan(bugs, others, elsewhere, correct, variants)
    found = certificate.certify(session, sources, plan, jobs, say)
    if not options.no_repeat:
        rows = report.rows_of(found)
        names = repeat.chosen(rows, options.seed)
        say(f"repeating {len(names)} rows in fresh processes")
        texts = {one.bug.id: one.sources for one in found.bugs}
        found.repeated = repeat.repeated(texts, rows, names, options.level, options.seed, jobs)
        for name, differing in found.repeated.items():
            found.refused += [f"{name}, warm and in a fresh process: {said}" for said in differing]
    run = report.record(found, sources, session.level)
    sys.stdout.write(report.page(run))
    write(options.json, json.dumps(run, indent=1))
    write(options.markdown, report.page(run))
    if options.html:
        write(options.html, html.page(run))
    if options.schema:
        write(options.schema, json.dumps(schema.of_bugs(found.bugs, sources, session.level), indent=1))
    return 1 if found.complaints else 0


def chosen_bugs(level: int, names: str | None) -> list[Recorded]:
    """Return the bugs to judge, with where they are written. Raises UsageError."""
    from grader.bugs import catalogue, records

    try:
        loaded = catalogue.load(level)
    except FileNotFoundError:
        raise UsageError(f"--level {level}: there is no catalogue of bugs for it") from None
    folder = catalogue.FOLDER / f"level{level}"
    places = {bug.id: place for path in sorted(folder.glob("*.toml")) for bug, place in records.read(path)}
    wanted = [name.strip() for name in names.split(",")] if names else [bug.id for bug in loaded]
    unknown = sorted(set(wanted) - set(places))
    if unknown:
        raise UsageError(f"--bugs {', '.join(unknown)}: there are {', '.join(places)}")
    return [(bug, places[bug.id]) for bug in loaded if bug.id in wanted]


def bugs_of_other_levels(level: int, seed: int) -> list[Recorded]:
    """Return the bugs of every other level, bound by the seed, with where they are written."""
    from grader import levels

    others = (number for number in levels.numbers() if number != level)
    return [(bug.bound(seed), place) for number in others for bug, place in chosen_bugs(number, None)]


def correct_programs(sources: dict[str, str], files: Collection[str], seed: int) -> dict[str, dict[str, str]]:
    """Return every program here that is known to be correct: the alternates, and disguised references."""
    from grader.alternates import alternates
    from grader.bugs import disguise, variant

    found = {f"alternate {one.name}": variant.sources_of(one / "nanochat") for one in alternates(files)}
    for number in range(DISGUISES):
        name = f"{seed}/{number}"
        found[f"the reference in disguise {name}"] = disguise.disguised(sources, name)
    return found


def chosen_places(level: int, names: Sequence[str]) -> Sequence[str]:
    """Return the modules to mutate, and the functions of other levels' modules. Raises UsageError."""
    from grader import levels

    there = levels.numbers()
    if level not in there:
        raise UsageError(f"--level {level}: there are no mutants for it; there are levels {there}")
    plan = levels.read(level)
    places = (*plan.files, *plan.parts)
    modules = {place: module_of(place) for place in places}
    wanted = {Path(name).name: name for name in names}
    for module, name in wanted.items():
        if module not in modules.values():
            raise UsageError(f"{name}: level {level} has the files {', '.join(modules.values())}")
    return [place for place, module in modules.items() if not names or module in wanted]


def module_of(place: str) -> str:
    """Return the module of a place, which is one or a function in one."""
    return place.partition(":")[0]


def claimed_elsewhere(level: int) -> frozenset[str]:
    """Return the functions that are a part of other levels than this one."""
    from grader import levels

    others = [levels.read(number) for number in levels.numbers() if number != level]
    return frozenset(part for plan in others for part in plan.parts if ":" in part)


def sources_of(package: Path) -> dict[str, str]:
    """Return the modules of the reference. Raises UsageError if it is not here."""
    from grader.bugs import variant

    if not package.is_dir():
        raise UsageError(f"{package}: there is no reference here; run this in the repository of the grader")
    return variant.sources_of(package)


def require_folders(*paths: Path | str | None) -> None:
    """Raise UsageError for a file that is to be written where no folder is: before any work is done."""
    for path in paths:
        if path is not None and not Path(path).absolute().parent.is_dir():
            raise UsageError(f"{path}: there is no folder {Path(path).parent}")


def write(path: Path | str | None, text: str) -> None:
    """Write a file that was asked for. Raises UsageError."""
    if path is None:
        return
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error


def read(path: Path | str) -> dict[str, Any]:
    """Return what a file that --json wrote holds. Raises UsageError."""
    try:
        found: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    return found


def say(text: str) -> None:
    """Print to stderr."""
    print(text, file=sys.stderr, flush=True)
