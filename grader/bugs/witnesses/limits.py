"""Witnesses of bugs of level 1 that show late: in long texts, later epochs and calls, and what is shared."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from grader.bugs.witnesses.loading import Letters, Repeating
from grader.bugs.witnesses.setting import Modules, attempt

TEXTS = ["low low lower newest newest widest", "the weather, the other theatre", "naïve élève"]


def _trained(modules: Modules, size: int = 300) -> Any:
    return modules["tokenizer"].RustBPETokenizer.train_from_iterator(TEXTS, size)


def long_training(modules: Modules) -> Any:
    """Return the first token that is learned from long texts whose end decides."""
    kind = modules["tokenizer"].RustBPETokenizer
    found = []
    for number in (20, 5000):
        tokenizer = kind.train_from_iterator(["xyxyxy " * (2 * number) + "efef " * (3 * number + 1)], 266)
        found.append(tokenizer.decode([256]))
    return found


def calls(modules: Modules) -> Any:
    """Return the ids of a text with several ends, asked for in turn, and of lists of which one is changed."""
    found: list[Any] = []
    for size in (266, 310):
        tokenizer = _trained(modules, size)
        for options in ({"prepend": "<|bos|>"}, {}, {"append": 5}, {}):
            found.append(tokenizer.encode("the weather", **options))
        several = tokenizer.encode(["low", "lower", "low"])
        several[0].append(7)
        found.append(several[1:])
        ids = tokenizer.encode("newest")
        tokenizer.decode(ids)
        found.append(ids)
    return found


def kept(modules: Modules) -> Any:
    """Return what conversations were rendered to, looked at when all of them were."""
    found: list[Any] = []
    for size in (266, 310):
        tokenizer = _trained(modules, size)
        talks = [
            {"messages": [{"role": "user", "content": said}, {"role": "assistant", "content": said * 2}]}
            for said in ("low", "the newest", "")
        ]
        found.append([tokenizer.render_conversation(talk) for talk in talks])
    return found


def long_texts(modules: Modules) -> Any:
    """Return the number of ids of texts of one word, over and over."""
    tokenizer = _trained(modules, 320)
    return [len(tokenizer.encode("weathers " * number)) for number in (300, 3000, 12_000)]


def loaded_again(modules: Modules) -> Any:
    """Return the sizes of two tokenizers of one folder, each loaded before the next is saved."""
    kind = modules["tokenizer"].RustBPETokenizer
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for size in (270, 290):
            _trained(modules, size).save(folder)
            found.append(kind.from_directory(folder).get_vocab_size())
    return found


def marks(modules: Modules) -> Any:
    """Return the text of streams that begin with a mark of the byte order."""
    tokenizer = _trained(modules)
    return ["".join(tokenizer.decode_stream([*text.encode()])) for text in ("\ufeffa", "\ufeff", "a\ufeff")]


def settings(modules: Modules) -> Any:
    """Return dtype, threads and device of torch after batches, all of them unusual before."""
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    found: list[Any] = []
    for device in ("cpu", "meta"):
        torch.set_default_dtype(torch.float16)
        torch.set_num_threads(threads + 1)
        running = modules["dataloader"].token_batches(TEXTS, Letters(300), 2, 3, device=device)
        list(islice(running, 2))
        found.append((str(torch.get_default_dtype()), torch.get_num_threads() - threads))
        found.append(str(torch.tensor(0.0).device))
        torch.set_default_device(None)
    torch.set_default_dtype(dtype)
    torch.set_num_threads(threads)
    return found


def long_documents(modules: Modules) -> Any:
    """Return where `<|bos|>` stands in batches of documents of which one is long."""
    found = []
    for length in (5000, 70_000):
        running = modules["dataloader"].token_batches(["ab", "c" * length], Letters(300), 4, 8192)
        inputs = torch.cat([x.flatten() for x, _, _ in islice(running, 4)])
        found.append((inputs == 300).nonzero().flatten().tolist()[:5])
    return found


def later_epochs(modules: Modules) -> Any:
    """Return how many texts were read after batches of several epochs."""
    found = []
    for number in (400, 700):
        texts = Repeating([f"text {place}" for place in range(number)])
        running = modules["dataloader"].token_batches(texts, Letters(300), 2, 200)
        for _ in islice(running, 3 * number * 8 // 400):
            found.append(texts.read)
    return found


class Ending:
    """Texts that are there for some epochs, and then no more."""

    def __init__(self, epochs: int) -> None:
        self.epochs, self.most = epochs, 1000

    def __iter__(self) -> Iterator[str]:
        self.epochs -= 1
        self.most -= 1
        if self.most < 0:
            raise RuntimeError("iterated without end")
        return iter(TEXTS if self.epochs >= 0 else [])


def ending(modules: Modules) -> Any:
    """Return what comes of texts that are no more after some epochs."""
    return [attempt(partial(_to_the_end, modules, epochs)) for epochs in (1, 2)]


def _to_the_end(modules: Modules, epochs: int) -> int:
    running = modules["dataloader"].token_batches(Ending(epochs), Letters(300), 1, 4)
    return sum(1 for _ in islice(running, 1000))


def paths(modules: Modules) -> Any:
    """Return the documents of files that are named twice or are not there, and how many are open for one."""
    found: list[Any] = []
    with tempfile.TemporaryDirectory() as folder:
        named = [Path(folder) / f"{number}.txt" for number in range(9)]
        for path in named[:8]:
            path.write_text(f"one of {path.name}\n\ntwo")
        for some in (named[:2], [named[0], named[1], named[0]], named[7:]):
            found.append(attempt(partial(_documents, modules, some)))
        running = iter(modules["dataloader"].TextFiles(named[:8]))
        before = _open_files()
        next(running)
        found.append(_open_files() - before)
        del running
    return found


def _documents(modules: Modules, some: list[Path]) -> list[str]:
    return [text.split("/")[-1] for text in modules["dataloader"].TextFiles(some)]


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
