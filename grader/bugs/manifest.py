"""What the instructor keeps of a variant: which bugs it holds, and of what it was made.

It must never reach the student, so it is refused inside the folder that does.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from grader.bugs.bug import Bug
from grader.bugs.choose import Choice

FORMAT = 1
"""Raised when a field of the record is removed or means something else."""


@dataclass(frozen=True)
class Recipe:
    """What a variant is made from, as far as it is not the catalogue or the reference."""

    level: int | str
    """A number, or "all"."""
    seed: str | None
    student: str | None
    disguised: bool


def record(
    recipe: Recipe,
    choice: Choice,
    catalogue: Sequence[Bug],
    reference: Mapping[str, str],
    made: Mapping[str, str],
) -> dict[str, object]:
    """Return the manifest of the variant `made` from `reference`, as plain values for JSON.

    It holds the hash of the seed and not the seed: who may read which bugs one student has may not, for
    that, make the copies of all others.
    """
    return {
        "format": FORMAT,
        "level": recipe.level,
        "student": recipe.student,
        "seed_sha256": None if recipe.seed is None else sha256(recipe.seed),
        "disguised": recipe.disguised,
        "bugs": [
            {
                "id": bug.id,
                "criterion": bug.criterion,
                "difficulty": bug.difficulty,
                "title": bug.title,
                "choice": dict(sorted(bug.choice.items())),
            }
            for bug in choice.bugs
        ],
        "passed_over": [asdict(one) for one in choice.passed_over],
        "missing": dict(choice.missing),
        "catalogue_sha256": hash_of_catalogue(catalogue),
        "reference_sha256": hash_of_sources(reference),
        "variant_sha256": hash_of_sources(made),
        "versions": {"grader": version_of_grader(), "python": platform.python_version()},
    }


def text_of(manifest: Mapping[str, object]) -> str:
    """Return a manifest as the text of a file."""
    return json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"


def require_outside(file: Path, folder: Path) -> None:
    """Raise ValueError if a manifest in `file` would be handed out with `folder`, or cannot be written."""
    if file.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{file} lies in {folder}, which the student gets: put it somewhere else")
    if not file.absolute().parent.is_dir():
        raise ValueError(f"{file}: there is no folder {file.absolute().parent}")


def hash_of_catalogue(bugs: Sequence[Bug]) -> str:
    """Return the SHA-256 of all records, whatever their order."""
    return sha256(
        json.dumps(sorted((asdict(bug) for bug in bugs), key=lambda one: str(one["id"])), sort_keys=True)
    )


def hash_of_sources(sources: Mapping[str, str]) -> str:
    """Return the SHA-256 of modules by name, whatever their order."""
    return sha256(json.dumps(sorted(sources.items())))


def sha256(text: str) -> str:
    """Return the SHA-256 of a text, as 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def version_of_grader() -> str:
    """Return the version of the installed grader, "unknown" if it runs from a folder."""
    try:
        return metadata.version("nanograder")
    except metadata.PackageNotFoundError:
        return "unknown"
