"""What an engine must produce, for models that say what they are told to say.

A *path* is what one row must become after the prompt: its tokens, which of them the engine forced, and what
the model says at each place. Where a token is forced the model says a decoy, which an engine that forces
nothing would take.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

DECOY = ord("X")
"""What the model says where the engine must force a token instead."""

LOST = ord("?")
"""What the model says after a text that is on no path: a token missing, doubled or out of order."""


@dataclass
class Path:
    """What one row must become after the prompt."""

    tokens: list[int] = field(default_factory=list)
    says: list[int] = field(default_factory=list)
    masks: list[int] = field(default_factory=list)

    def sample(self, ids: Sequence[int]) -> Path:
        """Append tokens that the model says and the engine takes."""
        self.tokens += ids
        self.says += ids
        self.masks += [1] * len(ids)
        return self

    def force(self, ids: Sequence[int]) -> Path:
        """Append tokens that the engine must force, whatever the model says."""
        self.tokens += ids
        self.says += [DECOY] * len(ids)
        self.masks += [0] * len(ids)
        return self


def follow(
    history: Sequence[int], prompt: int, paths: Sequence[tuple[Sequence[int], Sequence[int]]]
) -> list[int]:
    """Return what the model says after `history`: one id, or several equally likely where paths part.

    `prompt` is the length of the prompt; `paths` are pairs (tokens, what the model says at each).
    """
    generated = list(history[prompt:])
    here = len(generated)
    said = {says[here] for tokens, says in paths if here < len(says) and list(tokens[:here]) == generated}
    return sorted(said) or [LOST]


def hashed(history: Sequence[int], choices: int, ids: int) -> list[int]:
    """Return `choices` different ids below `ids` that hang on every token of `history` and on its order."""
    code = zlib.crc32(b"".join(int(token).to_bytes(4, "little") for token in history))
    step = 1 + (code >> 16) % 31
    # A prime number of ids makes the walk visit different ones.
    return [(code + i * step) % largest_prime(ids) for i in range(choices)]


def largest_prime(limit: int) -> int:
    """Return the largest prime not above `limit`, which is at least 37."""
    return next(n for n in range(limit, 36, -1) if all(n % d for d in range(2, int(n**0.5) + 1)))


def row(columns: Sequence[Sequence[int]], index: int, terminals: Sequence[int]) -> list[int]:
    """Return the tokens of one row of a stream of columns, up to its terminal, which is not returned."""
    tokens: list[int] = []
    for column in columns:
        if column[index] in terminals:
            break
        tokens.append(column[index])
    return tokens
