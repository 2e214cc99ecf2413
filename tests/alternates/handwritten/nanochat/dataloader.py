"""The token stream, token by token: a state is a number of batches, and going on counts them again."""

import itertools
from pathlib import Path

import torch


def token_batches(texts, tokenizer, B, T, *, rank=0, world_size=1, state=None, device="cpu"):
    """Return a generator of (inputs, targets, state)."""
    for name, value in [("B", B), ("T", T), ("world_size", world_size)]:
        if value < 1:
            raise ValueError(f"{name}={value}, but at least 1 is needed")
    if rank < 0 or rank >= world_size:
        raise ValueError(f"rank={rank} does not exist among {world_size} ranks")
    done = state["batches"] if state else 0
    return _cut(texts, tokenizer, B, T, rank, world_size, done, device)


def _cut(texts, tokenizer, B, T, rank, world_size, done, device):
    tokens = _tokens(texts, tokenizer, rank, world_size)
    for _ in range(done * B * T):
        next(tokens)
    last = next(tokens)
    while True:
        inputs = torch.empty((B, T), dtype=torch.int32)
        targets = torch.empty((B, T), dtype=torch.int64)
        for row in range(B):
            line = [last, *itertools.islice(tokens, T)]
            inputs[row] = torch.tensor(line[:-1])
            targets[row] = torch.tensor(line[1:])
            last = line[-1]
        done += 1
        yield inputs.to(device), targets.to(device), {"batches": done}


def _tokens(texts, tokenizer, rank, world_size):
    bos = tokenizer.get_bos_token_id()
    while True:
        empty = True
        for text in itertools.islice(texts, rank, None, world_size):
            empty = False
            yield bos
            yield from tokenizer.encode(text)
        if empty:
            raise ValueError(f"no document for rank {rank}: there are not even {rank + 1}")


class TextFiles:
    """Documents of text files, from lines of bytes."""

    def __init__(self, paths):
        self.paths = list(paths)

    def __iter__(self):
        for path in self.paths:
            document = None
            with Path(path).open("rb") as file:
                for raw in file:
                    line = raw.decode("utf-8")
                    if line.endswith("\n"):
                        line = line[:-2] if line.endswith("\r\n") else line[:-1]
                    if line == "" or line.isspace():
                        if document is not None:
                            yield document
                        document = None
                    else:
                        document = line if document is None else document + "\n" + line
            if document is not None:
                yield document


class Part:
    """Some of the texts, by what their number leaves."""

    def __init__(self, texts, every, wanted):
        self.texts = texts
        self.every = every
        self.wanted = wanted

    def __iter__(self):
        left = 0
        for text in self.texts:
            left += 1
            is_last = left == self.every
            if is_last:
                left = 0
            if is_last is self.wanted:
                yield text


def split_texts(texts, every=20):
    """Return (training, validation)."""
    if every < 2:
        raise ValueError(f"cannot put aside one of every {every} texts")
    return Part(texts, every, False), Part(texts, every, True)
