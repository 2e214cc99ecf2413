"""Grade one submission: start its process, load the levels, run the session, judge."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from grader import levels
from grader.report import LevelReport, Report
from grader.verdict import judge, narrow

if TYPE_CHECKING:
    from grader.sandbox.launch import ForkServer
    from grader.sandbox.limits import Limits
    from specs.probe import Probe

REPOSITORY = Path(__file__).resolve().parent.parent
MEBIBYTE = 1 << 20
CUDA_BYTES = 4 << 30
"""What the libraries of CUDA may take of the host's memory, on top of the level's limit."""

Progress = Callable[[int, int, str], None]


class UsageError(Exception):
    """The user asked for something that does not exist: exit code 2."""


@dataclass(frozen=True)
class Request:
    """What to grade and how."""

    submission: str
    """A folder that holds `nanochat/`, as the user typed it."""
    levels: tuple[int, ...]
    seed: int = 0
    isolation: str | None = None
    """"strict", "medium" or "basic": a process of its own, more or less locked down; "none": this process,
    for a debugger. None for the strongest that this machine offers."""
    device: str = "cpu"
    dtype: str = "float32"
    only: tuple[str, ...] = ()
    """Ids of criteria and properties; empty for everything."""
    hints: int = 0
    """The last stage of hints to give, 0 for none."""
    jobs: int = 1
    """Processes that judge, each with a process of the submission; one if it runs in this process."""
    echo: bool = False
    """Show on stderr what the submission printed in a process of its own; in this one nothing hides it."""


def grade_submission(
    request: Request, progress: Progress | None = None, server: ForkServer | None = None
) -> Report:
    """Grade one submission and return the report. Raises UsageError and GraderFault.

    A caller that grades many can keep one fork server for all of them.
    """
    start = time.perf_counter()
    folder = find_submission(request.submission)
    plans = [levels.read(number) for number in request.levels]
    with contextlib.ExitStack() as stack:
        if request.isolation != "none":
            from grader.sandbox.isolation import choose

            # It imports torch, which takes seconds, while this process imports the properties.
            server = server or stack.enter_context(open_server())
            request = replace(request, isolation=choose(request.isolation, request.device))
        parts = [grade_level(plan, request, folder, server, progress) for plan in plans]
    assert request.isolation is not None
    return Report(
        submission=request.submission,
        seed=request.seed,
        isolation=request.isolation,
        device=request.device,
        dtype=request.dtype,
        levels=tuple(part for part in parts if part.criteria),
        seconds=round(time.perf_counter() - start, 3),
        only=request.only,
        versions=versions(),
    )


def grade_level(
    plan: levels.Level,
    request: Request,
    folder: Path,
    server: ForkServer | None,
    progress: Progress | None,
) -> LevelReport:
    """Grade one level and return its part of the report. Raises UsageError and GraderFault."""
    with open_probe(request, folder, plan.limits, server) as probe:
        from grader.parallel import grade_in_shares

        level = levels.load_laws(plan)
        check_only(request)
        expected = narrow(level.expected(hints=request.hints), request.only)
        again = partial(open_probe, request, folder, plan.limits, server)
        jobs = 1 if request.isolation == "none" else request.jobs
        observed = grade_in_shares(level, probe, again, request.seed, request.only, jobs, progress)
        return judge(expected, observed)


def open_server() -> ForkServer:
    """Start the process that forks submission processes. Raises GraderFault."""
    from grader.sandbox.launch import ForkServer

    return ForkServer()


@contextlib.contextmanager
def open_probe(
    request: Request, folder: Path, limits: levels.LevelLimits, server: ForkServer | None = None
) -> Iterator[Probe]:
    """Start the submission as the request says; stop it at the end."""
    if request.isolation == "none":
        from grader.sandbox.local import LocalProbe

        with LocalProbe(folder, request.device, request.dtype) as local:
            yield local
        return
    from grader.sandbox.process import ProcessProbe

    assert request.isolation is not None
    allowed = limits_of(limits, request.device)
    with ProcessProbe(folder, request.device, request.dtype, allowed, request.isolation, server) as process:
        yield process
        if request.echo and process.captured_output:
            print(f"The submission printed:\n{process.captured_output}", file=sys.stderr)


def limits_of(limits: levels.LevelLimits, device: str) -> Limits:
    """Return a level's limits in the sandbox's units."""
    from grader.sandbox.limits import Limits

    cuda = CUDA_BYTES if device == "cuda" else 0
    return Limits(
        call_seconds=limits.call_seconds,
        property_seconds=limits.property_seconds,
        submission_seconds=limits.submission_seconds,
        processor_seconds=limits.processor_seconds,
        memory_bytes=int(limits.memory_mebibytes * MEBIBYTE) + cuda,
        processes=limits.processes,
        output_bytes=int(limits.output_mebibytes * MEBIBYTE),
        file_bytes=int(limits.disk_mebibytes * MEBIBYTE),
        disk_bytes=int(limits.disk_mebibytes * MEBIBYTE),
    )


def check_only(request: Request) -> None:
    """Require every name of `only` to be a criterion or a property of one of the levels asked for."""
    if not request.only:
        return
    known = set[str]().union(*(levels.load(number).expected().ids() for number in request.levels))
    for name in request.only:
        if name not in known:
            near = get_close_matches(name, known, 3) or sorted(one for one in known if "." not in one)
            raise UsageError(
                f"--only {name}: no criterion or property of this name; did you mean {' or '.join(near)}? "
                "(--list shows all)"
            )


def choose_levels(text: str) -> tuple[int, ...]:
    """Return the levels that `--level` names. Raises UsageError."""
    known = levels.numbers()
    if text == "all":
        return tuple(known)
    if text.isascii() and text.isdecimal() and int(text) in known:
        return (int(text),)
    there = ", ".join(map(str, known))
    raise UsageError(f"--level {text}: there is no such level; there are {there} and all")


def find_submission(typed: str) -> Path:
    """Return the folder of a submission: below the current folder, else below the repository. UsageError."""
    folder = next((one for one in (Path(typed), REPOSITORY / typed) if one.is_dir()), None)
    if folder is None:
        raise UsageError(f"submission {typed}: there is no such folder, neither here nor in {REPOSITORY}")
    folder = folder.resolve()
    if not (folder / "nanochat").is_dir():
        advice = " Give the folder that holds nanochat/, not nanochat/." if folder.name == "nanochat" else ""
        raise UsageError(f"submission {typed}: the folder {folder} holds no folder nanochat/.{advice}")
    return folder


def processors() -> int:
    """Return how many processors this process may use, at most two: more gain little on one level."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(2, there)


def versions() -> dict[str, str]:
    """Return the versions that a result may depend on; torch's is read without importing it."""
    found = {"python": platform.python_version()}
    for name, package in (
        ("torch", "torch"),
        ("numpy", "numpy"),
        ("hypothesis", "hypothesis"),
        ("grader", "nanograder"),
    ):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(package)
    return found


def rerun(report: Report, property_id: str, isolation: str | None = None) -> Request:
    """Return the request that runs one property of a report again. Raises UsageError."""
    for level in report.levels:
        if property_id in property_ids(level):
            return Request(
                submission=report.submission,
                levels=(level.level,),
                seed=report.seed,
                isolation=isolation or report.isolation,
                device=report.device,
                dtype=report.dtype,
                only=(property_id,),
            )
    known = [one for level in report.levels for one in property_ids(level)]
    near = " or ".join(get_close_matches(property_id, known, 3) or known[:3])
    raise UsageError(f"--property {property_id}: the report has none of this name; did you mean {near}?")


def property_ids(level: LevelReport) -> list[str]:
    """Return the ids of a level's properties."""
    return [one.id for criterion in level.criteria for one in criterion.properties]


def list_expected(numbers: Sequence[int]) -> str:
    """Return the ids and titles of all properties, as text; runs nothing."""
    lines = []
    for number in numbers:
        level = levels.load(number)
        lines.append(f"Level {number}: {level.title}")
        for criterion in level.criteria:
            lines.append(f"\n{criterion.id}: {criterion.title} ({criterion.points:g} points)")
            lines += [f"  {law.id}: {law.title}" for law in criterion.laws]
    return "\n".join(lines) + "\n"


@contextlib.contextmanager
def stdout_on_stderr() -> Iterator[None]:
    """Send what is written to stdout to stderr: in process, a submission prints where the record goes.

    Both Python's stream and the file descriptor, because a library in C or a child process uses the latter.
    """
    sys.stdout.flush()
    try:
        saved = os.dup(1)
    except OSError:  # stdout is closed
        saved = None
    try:
        if saved is not None:
            os.dup2(2, 1)
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        if saved is not None:
            os.dup2(saved, 1)
            os.close(saved)
