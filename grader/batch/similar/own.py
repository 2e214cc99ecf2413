"""A submission's own text: what is left of it without what was handed out, as fingerprints.

Winnowing (Schleimer, Wilkerson and Aiken, "Winnowing: local algorithms for document fingerprinting", SIGMOD 2003):
of every `WINDOW` neighbouring hashes of `length` tokens the smallest is kept, so that any shared run of
`length + WINDOW - 1` tokens leaves a shared fingerprint, wherever it stands.

There are three views of the same text. *named*: names as they are, except those that a disguise may give; the
student's own names say most, so short runs count. *shape*: every name that a submission can choose is
replaced, so that renaming changes nothing; what is left says less, so only long runs count. *words*: comments
and strings, which the two others do not see.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from grader.batch.similar.known import SHINGLE, Known, pieces, shingles_of, words
from grader.batch.similar.lex import Statement, read

NAMED, SHAPE = 10, 20
"""Tokens of one fingerprint, in the two views of code."""
WINDOW = 4
SHORTEST = 6
"""Tokens of a run of own statements that is a fingerprint although it is shorter than `NAMED`."""
BRIDGE = 2
"""Known statements between own ones that belong to their run: `else:`, `return x`."""
MOST_CHARACTERS = 1_000_000
"""Of all modules together; what is beyond is not compared. The reference has 70,000."""


@dataclass(frozen=True)
class Print:
    """One fingerprint, and where it stands."""

    hash: int
    file: int
    line: int
    last: int
    start: int
    """The first of its tokens, counted over the submission's own text."""
    length: int
    """How many tokens, or words."""


@dataclass(frozen=True)
class Own:
    """What of a submission is its own."""

    files: tuple[str, ...]
    size: int
    """How many tokens and words."""
    prints: tuple[Print, ...]

    def packed(self) -> bytes:
        """Return it as the ledger keeps it."""
        rows = [[one.hash, one.file, one.line, one.last, one.start, one.length] for one in self.prints]
        return zlib.compress(json.dumps([self.files, self.size, rows], separators=(",", ":")).encode(), 9)

    @staticmethod
    def unpacked(packed: bytes) -> Own:
        """Return what `packed` made."""
        files, size, rows = json.loads(zlib.decompress(packed))
        return Own(tuple(files), size, tuple(Print(*row) for row in rows))


@dataclass(frozen=True)
class Piece:
    """A token of one view, and the lines of what it stands in."""

    text: str
    line: int
    last: int


def own(sources: Mapping[str, str], known: Known) -> Own:
    """Return what of a submission's modules, by path, is its own."""
    prints: list[Print] = []
    size, left = 0, MOST_CHARACTERS
    for number, (_, text) in enumerate(ordered := sorted(sources.items())):
        page = read(text[:left])
        left -= min(left, len(text))
        for run in runs(page.statements, known):
            tokens = [
                (token, one) for one in run for token in without_last_commas(one)
            ]
            named = [Piece(known.named(token), one.line, one.last) for token, one in tokens]
            shape = [Piece(known.shape(token), one.line, one.last) for token, one in tokens]
            prints += winnowed("named", named, NAMED, number, size)
            prints += winnowed("shape", shape, SHAPE, number, size)
            size += len(tokens)
        for one in pieces(page):
            said = words(one.text)
            if len(said) < SHINGLE - 1:
                continue
            new = [shingle not in known.shingles for shingle in shingles_of(said)]
            for start, end in stretches(new):
                stop = end + SHINGLE - 1
                run_of_words = [Piece(word, one.line, one.last) for word in said[start:stop]]
                prints += winnowed("words", run_of_words, SHINGLE, number, size)
                size += len(run_of_words)
    return Own(tuple(name for name, _ in ordered), size, tuple(prints))


def runs(statements: Sequence[Statement], known: Known) -> Iterator[list[Statement]]:
    """Yield each longest run of own statements, with what little that is known stands between them."""
    run: list[Statement] = []
    between: list[Statement] = []
    for one in statements:
        if one.begins and run:
            yield run
            run, between = [], []
        if not known.has(one):
            run += [*between, one] if run else [one]
            between = []
        elif run:
            between.append(one)
            if len(between) > BRIDGE or len(one.tokens) > NAMED:
                yield run
                run, between = [], []
    if run:
        yield run


def without_last_commas(one: Statement) -> Iterator:  # type: ignore[type-arg]
    """Yield the tokens of a statement without commas before a closing bracket: a formatter puts them there."""
    for token, after in pairwise([*one.tokens, one.tokens[-1]]):
        if not (token.text == "," and after.text in (")", "]", "}")):
            yield token


def stretches(flags: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """Yield where each run of true flags starts and ends."""
    start = None
    for i, flag in enumerate([*flags, False]):
        if flag and start is None:
            start = i
        elif not flag and start is not None:
            yield start, i
            start = None


def winnowed(view: str, run: Sequence[Piece], length: int, file: int, start: int) -> Iterator[Print]:
    """Yield the fingerprints of a run: of each window the smallest hash, the last of equal ones."""
    if len(run) < length:
        if view == "shape" or len(run) < (SHORTEST if view == "named" else SHINGLE - 1):
            return
        length = len(run)
    texts = [one.text for one in run]
    hashes = [hash_of(view, texts[i : i + length]) for i in range(len(run) - length + 1)]
    kept: set[int] = set()
    for i in range(max(1, len(hashes) - WINDOW + 1)):
        window = range(i, min(i + WINDOW, len(hashes)))
        kept.add(min(window, key=lambda j: (hashes[j], -j)))
    for i in sorted(kept):
        yield Print(hashes[i], file, run[i].line, run[i + length - 1].last, start + i, length)


def hash_of(view: str, texts: Sequence[str]) -> int:
    """Return the first 52 bits of a SHA-256: JSON keeps such a number exactly, wherever it is read."""
    digest = hashlib.sha256("\0".join([view, *texts]).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:7]) >> 4
