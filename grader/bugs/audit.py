"""Looks through a release for whatever would give its bugs away, before anybody gets it.

The bundle is put together from an allow-list, so nothing should ever be found here. That is what a second,
independent look is for: a notebook that quotes the answer, a property whose text names a bug, a file that
somebody added to a folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from grader.bugs.bug import Bug

INSTRUCTORS_FOLDERS = {"reference", "bugs", "matrix", "alternates", "harness", "benchmarks", "__pycache__"}
RUN = 3
"""Lines of the reference that are no coincidence if they stand under one another elsewhere."""

CONTRACT = "specs/contract.md"
"""What it pins is no secret, and a formula in it may be the answer word for word."""

PUBLIC = frozenset({"num_heads=config.n_kv_head,"})
"""Lines that whoever calls what the contract names has to write: the notebook makes a cache, too."""

ANSWER_LENGTH, RUN_LENGTH, SECRET_LENGTH = 16, 60, 8
"""Characters below which a line, a run of lines or a secret word is too common to look for."""


@dataclass(frozen=True)
class Hidden:
    """What must not be in a release."""

    reference: Mapping[str, str]
    """The modules of the reference."""
    plain: Mapping[str, str]
    """The student's modules before any disguise: all of the reference that the student may have."""
    bugs: Sequence[Bug]
    """The whole catalogue."""
    secrets: Collection[str] = ()
    """The seed, the secret of the course, and the like."""

    @cached_property
    def answers(self) -> set[str]:
        """Lines of the reference that the student's modules do not have: what has to be found."""
        own = {line for text in self.plain.values() for line in lines_of(text)}
        every = {line for text in self.reference.values() for line in lines_of(text)}
        return {line for line in every - own if len(line) >= ANSWER_LENGTH}

    @cached_property
    def runs(self) -> set[tuple[str, ...]]:
        """Runs of lines of the reference that the student's modules do not have."""
        own = {run for text in self.plain.values() for run in runs(text)}
        return {run for text in self.reference.values() for run in runs(text)} - own


def findings(files: Mapping[str, bytes], hidden: Hidden) -> list[str]:
    """Return what is wrong with the files of a release, each as a sentence; nothing if all is well."""
    found = []
    for path, content in sorted(files.items()):
        found += [
            f"{path}: {reason}" for reason in (*path_findings(path), *text_findings(path, content, hidden))
        ]
    return found


def path_findings(path: str) -> Iterator[str]:
    """Yield what is wrong with a path."""
    parts = PurePosixPath(path).parts
    if any(part.startswith(".") for part in parts):
        yield "a hidden file may hold the history or a cache"
    if INSTRUCTORS_FOLDERS & set(parts):
        yield f"{', '.join(sorted(INSTRUCTORS_FOLDERS & set(parts)))}/ is for the instructor"
    if PurePosixPath(path).suffix in (".pyc", ".pyo", ".bundle", ".orig", ".rej", ".diff", ".patch"):
        yield "the file was left over by a tool"


def text_findings(path: str, content: bytes, hidden: Hidden) -> Iterator[str]:
    """Yield what is wrong with the text of a file."""
    text = text_of(path, content)
    flat = " ".join(text.split())
    for bug in hidden.bugs:
        # The plain look first: the pattern alone takes seconds for a hundred files and as many bugs.
        if bug.id in text and re.search(rf"(?<![\w-]){re.escape(bug.id)}(?![\w-])", text):
            yield f"it names the bug {bug.id}"
        for field in ("title", "story", "hint"):
            if " ".join(str(getattr(bug, field)).split()) in flat:
                yield f"it holds the {field} of the bug {bug.id}"
    if path != CONTRACT:
        told = hidden.answers - PUBLIC
        yield from (f"it holds the answer {line!r}" for line in lines_of(text) if line in told)
    for run in runs(text):
        if run in hidden.runs:
            yield f"it holds lines of the reference, from {run[0]!r} on"
    for secret in hidden.secrets:
        if len(secret) >= SECRET_LENGTH and secret in text:
            yield "it holds the seed or the secret that it was made with"


def text_of(path: str, content: bytes) -> str:
    """Return the text of a file; of a notebook, what its cells and their outputs say."""
    text = content.decode("utf-8", errors="replace")
    if not path.endswith(".ipynb"):
        return text
    return "\n".join(texts_in(json.loads(text)))


def texts_in(value: object) -> Iterator[str]:
    """Yield every text in plain values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from texts_in(one)
    elif isinstance(value, list):
        if all(isinstance(one, str) for one in value):
            yield "".join(value)  # the lines of a cell, each with its end
        else:
            for one in value:
                yield from texts_in(one)


def answers(hidden: Hidden) -> set[str]:
    """Return the lines of the reference that the student's modules do not have: what has to be found."""
    own = {line for text in hidden.plain.values() for line in lines_of(text)}
    return {
        line
        for text in hidden.reference.values()
        for line in lines_of(text)
        if line not in own and len(line) >= ANSWER_LENGTH
    }


def kept_runs(hidden: Hidden) -> set[tuple[str, ...]]:
    """Return the runs of lines of the reference that the student's modules do not have."""
    own = {run for text in hidden.plain.values() for run in runs(text)}
    return {run for text in hidden.reference.values() for run in runs(text)} - own


def runs(text: str) -> Iterator[tuple[str, ...]]:
    """Yield every run of lines that is long enough to be no coincidence."""
    lines = lines_of(text)
    for start in range(len(lines) - RUN + 1):
        run = tuple(lines[start : start + RUN])
        if sum(map(len, run)) >= RUN_LENGTH:
            yield run


def lines_of(text: str) -> list[str]:
    """Return the lines of a text that are not blank, without what is around them."""
    return [line.strip() for line in text.split("\n") if line.strip()]
