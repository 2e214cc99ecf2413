"""Byte-pair encoding by counting everything anew at every step: slow, and right at sight.

A *piece* is what is cut no further, a text in the laws that use this: a tuple of tokens, each its bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

Piece = tuple[bytes, ...]
Pair = tuple[bytes, bytes]
Shown = bytes | str
"""What is known of a learned token: its bytes, or only the text that these make alone."""


@dataclass(frozen=True)
class WrongStep:
    """The first learned token that no pair allows."""

    step: int
    """Which learned token it is, counted from 0."""
    count: int
    """How often its parts stand side by side; 0 if no two tokens make it."""
    best: int
    """How often those of the most frequent pair do; 0 if no pair is left."""
    allowed: tuple[bytes, ...]
    """The tokens of the pairs that are most frequent."""


def as_bytes(text: str) -> Piece:
    """Return a text as single bytes."""
    return tuple(bytes([each]) for each in text.encode())


def pair_counts(pieces: Sequence[Piece]) -> Counter[Pair]:
    """Return how often two tokens stand side by side, overlapping places included."""
    return Counter(pair for piece in pieces for pair in pairwise(piece))


def joined(piece: Piece, pair: Pair) -> Piece:
    """Return the piece with every such pair made one token, from the left."""
    made: list[bytes] = []
    place = 0
    while place < len(piece):
        if piece[place : place + 2] == pair:
            made.append(pair[0] + pair[1])
            place += 2
        else:
            made.append(piece[place])
            place += 1
    return tuple(made)


def fits(token: bytes, shown: Shown) -> bool:
    """Say whether a token can be the one that is shown."""
    return token == shown if isinstance(shown, bytes) else token.decode(errors="replace") == shown


def follow(texts: Sequence[str], learned: Sequence[Shown]) -> tuple[WrongStep | None, bool]:
    """Say where `learned` leaves what training on `texts` allows, and whether pairs are left behind it.

    Equally frequent pairs may be joined in any order. Two of them can make the same token (`a` + `aa`,
    `aa` + `a`), so every state that fits what was learned is followed.
    """
    states = [tuple(as_bytes(text) for text in texts)]
    for step, token in enumerate(learned):
        reached: dict[tuple[Piece, ...], None] = {}
        wrong: WrongStep | None = None
        for pieces in states:
            counts = pair_counts(pieces)
            best = max(counts.values(), default=0)
            fitting = {pair: count for pair, count in counts.items() if fits(pair[0] + pair[1], token)}
            for pair, count in fitting.items():
                if count == best:
                    reached[tuple(joined(piece, pair) for piece in pieces)] = None
            allowed = {pair[0] + pair[1]: None for pair, count in counts.items() if count == best}
            wrong = WrongStep(step, max(fitting.values(), default=0), best, tuple(allowed))
        if not reached:
            return wrong, True
        states = list(reached)
    return None, all(pair_counts(pieces) for pieces in states)


def encoded(text: str, ids: Mapping[bytes, int]) -> list[int]:
    """Return the ids of a text that is one piece: the pair whose join has the smallest id is joined first."""
    piece = as_bytes(text)
    while True:
        known = [(ids[a + b], place) for place, (a, b) in enumerate(pairwise(piece)) if a + b in ids]
        if not known:
            return [ids[token] for token in piece]
        _, place = min(known)
        piece = (*piece[:place], piece[place] + piece[place + 1], *piece[place + 2 :])


def is_join(token: bytes, earlier: set[bytes]) -> bool:
    """Say whether a token is two of the earlier ones, one behind the other."""
    return any(token[:cut] in earlier and token[cut:] in earlier for cut in range(1, len(token)))
