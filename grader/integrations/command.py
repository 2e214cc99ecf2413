"""The command `grader export`: a folder, filled in for a course, that a platform grades with."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from grader import levels
from grader.arguments import natural, positive
from grader.integrations.course import Course
from grader.integrations.platforms import PLATFORMS, contents, write
from grader.run import UsageError, choose_levels
from grader.sandbox.start import ISOLATIONS

OF_ONE_SUBMISSION = ("github", "gradescope")


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    export = commands.add_parser(
        "export",
        help="write a folder that GitHub, Gradescope, Slurm or Kubernetes grades with",
        description="Writes the scripts and settings of a platform, filled in for a course, with a README.md "
        "that says how to use them.",
    )
    platforms = export.add_subparsers(required=True, metavar="PLATFORM")
    for name, platform in PLATFORMS.items():
        one = platforms.add_parser(name, help=platform.title)
        one.set_defaults(command=export_command, platform=name, minutes=None, shards=0, install="", image="")
        one.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder to write")
        one.add_argument("--level", required=True, help="the number of a level, or all")
        one.add_argument("--seed", type=natural, default=0, help="chooses the inputs (default: %(default)s)")
        one.add_argument(
            "--isolation",
            choices=ISOLATIONS,
            default=platform.isolation,
            help="what holds a submission; never replaced by less (default: %(default)s)",
        )
        one.add_argument(
            "--jobs",
            type=positive,
            default=2,
            metavar="J",
            help="gradings at a time on one machine (default: %(default)s)",
        )
        if name in OF_ONE_SUBMISSION:
            add_options_of_one_submission(one)
        else:
            one.add_argument(
                "--shards",
                type=positive,
                default=8,
                metavar="N",
                help="parts that a class is cut into (default: %(default)s)",
            )
        if name == "kubernetes":
            one.add_argument("--image", required=True, help="the container image that has `grader`")
        one.add_argument("--debug", action="store_true", help="show the traceback of a fault of the grader")


def add_options_of_one_submission(command: argparse.ArgumentParser) -> None:
    """Add what platforms are told that start with one submission and without a grader."""
    command.add_argument(
        "--install",
        required=True,
        metavar="WHAT",
        help="what pip installs the grader from: a wheel, which is put into the folder, or a requirement",
    )
    command.add_argument(
        "--minutes",
        type=positive,
        metavar="M",
        help="after how long a grading is given up, without a mark (default: 5 more than the levels allow)",
    )


def export_command(options: argparse.Namespace) -> int:
    """`grader export`."""
    chosen = choose_levels(options.level)
    out: Path = options.out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"--out {out}: there is something already; name a folder that is new or empty")
    if options.install and Path(options.install).is_dir():
        raise UsageError(
            f"--install {options.install}: a folder is not there where the class is graded; make a wheel of "
            "it with `pip wheel --no-deps`, and name that"
        )
    course = Course(
        level=options.level,
        seed=options.seed,
        isolation=options.isolation,
        jobs=options.jobs,
        minutes=options.minutes or (enough_minutes(chosen) if options.install else 0),
        shards=options.shards,
        install=options.install,
        image=options.image,
    )
    try:
        write(contents(PLATFORMS[options.platform], course), out)
    except FileNotFoundError as error:
        raise UsageError(f"--install {options.install}: there is no such wheel") from error
    except OSError as error:
        raise UsageError(f"--out {out}: cannot be written: {error.strerror}") from error
    scripts = out / PLATFORMS[options.platform].scripts
    print(f"wrote {out}: see {scripts / 'README.md'}", file=sys.stderr)
    return 0


def enough_minutes(chosen: tuple[int, ...]) -> int:
    """Return how long a submission may take that uses all the time it is given, and its grader."""
    seconds = sum(levels.read(level).limits.submission_seconds for level in chosen)
    return math.ceil(seconds / 60) + 5
