"""Classes made by rule: who is called similar and is not, which copies are found, how fast, how large?

    python benchmarks/similarity.py [--count 500] [--classes own,one,small] [--large 5000]

A student gets a copy with bugs, leaves some in, repairs some as the reference has it, some in a way that
others find as well, some in one of their own, and adds comments, checks, prints and helpers, stock ones and
their own. Nobody of these knows another. Then copies are planted, of each kind. Prints Markdown; exits with 1
if a pair of independent students is reported.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from grader.batch.similar import lex
from grader.batch.similar.known import known
from grader.batch.similar.own import Own, own
from grader.batch.similar.pairs import LARGE, Handed, pairs, threshold_for
from grader.bugs import catalogue, choose, variant
from grader.bugs.bug import Bug
from grader.bugs.disguise import disguised
from grader.bugs.pattern import PatternError

sys.path.insert(0, str(Path(__file__).parent))
from similarity_text import ADDITIONS, COMMENTS, HELPERS, LINES, REPAIRS, STATEMENT_REPAIRS, said

LEVEL = 3
MODULES = ("gpt.py", "engine.py", "tools.py")
"""Those of the level, which is all that students edit."""
KINDS = ("verbatim", "renamed", "reordered", "comments", "one more repaired", "all of these")

Files = dict[str, str]


@dataclass(frozen=True)
class Student:
    """A student's work, and what it was made from."""

    name: str
    seed: str
    """Of what the student does."""
    copy: str
    """Of the copy that was handed out."""
    disguise: bool
    left: tuple[Bug, ...] = ()
    repaired: tuple[Bug, ...] = ()
    """Repairs that are not the reference's text, as edits of it."""
    additions: int = 0
    files: Files = field(default_factory=dict)


def main() -> int:
    """Measure, and say what is wrong."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--count", type=int, default=500, help="students of a class")
    options.add_argument("--classes", default="own,disguised,one,small", help="which to make")
    options.add_argument("--large", type=int, default=5000, help="students of the class that is timed")
    options.add_argument(
        "--planted", type=int, default=20, help="copies of each kind, as far as there are sources"
    )
    options.add_argument("--seed", default="0", help="makes the classes")
    given = options.parse_args()
    began = time.perf_counter()
    known()
    print(f"What was handed out is read in {time.perf_counter() - began:.1f} s.\n")
    wrong = 0
    print("| class | students | own tokens, median and most | highest scores of pairs | reported |")
    print("|---|---|---|---|---|")
    works: dict[str, list[Student]] = {}
    for name in given.classes.split(","):
        for number in range(10 if name == "small" else 1):
            count = 20 if name == "small" else given.count
            works[name] = made(name, count, f"{given.seed} {name} {number}")
            wrong += show_class(f"{name} {number}" if name == "small" else name, works[name])
    for name, students in works.items():
        if name != "small":
            show_copies(name, students, given.planted, given.seed)
    show_time(next(iter(works.values())), (given.count, given.large))
    return 1 if wrong else 0


def made(name: str, count: int, seed: str) -> list[Student]:
    """Return a class: copies of `own` seeds, `disguised` as well, or of `one` seed for all."""
    students = []
    for i in range(count):
        copy = f"{seed} the one" if name in ("one", "small") else f"{seed} {i}"
        students.append(student(f"student{i:04}", f"{seed} student {i}", copy, disguise=name == "disguised"))
    return students


def student(name: str, seed: str, copy: str, *, disguise: bool) -> Student:
    """Return one student's work."""
    chance = random.Random(seed)
    left: list[Bug] = []
    repaired: list[Bug] = []
    for bug in choose.by_seed(bugs(), reference(), copy).bugs:
        turn = chance.random()
        if turn < 0.25:
            left.append(bug)
        elif turn < 0.45:
            repaired += repair(bug, f"{bug.id} {zipf(chance, 8)}")
        elif turn < 0.6:
            repaired += repair(bug, f"{seed} {bug.id}")
    additions = chance.choice((0, 0, 1, 2, 3, 5, 8, 12))
    return built(Student(name, seed, copy, disguise, tuple(left), tuple(repaired), additions))


def zipf(chance: random.Random, count: int) -> int:
    """Return a number below `count`, the first ones most often."""
    return chance.choices(range(count), [1 / (i + 1) for i in range(count)])[0]


@cache
def repair(bug: Bug, seed: str) -> list[Bug]:
    """Return a repair that is written otherwise than in the reference, as edits of it; none if none fits."""
    chance = random.Random(seed)
    edit = next(one for one in bug.edits if not one.prose)
    for find in edit.find:
        for templates in (REPAIRS, STATEMENT_REPAIRS):
            text = said(chance, chance.choice(templates)).replace("$", find)
            changed = replace(bug, edits=(replace(edit, find=(find,), replace=text),), parameters={})
            try:
                if variant.with_bugs(reference(), [changed]) != reference():
                    return [changed]
            except (PatternError, SyntaxError):
                continue
    return []


def built(one: Student) -> Student:
    """Return a student with the files that come of it."""
    files = {name: text for name, text in applied((*one.left, *one.repaired)).items() if name in MODULES}
    if one.disguise:
        files = disguised(files, one.copy)
    chance = random.Random(f"{one.seed} additions")
    for i in range(one.additions):
        file = chance.choice(MODULES)
        turn = chance.random()
        if turn < 0.2:
            helper = HELPERS[zipf(chance, len(HELPERS))] if chance.random() < 0.2 else own_helper(chance)
            files[file] = files[file].rstrip("\n") + f"\n\n\n{helper}"
        else:
            stock = ADDITIONS[zipf(chance, len(ADDITIONS))]
            text = COMMENTS[zipf(chance, len(COMMENTS))] if turn < 0.4 else stock
            text = said(chance, "# ~ ~ ~ ~ ~ ~ ~" if turn > 0.7 else text)
            files[file] = inserted(files[file], text, f"{one.seed} {i}")
    return replace(one, files=files)


@cache
def applied(bugs_in: tuple[Bug, ...]) -> Files:
    """Return the reference with what a student left and repaired; of two edits that overlap the first is
    made."""
    try:
        return variant.with_bugs(reference(), bugs_in)
    except (PatternError, SyntaxError):
        edits: list[Bug] = []
        for bug in bugs_in:
            with contextlib.suppress(PatternError, SyntaxError):
                variant.with_bugs(reference(), [*edits, bug])
                edits.append(bug)
        return variant.with_bugs(reference(), edits)


def own_helper(chance: random.Random) -> str:
    """Return a function that nobody else writes."""
    lines = [said(chance, "def ~_~(^, ^):")]
    for _ in range(chance.randint(2, 7)):
        lines.append("    " + said(chance, chance.choice(LINES)))
    return "\n".join([*lines, said(chance, "    return ^")]) + "\n"


def inserted(text: str, addition: str, seed: str) -> str:
    """Return a module with lines above a statement of a function, the same one whatever else changes."""
    lines = text.split("\n")
    places = [
        one
        for one in lex.read(text).statements
        if lines[one.line - 1].startswith("    ")
        and one.tokens[0].text in ("return", "if", "for")
        and one.line > 20
    ]
    chance = random.Random(seed)
    if chance.random() < 0.5:  # where others look, too
        seed = f"popular {zipf(chance, 8)}"
    here = min(places, key=lambda one: random.Random(f"{seed} {lines[one.line - 1]}").random())
    line = lines[here.line - 1]
    indent = line[: len(line) - len(line.lstrip())]
    lines[here.line - 1 : here.line - 1] = [indent + part for part in addition.split("\n")]
    return "\n".join(lines)


def copied(source: Student, kind: str, seed: str) -> Files:
    """Return what somebody hands in who has the work of `source`."""
    files = dict(source.files)
    if kind in ("one more repaired", "all of these"):
        files = dict(built(replace(source, left=source.left[1:])).files)
    if kind in ("comments", "all of these"):
        files = {name: other_comments(text, seed) for name, text in files.items()}
    if kind in ("renamed", "all of these"):
        files = {name: renamed(text, seed) for name, text in files.items()}
    if kind in ("reordered", "all of these"):
        files = disguised(files, seed, ("functions", "statements"))
    return files


def renamed(text: str, seed: str) -> str:
    """Return a module in which every name that can be chosen is another one."""
    found = known()
    fixed = {token.text for _, token in lex.placed("\n".join(reference().values()))} - found.given
    made_up: dict[str, str] = {}
    pieces = []
    for one in lex.TOKEN.finditer(text):
        name = one[0]
        if one.lastgroup == "name" and name not in fixed | found.library and text[one.start() - 1] != ".":
            name = made_up.setdefault(name, f"n{random.Random(f'{seed} {name}').randrange(10**6)}")
        pieces.append(name)
    return "".join(pieces)


def other_comments(text: str, seed: str) -> str:
    """Return a module without its comments and with others."""
    kept = "".join(one[0] for one in lex.TOKEN.finditer(text) if one.lastgroup != "comment")
    return inserted(kept, said(random.Random(seed), "# ~ ~ ~ ~ ~"), seed)


@cache
def bugs() -> list[Bug]:
    """Return the bugs of the level."""
    return catalogue.load(LEVEL)


@cache
def reference() -> Files:
    """Return the reference's modules."""
    return variant.sources_of(catalogue.REFERENCE)


def owned(files: Files) -> Own:
    """Return what of some files is their writer's own."""
    found = known()
    return own({f"nanochat/{name}": text for name, text in files.items()}, found)


def handed(works: Sequence[tuple[str, Files]]) -> list[Handed]:
    """Return works as trees."""
    trees: dict[str, list[str]] = {}
    files = {repr(one): one for _, one in works}
    for name, one in works:
        trees.setdefault(repr(one), []).append(name)
    return [Handed(tuple(names), owned(files[key])) for key, names in trees.items()]


def show_class(name: str, students: list[Student]) -> int:
    """Print the row of a class of independent students; return how many pairs are reported."""
    trees = handed([(one.name, one.files) for one in students])
    found = pairs(trees, threshold=1, share=0)
    reported = pairs(trees)
    sizes = sorted(tree.own.size for tree in trees)
    best = [one.score for one in found[:3]]
    print(
        f"| {name} | {len(students)} | {sizes[len(sizes) // 2]}, {sizes[-1]} | {best} | {len(reported)} |",
        flush=True,
    )
    for one in reported:
        print(f"{one.left} {one.right} {one.score} {one.places}", file=sys.stderr)
    return len(reported)


def show_copies(name: str, students: list[Student], planted: int, seed: str) -> None:
    """Plant copies of each kind in a class, and print how many are found."""
    works = [(one.name, one.files) for one in students]
    sizes = {one.name: owned(one.files).size for one in students}
    chance = random.Random(f"{seed} planted")
    truth: dict[frozenset[str], tuple[str, int]] = {}
    much = threshold_for(max(len(students), LARGE))
    # Each source is copied once: what several copies have in common counts less.
    sources_left = chance.sample(students, len(students))
    rich = [one for one in sources_left if sizes[one.name] >= much]
    for number, kind in enumerate(KINDS):
        for source in rich[number * planted : (number + 1) * planted]:
            thief = f"{kind} of {source.name}"
            works.append((thief, copied(source, kind, f"{seed} {thief}")))
            truth[frozenset((thief, source.name))] = kind, sizes[source.name]
    began = time.perf_counter()
    found = {
        frozenset((one, other)): pair
        for pair in pairs(handed(works))
        for one in pair.left
        for other in pair.right
    }
    print(f"\nClass `{name}`, up to {planted} copies of each kind, of who has {much:g} own tokens or more")
    print(f"({time.perf_counter() - began:.1f} s):\n")
    print(f"| kind | found | of sources with {2 * much:g} own tokens or more | own tokens of those missed |")
    print("|---|---|---|---|")
    for kind in KINDS:
        mine = {pair: size for pair, (of, size) in truth.items() if of == kind}
        large = [pair for pair, size in mine.items() if size >= 2 * much]
        missed = sorted(size for pair, size in mine.items() if pair not in found)
        print(
            f"| {kind} | {sum(pair in found for pair in mine)} of {len(mine)} "
            f"| {sum(pair in found for pair in large)} of {len(large)} | {missed} |"
        )
    sources = {one: min(pair, key=len) for pair in truth for one in pair}
    others = [pair for pair in found if len({sources.get(one, one) for one in pair}) > 1]
    print(f"\nPairs that no copy explains: {len(others)}.", flush=True)


def show_time(students: list[Student], counts: Sequence[int]) -> None:
    """Print how long it takes to read a submission, and classes of some sizes from the ledger."""
    began = time.process_time()
    trees = handed([(one.name, one.files) for one in students])
    each = (time.process_time() - began) / len(trees)
    print(f"\nReading a submission takes {1000 * each:.0f} ms of processor time.\n")
    print("| students | s of processor time for the pairs | KB in the ledger for each |\n|---|---|---|")
    for count in counts:
        packed = [one.own.packed() for one in grown(trees, count)]
        began = time.process_time()
        pairs([Handed((str(i),), Own.unpacked(one)) for i, one in enumerate(packed)])
        size = sum(map(len, packed)) / len(packed) / 1000
        print(f"| {count} | {time.process_time() - began:.1f} | {size:.1f} |", flush=True)


def grown(trees: Sequence[Handed], count: int) -> list[Handed]:
    """Return so many students: those that there are again and again, with most fingerprints others."""
    found = []
    for i in range(count):
        one, turn = trees[i % len(trees)], i // len(trees)
        prints = tuple(
            replace(each, hash=each.hash ^ turn) if each.hash % 7 else each for each in one.own.prints
        )
        found.append(Handed((str(i),), replace(one.own, prints=prints)))
    return found


if __name__ == "__main__":
    sys.exit(main())
