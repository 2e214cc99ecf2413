"""Makes a copy of the reference with bugs in it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from grader.bugs.bug import Bug
from grader.bugs.pattern import Edit, PatternError, replaced


def sources_of(package: Path) -> dict[str, str]:
    """Return the modules of a `nanochat` package, by file name."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(package.glob("*.py"))}


def with_bugs(sources: dict[str, str], bugs: Iterable[Bug]) -> dict[str, str]:
    """Return the modules with all bugs applied; each edit is matched against the unchanged sources.

    A bug that is not bound gets its first choices. Raises PatternError, naming the bugs, if one does not fit,
    or if two touch the same place.
    """
    edits: dict[str, list[Edit]] = {}
    chosen = [bug.first() for bug in bugs]
    for bug in chosen:
        for edit in bug.edits:
            edits.setdefault(edit.file, []).append(edit)
    changed = dict(sources)
    for file, here in edits.items():
        if file not in sources:
            raise PatternError(f"there is no {file} to edit, for one of {[bug.id for bug in chosen]}")
        try:
            changed[file] = replaced(sources[file], here)
        except PatternError as error:
            raise PatternError(f"bugs {[bug.id for bug in chosen]}: {error}") from error
    return changed


def write(sources: dict[str, str], folder: Path) -> None:
    """Write the modules to `folder`/nanochat, which must not hold other Python files."""
    package = folder / "nanochat"
    package.mkdir(parents=True, exist_ok=True)
    strangers = sorted(path.name for path in package.glob("*.py") if path.name not in sources)
    if strangers:
        raise FileExistsError(f"{package} holds {', '.join(strangers)}, which are not part of the variant")
    for name, text in sources.items():
        (package / name).write_text(text, encoding="utf-8", newline="\n")
