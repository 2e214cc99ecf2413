"""`grader report`: the ledger in the formats of other tools."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from grader.arguments import add_hints
from grader.batch import classbook
from grader.batch.ledger import Ledger
from grader.render import classpage, classroom, csv, github, gradescope, junit, prairielearn, studentpage
from grader.render.gradebook import Gradebook, Student
from grader.run import UsageError

OF_A_CLASS: Mapping[str, Callable[[Gradebook], str]] = {
    "csv": csv.render,
    "canvas": csv.canvas,
    "junit": junit.render,
    "similar": csv.similar,
}
"""Formats with one file for everybody."""

OF_A_STUDENT: Mapping[str, tuple[Callable[[Gradebook, Student], str | None], str]] = {
    "gradescope": (gradescope.render, ".json"),
    "classroom": (classroom.render, ".txt"),
    "annotations": (github.render, ".txt"),
    "prairielearn": (prairielearn.render, ".json"),
}
"""Formats with a file for each student, and how it ends."""

FORMATS = ("csv", "canvas", "junit", "similar", "html", *OF_A_STUDENT)


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    report = commands.add_parser(
        "report",
        help="write the results of a class for people and for other tools",
        description="csv, canvas, junit and similar (a table of pairs that share more than what was handed "
        "out, for staff) are one file for the class, on stdout or in --out FILE. "
        "gradescope, classroom, annotations and prairielearn are one file for each student, in the folder "
        "--out DIR, or on stdout for one --student. html is a page for the class and one for each student, "
        "in --out DIR.",
    )
    report.set_defaults(command=report_command)
    report.add_argument("results", type=Path, metavar="RESULTS", help="a folder that `grader batch` made")
    report.add_argument("--format", choices=FORMATS, required=True, help="for whom")
    report.add_argument("--out", type=Path, metavar="PATH", help="a file or folder to write")
    report.add_argument("--student", metavar="NAME", help="only this student")
    add_hints(report)
    report.add_argument(
        "--after-deadline", action="store_true", help="with what is withheld until the deadline"
    )
    report.add_argument("--debug", action="store_true", help="show the traceback of a fault of the grader")


def report_command(options: argparse.Namespace) -> int:
    """`grader report`."""
    with Ledger(options.results) as ledger:
        book = classbook.gradebook(
            ledger,
            hints=options.hints,
            after_deadline=options.after_deadline,
            similar=options.format in ("html", "similar"),
        )
    if options.student is not None:
        from grader.batch.results import find_student

        one = find_student(book, options.student)
        book = Gradebook(book.levels, (one,), book.similarity and book.similarity.of(one.name))
    files = files_of(options.format, book)
    held = [one.name for one in book.students if one.points is None]
    if held and options.format in OF_A_STUDENT:
        print(f"grader: no file for {', '.join(held)}: not graded, which is no zero", file=sys.stderr)
    try:
        put(files, options.out, folder=options.student is None and options.format not in OF_A_CLASS)
    except OSError as error:
        raise UsageError(f"--out {options.out}: cannot be written: {error}") from error
    return 0


def files_of(format_name: str, book: Gradebook) -> dict[str, str]:
    """Return the files of a report by path."""
    if format_name in OF_A_CLASS:
        return {"": OF_A_CLASS[format_name](book)}
    if format_name == "html":
        pages = {"index.html": classpage.render(book)} if len(book.students) != 1 else {}
        return pages | {studentpage.path_of(one): studentpage.render(book, one) for one in book.students}
    render, ending = OF_A_STUDENT[format_name]
    texts = {f"{studentpage.file_name(one.name)}{ending}": render(book, one) for one in book.students}
    return {name: text for name, text in texts.items() if text is not None}


def put(files: Mapping[str, str], out: Path | None, *, folder: bool) -> None:
    """Write files into a folder, or the only one to a file or stdout. Raises UsageError and OSError."""
    if not folder:
        for text in files.values():
            if out is None:
                sys.stdout.write(text)
            else:
                out.write_text(text, encoding="utf-8", newline="")
        return
    if out is None:
        raise UsageError("--out DIR is needed: this format is a file for each student; or name one --student")
    for name, text in files.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
