"""The token stream with a thread that encodes ahead; a state carries the ids that are left over."""

import itertools
import queue
import threading

import torch

AHEAD = 8
"""Documents that the thread may have encoded before they are asked for."""


class Documents(threading.Thread):
    """Encodes the documents of a rank in the background, from text `number` of an epoch on."""

    def __init__(self, texts, tokenizer, rank, world_size, number):
        super().__init__(daemon=True)
        self.texts, self.tokenizer = texts, tokenizer
        self.rank, self.world_size, self.number = rank, world_size, number
        self.ready = queue.Queue(maxsize=AHEAD)
        self.stopped = threading.Event()

    def run(self):
        try:
            for number, text in self.own():
                ids = self.tokenizer.encode(text, prepend=self.tokenizer.get_bos_token_id())
                if not self.give((number, ids)):
                    return
        except Exception as error:  # noqa: BLE001  # handed over to the reader
            self.give(error)

    def own(self):
        first = self.number
        while True:
            mine = [0]
            for number, text in enumerate(self.texts):
                if number % self.world_size == self.rank:
                    mine[0] += 1
                    if number >= first:
                        yield number, text
                        del text
            if mine == [0]:
                raise ValueError(f"rank {self.rank} has no document: {self.world_size} ranks are too many")
            first = 0

    def give(self, item):
        while not self.stopped.is_set():
            try:
                self.ready.put(item, timeout=0.05)
            except queue.Full:
                continue
            return True
        return False

    def take(self):
        item = self.ready.get()
        if isinstance(item, BaseException):
            raise item
        return item


def token_batches(texts, tokenizer, B, T, *, rank=0, world_size=1, state=None, device="cpu"):
    """Yield (inputs, targets, state)."""
    if min(B, T, world_size) < 1:
        raise ValueError(f"B={B}, T={T} and world_size={world_size} must all be 1 or more")
    if not -1 < rank < world_size:
        raise ValueError(f"rank={rank} is not below world_size={world_size}, or negative")
    carried = {"rest": [], "next": 0} if state is None else state
    rest, following = list(carried["rest"]), carried["next"]
    documents = Documents(texts, tokenizer, rank, world_size, following)
    documents.start()
    try:
        while True:
            while len(rest) < B * T + 1:
                number, ids = documents.take()
                rest.extend(ids)
                following = number + 1
            batch, rest = rest[: B * T + 1], rest[B * T :]
            both = torch.tensor([batch[:-1], batch[1:]], device=device).view(2, B, T)
            yield both[0].int(), both[1].clone(), {"rest": list(rest), "next": following}
    finally:
        documents.stopped.set()


class TextFiles:
    """Documents of text files, by grouping lines."""

    def __init__(self, paths):
        self.paths = paths

    def __iter__(self):
        return itertools.chain.from_iterable(map(self.of_file, self.paths))

    @staticmethod
    def of_file(path):
        with open(path, encoding="utf-8", newline="\n") as file:
            lines = (line[:-1] if line.endswith("\n") else line for line in file)
            lines = (line[:-1] if line.endswith("\r") else line for line in lines)
            for blank, group in itertools.groupby(lines, key=lambda line: not line.strip()):
                if not blank:
                    yield "\n".join(group)


class Cycle:
    """The texts for which a pattern that repeats has a True."""

    def __init__(self, texts, pattern):
        self.texts, self.pattern = texts, pattern

    def __iter__(self):
        return itertools.compress(self.texts, itertools.cycle(self.pattern))


def split_texts(texts, every=20):
    """Return (training, validation)."""
    if every <= 1:
        raise ValueError(f"{every} is too small: the last of every 2 or more texts is put aside")
    return Cycle(texts, [True] * (every - 1) + [False]), Cycle(texts, [False] * (every - 1) + [True])
