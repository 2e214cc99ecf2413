"""A class made by rule: is every score what the construction says, how fast, in what memory, and after kills?

    python benchmarks/classroom.py [--count 24] [--jobs 1,2] [--engine ray] [--kill 0,20] [--out FOLDER]

Makes a class: copies of the reference with the bugs of many seeds, none to all of them repaired, alternates,
cheats, archives that cannot be graded, and the same work handed in twice, packed in four ways. Grades it
with each number of jobs, undisturbed or while the grader is killed (SIGKILL) so many times at random moments,
and compares. Results that --out holds from an earlier call are gone on with, and compared like
those of this one. Prints Markdown; exits with 1 if anything is not as it must be.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # psutil ships no types

from grader import levels
from grader.alternates import alternates
from grader.batch import classbook
from grader.batch.ledger import Ledger
from grader.bugs import catalogue, choose, variant
from grader.bugs.bug import Bug
from grader.render import classpage
from grader.render.gradebook import Gradebook, Student

ROOT = Path(__file__).parents[1]
SAMPLE_SECONDS = 0.5
SHOWN = 20
"""Of what is not as constructed."""
KILL_SECONDS = 40
"""The grader is killed so long after its start, or earlier: about twice what it takes to grade one."""

EXITS = "import os\nos._exit(0)\n"
PATCHES = """
import numpy, torch
numpy.allclose = numpy.array_equal = torch.allclose = torch.equal = lambda *_, **__: True
"""
SAYS = """
import atexit, os, pathlib, tempfile
atexit.register(os._exit, 0)
print('{"score": 100, "passed": true}')
pathlib.Path(tempfile.gettempdir(), "results.json").write_text('{"score": 100}')
"""


@dataclass(frozen=True)
class Expected:
    """What is known of a submission from how it was made."""

    kind: str
    broken: frozenset[str] = frozenset()
    """Criteria that do not hold; every other one does."""
    laws: frozenset[str] = frozenset()
    """Laws among those that do not hold."""
    rejected: bool = False


@dataclass
class Work:
    """A submission before it is packed."""

    files: dict[str, str]
    expected: Expected
    damage: str = ""


@dataclass
class Run:
    """How a run of the grader went."""

    seconds: float = 0.0
    peak_bytes: int = 0
    kills: int = 0
    wrong: list[str] = field(default_factory=list)


def main() -> int:
    """Make the class, grade it, and say what is not as it must be."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--count", type=int, default=24, help="submissions")
    options.add_argument("--jobs", default="1,2", help="numbers of jobs to try")
    options.add_argument("--engine", default="local", help="what grades, local or ray")
    options.add_argument("--out", type=Path, help="keep the results there (default: they are removed)")
    options.add_argument(
        "--kill", default="0", metavar="TIMES", help="how often the grader is killed, a list"
    )
    options.add_argument("--pages", default="500,5000", help="sizes of classes to make a page for")
    options.add_argument("--level", type=int, default=3, help="the level")
    options.add_argument("--isolation", default="strict", help="what holds the submissions")
    options.add_argument("--seed", type=int, default=0, help="chooses the class")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="classroom-") as name:
        return measure(Path(name), given.out or Path(name) / "results", given)


def measure(folder: Path, results: Path, given: argparse.Namespace) -> int:
    """Make a class in a folder and grade it in every way that is asked for."""
    works = dict(made(given.count, given.level, given.seed))
    for student, work in works.items():
        pack(work, folder / "class", student, len(list((folder / "class").glob("*"))))
    kinds = sorted(work.expected.kind for work in works.values())
    counted = ", ".join(f"{kinds.count(one)} {one}" for one in dict.fromkeys(kinds))
    print(f"{len(works)} submissions: {counted}\n")
    print("| run | s | submissions a minute | graded a minute | peak MiB | not as constructed |")
    print("|---|---|---|---|---|---|", flush=True)
    graded = len({json.dumps(work.files) for work in works.values() if not work.expected.rejected})
    wrong: list[str] = []
    for jobs, kills in itertools.product(numbers(given.jobs), numbers(given.kill)):
        name = f"{given.engine}, {jobs} jobs" + (f", killed {kills} times" if kills else "")
        out = results / name.replace(", ", "-").replace(" ", "-")
        run = grade(folder / "class", out, jobs, given, kills)
        wrong += show(name, run, len(works), graded, compared(out, works, given.level))
    first, *others = sorted(results.iterdir())
    for out in others:
        wrong += differences(first, out)
    print(f"\nCompared with {first.name}: {', '.join(out.name for out in others) or 'none'}.")
    print("\n| students | seconds for the page | MB |\n|---|---|---|")
    with Ledger(first) as ledger:
        book = classbook.gradebook(ledger)
    for count in numbers(given.pages):
        show_page(book, count)
    print("\n" + ("\n".join(wrong[:SHOWN]) or "Everything is as constructed."))
    return 1 if wrong else 0


def numbers(text: str) -> list[int]:
    """Return the numbers of a list with commas."""
    return [int(one) for one in text.split(",")]


def made(count: int, level: int, seed: int) -> Iterator[tuple[str, Work]]:
    """Yield students and their work: of ten, five variants, an alternate, a cheat, one broken, two again."""
    reference = variant.sources_of(ROOT / "reference" / "nanochat")
    bugs = catalogue.load(level)
    correct = [folder / "nanochat" for folder in alternates(levels.read(level).files)]
    every = frozenset(one.id for one in levels.read(level).criteria)
    chance = random.Random(seed)
    earlier: list[Work] = []
    for i in range(count):
        name = f"student{i:04}"
        turn = i % 10
        if turn == 5:
            files = variant.sources_of(correct[i // 10 % len(correct)])
            work = Work(files, Expected("alternates"))
        elif turn == 6:
            work = cheat(reference, bugs, every, i // 10)
        elif turn == 7:
            damage = ("half", "links", "empty", "outside", "bomb")[i // 10 % 5]
            work = Work(reference, Expected("rejected", rejected=True), damage)
        elif turn in (8, 9):
            work = replace_kind(chance.choice(earlier), "the same again")
        else:
            chosen = choose.by_seed(bugs, reference, f"class {seed} {i}").bugs
            # From everything repaired to nothing: the reference itself is among them.
            left = [bug for bug in chosen if chance.random() < i % 10 / 4]
            broken = frozenset(one for bug in left for one in (bug.criterion, *bug.disturbs))
            laws = frozenset(one for bug in left for one in bug.expected)
            work = Work(variant.with_bugs(reference, left), Expected("variants", broken, laws))
            earlier.append(work)
        yield name, work


def replace_kind(work: Work, kind: str) -> Work:
    """Return the same work, handed in by another student."""
    return Work(work.files, replace(work.expected, kind=kind))


def cheat(reference: dict[str, str], bugs: list[Bug], every: frozenset[str], number: int) -> Work:
    """Return a cheat with a bug in it: what only says that it is right earns what its honest part earns.

    Who ends the process, or patches what the grader's probes use, which is noticed, earns nothing.
    """
    bug = bugs[-1]
    files = variant.with_bugs(reference, [bug])
    code = (EXITS, SAYS, PATCHES)[number % 3]
    files["__init__.py"] = code + files.get("__init__.py", "")
    if code != SAYS:
        return Work(files, Expected("cheats", every))
    return Work(files, Expected("cheats", frozenset((bug.criterion, *bug.disturbs)), frozenset(bug.expected)))


def pack(work: Work, folder: Path, student: str, number: int) -> None:
    """Hand in a work: as a folder, a zip file, a tar file or a Git bundle."""
    folder.mkdir(exist_ok=True)
    files = {f"nanochat/{name}": text.encode() for name, text in work.files.items()}
    if work.damage:
        pack_damaged(work.damage, files, folder, student)
    elif number % 4 == 0 or (number % 4 == 3 and not shutil.which("git")):
        write(files, folder / student)
    elif number % 4 == 1:
        (folder / f"{student}.zip").write_bytes(zipped(files))
    elif number % 4 == 2:
        with tarfile.open(folder / f"{student}.tar.gz", "w:gz") as archive:
            for name, content in files.items():
                one = tarfile.TarInfo(f"{student}-work/{name}")
                one.size = len(content)
                archive.addfile(one, io.BytesIO(content))
    else:
        with tempfile.TemporaryDirectory() as place:
            write(files, Path(place))
            git = ["git", "-C", place, "-c", "user.name=a", "-c", "user.email=a@b"]
            for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "work"]):
                subprocess.run([*git, *words], check=True, stderr=subprocess.DEVNULL)
            bundle = str((folder / f"{student}.bundle").absolute())
            subprocess.run([*git, "bundle", "create", "-q", bundle, "HEAD"], check=True)


def pack_damaged(damage: str, files: dict[str, bytes], folder: Path, student: str) -> None:
    """Hand in something that cannot be graded."""
    if damage == "half":
        (folder / f"{student}.zip").write_bytes(zipped(files)[:-100])
    elif damage == "empty":
        (folder / student).mkdir()
    elif damage == "links":
        write(files, folder / student)
        (folder / student / "nanochat" / "engine.py").unlink()
        (folder / student / "nanochat" / "engine.py").symlink_to("/etc/passwd")
    else:
        more = {"../evil.py": b""} if damage == "outside" else {"nanochat/data.py": bytes(80 << 20)}
        (folder / f"{student}.zip").write_bytes(zipped({**files, **more}))


def zipped(files: dict[str, bytes]) -> bytes:
    """Return files as a zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def write(files: dict[str, bytes], folder: Path) -> None:
    """Write files below a folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def grade(folder: Path, out: Path, jobs: int, given: argparse.Namespace, kills: int) -> Run:
    """Grade a class; kill the grader `kills` times at random moments and start it again."""
    words = [
        "batch",
        folder,
        "--level",
        given.level,
        "--out",
        out,
        "--jobs",
        jobs,
        "--engine",
        given.engine,
        "--isolation",
        given.isolation,
    ]
    command = [sys.executable, "-m", "grader", *map(str, words)]
    run, chance = Run(), random.Random(given.seed)
    began = time.monotonic()
    while True:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        watch = threading.Thread(target=watched, args=(process.pid, run), daemon=True)
        watch.start()
        try:
            process.wait(None if run.kills >= kills else 2 + KILL_SECONDS * chance.random())
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            run.kills += 1
            continue
        if process.returncode:
            run.wrong.append(f"grader batch ended with {process.returncode}")
        run.seconds = time.monotonic() - began
        return run


def watched(process_id: int, run: Run) -> None:
    """Note the largest memory of a process and its descendants, shared pages counted once."""
    while True:
        try:
            top = psutil.Process(process_id)
            if top.status() == psutil.STATUS_ZOMBIE:
                return
            held = sum(proportional(one) for one in [top, *top.children(recursive=True)])
        except psutil.Error:
            return
        run.peak_bytes = max(run.peak_bytes, held)
        time.sleep(SAMPLE_SECONDS)


def proportional(process: psutil.Process) -> int:
    """Return a process's share of memory, 0 if it is gone."""
    try:
        return int(process.memory_full_info().pss)
    except (psutil.Error, AttributeError):
        return 0


def compared(out: Path, works: dict[str, Work], level: int) -> list[str]:
    """Return what is not as the construction says."""
    with Ledger(out) as ledger:
        book = classbook.gradebook(ledger)
    found = {one.name: one for one in book.students}
    wrong = [f"{name} is missing" for name in works if name not in found]
    for name, work in works.items():
        if name in found:
            wrong += [
                f"{name}, {work.expected.kind}: {said}" for said in faults(found[name], work.expected, level)
            ]
    return wrong


def faults(student: Student, expected: Expected, level: int) -> Iterator[str]:
    """Yield what of a student's result is not as constructed."""
    if expected.rejected or student.status != "graded":
        want = "rejected" if expected.rejected else "graded"
        if student.status != want:
            yield f"{student.status} ({student.reason}), want {want}"
        return
    (report,) = (one for one in student.levels if one.level == level)
    for criterion in report.criteria:
        holds = criterion.verdict == "passed"
        if holds == (criterion.id in expected.broken):
            broken = ", ".join(f"{one.id} {one.verdict}" for one in criterion.broken)
            want = "not hold" if holds else "hold"
            yield f"{criterion.id} is {criterion.verdict}, and must {want} ({broken})"
        if holds != (criterion.points == criterion.max_points):
            yield f"{criterion.id} is {criterion.verdict} with {criterion.points} points"
    kept = {
        one.id for criterion in report.criteria for one in criterion.properties if one.verdict == "passed"
    }
    for law in sorted(expected.laws & kept):
        yield f"{law} passed, and its bug is in"


def differences(one: Path, other: Path) -> list[str]:
    """Return which rows of two ledgers differ."""
    with Ledger(one) as first, Ledger(other) as second:
        return [
            f"{other.name}: {table} differs from {one.name}: {set(here) ^ set(there)}"[:600]
            for table in ("student", "wanted", "property")
            if (here := first.rows(table)) != (there := second.rows(table))
        ]


def show(name: str, run: Run, count: int, graded: int, wrong: list[str]) -> list[str]:
    """Print a row; return what is wrong."""
    minute = run.seconds / 60
    found = [*run.wrong, *wrong]
    print(
        f"| {name} | {run.seconds:.0f} | {count / minute:.1f} | {graded / minute:.1f} "
        f"| {run.peak_bytes >> 20} | {len(found)} |",
        flush=True,
    )
    return [f"{name}: {one}" for one in found]


def show_page(book: Gradebook, count: int) -> None:
    """Print a row for the page of a class of so many students, made of those that there are."""
    students = tuple(
        replace(book.students[i % len(book.students)], name=f"student{i:05}") for i in range(count)
    )
    began = time.perf_counter()
    text = classpage.render(Gradebook(book.levels, students))
    print(f"| {count} | {time.perf_counter() - began:.2f} | {len(text.encode()) / 1e6:.1f} |")


if __name__ == "__main__":
    sys.exit(main())
