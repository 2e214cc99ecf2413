"""What is made of results that are there: `grader show` and `grader merge`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from difflib import get_close_matches
from pathlib import Path

from grader.arguments import add_show_hidden
from grader.batch import classbook, publish
from grader.batch.ledger import Ledger
from grader.batch.merge import merge
from grader.render import json as record
from grader.render import similar, terminal
from grader.render.gradebook import Gradebook, Student
from grader.render.students import report_for_students
from grader.run import UsageError


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to the command line."""
    add_show(commands)
    add_merge(commands)
    publish.add_to(commands)


def add_show(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `grader show`."""
    show = commands.add_parser("show", help="show the results of a class, or one student's report")
    show.set_defaults(command=show_command)
    show.add_argument("results", type=Path, metavar="RESULTS", help="a folder that `grader batch` made")
    show.add_argument("--student", metavar="NAME", help="show this student's report")
    show.add_argument("--similar", action="store_true", help="show who shares more than what was handed out")
    show.add_argument("--json", action="store_true", help="print JSON")
    add_show_hidden(show)
    show.add_argument("--verbose", action="store_true", help="show every broken property in full")
    show.add_argument("--debug", action="store_true", help="show the traceback of a fault of the grader")


def add_merge(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `grader merge`."""
    merging = commands.add_parser("merge", help="put the results of the shards of a class together")
    merging.set_defaults(command=merge_command)
    merging.add_argument("out", type=Path, metavar="OUT", help="a new folder of results")
    merging.add_argument(
        "parts", type=Path, nargs="+", metavar="RESULTS", help="folders that `grader batch --shard` made"
    )
    merging.add_argument("--debug", action="store_true", help="show the traceback of a fault of the grader")


def merge_command(options: argparse.Namespace) -> int:
    """`grader merge`."""
    for doubt in merge(options.out, options.parts):
        print(f"grader: {doubt}", file=sys.stderr)
    with Ledger(options.out) as ledger:
        count = len(ledger.students())
    print(f"wrote the results of {count} students to {options.out}", file=sys.stderr)
    return 0


def show_command(options: argparse.Namespace) -> int:
    """`grader show`."""
    with Ledger(options.results) as ledger:
        book = classbook.gradebook(ledger, similar=options.similar)
    if book.similarity:
        found = book.similarity
        if options.student is not None:
            found = found.of(find_student(book, options.student).name)
        sys.stdout.write(similar.render(found) if options.json else similar.table(found))
        return 0
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
        return 0
    report = one.report if options.show_hidden else report_for_students(one.report)
    if options.json:
        sys.stdout.write(record.render(report))
    else:
        tty = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        width = min(max(shutil.get_terminal_size(fallback=(100, 24)).columns, 60), 120)
        sys.stdout.write(terminal.render(report, width=width, colour=tty, verbose=options.verbose))
    return 0


def find_student(book: Gradebook, name: str) -> Student:
    """Return a student by name. Raises UsageError."""
    names = [one.name for one in book.students]
    require_student(names, name)
    return book.students[names.index(name)]


def require_student(names: list[str], name: str) -> None:
    """Require a student to be in the class. Raises UsageError."""
    if name not in names:
        near = " or ".join(get_close_matches(name, names, 3) or names[:3])
        raise UsageError(f"--student {name}: there is nobody of this name; did you mean {near}?")


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
