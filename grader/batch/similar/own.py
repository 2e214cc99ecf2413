"""A submission's own text: what is left of it without what was handed out, as fingerprints.

Winnowing (Schleimer, Wilkerson and Aiken, "Winnowing: local algorithms for document fingerprinting", 2003):
of every `WINDOW` neighbouring hashes of `length` tokens the smallest is kept, so that any shared run of
`length + WINDOW - 1` tokens leaves a shared fingerprint, wherever it stands.

There are four views of the same text. *named*: names as they are, except those that a disguise may give; the
student's own names say most, so short runs count. *shape*: every name that a submission can choose is
replaced, so that renaming changes nothing; what is left says less, so only long runs count. *place*: the
shape of a short run together with what stands before and behind it, for the same few tokens at the same place
say more. *words*: comments and strings, which the others do not see.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import accumulate

from grader.batch.similar.known import GRAM, SHINGLE, Known, bag, runs_of, tokens_of, words
from grader.batch.similar.lex import Prose, Statement, Text, read

CODE = ("named", "shape")
LENGTHS = {"named": 10, "shape": 16, "place": 16, "words": SHINGLE}
"""Tokens of one fingerprint, by view."""
SHORTEST = {"named": 6, "shape": 12, "place": 6, "words": SHINGLE - 1}
"""A whole run is a fingerprint although it is shorter, if it has so many, at a place with its neighbours."""
WINDOW = 4
BRIDGE = 2
"""Known statements between own ones that belong to their run: `else:`, `return x`."""
MOST_CHARACTERS = 300_000
"""Of all modules together; what is beyond is not compared. The reference has 70,000; 5 s at worst."""


@dataclass(frozen=True)
class Print:
    """One fingerprint, and where it stands."""

    hash: int
    file: int
    line: int
    last: int
    start: int
    """The first of its own tokens, counted over the submission."""
    length: int
    """How many tokens, or words, of it are own."""


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
    """A token of one view."""

    text: str
    line: int
    last: int
    """The lines of the statement or comment that it stands in."""
    own: bool
    """Whether it is the writer's own. What is around it makes it known again, and does not count."""


def own(sources: Mapping[str, str], known: Known) -> Own:
    """Return what of a submission's modules, by path, is its own."""
    ordered = sorted(sources.items())
    prints: list[Print] = []
    size = start = 0
    left = MOST_CHARACTERS
    for number, (_, text) in enumerate(ordered):
        for views in parts(read(text[:left]), known):
            for view, pieces in views.items():
                prints += winnowed(view, pieces, number, start)
            count = sum(one.own for one in next(iter(views.values())))
            size += count
            start += count + 1  # a gap, so that what only follows in this list is not taken for neighbours
        left -= min(left, len(text))
    first = {one.hash: one for one in reversed(prints)}  # what is repeated counts once
    return Own(
        tuple(name for name, _ in ordered), size, tuple(one for one in prints if first[one.hash] is one)
    )


def parts(text: Text, known: Known) -> Iterator[dict[str, list[Piece]]]:
    """Yield each part of a module that is its writer's own, as every view shows it."""
    for run in runs(text.statements, known):
        named, shape = ([one for each in run.statements for one in code(each, view, known)] for view in CODE)
        if len(shape) >= SHORTEST["shape"]:
            yield {"named": named, "shape": shape}
        else:
            yield {
                "named": named,
                "place": [neighbour(run.before, known), *shape, neighbour(run.after, known)],
            }
    for comment in text.prose:
        for said in prose(comment, known):
            yield {"words": said}


def neighbour(one: Statement | None, known: Known) -> Piece:
    """Return the statement beside a run as one piece, however a disguise may spell it."""
    return Piece(bag(map(known.shape, one.tokens)), one.line, one.last, False) if one else NOTHING


def code(statement: Statement, view: str, known: Known) -> Iterator[Piece]:
    """Yield the tokens of a statement. Those that were handed out together, as these, are nobody's own."""
    tokens = tokens_of(statement)
    named = list(map(known.named, tokens))
    given = [True] * len(tokens) if known.has(statement) else covered(named, GRAM, known.grams)
    texts = named if view == "named" else map(known.shape, tokens)
    for text, is_given in zip(texts, given, strict=True):
        yield Piece(text, statement.line, statement.last, not is_given)


def prose(comment: Prose, known: Known) -> Iterator[list[Piece]]:
    """Yield each stretch of a comment or string that nobody was handed, with the words around it."""
    said = words(comment.text)
    if len(said) < SHINGLE - 1:
        return
    given = covered(said, SHINGLE, known.shingles)
    new = [one not in known.shingles for one in runs_of(said, SHINGLE)]
    for start, end in stretches(new):
        here = slice(start, end + SHINGLE - 1)
        yield [
            Piece(word, comment.line, comment.last, not is_given)
            for word, is_given in zip(said[here], given[here], strict=True)
        ]


def covered(texts: Sequence[str], length: int, handed_out: Set[str]) -> list[bool]:
    """Say of each token whether it stands in a run that was handed out."""
    flags = [False] * len(texts)
    for i, run in enumerate(runs_of(texts, length)):
        if run in handed_out:
            flags[i : i + length] = [True] * len(flags[i : i + length])
    return flags


NOTHING = Piece("", 0, 0, False)
"""What stands before the first statement, and behind the last one."""


@dataclass(frozen=True)
class Run:
    """Own statements that follow one another, with what little that is known stands between them."""

    before: Statement | None
    statements: tuple[Statement, ...]
    after: Statement | None


def runs(statements: Sequence[Statement], known: Known) -> Iterator[Run]:
    """Yield each longest run; where a function begins, another one does."""
    first = last = -1
    for i, one in enumerate(statements):
        is_own = not known.has(one)
        is_end = one.begins or i - last > BRIDGE + 1 or (not is_own and len(one.tokens) > GRAM)
        if first >= 0 and is_end:
            yield run_of(statements, first, last)
            first = -1
        if is_own:
            first, last = i if first < 0 else first, i
    if first >= 0:
        yield run_of(statements, first, last)


def run_of(statements: Sequence[Statement], first: int, last: int) -> Run:
    """Return the run from one statement to another."""
    before = statements[first - 1] if first else None
    after = statements[last + 1] if last + 1 < len(statements) else None
    return Run(before, tuple(statements[first : last + 1]), after)


def stretches(flags: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """Yield where each run of true flags starts and ends."""
    start = None
    for i, flag in enumerate([*flags, False]):
        if flag and start is None:
            start = i
        elif not flag and start is not None:
            yield start, i
            start = None


def winnowed(view: str, run: Sequence[Piece], file: int, start: int) -> Iterator[Print]:
    """Yield the fingerprints of a run: of each window the smallest hash, and those at both ends."""
    if len(run) < SHORTEST[view]:
        return
    length = min(LENGTHS[view], len(run))
    texts = [one.text for one in run]
    hashes = [hash_of(view, texts[i : i + length]) for i in range(len(run) - length + 1)]
    kept = {0, len(hashes) - 1}  # so that a run that is shared as a whole is covered as a whole
    for i in range(len(hashes) - WINDOW + 1):
        kept.add(min(range(i, i + WINDOW), key=lambda j: (hashes[j], -j)))
    before = [start, *(start + count for count in accumulate(one.own for one in run))]
    for i in sorted(kept):
        if count := before[i + length] - before[i]:
            mine = [one for one in run[i : i + length] if one.own]
            yield Print(hashes[i], file, mine[0].line, mine[-1].last, before[i], count)


def hash_of(view: str, texts: Sequence[str]) -> int:
    """Return the first 52 bits of a SHA-256: JSON keeps such a number exactly, wherever it is read."""
    digest = hashlib.sha256("\0".join([view, *texts]).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:7]) >> 4
