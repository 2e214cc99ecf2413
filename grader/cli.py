"""The command `grader`: parse, call one function, print.

Exit codes: 0 everything passed, 1 something did not, 2 wrong usage, 3 the grader's own fault,
130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import os
import shutil
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grader import doctor, watch
from grader.arguments import add_hints, add_show_hidden, natural, positive
from grader.report import Report
from grader.run import (
    Request,
    UsageError,
    choose_levels,
    grade_submission,
    list_expected,
    processors,
    rerun,
    stdout_on_stderr,
)
from specs.outcomes import GraderFault

PASSED, BROKEN, WRONG_USAGE, GRADER_FAULT, INTERRUPTED = 0, 1, 2, 3, 130

ISOLATIONS = ("strict", "medium", "basic", "none")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal without UTF-8 gets question marks, not a traceback.
        sys.stdout.reconfigure(errors="replace")
    return obey(parser().parse_args(arguments))


def obey(options: argparse.Namespace) -> int:
    """Run the command that the options name; say what went wrong, and return the exit code."""
    try:
        return int(options.command(options))
    except UsageError as error:
        say(f"grader: {error}")
        return WRONG_USAGE
    except KeyboardInterrupt:
        say("grader: interrupted; nothing was reported")
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001  # whatever is left is the grader's own fault, exit code 3
        return own_fault(error, debug=options.debug)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="grader",
        description="Say which laws a submission keeps, and show the smallest input for each that it breaks.",
        epilog="Exit codes: 0 everything passed, 1 something did not, 2 wrong usage, 3 a fault of the grader",
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="grade a submission")
    run.set_defaults(command=run_command)
    run.add_argument("--level", required=True, help="the number of a level, or all")
    run.add_argument(
        "--submission",
        default="student",
        metavar="DIR",
        help="folder that holds nanochat/ (default: %(default)s)",
    )
    run.add_argument(
        "--seed",
        type=natural,
        default=0,
        help="chooses the inputs; same seed, same inputs (default: %(default)s)",
    )
    run.add_argument(
        "--only", type=names, default=(), metavar="ID[,ID...]", help="only these criteria or properties"
    )
    run.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="where models run (default: %(default)s)"
    )
    run.add_argument(
        "--dtype",
        choices=("float32", "bfloat16"),
        default="float32",
        help="what models compute in (default: %(default)s)",
    )
    run.add_argument("--isolation", help=isolation_help("default: the strongest that works here"))
    run.add_argument(
        "--jobs",
        type=positive,
        metavar="N",
        help="processes to judge with; changes no verdict (default: 2 where there are two processors)",
    )
    run.add_argument(
        "--list", action="store_true", help="print the ids and laws of all properties and run nothing"
    )
    add_output_options(run)

    replay = commands.add_parser("replay", help="run one property of a report again, with the same inputs")
    replay.set_defaults(command=replay_command)
    replay.add_argument("report", type=Path, metavar="REPORT", help="a file that --report or --json wrote")
    replay.add_argument("--property", required=True, metavar="ID", help="the property")
    replay.add_argument("--submission", metavar="DIR", help="another folder than the report's")
    replay.add_argument("--isolation", help=isolation_help("default: the report's"))
    add_output_options(replay)

    watch.add_to(commands)
    doctor.add_to(commands)
    add_instructors_commands(commands)
    return top


def add_instructors_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands that read the catalogue of bugs, or say that this copy has none.

    `grader variants release` leaves the catalogue out, and what reads it.
    """
    if importlib.util.find_spec("grader.bugs") is not None:
        from grader.batch import command as batch
        from grader.bugs import command as variants
        from grader.integrations import command as export
        from grader.matrix import command as mutate

        for part in (variants, mutate, batch, export):
            part.add_to(commands)
        return
    for name in ("variants", "mutate", "batch", "merge", "show", "regrade", "report", "export"):
        # No prefix of options that anybody can type: whatever it is called with, it says the same.
        absent = commands.add_parser(
            name, help="not in this copy, which is for students", prefix_chars="\0", add_help=False
        )
        absent.add_argument("rest", nargs="*", help="whatever it is called with")
        absent.set_defaults(command=absent_command, name=name, debug=False)


def absent_command(options: argparse.Namespace) -> int:
    """Say what this copy does not have. Raises UsageError."""
    lacks = "has no catalogue of bugs" if options.name in ("variants", "mutate") else "grades no classes"
    raise UsageError(f"{options.name}: this copy of the grader {lacks}; ask your instructor")


def add_output_options(command: argparse.ArgumentParser) -> None:
    """Add what says how a report is shown."""
    add_hints(command)
    add_show_hidden(command)
    command.add_argument(
        "--verbose", action="store_true", help="show every broken property in full, and what was printed"
    )
    command.add_argument("--json", action="store_true", help="print the record as JSON instead of the table")
    command.add_argument(
        "--report", dest="report_file", type=Path, metavar="FILE", help="also write the record there"
    )
    command.add_argument("--debug", action="store_true", help="show the traceback of a fault of the grader")


def isolation_help(default: str) -> str:
    """Describe the values of `--isolation`."""
    from grader.sandbox.isolation import DESCRIPTIONS

    return "; ".join(f"{name}: {DESCRIPTIONS[name]}" for name in ISOLATIONS) + f" ({default})"


def run_command(options: argparse.Namespace) -> int:
    """`grader run`."""
    levels = choose_levels(options.level)
    if options.list:
        show(list_expected(levels))
        return PASSED
    tell_most_hints(levels, options.hints)
    request = Request(
        submission=options.submission,
        levels=levels,
        seed=options.seed,
        isolation=chosen_isolation(options.isolation),
        device=options.device,
        dtype=options.dtype,
        only=options.only,
        hints=options.hints,
        jobs=options.jobs or processors(),
        echo=options.verbose,
    )
    return grade_and_show(request, options)


def tell_most_hints(numbers: Sequence[int], asked: int) -> None:
    """Say where a level's file shows fewer stages of hints than were asked for."""
    from grader import levels

    for number in numbers if asked else ():
        most = levels.read(number).hint_stages
        if most is not None and most < asked:
            say(f"grader: level {number} shows hints up to stage {most}: its file says so")


def replay_command(options: argparse.Namespace) -> int:
    """`grader replay`."""
    isolation = chosen_isolation(options.isolation)
    request = rerun(read_report(options.report), options.property, isolation)
    changes: dict[str, Any] = {"hints": options.hints, "echo": options.verbose}
    if options.submission:
        changes["submission"] = options.submission
    return grade_and_show(Request(**{**vars(request), **changes}), options)


def grade_and_show(request: Request, options: argparse.Namespace) -> int:
    """Grade, print the report, and return the exit code."""
    from grader.progress import ProgressLine

    file: Path | None = options.report_file
    if file and not file.absolute().parent.is_dir():
        raise UsageError(f"--report {file}: there is no folder {file.absolute().parent}")
    with contextlib.ExitStack() as stack:
        if options.json or not sys.stdout.isatty():
            stack.enter_context(stdout_on_stderr())
        progress = stack.enter_context(contextlib.closing(ProgressLine()))
        report = grade_submission(request, progress)

    from grader.render import json as record
    from grader.render.students import report_for_students

    if not options.show_hidden:
        report = report_for_students(report)

    if file:
        try:
            file.write_text(record.render(report), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"--report {file}: cannot be written: {error.strerror}") from error
    show(record.render(report) if options.json else page(report, verbose=options.verbose))
    return PASSED if report.passed else BROKEN


def page(report: Report, *, verbose: bool) -> str:
    """Return the report for a person at this terminal, or for a pipe."""
    from grader.render import terminal

    tty = sys.stdout.isatty()
    colour = tty and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    columns = shutil.get_terminal_size(fallback=(100, 24)).columns
    return terminal.render(report, width=min(max(columns, 60), 120), colour=colour, verbose=verbose)


def read_report(file: Path) -> Report:
    """Return the report in a file. Raises UsageError."""
    try:
        return Report.from_record(json.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # also what json and UTF-8 raise
        raise UsageError(f"{file}: {error}") from error


def chosen_isolation(name: str | None) -> str | None:
    """Return a level of isolation that exists, or None for the strongest. Raises UsageError."""
    if name is not None and name not in ISOLATIONS:
        raise UsageError(f"--isolation {name}: there are {', '.join(ISOLATIONS[:-1])} and {ISOLATIONS[-1]}")
    return name


def names(text: str) -> tuple[str, ...]:
    """Return the names in a list with commas, for argparse."""
    found = tuple(name.strip() for name in text.split(",") if name.strip())
    if not found:
        raise ValueError(text)
    return found


def own_fault(error: Exception, *, debug: bool) -> int:
    """Say that the grader failed, and nothing about the submission; return the exit code."""
    if debug or os.environ.get("GRADER_DEBUG"):
        traceback.print_exception(error)
    cause = str(error) if isinstance(error, GraderFault) else f"{type(error).__name__}: {error}"
    say(f"grader: the grader itself failed, which says nothing about the submission: {cause}")
    if not debug:
        say("Run it again with --debug for the traceback.")
    return GRADER_FAULT


def show(text: str) -> None:
    """Print to stdout; a reader that has gone away (`| head`) is no fault."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes stdout once more at exit: let it go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def say(text: str) -> None:
    """Print to stderr."""
    print(text, file=sys.stderr)
