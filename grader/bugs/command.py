"""`grader variants`: the catalogue of bugs, and copies of the reference that hold them."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from grader.bugs import catalogue, variant
from grader.bugs.catalogue import Bug
from grader.run import REPOSITORY, UsageError


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its two parts to the command line."""
    top = commands.add_parser(
        "variants", help="list the known bugs, or make a copy of the reference with some"
    )
    parts = top.add_subparsers(required=True, metavar="PART")

    listing = parts.add_parser("list", help="the catalogue of bugs")
    listing.set_defaults(command=list_command)
    listing.add_argument("--json", action="store_true", help="print the catalogue as JSON")

    making = parts.add_parser("make", help="write a copy of the reference with bugs in it")
    making.set_defaults(command=make_command)
    making.add_argument(
        "--bugs", metavar="ID[,ID...]", help="which bugs, or `none` (default: those of student/)"
    )
    making.add_argument("--out", type=Path, required=True, metavar="DIR", help="where nanochat/ is written")

    for part in (listing, making):
        part.add_argument("--level", type=int, default=3, help="the level of the bugs (default: %(default)s)")
        part.add_argument("--debug", action="store_true", help="show the traceback of a fault of the grader")


def list_command(options: argparse.Namespace) -> int:
    """`grader variants list`."""
    bugs = catalogue_of(options.level)
    if options.json:
        sys.stdout.write(json.dumps([asdict(bug) for bug in bugs], indent=2) + "\n")
        return 0
    for bug in bugs:
        sys.stdout.write(f"{bug.id}  ({bug.criterion}, {bug.symptom})\n    {bug.title}\n")
    return 0


def make_command(options: argparse.Namespace) -> int:
    """`grader variants make`."""
    bugs = chosen(catalogue_of(options.level), options.bugs)
    sources = variant.with_bugs(variant.sources_of(REPOSITORY / "reference" / "nanochat"), bugs)
    try:
        variant.write(sources, options.out)
    except OSError as error:
        raise UsageError(f"--out {options.out}: {error}") from error
    print(f"wrote {options.out / 'nanochat'} with {len(bugs)} bugs", file=sys.stderr)
    return 0


def catalogue_of(level: int) -> list[Bug]:
    """Return the bugs of a level. Raises UsageError if it has none."""
    try:
        return catalogue.load(level)
    except FileNotFoundError:
        raise UsageError(f"--level {level}: there is no catalogue of bugs for it") from None


def chosen(bugs: list[Bug], names: str | None) -> list[Bug]:
    """Return the bugs that are named, those of the student copy if none are. Raises UsageError."""
    if names is None:
        return [bug for bug in bugs if bug.classic]
    if names == "none":
        return []
    wanted = [name.strip() for name in names.split(",")]
    unknown = sorted(set(wanted) - {bug.id for bug in bugs})
    if unknown:
        raise UsageError(f"--bugs {', '.join(unknown)}: there are {', '.join(bug.id for bug in bugs)}")
    return [bug for bug in bugs if bug.id in wanted]
