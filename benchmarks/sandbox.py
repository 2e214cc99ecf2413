"""What isolation costs, and that nothing is lost or left behind over many gradings.

    python benchmarks/sandbox.py starts [--count 200]      how long a submission process takes to be ready
    python benchmarks/sandbox.py calls                     a probe call over the wire against one in process
    python benchmarks/sandbox.py levels [--rounds 3]       `grader run` at each level of isolation
    python benchmarks/sandbox.py gradings [--count 500]    good, broken, crashing and hanging ones in a row

Prints Markdown. Timings are those of this machine as it is: compare within one run.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # psutil ships no types

from grader import levels
from grader.bugs import catalogue, variant
from grader.run import Request, grade_submission
from grader.sandbox import cgroup
from grader.sandbox.isolation import tried
from grader.sandbox.launch import ForkServer
from grader.sandbox.local import LocalProbe
from grader.sandbox.process import ProcessProbe
from grader.sandbox.start import ISOLATIONS

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "reference"
ONLY = (
    "attention.flops_are_counted_by_the_formula",
    "attention.a_configuration_has_the_defaults_of_the_contract",
    "tools.the_result_is_forced_in_order",
)
FLOPS = "        parameters = sum(parameter.numel() for parameter in self.parameters())\n"
BROKEN = {
    "crashing": "        __import__('os')._exit(0)\n",
    "faulting": "        __import__('ctypes').string_at(0)\n",
    "raising": "        raise RuntimeError('no')\n",
    "hanging": "        while True:\n            pass\n",
    "leaving a fork": "        __import__('os').fork() or __import__('time').sleep(100)\n",
}


def main() -> None:
    """Measure what is asked for."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("what", choices=("starts", "calls", "levels", "gradings"))
    options.add_argument("--count", type=int, help="how many starts (200) or gradings (500)")
    options.add_argument("--rounds", type=int, default=3, help="runs of each level")
    arguments = options.parse_args()
    measure: dict[str, Callable[[], None]] = {
        "starts": lambda: starts(arguments.count or 200),
        "calls": calls,
        "levels": lambda: compare_levels(arguments.rounds),
        "gradings": lambda: gradings(arguments.count or 500),
    }
    measure[arguments.what]()


def starts(count: int) -> None:
    """Time from asking for a process to its first answer, and the kill."""
    print("| isolation | start, median ms | p99 ms | longest ms | kill, median ms |\n|---|---|---|---|---|")
    with ForkServer() as server:
        for level in (level for level in ISOLATIONS if tried(level).works):
            ready, gone = [], []
            with ProcessProbe(REFERENCE, isolation=level, server=server) as probe:
                probe("selftest.echo", value=1)
                for _ in range(count):
                    began = time.perf_counter()
                    probe._kill()
                    killed = time.perf_counter()
                    probe._launch()
                    probe("selftest.echo", value=1)
                    ready.append(1e3 * (time.perf_counter() - killed))
                    gone.append(1e3 * (killed - began))
            p99 = sorted(ready)[int(0.99 * len(ready))]
            print(
                f"| {level} | {statistics.median(ready):.1f} | {p99:.1f} | {max(ready):.1f} "
                f"| {statistics.median(gone):.1f} |"
            )


def calls() -> None:
    """Time one small probe call, and one with a megabyte each way."""
    print("| where | echo of a number, us | echo of 1 MiB, us |\n|---|---|---|")
    large = bytes(1 << 20)

    def both(probe: ProcessProbe | LocalProbe) -> str:
        cells = []
        for value, times in ((1, 2000), (large, 200)):
            probe("selftest.echo", value=value)
            took = []
            for _ in range(times):
                began = time.perf_counter()
                probe("selftest.echo", value=value)
                took.append(1e6 * (time.perf_counter() - began))
            cells.append(f"{statistics.median(took):.0f}")
        return " | ".join(cells)

    with ForkServer() as server:
        for level in (level for level in ISOLATIONS if tried(level).works):
            with ProcessProbe(REFERENCE, isolation=level, server=server) as process:
                print(f"| {level} | {both(process)} |")
    with LocalProbe(REFERENCE) as local:
        print(f"| none | {both(local)} |")


def compare_levels(rounds: int) -> None:
    """Run `grader run --level 3 --submission reference` at each level, in turn."""
    runs = [(level, jobs) for level in (*ISOLATIONS, "none") for jobs in (1, 2)]
    runs.remove(("none", 2))
    seconds: dict[tuple[str, int], list[float]] = {run: [] for run in runs}
    for _ in range(rounds):
        for level, jobs in runs:
            command = [sys.executable, "-m", "grader", "run", "--level", "3", "--submission", "reference"]
            command += ["--isolation", level, "--jobs", str(jobs)]
            began = time.perf_counter()
            subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
            seconds[level, jobs].append(time.perf_counter() - began)
    none = statistics.median(seconds["none", 1])
    print("| isolation | --jobs | seconds, each run | median against none |\n|---|---|---|---|")
    for (level, jobs), took in seconds.items():
        each = ", ".join(f"{one:.1f}" for one in took)
        print(f"| {level} | {jobs} | {each} | {statistics.median(took) / none:.2f} |")


def gradings(count: int) -> None:
    """Grade a mix in a row with one fork server; every verdict, the memory and what is left must be right."""
    read = levels.read

    def short(number: int) -> levels.Level:
        level = read(number)
        return dataclasses.replace(level, limits=dataclasses.replace(level.limits, call_seconds=1.0))

    levels.read = short
    before = folders()
    with tempfile.TemporaryDirectory() as folder, ForkServer() as server:
        mix = submissions(Path(folder))
        wrong, memory, began = 0, [], time.perf_counter()
        for number in range(count):
            name, path, expected = mix[number % len(mix)]
            report = grade_submission(Request(str(path), levels=(3,), only=ONLY, seed=number), server=server)
            laws = [law for criterion in report.levels[0].criteria for law in criterion.properties]
            got = tuple(law.verdict for law in laws)
            if got != expected:
                wrong += 1
                print(f"{name}, seed {number}: got {got}, want {expected}", file=sys.stderr)
            if number % max(1, count // 10) == 0 or number == count - 1:
                memory.append((number, resident(os.getpid()), resident(server._process.pid)))
        seconds = time.perf_counter() - began
        time.sleep(0.5)  # the last keeper is just ending
        left = [*leftovers(server), *(folders() - before)]
    print(f"{count} gradings of {len(mix)} submissions in {seconds:.0f} s, wrong verdicts: {wrong}.")
    print(f"Left behind: {left or 'nothing'}.\n")
    print("| after | judge, MiB | fork server, MiB |\n|---|---|---|")
    for number, judge, forks in memory:
        print(f"| {number + 1} | {judge:.0f} | {forks:.0f} |")


def submissions(folder: Path) -> list[tuple[str, Path, tuple[str, ...]]]:
    """Return (name, folder, verdicts of `ONLY` in order) of each submission of the mix."""
    sources = variant.sources_of(REFERENCE / "nanochat")
    order = next(bug for bug in catalogue.load(3) if bug.id == "tool-output-order")
    # In the order of the level's file: the configuration, the count of operations, the tool's output.
    made = [
        ("reference", sources, ("passed", "passed", "passed")),
        ("broken", variant.with_bugs(sources, [order]), ("passed", "passed", "failed")),
        ("compact", variant.sources_of(ROOT / "tests/alternates/compact/nanochat"), ("passed",) * 3),
    ]
    verdicts = {"hanging": "timeout", "leaving a fork": "passed"}
    for name, line in BROKEN.items():
        text = sources["gpt.py"].replace(FLOPS, FLOPS + line)
        assert text != sources["gpt.py"]
        expected = ("passed", verdicts.get(name, "error"), "passed")
        made.append((name, {**sources, "gpt.py": text}, expected))
    for name, texts, _ in made:
        variant.write(texts, folder / name)
    return [(name, folder / name, expected) for name, _, expected in made]


def resident(process_id: int) -> float:
    """Return a process's memory in MiB."""
    held: int = psutil.Process(process_id).memory_info().rss
    return held / 2**20


def leftovers(server: ForkServer) -> list[str]:
    """Return processes, control groups and folders that outlive their submission."""
    found = [f"process {one.pid}" for one in psutil.Process(server._process.pid).children(recursive=True)]
    for parent in (cgroup.parent_folders() or {}).values():
        found += [str(path) for path in parent.glob(f"nanograder-{os.getpid()}-*")]
    return found


def folders() -> set[str]:
    """Return the folders that submissions were given and that are still there."""
    return {str(path) for path in Path(tempfile.gettempdir()).glob("nanograder-*")}


if __name__ == "__main__":
    main()
