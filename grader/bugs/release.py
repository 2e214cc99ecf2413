"""Puts together what a student gets, looks it through, and writes it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from grader import levelfile
from grader.bugs import archive, audit, bundle
from grader.bugs.audit import Hidden
from specs.outcomes import GraderFault

README = """\
# {title}

{objective}

Time: {time}. The package in `student/nanochat/` nearly does what it should. Find out what it does not do,
and why, and repair it there; everything else in this folder may be read and stays as it is.

## Start

On a machine with Python 3.11 (or later) and pip:

```sh
sh setup.sh && .venv/bin/grader run --level {level}
```

The first call installs torch and takes minutes.

| to | run |
|---|---|
| grade everything | `grader run --level {level}` |
| see hints, and then more of them | `grader run --level {level} --hints`, `--hints 2`, `--hints 3` |
| grade one criterion or law | `grader run --level {level} --only {first}` |
| stop in a debugger | `pytest tests/test_level{level}.py -k {first} --pdb` |
| work through the level | `notebooks/level{level}.ipynb`; checked by `pytest --nbval notebooks/` |

`grader` and `pytest` are in `.venv/bin/`.

## What must hold

| criterion | what must hold | points |
|---|---|---|
{criteria}

[specs/contract.md](specs/contract.md) says what the package must offer, and what is free. The laws that this
copy checks are in `specs/level{level}/`, and in `specs/oracles/` answers to compare with, computed otherwise.
"""


class Leak(GraderFault):
    """The release would give its bugs away; the message says where and how."""


def release(
    repository: Path,
    level: int,
    student: Mapping[str, str],
    published: Collection[str],
    hidden: Hidden,
    target: Path,
) -> int:
    """Write the release of a level with the `student` package to `target`; return the number of files.

    Raises Leak if anything in it gives a bug away, UnknownLaw for a published property that does not exist,
    and OSError if a file cannot be read or written. Nothing is written then.
    """
    files = bundle.contents(repository, level, student, published)
    files["README.md"] = readme(files[f"specs/level{level}.toml"].decode(), level).encode()
    found = audit.findings(files, hidden)
    if found:
        raise Leak("\n  ".join(["the release would give its bugs away:", *found]))
    archive.write(files, target, f"level{level}")
    return len(files)


def readme(plan: str, level: int) -> str:
    """Return the page that a student reads first, from the file of the level."""
    table = levelfile.read(plan, f"level{level}.toml")
    rows = [f"| {one.title} | {' '.join(one.statement.split())} | {one.points:g} |" for one in table.criteria]
    return README.format(
        title=f"Level {level}: {table.title.partition(': ')[2] or table.title}",
        objective=table.objective,
        time=table.time_estimate,
        level=level,
        first=table.criteria[0].id,
        criteria="\n".join(rows),
    )
