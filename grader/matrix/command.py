"""`grader mutate` and `grader variants verify`: what the properties notice, and what they do not."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grader.matrix.alone import alone
from grader.run import REPOSITORY, UsageError, processors

REFERENCE = REPOSITORY / "reference" / "nanochat"
FILES = {3: ("gpt.py", "engine.py", "tools.py")}
"""The files of a level: those that its properties are about."""

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

    files = chosen_files(options.level, options.files)
    sources = sources_of(REFERENCE)
    known = equivalent.read()
    session = Session(options.level, options.seed, call_seconds=CALL_SECONDS)
    jobs = options.jobs or processors()
    say("judging the reference and a sentinel in each function")
    reference = mutation.canary(session, sources, jobs)
    every = mutation.mutants(sources, files)
    chosen = mutation.survivors_of(every, read(options.again)) if options.again else every
    mutants = mutation.sample(chosen, options.sample, options.seed)
    judged = []
    until = "first" if options.first else "broken"
    for one in mutation.judge(session, sources, reference, mutants, jobs, until):
        judged.append(one)
        if len(judged) % 50 == 0:
            say(f"{len(judged)} of {len(mutants)} mutants, {sum(not each.killed for each in judged)} survive")
    judged.sort(key=lambda one: mutants.index(one.mutant))
    run = score.record(judged, known, sources, session.laws)
    wrong = equivalent.stale(known, every, [one.mutant for one in judged if one.killed])
    sys.stdout.write(score.page(run))
    write(options.json, json.dumps(run, indent=1))
    if options.schema:
        write(options.schema, json.dumps(schema.of_mutants(judged, known, sources, session.level), indent=1))
    for each in wrong:
        say(f"grader/matrix/{equivalent.FILE.name}: {each}")
    return 1 if wrong or score.survivors(judged, known) else 0


def chosen_files(level: int, names: Sequence[str]) -> Sequence[str]:
    """Return the modules to mutate. Raises UsageError."""
    if level not in FILES:
        raise UsageError(f"--level {level}: there are no mutants for it; there are levels {sorted(FILES)}")
    for name in names:
        if Path(name).name not in FILES[level]:
            raise UsageError(f"{name}: level {level} has the files {', '.join(FILES[level])}")
    return [Path(name).name for name in names] or FILES[level]


def sources_of(package: Path) -> dict[str, str]:
    """Return the modules of the reference. Raises UsageError if it is not here."""
    from grader.bugs import variant

    if not package.is_dir():
        raise UsageError(f"{package}: there is no reference here; run this in the repository of the grader")
    return variant.sources_of(package)


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
