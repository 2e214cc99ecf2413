"""A tokenizer so plain that it is right at sight: properties of the engine do not hang on the submission's.

Ids 0 to 255 are bytes, a few more are longer pieces, then come the nine special tokens of the contract.
"""

from __future__ import annotations

from collections.abc import Sequence

PIECES = ["10", "00", "0" * 32, "12", ".5", ".count(", "é", "the "]
"""Tokens of several bytes, so that text and its bytes are not the same list; one for very long numbers."""

SPECIAL = [
    "<|bos|>",
    "<|user_start|>",
    "<|user_end|>",
    "<|assistant_start|>",
    "<|assistant_end|>",
    "<|python_start|>",
    "<|python_end|>",
    "<|output_start|>",
    "<|output_end|>",
]


class ByteTokenizer:
    """The tokenizer's part of the contract, over bytes and a few longer pieces."""

    def __init__(self) -> None:
        self._pieces = [piece.encode() for piece in PIECES]
        self._first_special = 256 + len(self._pieces)

    def get_vocab_size(self) -> int:
        """Return the number of tokens, special ones included."""
        return self._first_special + len(SPECIAL)

    def get_special_tokens(self) -> set[str]:
        """Return the texts of the special tokens."""
        return set(SPECIAL)

    def id_to_token(self, token: int) -> str:
        """Return the text of one token."""
        return self.decode([token])

    def encode_special(self, text: str) -> int:
        """Return the id of a special token."""
        return self._first_special + SPECIAL.index(text)

    def get_bos_token_id(self) -> int:
        """Return the id that begins a document."""
        return self.encode_special("<|bos|>")

    def encode(
        self,
        text: str | Sequence[str],
        prepend: int | str | None = None,
        append: int | str | None = None,
        num_threads: int = 8,  # noqa: ARG002  # the contract's signature
    ) -> list[int] | list[list[int]]:
        """Return the ids of a text, the longest piece first; or of each of several texts."""
        if not isinstance(text, str):
            return [self.encode_one(part, prepend, append) for part in text]
        return self.encode_one(text, prepend, append)

    def encode_one(
        self, text: str, prepend: int | str | None = None, append: int | str | None = None
    ) -> list[int]:
        """Return the ids of one text."""
        data, ids, start = text.encode(), [], 0
        while start < len(data):
            matches = [i for i, piece in enumerate(self._pieces) if data.startswith(piece, start)]
            if matches:
                best = max(matches, key=lambda i: len(self._pieces[i]))
                ids.append(256 + best)
                start += len(self._pieces[best])
            else:
                ids.append(data[start])
                start += 1
        return [*self._edge(prepend), *ids, *self._edge(append)]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of `ids`; bytes that are no text become U+FFFD."""
        return b"".join(self._bytes_of(int(token)) for token in ids).decode(errors="replace")

    def _edge(self, token: int | str | None) -> list[int]:
        if token is None:
            return []
        return [self.encode_special(token) if isinstance(token, str) else token]

    def _bytes_of(self, token: int) -> bytes:
        if token < 256:
            return bytes([token])
        if token < self._first_special:
            return self._pieces[token - 256]
        return SPECIAL[token - self._first_special].encode()
