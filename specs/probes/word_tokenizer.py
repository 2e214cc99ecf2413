"""A tokenizer for loaders: bytes and a few longer pieces, special tokens wherever a property wants them.

Properties of the data loader do not hang on the submission's tokenizer. Unlike that one's, the special tokens
need not be the last ids: a loader may not care.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from specs.probes.byte_tokenizer import SPECIAL

PIECES = [b"ab", b"the ", b"\n\n", b"\xc3\xa9", b"..."]
"""Tokens of several bytes: cutting a text and encoding its halves is not the same as encoding it."""

ORDINARY = 256 + len(PIECES)

_PIECE = re.compile(b"|".join(map(re.escape, PIECES)) + b"|.", re.DOTALL)


class WordTokenizer:
    """The tokenizer's part of the contract; `<|bos|>` is the id `bos`, the other special tokens follow."""

    def __init__(self, bos: int = ORDINARY) -> None:
        if 0 < bos < ORDINARY:
            raise ValueError(f"bos is {bos}, want 0 or at least {ORDINARY}: ordinary tokens lie together")
        self._bos = bos
        first = len(SPECIAL) if bos == 0 else 0
        self._ids = {bytes([byte]): first + byte for byte in range(256)}
        self._ids |= {piece: first + 256 + number for number, piece in enumerate(PIECES)}
        self._texts = {number: piece for piece, number in self._ids.items()}
        self._texts |= {bos + number: text.encode() for number, text in enumerate(SPECIAL)}

    def get_vocab_size(self) -> int:
        """Return one more than the largest id."""
        return max(self._texts) + 1

    def get_special_tokens(self) -> list[str]:
        """Return the texts of the special tokens."""
        return list(SPECIAL)

    def id_to_token(self, token: int) -> str:
        """Return the text of one token."""
        return self.decode([token])

    def encode_special(self, text: str) -> int:
        """Return the id of a special token."""
        return self._bos + SPECIAL.index(text)

    def get_bos_token_id(self) -> int:
        """Return the id that begins a document."""
        return self._bos

    def encode(
        self,
        text: str | list[str],
        prepend: int | str | None = None,
        append: int | str | None = None,
        num_threads: int = 8,  # noqa: ARG002  # the contract's signature
    ) -> list[int] | list[list[int]]:
        """Return the ids of a text, or of each text of a list; TypeError for anything else."""
        if isinstance(text, str):
            return self.encode_one(text, prepend, append)
        if not isinstance(text, list):
            raise TypeError(f"encode takes a str or a list of str, got {type(text).__name__}")
        return [self.encode_one(each, prepend, append) for each in text]

    def encode_one(
        self, text: str, prepend: int | str | None = None, append: int | str | None = None
    ) -> list[int]:
        """Return the ids of one text."""
        ids = [self._ids[piece] for piece in _PIECE.findall(text.encode())]
        return [*self._edge(prepend), *ids, *self._edge(append)]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of `ids`; bytes that are no text become U+FFFD."""
        return b"".join(self._texts[int(token)] for token in ids).decode(errors="replace")

    def decode_stream(self, ids: Iterable[int]) -> Iterator[str]:
        """Yield the text of all ids as one piece."""
        yield self.decode(list(ids))

    def get_token_bytes(self) -> list[int]:
        """Return how many bytes each id stands for; 0 for special tokens and for ids that nothing has."""
        special = range(self._bos, self._bos + len(SPECIAL))
        return [
            0 if number in special else len(self._texts.get(number, b""))
            for number in range(self.get_vocab_size())
        ]

    def _edge(self, token: int | str | None) -> list[int]:
        if token is None:
            return []
        return [self.encode_special(token) if isinstance(token, str) else int(token)]


class LeastTokenizer:
    """Has what the contract lets a loader ask of its tokenizer, and nothing else."""

    def __init__(self, whole: WordTokenizer) -> None:
        self._whole = whole

    def get_bos_token_id(self) -> int:
        """Return the id that begins a document."""
        return self._whole.get_bos_token_id()

    def encode(self, text: str | list[str], prepend: int | str | None = None) -> list[int] | list[list[int]]:
        """Return the ids of a text, or of each text of a list."""
        return self._whole.encode(text, prepend)
