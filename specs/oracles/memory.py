"""How many bytes a cache may hold: the contract's arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

ITEM_BYTES = {"float32": 4, "bfloat16": 2}

BOOKKEEPING = 2048
"""Bytes that a cache may hold besides keys and values: a position, a length for each row."""

Step = tuple[str, int]
"""What is done to a cache: ("insert", tokens), ("reset", 0) or ("prefill", tokens); or
("prefill from a cache made larger", tokens), ("reset in the middle of a pass", tokens) and what is refused:
("refused keys", tokens), ("refused values", tokens), ("refused prefill", tokens)."""


@dataclass(frozen=True)
class Shape:
    """The arguments of a `KVCache`, and the dtype of what is inserted."""

    seq_len: int
    batch_size: int = 1
    num_heads: int = 1
    head_dim: int = 8
    num_layers: int = 1
    dtype: str = "float32"

    @property
    def slot_bytes(self) -> int:
        """Return the bytes of one token's keys and values, in all rows and layers."""
        numbers = 2 * self.num_layers * self.batch_size * self.num_heads * self.head_dim
        return numbers * ITEM_BYTES[self.dtype]

    def slots(self, tokens: int, growth_step: int) -> int:
        """Return the slots that `tokens` justify: seq_len, or the tokens rounded up to the growth step."""
        return max(self.seq_len, -(-tokens // growth_step) * growth_step)

    def allowed(self, tokens: int, growth_step: int) -> int:
        """Return the most bytes that a cache may hold after any history: twice those of its slots."""
        return 2 * self.slots(tokens, growth_step) * self.slot_bytes + BOOKKEEPING

    def plain(self) -> dict[str, Any]:
        """Return the fields as a probe takes them."""
        return asdict(self)


def tokens_held(steps: Sequence[Step]) -> Iterator[int]:
    """Yield how many tokens a cache holds after each step."""
    held = 0
    for do, tokens in steps:
        if do == "insert":
            held += tokens
        elif do.startswith("reset"):
            held = 0
        elif not do.startswith("refused"):
            held = tokens
        yield held
