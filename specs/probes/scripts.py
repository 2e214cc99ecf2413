"""What a scripted model says after a text: plain functions that the model and the judge both work out."""

from __future__ import annotations

import functools
import struct
import zlib
from collections.abc import Sequence

LOST = ord("?")
"""What the model says after a text that is on no path: a token missing, doubled or out of order."""


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
    code = zlib.crc32(struct.pack(f"<{len(history)}I", *history))
    step = 1 + (code >> 16) % 31
    # A prime number of ids makes the walk visit different ones.
    return [(code + i * step) % largest_prime(ids) for i in range(choices)]


@functools.cache
def largest_prime(limit: int) -> int:
    """Return the largest prime not above `limit`, which is at least 37."""
    return next(n for n in range(limit, 36, -1) if all(n % d for d in range(2, int(n**0.5) + 1)))
