"""The token stream of a rank, written out: what `token_batches` must yield, and what files hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count, islice

import numpy as np
from numpy.typing import NDArray

Ids = Sequence[int]


def share(documents: Sequence[Ids], rank: int = 0, world_size: int = 1) -> list[Ids]:
    """Return the documents, encoded and with `<|bos|>` in front, that a rank reads in each epoch."""
    return [ids for number, ids in enumerate(documents) if number % world_size == rank]


def stream(documents: Sequence[Ids], rank: int = 0, world_size: int = 1) -> Iterator[int]:
    """Yield the ids of a rank, epoch after epoch."""
    mine = share(documents, rank, world_size)
    while True:
        for ids in mine:
            yield from ids


def batches(
    documents: Sequence[Ids], B: int, T: int, number: int, rank: int = 0, world_size: int = 1, first: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return inputs and targets, (number, B, T) each, of `number` batches from batch `first` on."""
    start, size = first * B * T, number * B * T
    ids = np.array(list(islice(stream(documents, rank, world_size), start, start + size + 1)), dtype=np.int64)
    return ids[:-1].reshape(number, B, T), ids[1:].reshape(number, B, T)


def texts_needed(lengths: Sequence[int], ids: int, rank: int = 0, world_size: int = 1) -> int:
    """Return how many texts of an epoch must be read for the first `ids` ids of a rank's stream.

    `lengths` are the ids of each document, repeated as often as need be.
    """
    held = 0
    for number in count():
        if held >= ids:
            return number
        if number % world_size == rank:
            held += lengths[number % len(lengths)]
    raise AssertionError("count() has no end")


def documents_of(content: bytes) -> list[str]:
    """Return the documents of a text file: runs of lines that hold more than white space."""
    found: list[list[str]] = [[]]
    for line in content.decode("utf-8").replace("\r\n", "\n").split("\n"):
        if line.strip() == "":
            found.append([])
        else:
            found[-1].append(line)
    return ["\n".join(lines) for lines in found if lines]


def parts_of(texts: Sequence[str], every: int) -> tuple[list[str], list[str]]:
    """Return the texts for training and those for validation."""
    for_validation = [number % every == every - 1 for number in range(len(texts))]
    pairs = list(zip(texts, for_validation, strict=True))
    return [text for text, held in pairs if not held], [text for text, held in pairs if held]
