"""`grader watch`: grades a level again after each save, and only what the save can have changed.

What a criterion says is a function of the files that it imports, of which files there are, and of the
specification. It is kept under a key made of these, so an undone change costs nothing. A fork server and two
judges stay warm, so the first result comes a moment after the save.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from pathlib import Path

from grader import levels
from grader.judges import Judges, Result
from grader.render.students import seen
from grader.run import Request, UsageError, choose_levels, find_submission
from grader.sandbox.isolation import choose
from grader.sandbox.start import ISOLATIONS

LOOK_SECONDS = 0.1
Files = dict[str, str]
"""Path below the submission to a hash of the contents."""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    watch = commands.add_parser("watch", help="grade a submission again each time one of its files is saved")
    watch.set_defaults(command=watch_command)
    watch.add_argument("--level", required=True, help="the number of a level")
    watch.add_argument(
        "--submission",
        default="student",
        metavar="DIR",
        help="folder that holds nanochat/ (default: %(default)s)",
    )
    watch.add_argument("--seed", type=int, default=0, help="chooses the inputs (default: %(default)s)")
    watch.add_argument("--isolation", help="as for `grader run` (default: the strongest that works here)")
    watch.add_argument("--json", action="store_true", help="print one JSON object a line, a criterion each")
    watch.add_argument("--debug", action="store_true", help="show the traceback of a fault of the grader")


def watch_command(options: argparse.Namespace) -> int:
    """`grader watch`: until interrupted."""
    if options.isolation not in (None, *ISOLATIONS):
        raise UsageError(
            f"--isolation {options.isolation}: watching needs a process of the submission's own; "
            f"there are {', '.join(ISOLATIONS)}"
        )
    numbers = choose_levels(options.level)
    if len(numbers) != 1:
        raise UsageError("--level all: watch one level at a time")
    request = Request(options.submission, numbers, seed=options.seed, isolation=options.isolation)
    with Watcher(replace(request, isolation=choose(request.isolation, request.device))) as watcher:
        for files in saves(watcher.folder):
            show_round(watcher, files, as_json=options.json)
    return 0


def show_round(watcher: Watcher, files: Files, *, as_json: bool) -> None:
    """Grade what has changed and print each result as it comes."""
    start = time.monotonic()
    results = []
    for result in watcher.round(files):
        results.append(result)
        seconds = time.monotonic() - start
        print(json_line(result, seconds) if as_json else text_line(result, seconds), flush=True)
    if not as_json:
        hold = sum(one.criterion.verdict == "passed" for one in results)
        print(f"{hold} of {len(watcher.level.criteria)} criteria hold, {time.monotonic() - start:.1f} s\n")
        print("Waiting for the next save (Ctrl-C ends)", file=sys.stderr, flush=True)


class Watcher:
    """Keeps what is slow to start, and what was found for files seen before."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.folder = find_submission(request.submission)
        self.level = levels.load(request.levels[0])
        self._judges = Judges(request, self.folder, self.level)
        self._known: dict[str, Result] = {}
        self._modules: dict[str, frozenset[str]] = {}
        self._seconds: dict[str, float] = {}

    def round(self, files: Files) -> Iterator[Result]:
        """Yield a result for each criterion: remembered ones first, then those that take least time."""
        ids = [criterion.id for criterion in self.level.criteria]
        to_grade = []
        for name in ids:
            known = self._known.get(self._key(name, files))
            if known:
                yield replace(known, remembered=True)
            else:
                to_grade.append(name)
        to_grade.sort(key=lambda name: self._seconds.get(name, 0.0))
        pending: dict[Future[Result], str] = {self._judges.grade(name): name for name in to_grade}
        while pending:
            done, _ = wait(pending, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
            if not done and files_of(self.folder) != files:
                # Saved again: nobody asks for what these files earn any more.
                self._judges.restart()
                return
            for future in done:
                name, result = pending.pop(future), future.result()
                self._modules[name] = result.modules
                self._seconds[name] = result.criterion.seconds
                self._known[self._key(name, files)] = result
                yield result

    def _key(self, criterion: str, files: Files) -> str:
        """Return what a criterion's result depends on, or a key that nothing has while that is unknown."""
        if criterion not in self._modules:
            return ""
        modules = {module.removeprefix("nanochat").replace(".", "/") for module in self._modules[criterion]}
        imported = {f"nanochat{module}{end}" for module in modules for end in (".py", "/__init__.py")}
        read = {path: held for path, held in files.items() if path in imported or not path.endswith(".py")}
        return hashlib.sha256(
            json.dumps([criterion, sorted(files), sorted(read.items())]).encode()
        ).hexdigest()

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *_: object) -> None:
        self._judges.close()


def saves(folder: Path, pause: Callable[[float], None] = time.sleep) -> Iterator[Files]:
    """Yield the files of a submission at once, and after each change as soon as two looks agree.

    An editor may empty a file before it writes it anew.
    """
    seen = files_of(folder)
    yield seen
    last = seen
    while True:
        pause(LOOK_SECONDS)
        found = files_of(folder)
        if found == last and found != seen:
            seen = found
            yield found
        last = found


def files_of(folder: Path) -> Files:
    """Return the files of a submission's package with a hash of each."""
    found: Files = {}
    for path in sorted((folder / "nanochat").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            with contextlib.suppress(OSError):  # an editor is just replacing it
                found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def text_line(result: Result, seconds: float) -> str:
    """Return a line for a person: the criterion, how many laws hold, and the first that does not."""
    one = result.criterion
    hold = sum(law.verdict == "passed" for law in one.properties)
    when = "unchanged" if result.remembered else f"{seconds:.1f} s"
    line = f"{one.id:<10} {one.verdict:<8} {hold} of {len(one.properties)} laws hold ({when})"
    broken = next((law for law in one.properties if law.verdict != "passed"), None)
    if broken is None:
        return line
    said = seen(broken, after_deadline=False).message
    return f"{line}\n           {broken.id}: {said.splitlines()[0]}"


def json_line(result: Result, seconds: float) -> str:
    """Return a line for a program."""
    one = result.criterion
    return json.dumps(
        {
            "criterion": one.id,
            "verdict": one.verdict,
            "properties": {law.id: law.verdict for law in one.properties},
            "remembered": result.remembered,
            "seconds": round(seconds, 3),
        }
    )
