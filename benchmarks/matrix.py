"""What the warm session costs, and how fast it is beside other mutation testers on the same work.

    python benchmarks/matrix.py overhead [--bugs 5]
    python benchmarks/matrix.py peers [--criterion tools] [--mutants 40] [--cosmic 4]

`overhead` judges bugs one at a time and says what a fork and a property cost on top of the properties.
`peers` runs mutmut 3 (fork mode, two children) on tools.py with the properties of one criterion, then the
very mutants that it made in a warm session, two at a time, both until the first failure; and a few by
cosmic-ray, which starts a process for each. The tools are installed into a throwaway environment; nothing
depends on them.
Prints Markdown. Run it on a quiet machine, and compare only numbers of one run.
"""

from __future__ import annotations

import argparse
import ast
import re
import sqlite3
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import forkable  # noqa: E402  # beside this file

from grader.bugs import catalogue, variant  # noqa: E402  # the folder of the grader comes first
from grader.matrix.job import Job  # noqa: E402
from grader.matrix.proof import edited_places  # noqa: E402
from grader.matrix.session import Session, in_order  # noqa: E402

FILE = "tools.py"
TESTS = '''\
"""The properties of one criterion, for pytest."""
from pathlib import Path

import pytest

from grader import levels
from grader.sandbox.local import LocalProbe
from grader.seeding import make_repeatable, sow

make_repeatable()


@pytest.fixture(scope="session")
def probe():
    with LocalProbe(Path(__file__).parents[1]) as local:
        yield local


for law in levels.load(3).laws:
    if law.criterion == "{criterion}":
        sow(law, 0)
        globals()["test_" + law.id.replace(".", "_")] = law.check
'''


def main() -> int:
    """Run one of the two benchmarks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("which", choices=("overhead", "peers"))
    parser.add_argument("--bugs", type=int, default=5, help="how many bugs to judge (default: %(default)s)")
    parser.add_argument("--criterion", default="tools", help="whose properties are the tests")
    parser.add_argument("--mutants", type=int, default=0, help="of mutmut's mutants, at most (default: all)")
    parser.add_argument("--cosmic", type=int, default=4, help="mutants for cosmic-ray (default: %(default)s)")
    options = parser.parse_args()
    if not forkable.is_here():
        return forkable.again()  # the other tools get the same environment
    if options.which == "overhead":
        overhead(options.bugs)
    else:
        peers(options.criterion, options.mutants, options.cosmic)
    return 0


def overhead(count: int) -> None:
    """Print what forks cost on top of the properties: with none of these, and with all."""
    sources = variant.sources_of(ROOT / "reference" / "nanochat")
    start = time.perf_counter()
    session = Session(3)
    setup = time.perf_counter() - start
    laws = tuple(session.laws)
    bugs = sorted(catalogue.load(3), key=lambda bug: not bug.classic)[:count]
    print(f"setup {setup:.1f} s\n")
    print("| bug | properties | seconds in them | on top, ms | of which a fork without any, ms |")
    print("|---|---|---|---|---|")
    for bug in bugs:
        texts = variant.with_bugs(sources, [bug])
        places = edited_places(sources, texts)
        (_, empty), (_, full) = session.run([Job("empty", texts, ()), Job(bug.id, texts, laws, places)])
        above = 1000 * (full.seconds - full.property_seconds)
        base = 1000 * empty.seconds
        print(f"| {bug.id} | {len(laws)} | {full.property_seconds:.2f} | {above:.0f} | {base:.0f} |")
    print(f"\nallowed: {12 + 2 * len(laws)} ms a bug (12 ms and 2 ms a property)")


def peers(criterion: str, most: int, cosmic: int) -> None:
    """Print mutants a second of mutmut and of a warm session, and cosmic-ray's seconds a mutant."""
    with tempfile.TemporaryDirectory(prefix="peers-") as name:
        folder = Path(name)
        tools = install(folder)
        project = write_project(folder, criterion)
        start = time.perf_counter()
        said = run([str(tools / "mutmut"), "run", "--max-children", "2", *selected(most)], project)
        total = time.perf_counter() - start
        made = (project / "mutants" / "nanochat" / FILE).read_text(encoding="utf-8")
        results = run([str(tools / "mutmut"), "results", "--all", "true"], project)
        verdicts = dict(re.findall(r"nanochat\.tools\.(\S+): (\w+)", results))
        judged = {
            one: verdict for one, verdict in verdicts.items() if verdict in ("killed", "survived", "timeout")
        }
        rates = re.findall(r"([\d.]+) mutations/second", said)
        print("| tool | mutants | killed | seconds in all | mutants a second without setup |")
        print("|---|---|---|---|---|")
        killed = sum(verdict != "survived" for verdict in judged.values())
        rate = rates[-1] if rates else "?"
        print(f"| mutmut 3, fork, 2 children | {len(judged)} | {killed} | {total:.1f} | {rate} |")
        ours(made, set(judged), criterion)
        seconds = cosmic_ray(tools, project, cosmic)
        print(f"\ncosmic-ray: {seconds:.2f} s a mutant, {cosmic} mutants")


def ours(made: str, names: set[str], criterion: str) -> None:
    """Judge mutmut's own mutants in a warm session and print a row."""
    sources = variant.sources_of(ROOT / "reference" / "nanochat")
    start = time.perf_counter()
    session = Session(3, call_seconds=5)
    laws = tuple(law for law in session.laws if law.startswith(f"{criterion}."))
    ((_, reference),) = session.run([Job("reference", sources, laws)])
    ordered = in_order(laws, reference)
    jobs = [
        Job(name, {**sources, FILE: text}, ordered, until="first")
        for name, text in spliced(made, sources[FILE])
        if name in names
    ]
    begun = time.perf_counter()
    rows = [row for _, row in session.run(jobs, 2)]
    ended = time.perf_counter()
    killed = sum(bool(row.killers) for row in rows)
    rate = len(rows) / (ended - begun)
    print(f"| warm session, 2 jobs | {len(rows)} | {killed} | {ended - start:.1f} | {rate:.1f} |")


def spliced(made: str, text: str) -> Iterator[tuple[str, str]]:
    """Yield each function that mutmut mutated, by its name there, put into the reference's module."""
    lines = text.splitlines(keepends=True)
    spans = {node.name: node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
    for node in ast.parse(made).body:
        found = isinstance(node, ast.FunctionDef) and re.fullmatch(r"x_(\w+)__mutmut_\d+", node.name)
        if not found or found[1] not in spans:
            continue
        here = spans[found[1]]
        function = "".join(made.splitlines(keepends=True)[node.lineno - 1 : node.end_lineno])
        function = function.replace(f"def {node.name}(", f"def {found[1]}(", 1)
        before, after = lines[: here.lineno - 1], lines[here.end_lineno :]
        yield node.name, "".join([*before, function, "\n", *after])


def install(folder: Path) -> Path:
    """Install the tools into an environment of their own that also sees ours; return its commands."""
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    commands = folder / "venv" / "bin"
    install = [commands / "python", "-m", "pip", "install", "-q", "mutmut>=3,<4", "cosmic-ray>=8"]
    subprocess.run(install, check=True)
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    (site / "ours.pth").write_text(f"{sysconfig.get_path('purelib')}\n{ROOT}\n", encoding="utf-8")
    return commands


def write_project(folder: Path, criterion: str) -> Path:
    """Write a project that the tools understand; return its folder."""
    project = folder / "project"
    variant.write(variant.sources_of(ROOT / "reference" / "nanochat"), project)
    (project / "tests").mkdir()
    (project / "tests" / "test_laws.py").write_text(TESTS.format(criterion=criterion), encoding="utf-8")
    (project / "setup.cfg").write_text(
        f"[mutmut]\nsource_paths=nanochat/\nonly_mutate=nanochat/{FILE}\n"
        "pytest_add_cli_args_test_selection=tests/\npytest_add_cli_args=-p\n    no:cacheprovider\n",
        encoding="utf-8",
    )
    return project


def selected(most: int) -> list[str]:
    """Return the names of the first mutants of each function, to leave the others out; none for all."""
    # mutmut numbers the mutants of a function from 1.
    functions = ("use_calculator", "_evaluate", "_limited")
    each = -(-most // len(functions))
    return [f"nanochat.tools.x_{one}__mutmut_{i}" for one in functions for i in range(1, each + 1)]


def cosmic_ray(tools: Path, project: Path, count: int) -> float:
    """Return cosmic-ray's seconds a mutant, on a few of its mutants."""
    config, session = project / "cosmic.toml", project / "session.sqlite"
    config.write_text(
        f'[cosmic-ray]\nmodule-path = "nanochat/{FILE}"\ntimeout = 120.0\nexcluded-modules = []\n'
        f'test-command = "{tools / "python"} -m pytest -x -q -p no:cacheprovider tests"\n'
        '[cosmic-ray.distributor]\nname = "local"\n',
        encoding="utf-8",
    )
    run([str(tools / "cosmic-ray"), "init", config.name, session.name], project)
    with sqlite3.connect(session) as database:
        keep = "SELECT job_id FROM work_items ORDER BY job_id LIMIT ?"
        for table in ("mutation_specs", "work_items"):
            database.execute(f"DELETE FROM {table} WHERE job_id NOT IN ({keep})", (count,))
    start = time.perf_counter()
    run([str(tools / "cosmic-ray"), "exec", config.name, session.name], project)
    return (time.perf_counter() - start) / count


def run(command: list[str], folder: Path) -> str:
    """Run a command and return what it printed; end the benchmark with it if it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: {done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
