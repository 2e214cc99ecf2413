"""What an engine must produce, for models that say what they are told to say.

A *path* is what one row must become after the prompt: its tokens, which of them the engine forced, and what
the model says at each place. Where a token is forced the model says a decoy, which an engine that forces
nothing would take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

DECOY = ord("X")
"""What the model says where the engine must force a token instead."""


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


def row(columns: Sequence[Sequence[int]], index: int, terminals: Sequence[int]) -> list[int]:
    """Return the tokens of one row of a stream of columns, up to its terminal, which is not returned."""
    tokens: list[int] = []
    for column in columns:
        if column[index] in terminals:
            break
        tokens.append(column[index])
    return tokens
