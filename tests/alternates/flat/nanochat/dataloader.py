"""The token stream in one flat array that is moved to the front when its end is near."""

import itertools
import re
from functools import partial

import numpy as np
import torch


class Stream:
    """A growing window of a rank's stream: `data[start:end]` are the ids that no batch has begun with yet."""

    def __init__(self, texts, tokenizer, rank, world_size, epoch, document, offset):
        self.texts, self.tokenizer = texts, tokenizer
        self.rank, self.world_size = rank, world_size
        self.data = np.zeros(64, dtype=np.int64)
        # Of the id at each place: where it comes from.
        self.origin = np.zeros((64, 3), dtype=np.int64)
        self.start = self.end = 0
        self.epoch, self.document = epoch, document
        self.source = self.open(document)
        while self.end - self.start <= offset:
            self.read()
        self.start += offset

    def open(self, document):
        return itertools.islice(enumerate(self.texts), document, None)

    def read(self):
        """Append one document of the rank."""
        opened = 0
        while True:
            for number, text in self.source:
                self.document = number + 1
                if (number - self.rank) % self.world_size == 0:
                    self.append(
                        self.tokenizer.encode([text], prepend=self.tokenizer.get_bos_token_id())[0], number
                    )
                    return
            opened += 1
            if opened == 2:
                raise ValueError(f"rank {self.rank} of {self.world_size} finds no document in a whole epoch")
            self.epoch, self.document = self.epoch + 1, 0
            self.source = self.open(0)

    def append(self, ids, number):
        held = self.end - self.start
        if self.end + len(ids) > len(self.data):
            size = max(len(self.data) if 2 * held < len(self.data) else 2 * len(self.data), held + len(ids))
            data, origin = np.zeros(size, dtype=np.int64), np.zeros((size, 3), dtype=np.int64)
            data[:held] = self.data[self.start : self.end]
            origin[:held] = self.origin[self.start : self.end]
            self.data, self.origin, self.start, self.end = data, origin, 0, held
        self.data[self.end : self.end + len(ids)] = ids
        self.origin[self.end : self.end + len(ids), 0] = self.epoch
        self.origin[self.end : self.end + len(ids), 1] = number
        self.origin[self.end : self.end + len(ids), 2] = np.arange(len(ids))
        self.end += len(ids)


def token_batches(texts, tokenizer, B, T, *, rank=0, world_size=1, state=None, device="cpu"):
    """Yield (inputs, targets, state)."""
    if B < 1:
        raise ValueError(f"got {B} rows")
    if T < 1:
        raise ValueError(f"got {T} columns")
    if world_size < 1 or not 0 <= rank < world_size:
        raise ValueError(f"rank {rank} of {world_size}?")
    epoch, document, offset = map(int, (state or {"at": "0:0:0"})["at"].split(":"))
    stream = Stream(texts, tokenizer, rank, world_size, epoch, document, offset)
    size = B * T
    while True:
        while stream.end - stream.start < size + 1:
            stream.read()
        window = stream.data[stream.start : stream.start + size + 1]
        inputs = torch.from_numpy(window[:-1].astype(np.int32).reshape(B, T))
        targets = torch.from_numpy(window[1:].copy().reshape(B, T))
        stream.start += size
        at = ":".join(str(part) for part in stream.origin[stream.start])
        yield inputs.to(device), targets.to(device), {"at": at}


class TextFiles:
    """Documents of text files, block by block of characters."""

    def __init__(self, paths):
        self.paths = paths

    def __iter__(self):
        for path in self.paths:
            with open(path, encoding="utf-8", newline="") as file:
                yield from documents(iter(partial(file.read, 1 << 14), ""))


def documents(blocks):
    """Yield the documents of a text that comes in blocks: whatever stands between lines of white space."""
    lines, rest = [], ""
    for block in itertools.chain(blocks, [None]):
        if block is None:
            complete, rest = [rest], ""
        elif "\n" not in block:
            rest += block
            continue
        else:
            *complete, rest = (rest + block).split("\n")
        for line in complete:
            line = re.sub(r"\r\Z", "", line)
            if line.strip():
                lines.append(line)
            elif lines:
                yield "\n".join(lines)
                lines = []
    if lines:
        yield "\n".join(lines)


class Again:
    """An iterable of what a function makes anew each time."""

    def __init__(self, make):
        self.make = make

    def __iter__(self):
        return iter(self.make())


def split_texts(texts, every=20):
    """Return (training, validation)."""
    if every < 2:
        raise ValueError(f"every must be 2 or more, not {every}")

    def training():
        for number, text in enumerate(texts, 1):
            if number % every:
                yield text

    return Again(training), Again(lambda: itertools.islice(texts, every - 1, None, every))
