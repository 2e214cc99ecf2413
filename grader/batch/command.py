"""The commands for a whole class: `grader batch`, `merge`, `show`, `regrade` and `report`."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Generator
from pathlib import Path

from grader.arguments import natural
from grader.batch import intake, results
from grader.batch.engine import Conditions
from grader.batch.grading import Class, Finished, grade_class
from grader.batch.ledger import Ledger
from grader.batch.options import add_engine_options, chosen_isolation, engine_maker, shard
from grader.batch.progress import ClassProgress
from grader.batch.regrade import Change, conditions_of, line, regrade
from grader.run import UsageError, choose_levels

HELD = 3
"""Exit code where the grader failed over somebody's work: what it says of the others stands."""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to the command line."""
    add_batch(commands)
    add_regrade(commands)
    results.add_to(commands)


def add_batch(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `grader batch`."""
    batch = commands.add_parser(
        "batch",
        help="grade a folder full of submissions",
        description="Each entry of DIR is a submission: a folder, a .zip, .tar, .tar.gz or .tgz archive, or "
        "a Git .bundle, named after the student. Each result is written to --out as it comes; started again, "
        "it goes on where it was. The exit code is 0 if everything could be graded or was rejected with a "
        "reason, 3 if the grader failed over somebody's work.",
    )
    batch.set_defaults(command=batch_command)
    batch.add_argument("folder", type=Path, metavar="DIR", help="holds the submissions")
    batch.add_argument("--level", required=True, help="the number of a level, or all")
    batch.add_argument(
        "--out",
        type=Path,
        default=Path("results"),
        metavar="RESULTS",
        help="where results are kept (default: %(default)s)",
    )
    batch.add_argument("--seed", type=natural, default=0, help="chooses the inputs (default: %(default)s)")
    batch.add_argument(
        "--shard",
        type=shard,
        metavar="I/N",
        help="only the I-th of N parts of the class; `grader merge` puts them together",
    )
    add_engine_options(batch)


def add_regrade(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `grader regrade`."""
    again = commands.add_parser("regrade", help="grade again what was handed in, and say what has changed")
    again.set_defaults(command=regrade_command)
    again.add_argument("results", type=Path, metavar="RESULTS", help="a folder that `grader batch` made")
    who = again.add_mutually_exclusive_group(required=True)
    who.add_argument(
        "--only-changed",
        action="store_true",
        help="whoever's result depends on a specification, grader or environment that is another one now",
    )
    who.add_argument("--student", metavar="NAME", help="this student, whatever has changed")
    add_engine_options(again)


def batch_command(options: argparse.Namespace) -> int:
    """`grader batch`."""
    folder: Path = options.folder
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder")
    entries = intake.listed(folder)
    if not entries:
        raise UsageError(
            f"{folder}: it holds no submissions; each is a folder or an archive named after a student"
        )
    if options.out.resolve().is_relative_to(folder.resolve()):
        raise UsageError(
            f"--out {options.out} lies in {folder}, where it would be graded: name another place"
        )
    if options.shard:
        entries = intake.shard(entries, options.shard)
    conditions = Conditions(options.seed, chosen_isolation(options), options.device)
    task = Class(options.out, choose_levels(options.level), conditions)
    return report_as_it_comes(grade_class(entries, task, engine_maker(options)), as_json=options.json)


def report_as_it_comes(finished: Generator[Finished, None, None], *, as_json: bool) -> int:
    """Print a line for each grading as it comes, and return the exit code."""
    progress = ClassProgress()
    held = 0
    with contextlib.closing(finished):  # also when interrupted: ends the engine
        for one in finished:
            held += bool(one.fault)
            progress.clear()
            print(json_line(one) if as_json else text_line(one), flush=True)
            if one.count:
                progress.tell(one.done, one.count)
    progress.clear()
    return exit_code(held)


def exit_code(held: int) -> int:
    """Say where the grader failed, and return the exit code."""
    if held:
        print(
            f"grader: the grader itself failed {held} times, see above; these have no points and lose none. "
            "Run the same command again to try them again.",
            file=sys.stderr,
        )
    return HELD if held else 0


def regrade_command(options: argparse.Namespace) -> int:
    """`grader regrade`."""
    with Ledger(options.results) as ledger:
        given = conditions_of(ledger)
        levels = tuple(level.level for level in ledger.levels())
        if options.student is not None:
            results.require_student([one.student for one in ledger.students()], options.student)
    options.device = given.device
    options.isolation = options.isolation or given.isolation
    conditions = Conditions(given.seed, chosen_isolation(options), given.device, given.dtype)
    task = Class(options.results, levels, conditions)
    held = count = 0
    with contextlib.closing(regrade(task, engine_maker(options), options.student)) as changes:
        for count, one in enumerate(changes, 1):  # noqa: B007  # how many there were is said below
            held += bool(one.fault)
            print(change_json(one) if options.json else line(one), flush=True)
    print(f"{count} graded again", file=sys.stderr)
    return exit_code(held)


def change_json(one: Change) -> str:
    """Return a change as a line for a program."""
    changed = [{"property": name, "before": was, "after": now} for name, was, now in one.properties]
    line = {"student": one.student, "level": one.level, "before": one.before, "after": one.after}
    return json.dumps({**line, "changed": changed, "fault": one.fault})


def text_line(one: Finished) -> str:
    """Return a line for a person."""
    if one.refused:
        return f"{one.student}  level {one.level}  rejected: {' '.join(one.refused.split())}"
    if one.report is None:
        return f"{one.student}  level {one.level}  held, the grader failed: {' '.join(one.fault.split())}"
    hold = sum(criterion.verdict == "passed" for criterion in one.report.criteria)
    line = (
        f"{one.student}  level {one.level}  {one.report.points:g} of {one.report.max_points:g} points, "
        f"{hold} of {len(one.report.criteria)} criteria hold"
    )
    return f"{line} (already graded)" if one.remembered else line


def json_line(one: Finished) -> str:
    """Return a line for a program."""
    graded = {} if one.report is None else {"points": one.report.points, "max_points": one.report.max_points}
    status = "rejected" if one.refused else "graded" if one.report else "held"
    line = {"student": one.student, "level": one.level, "status": status, "reason": one.refused or one.fault}
    return json.dumps({**line, **graded, "remembered": one.remembered})
