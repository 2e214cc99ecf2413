"""The commands for a whole class: `grader batch`, `merge`, `show`, `regrade` and `report`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from grader.batch import classbook, intake, local
from grader.batch.engine import Conditions, Engine
from grader.batch.grading import Class, Finished, MakeEngine, grade_class
from grader.batch.ledger import Ledger
from grader.batch.progress import ClassProgress
from grader.render import json as record
from grader.render import terminal
from grader.render.gradebook import Gradebook, Student
from grader.run import UsageError, choose_levels, processors
from grader.sandbox.isolation import choose
from grader.sandbox.start import ISOLATIONS

HELD = 3
"""Exit code where the grader failed over somebody's work: what it says of the others stands."""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to the command line."""
    add_batch(commands)
    add_show(commands)


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
    batch.add_argument("--seed", type=whole, default=0, help="chooses the inputs (default: %(default)s)")
    batch.add_argument(
        "--shard",
        type=shard,
        metavar="I/N",
        help="only the I-th of N parts of the class; `grader merge` puts them together",
    )
    add_engine_options(batch)


def add_engine_options(command: argparse.ArgumentParser) -> None:
    """Add what says with what and how submissions are graded."""
    command.add_argument(
        "--jobs",
        type=positive,
        metavar="J",
        help="submissions that are graded at a time (default: one a processor, at most 2)",
    )
    command.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="this machine, or a Ray cluster (default: %(default)s)",
    )
    command.add_argument("--address", metavar="ADDRESS", help="of the Ray cluster")
    command.add_argument(
        "--isolation", help=f"one of {', '.join(ISOLATIONS)} (default: strict; never less unless asked for)"
    )
    command.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="where models run (default: %(default)s)"
    )
    command.add_argument("--json", action="store_true", help="print one JSON object a line")
    command.add_argument("--debug", action="store_true", help="show the traceback of a fault of the grader")


def add_show(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `grader show`."""
    show = commands.add_parser("show", help="show the results of a class, or one student's report")
    show.set_defaults(command=show_command)
    show.add_argument("results", type=Path, metavar="RESULTS", help="a folder that `grader batch` made")
    show.add_argument("--student", metavar="NAME", help="show this student's report")
    show.add_argument("--json", action="store_true", help="print JSON")
    show.add_argument("--verbose", action="store_true", help="show every broken property in full")
    show.add_argument("--debug", action="store_true", help="show the traceback of a fault of the grader")


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


def chosen_isolation(options: argparse.Namespace) -> str:
    """Return the isolation of a class: strict, or what is asked for. Raises UsageError and GraderFault."""
    asked = options.isolation or ("basic" if options.device == "cuda" else "strict")
    if asked not in ISOLATIONS:
        raise UsageError(
            f"--isolation {asked}: a class is graded in processes of the submissions' own; "
            f"there are {', '.join(ISOLATIONS)}"
        )
    return choose(asked, options.device)


def engine_maker(options: argparse.Namespace) -> MakeEngine:
    """Return what makes the engine that the options name. Raises UsageError."""
    if options.address and options.engine != "ray":
        raise UsageError("--address is that of a Ray cluster: give --engine ray, too")
    jobs = options.jobs or processors()

    def make(conditions: Conditions) -> Engine:
        return local.LocalEngine(conditions, jobs)

    return make


def report_as_it_comes(finished: Iterable[Finished], *, as_json: bool) -> int:
    """Print a line for each grading as it comes, and return the exit code."""
    progress = ClassProgress()
    held = 0
    with contextlib.closing(finished) if hasattr(finished, "close") else contextlib.nullcontext():  # type: ignore[type-var]
        for one in finished:
            held += bool(one.fault)
            progress.clear()
            print(json_line(one) if as_json else text_line(one), flush=True)
            if one.count:
                progress.tell(one.done, one.count)
    progress.clear()
    if held:
        print(
            f"grader: the grader itself failed {held} times, see above; these have no points and lose none. "
            "Run the same command again to try them again.",
            file=sys.stderr,
        )
    return HELD if held else 0


def text_line(one: Finished) -> str:
    """Return a line for a person."""
    if one.refused:
        return f"{one.student}  level {one.level}  rejected: {one.refused}"
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


def show_command(options: argparse.Namespace) -> int:
    """`grader show`."""
    with Ledger(options.results) as ledger:
        book = classbook.gradebook(ledger)
    if options.student is None:
        sys.stdout.write(class_json(book) if options.json else class_table(book))
        return 0
    one = find_student(book, options.student)
    if one.report is None:
        sys.stdout.write(
            json.dumps({"student": one.name, "status": one.status, "reason": one.reason}) + "\n"
            if options.json
            else f"{one.name}: {one.status}: {one.reason}\n"
        )
    elif options.json:
        sys.stdout.write(record.render(one.report))
    else:
        tty = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        width = min(max(shutil.get_terminal_size(fallback=(100, 24)).columns, 60), 120)
        sys.stdout.write(terminal.render(one.report, width=width, colour=tty, verbose=options.verbose))
    return 0


def find_student(book: Gradebook, name: str) -> Student:
    """Return a student by name. Raises UsageError."""
    from difflib import get_close_matches

    names = [one.name for one in book.students]
    if name not in names:
        near = " or ".join(get_close_matches(name, names, 3) or names[:3])
        raise UsageError(f"--student {name}: there is nobody of this name; did you mean {near}?")
    return book.students[names.index(name)]


def class_table(book: Gradebook) -> str:
    """Return a line for each student."""
    lines = []
    for one in book.students:
        points = "" if one.points is None else f"{one.points:g} of {book.max_points:g}"
        lines.append("  ".join(word for word in (one.name, one.status, points, one.reason) if word))
    return "\n".join(lines) + "\n"


def class_json(book: Gradebook) -> str:
    """Return the class as JSON."""
    return (
        json.dumps(
            [
                {
                    "student": one.name,
                    "status": one.status,
                    "points": one.points,
                    "max_points": book.max_points,
                }
                | {"reason": one.reason, "tree": one.tree}
                for one in book.students
            ],
            indent=2,
        )
        + "\n"
    )


def shard(text: str) -> tuple[int, int]:
    """Return which part of how many, for argparse."""
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise argparse.ArgumentTypeError(f"{text}: want I/N with 1 <= I <= N, such as 3/16")
    return int(found[1]), int(found[2])


def positive(text: str) -> int:
    """Return a number of at least one, for argparse."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text}: want at least 1")
    return number


def whole(text: str) -> int:
    """Return a number that is not negative, for argparse."""
    if (number := int(text)) < 0:
        raise argparse.ArgumentTypeError(f"{text}: want 0 or more")
    return number
