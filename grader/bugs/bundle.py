"""What a released copy holds: the student's package, the notebook, the specification, tests and grader.

Nothing is taken because it happens to lie in a folder. Of the grader only those modules are taken that
grading imports, so that the catalogue, the matrix and whatever is added beside them stay out by themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath

from grader.bugs.publish import imported_by, level_file, published_modules

Files = dict[str, bytes]
"""Contents by path, with forward slashes."""

ROOTS = ("grader/__main__.py", "grader/cli.py", "grader/sandbox/child.py")
"""Where grading starts: as a command, and in the process of a submission."""

FOR_INSTRUCTORS = ("grader.batch", "grader.bugs", "grader.integrations", "grader.matrix")
"""Packages that no released copy has. The command line says so where they are missing."""

PROJECT_FILES = ("LICENSE", "pyproject.toml", "setup.sh", "tests/conftest.py")


def contents(repository: Path, level: int, student: Mapping[str, str], published: Collection[str]) -> Files:
    """Return the files of a release with the `student` package and the properties `published`, by path.

    Raises FileNotFoundError if the repository lacks one of them, and UnknownLaw if a published property
    does not exist.
    """
    files = {f"student/nanochat/{name}": text.encode() for name, text in student.items()}
    for path in (*PROJECT_FILES, f"notebooks/level{level}.ipynb", f"tests/test_level{level}.py"):
        files[path] = (repository / path).read_bytes()
    for path in grader_modules(repository):
        files[path] = (repository / path).read_bytes()
    files |= specification(repository, level, published)
    return files


def specification(repository: Path, level: int, published: Collection[str]) -> Files:
    """Return the files of `specs/`: those that all levels share, and the published part of this level."""
    folder = repository / "specs"
    shared = [path for path in folder.rglob("*") if path.suffix in (".py", ".md")]
    files = {
        path.relative_to(repository).as_posix(): path.read_bytes()
        for path in sorted(shared)
        if not is_of_a_level(path.relative_to(folder))
    }
    here = {
        path.relative_to(repository).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted((folder / f"level{level}").glob("*.py"))
    }
    modules = published_modules(here, published)
    plan = level_file((folder / f"level{level}.toml").read_text(encoding="utf-8"), modules)
    files |= {path: text.encode() for path, text in modules.items()}
    files[f"specs/level{level}.toml"] = plan.encode()
    return files


def is_of_a_level(path: Path) -> bool:
    """Say whether a path in `specs/` belongs to one level alone."""
    return path.parts[0].removeprefix("level")[:1].isdigit()


def grader_modules(repository: Path) -> list[str]:
    """Return the paths of the modules that grading imports, at any time, sorted."""
    found: set[str] = set()
    waiting = list(ROOTS)
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for name in imported_by((repository / path).read_text(encoding="utf-8")):
            if name.split(".")[0] == "grader" and not is_for_instructors(name):
                waiting += [each for each in paths_of(repository, name) if each not in found]
    return sorted(found)


def is_for_instructors(module: str) -> bool:
    """Say whether a module lies in a package that no release holds."""
    return any(module == package or module.startswith(f"{package}.") for package in FOR_INSTRUCTORS)


def paths_of(repository: Path, name: str) -> Iterator[str]:
    """Yield the paths of a module and of the packages around it, as far as it is one."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        path = PurePosixPath(*parts[:end])
        for candidate in (path / "__init__.py", path.with_suffix(".py")):
            if (repository / candidate).is_file():
                yield str(candidate)
