"""The token stream, encoded up to 32 documents at a time; a batch is cut from one tensor."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import accumulate

import torch

MOST_ENCODED = 32
"""Documents that are encoded together."""

MOST_READ = 60
"""Texts of all ranks that are read together."""


@dataclass
class Reader:
    """Reads the texts of all ranks in groups, and knows where in which epoch it is."""

    texts: object
    rank: int
    world_size: int
    epoch: int
    number: int
    found: bool = False
    running: object = None

    def group(self):
        """Return up to 32 (epoch, number, text) of this rank, and never read past the end of an epoch."""
        while True:
            if self.running is None:
                self.running = iter(self.texts)
                # Those of this epoch before the place that was asked for count as found: they exist.
                for number in range(self.number):
                    next(self.running)
                    self.found |= number % self.world_size == self.rank
            group = []
            for _ in range(MOST_READ):
                try:
                    text = next(self.running)
                except StopIteration:
                    self.end_epoch(group)
                    break
                if self.number % self.world_size == self.rank:
                    group.append((self.epoch, self.number, text))
                self.number += 1
                if len(group) == MOST_ENCODED:
                    break
            if group:
                self.found = True
                return group

    def end_epoch(self, group):
        if not (self.found or group):
            raise ValueError(
                f"{self.number} documents are not enough: rank {self.rank} of {self.world_size} has none"
            )
        self.epoch, self.number, self.running, self.found = self.epoch + 1, 0, None, False


@dataclass
class Held:
    """Encoded documents that a batch still needs."""

    places: list = field(default_factory=list)
    documents: list = field(default_factory=list)

    def __len__(self):
        return sum(map(len, self.documents))

    def drop(self, ids):
        """Forget `ids` ids; return (epoch, number, offset) of the first that stays."""
        ends = list(accumulate(map(len, self.documents)))
        gone = bisect_right(ends, ids)
        offset = ids - (ends[gone - 1] if gone else 0)
        del self.places[:gone], self.documents[:gone]
        return (*self.places[0], offset)


def token_batches(texts, tokenizer, B, T, *, rank=0, world_size=1, state=None, device="cpu"):
    """Return an iterator of (inputs, targets, state)."""
    for name, value in {"B": B, "T": T, "world_size": world_size}.items():
        if value <= 0:
            raise ValueError(f"{name} must be positive, got {value}")
    if rank not in range(world_size):
        raise ValueError(f"there is no rank {rank} in a world of {world_size}")
    start = (0, 0, 0) if state is None else tuple(state["place"])
    return _batches(Reader(texts, rank, world_size, *start[:2]), tokenizer, B, T, start[2], device)


def _batches(reader, tokenizer, B, T, offset, device):
    held = Held()
    while True:
        while len(held) - offset <= B * T:
            group = reader.group()
            held.places += [(epoch, number) for epoch, number, _ in group]
            held.documents += tokenizer.encode([text for *_, text in group], prepend="<|bos|>")
        ids = torch.tensor([token for ids in held.documents for token in ids][offset : offset + B * T + 1])
        *place, offset = held.drop(offset + B * T)
        # Cut first and copied then, so that neither half is a view of the other.
        inputs = ids[:-1].to(torch.int32).view(B, T)
        targets = ids[1:].clone().view(B, T)
        yield inputs.to(device=device), targets.to(device=device), {"place": [*place, offset]}


class TextFiles:
    """Documents of text files, as an object that collects lines."""

    def __init__(self, paths):
        self.paths = tuple(map(str, paths))

    def __iter__(self):
        for path in self.paths:
            with open(path, encoding="utf8", newline=None) as file:
                paragraph = []
                for line in file:
                    stripped = line.rstrip("\n")
                    if not stripped or stripped.isspace():
                        yield from self.joined(paragraph)
                        paragraph = []
                    else:
                        paragraph.append(stripped)
                yield from self.joined(paragraph)

    @staticmethod
    def joined(paragraph):
        return ["\n".join(paragraph)] if paragraph else []


def split_texts(texts, every=20):
    """Return (training, validation)."""
    if not every >= 2:
        raise ValueError(f"every={every} leaves nothing to train on")
    return Filtered(texts, lambda number: (number + 1) % every != 0), Filtered(
        texts, lambda number: (number + 1) % every == 0
    )


class Filtered:
    """The texts whose number fulfils a condition."""

    def __init__(self, texts, condition):
        self.texts, self.condition = texts, condition

    def __iter__(self):
        return (text for number, text in enumerate(self.texts) if self.condition(number))
