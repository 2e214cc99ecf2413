"""What differs in another process, and what a fork of the same one does not show: how texts hash.

Forks share the secret by which Python hashes text (PYTHONHASHSEED), and starting Python anew takes seconds.
"""

from __future__ import annotations

import builtins
import contextlib
import sys
from collections.abc import Iterator

_SALT = 0x5BD1E995


@contextlib.contextmanager
def other_hashes() -> Iterator[None]:
    """Have `hash` give other numbers for texts and bytes, as in another process; not for what is in a set.

    Only where the submission is not imported yet, for its dicts may hold what hashes by this function, as the
    members of an `Enum` do. For the same reason this process must answer nothing else afterwards.
    """
    if "nanochat" in sys.modules:
        yield
        return
    usual = builtins.hash

    def salted(value: object) -> int:
        return usual(value) ^ _SALT if _holds_text(value) else usual(value)

    builtins.hash = salted
    try:
        yield
    finally:
        builtins.hash = usual


def _holds_text(value: object) -> bool:
    if isinstance(value, tuple | frozenset):
        return any(map(_holds_text, value))
    return isinstance(value, str | bytes)
