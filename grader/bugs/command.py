"""`grader variants`: the catalogue of bugs, and copies of the reference that hold them."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from grader.arguments import positive
from grader.bugs import catalogue, choose, manifest, variant
from grader.bugs.audit import Hidden
from grader.bugs.bug import Bug
from grader.bugs.choose import Choice, ChoiceError
from grader.bugs.disguise import disguised
from grader.bugs.manifest import Recipe
from grader.bugs.publish import UnknownLaw
from grader.bugs.release import release
from grader.matrix.command import add_verify
from grader.run import REPOSITORY, UsageError, choose_levels

DIFFICULTIES = (1, 2, 3)


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its parts to the command line."""
    top = commands.add_parser(
        "variants", help="list the known bugs, or make a copy of the reference with some"
    )
    parts = top.add_subparsers(required=True, metavar="PART")
    add_list(parts)
    add_make(parts)
    add_verify(parts)
    add_release(parts)


def add_list(parts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `grader variants list`."""
    listing = parts.add_parser("list", help="the catalogue of bugs")
    listing.set_defaults(command=list_command)
    add_common(listing, "all")
    listing.add_argument("--criterion", metavar="ID", help="only the bugs of this criterion")
    listing.add_argument("--json", action="store_true", help="print the catalogue as JSON")


def add_make(parts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `grader variants make`."""
    making = parts.add_parser(
        "make",
        help="write a copy of the reference with bugs in it",
        description="Without --seed, the copy has the classic bugs of the level; with --level all it is then "
        "student/. The manifest, which names the bugs, goes to stdout unless --manifest names a file, never "
        "into DIR.",
    )
    making.set_defaults(command=make_command)
    add_common(making)
    add_recipe(making)
    making.add_argument("--out", type=Path, required=True, metavar="DIR", help="where nanochat/ is written")


def add_release(parts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `grader variants release`."""
    releasing = parts.add_parser(
        "release",
        help="put together what a student gets",
        description="A copy with bugs, the notebook, the specification, the published tests and the grader, "
        "with nothing from which the bugs could be recovered. Give --for and --secret-file where students "
        "may have this repository: a seed alone can be tried.",
    )
    releasing.set_defaults(command=release_command)
    add_common(releasing)
    add_recipe(releasing)
    releasing.add_argument(
        "--publish-tests",
        metavar="ID[,ID...]",
        help="criteria and properties that the student can run (default: those of the whole level)",
    )
    releasing.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="BUNDLE",
        help="a folder, or an archive if it ends in .zip or .tar.gz",
    )


def add_common(part: argparse.ArgumentParser, level: str = "3") -> None:
    """Add what every part that reads the catalogue takes."""
    part.add_argument(
        "--level", default=level, metavar="N", help="the level of the bugs, or `all` (default: %(default)s)"
    )
    part.add_argument(
        "--difficulty",
        type=difficulties,
        metavar="N[..M]",
        help="only bugs this hard: 1 any use shows it, 2 a boundary, 3 several of these",
    )
    part.add_argument("--debug", action="store_true", help="show the traceback of a fault of the grader")


def add_recipe(part: argparse.ArgumentParser) -> None:
    """Add what says which variant is made."""
    part.add_argument("--seed", metavar="TEXT", help="chooses the bugs; same seed, same bytes")
    which = part.add_mutually_exclusive_group()
    which.add_argument("--bugs", metavar="ID[,ID...]", help="these bugs, or `none` for a copy without any")
    which.add_argument(
        "--per-criterion", type=positive, metavar="K", help="bugs for each criterion (default with --seed: 1)"
    )
    part.add_argument(
        "--for",
        dest="student",
        metavar="STUDENT",
        help="make the seed from this name and a secret; --seed is then the term",
    )
    part.add_argument("--secret-file", type=Path, metavar="FILE", help="holds the secret of the course")
    part.add_argument("--manifest", type=Path, metavar="FILE", help="write there which bugs it holds")
    part.add_argument(
        "--disguise",
        action="store_true",
        help="also rewrite the code in ways that change nothing, so that a diff does not point at the bugs",
    )


def list_command(options: argparse.Namespace) -> int:
    """`grader variants list`."""
    bugs = catalogue_of(options.level)
    criteria = list(dict.fromkeys(bug.criterion for bug in bugs))
    if options.criterion and options.criterion not in criteria:
        raise UsageError(f"--criterion {options.criterion}: there are {', '.join(criteria)}")
    bugs = [
        bug
        for bug in bugs
        if options.criterion in (None, bug.criterion)
        and bug.difficulty in (options.difficulty or DIFFICULTIES)
    ]
    if options.json:
        sys.stdout.write(json.dumps([asdict(bug) for bug in bugs], indent=2) + "\n")
        return 0
    for bug in bugs:
        sys.stdout.write(
            f"{bug.id}  ({bug.criterion}, difficulty {bug.difficulty}, {bug.symptom})\n"
            f"    {bug.title}\n"
            f"    forms: {len(bug.instances())}; source: {bug.source}\n"
        )
    return 0


@dataclass(frozen=True)
class Made:
    """A variant, and what it was made from."""

    sources: dict[str, str]
    """Its modules, as the student gets them."""
    plain: dict[str, str]
    """Its modules before any disguise."""
    reference: dict[str, str]
    catalogue: list[Bug]
    record: dict[str, object]
    """Its manifest."""
    bugs: int
    secrets: tuple[str, ...]
    """What it was made from that nobody may know."""


def make_command(options: argparse.Namespace) -> int:
    """`grader variants make`."""
    variant_made = made(options)
    try:
        variant.write(variant_made.sources, options.out)
    except OSError as error:
        raise UsageError(f"--out {options.out}: {error}") from error
    hand_over(variant_made.record, options.manifest)
    print(f"wrote {options.out / 'nanochat'} with {variant_made.bugs} bugs", file=sys.stderr)
    return 0


def release_command(options: argparse.Namespace) -> int:
    """`grader variants release`."""
    if options.level == "all":
        raise UsageError("--level all: a release is of one level; make one for each")
    one = made(options)
    published = [] if options.publish_tests is None else options.publish_tests.split(",")
    hidden = Hidden(one.reference, one.plain, one.catalogue, one.secrets)
    try:
        count = release(REPOSITORY, int(options.level), one.sources, published, hidden, options.out)
    except UnknownLaw as error:
        raise UsageError(f"--publish-tests {error}") from error
    except OSError as error:
        raise UsageError(f"--out {options.out}: {error}") from error
    hand_over(one.record, options.manifest)
    print(f"wrote {count} files to {options.out}, with {one.bugs} bugs", file=sys.stderr)
    return 0


def made(options: argparse.Namespace) -> Made:
    """Return the variant that the options ask for. Raises UsageError."""
    if options.manifest:
        try:
            manifest.require_outside(options.manifest, options.out)
        except ValueError as error:
            raise UsageError(f"--manifest {error}") from error
    bugs = catalogue_of(options.level)
    reference = variant.sources_of(REPOSITORY / "reference" / "nanochat")
    if not reference:
        raise UsageError("this copy of the grader has no reference/nanochat to make a variant of")
    seed, secrets = seed_from(options)
    choice = chosen(options, bugs, reference, seed)
    plain = sources = variant.with_bugs(reference, choice.bugs)
    if options.disguise:
        if seed is None:
            raise UsageError("--disguise needs --seed or --for: each seed has its own disguise")
        sources = disguised(plain, seed)
    recipe = Recipe(level_of(options.level), seed, options.student, options.disguise)
    record = manifest.record(recipe, choice, bugs, reference, sources)
    return Made(sources, plain, reference, bugs, record, len(choice.bugs), secrets)


def chosen(
    options: argparse.Namespace, bugs: list[Bug], reference: dict[str, str], seed: str | None
) -> Choice:
    """Return the bugs that the options ask for. Raises UsageError."""
    if options.bugs is not None and options.difficulty:
        raise UsageError(
            "--difficulty chooses among bugs, and --bugs already names them: give one of the two"
        )
    if options.bugs is not None:
        names = [] if options.bugs == "none" else [name.strip() for name in options.bugs.split(",")]
        try:
            return choose.by_name(bugs, reference, names, seed)
        except ChoiceError as error:
            raise UsageError(f"--bugs: {error}") from error
    if seed is None:
        if options.per_criterion or options.difficulty:
            raise UsageError("--per-criterion and --difficulty choose by a seed: give --seed or --for")
        return choose.by_name(bugs, reference, [bug.id for bug in bugs if bug.classic], None)
    candidates = [bug for bug in bugs if bug.difficulty in (options.difficulty or DIFFICULTIES)]
    if not candidates:
        raise UsageError(f"--difficulty {list(options.difficulty)}: level {options.level} has no such bug")
    choice = choose.by_seed(candidates, reference, seed, options.per_criterion or 1)
    for criterion, fewer in choice.missing:
        print(f"grader: {criterion} gets {fewer} fewer than asked for", file=sys.stderr)
    return choice


def seed_from(options: argparse.Namespace) -> tuple[str | None, tuple[str, ...]]:
    """Return the seed that the options give or derive, None if they give none, and what must stay secret.

    Raises UsageError.
    """
    if (options.student is None) != (options.secret_file is None):
        raise UsageError("--for and --secret-file go together: a name alone is a seed that anybody can guess")
    if options.student is None:
        return options.seed, () if options.seed is None else (options.seed,)
    try:
        secret = options.secret_file.read_bytes().strip()
    except OSError as error:
        raise UsageError(f"--secret-file {options.secret_file}: {error.strerror}") from error
    try:
        level = level_of(options.level)
        seed = choose.seed_of(options.student, secret, options.seed or "", level)
    except ValueError as error:
        raise UsageError(f"--for {options.student}: {error}") from error
    return seed, (seed, secret.decode("utf-8", errors="replace"))


def hand_over(record: dict[str, object], file: Path | None) -> None:
    """Give the instructor the manifest: in a file, or on stdout. Raises UsageError."""
    if file is None:
        sys.stdout.write(manifest.text_of(record))
        return
    try:
        file.write_text(manifest.text_of(record), encoding="utf-8", newline="\n")
    except OSError as error:
        raise UsageError(f"--manifest {file}: {error.strerror}") from error


def catalogue_of(text: str) -> list[Bug]:
    """Return the bugs of the level that `--level` names, or of all levels. Raises UsageError."""
    try:
        return [bug for number in choose_levels(text) for bug in catalogue.load(number)]
    except FileNotFoundError:
        raise UsageError(f"--level {text}: there is no catalogue of bugs for it") from None


def level_of(text: str) -> int | str:
    """Return what a manifest says of `--level`: a number, or "all"."""
    return text if text == "all" else int(text)


def difficulties(text: str) -> tuple[int, ...]:
    """Return the difficulties of "2" or "1..2", for argparse."""
    first, _, last = text.partition("..")
    found = tuple(range(int(first), int(last or first) + 1))
    if not found or not set(found) <= set(DIFFICULTIES):
        raise argparse.ArgumentTypeError(f"{text} is no difficulty: want 1, 2, 3 or a range such as 1..2")
    return found
