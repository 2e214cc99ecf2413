"""Documents to batches of token ids: an endless stream that loses nothing and can be taken up anywhere.

A document becomes `<|bos|>` and its ids, documents stand one behind the other, and a batch is the next B * T
ids of that stream. Several ranks deal the documents out among them, document i to rank i modulo their number.
A place in the stream is three numbers (epoch, document, token within it), and so is the state of a loader.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

State = dict[str, int]
"""Where a batch begins: "epoch", "document" (its number in the epoch) and "token" (its number in there)."""


class Tokenizer(Protocol):
    """What the loader needs of a tokenizer."""

    def get_bos_token_id(self) -> int: ...

    def encode(self, text: str, prepend: int | str | None = None) -> list[int]: ...


class Document(NamedTuple):
    """A document of the stream, encoded."""

    epoch: int
    number: int
    ids: list[int]


def token_batches(
    texts: Iterable[str],
    tokenizer: Tokenizer,
    B: int,
    T: int,
    *,
    rank: int = 0,
    world_size: int = 1,
    state: State | None = None,
    device: str | torch.device = "cpu",
) -> Iterator[tuple[Tensor, Tensor, State]]:
    """Yield (inputs, targets, state) without end: (B, T) each, and what goes on from there.

    `texts` are iterated anew for every epoch. Targets are the inputs one token further on in the stream.
    Given the `state` that came with a batch, the stream begins with the batch behind it.
    Raises ValueError for sizes and ranks that make no sense, and when an epoch has no document for this rank.
    """
    _check(B, T, rank, world_size)
    place = state or {"epoch": 0, "document": 0, "token": 0}
    documents = _documents(texts, tokenizer, rank, world_size, place["epoch"], place["document"])
    token = place["token"]
    held = deque([next(documents)])  # what reaches into the next batch; `token` counts from its beginning
    available = len(held[0].ids) - token
    while True:
        # One more than there are inputs: the last input has a target, too.
        while available < B * T + 1:
            held.append(next(documents))
            available += len(held[-1].ids)
        window = _window(held, token, B * T + 1)
        inputs = torch.tensor(window[:-1], dtype=torch.int64).view(B, T)
        targets = torch.tensor(window[:-1], dtype=torch.int64).view(B, T)

        token += B * T
        available -= B * T
        while token >= len(held[0].ids):
            token -= len(held.popleft().ids)
        here = {"epoch": held[0].epoch, "document": held[0].number, "token": token}
        yield inputs.to(device), targets.to(device), here


def _check(B: int, T: int, rank: int, world_size: int) -> None:
    """Raise ValueError for sizes that make no batch, and for a rank that is none."""
    for name, value in (("B", B), ("T", T), ("world_size", world_size)):
        if value < 1:
            raise ValueError(f"{name} is {value} and must be at least 1")
    if not 0 <= rank < world_size:
        raise ValueError(f"rank is {rank} and must be one of 0 ... {world_size - 1}")


def _documents(
    texts: Iterable[str], tokenizer: Tokenizer, rank: int, world_size: int, start: int, first: int
) -> Iterator[Document]:
    """Yield the documents of a rank from document `first` of epoch `start` on, epoch after epoch."""
    bos = tokenizer.get_bos_token_id()
    for epoch in count(start):
        found = False
        for number, text in enumerate(texts):
            if number % world_size == rank:
                found = True
                if number >= first:
                    yield Document(epoch, number, tokenizer.encode(text, prepend=bos))
        if not found:
            raise ValueError(
                f"an epoch of the texts has no document for rank {rank} of {world_size}: "
                "give at least as many documents as there are ranks"
            )
        first = 0


def _window(held: Iterable[Document], token: int, length: int) -> list[int]:
    """Return `length` ids of the documents one behind the other, from number `token` of the first on."""
    window: list[int] = []
    for document in held:
        window += document.ids[token : token + length - len(window)]
        token = 0
    return window


class TextFiles:
    """The documents of text files: runs of lines that are not empty. Iterates anew each time.

    A document is its lines joined by a newline. Files are UTF-8, and are read line by line: memory holds one
    document at a time, however long a file is.
    """

    def __init__(self, paths: Iterable[str | Path]) -> None:
        self.paths = [Path(path) for path in paths]

    def __iter__(self) -> Iterator[str]:
        for path in self.paths:
            # newline="\n" leaves line ends as they are; the default would end a line at a lone "\r", too.
            with path.open(encoding="utf-8", newline="\n") as file:
                yield from _paragraphs(file)


def _paragraphs(lines: Iterable[str]) -> Iterator[str]:
    """Yield runs of lines with something in them, joined."""
    run: list[str] = []
    for line in lines:
        if line.strip():
            run.append(line.removesuffix("\n").removesuffix("\r"))
        elif run:
            yield "\n".join(run)
            run = []
    if run:
        yield "\n".join(run)


class EveryOther:
    """Those of `texts` whose number leaves, divided by `every`, its last remainder; or all the others."""

    def __init__(self, texts: Iterable[str], every: int, *, last: bool) -> None:
        self.texts, self.every, self.last = texts, every, last

    def __iter__(self) -> Iterator[str]:
        for number, text in enumerate(self.texts):
            if (number % self.every == self.every - 1) == self.last:
                yield text


def split_texts(texts: Iterable[str], every: int = 20) -> tuple[Iterable[str], Iterable[str]]:
    """Return (training, validation): the last of every `every` texts is for validation.

    Both can be iterated as often as `texts` can. Raises ValueError if `every` is below 2.
    """
    if every < 2:
        raise ValueError(f"every is {every} and must be at least 2: training would have no texts")
    return EveryOther(texts, every, last=False), EveryOther(texts, every, last=True)
