"""Experiments on text files and on the split of texts, in a folder that is deleted afterwards."""

from __future__ import annotations

import contextlib
import tempfile
import tracemalloc
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from specs.probes.dataloader import Arrays, Texts, arrays
from specs.probes.loading import imported
from specs.probes.registry import probe
from specs.probes.shared_settings import changed_by
from specs.probes.traces import resources, usual_defaults
from specs.probes.word_tokenizer import WordTokenizer


@probe
def documents(contents: list[bytes], passes: int = 1, as_text: bool = False) -> list[list[str]]:
    """Return the documents of files with these contents, once for each pass over one `TextFiles`."""
    with files(contents) as paths:
        texts = imported("nanochat.dataloader").TextFiles([str(path) if as_text else path for path in paths])
        return [[plain(text) for text in texts] for _ in range(passes)]


@probe
def alternating(contents: list[bytes]) -> list[list[str]]:
    """Return the documents of two iterations over one `TextFiles` that take turns."""
    with files(contents) as paths:
        texts = imported("nanochat.dataloader").TextFiles(paths)
        both = [iter(texts), iter(texts)]
        found: list[list[str]] = [[], []]
        going = True
        while going:
            going = False
            for each, running in zip(found, both, strict=True):
                for text in islice(running, 1):
                    each.append(plain(text))
                    going = True
        return found


@probe
def repeated(contents: list[bytes], order: list[int]) -> list[str]:
    """Return the documents of files that are named in this order, some of them more than once."""
    with files(contents) as paths:
        texts = imported("nanochat.dataloader").TextFiles([paths[place] for place in order])
        return [plain(text) for text in texts]


@probe
def missing(contents: list[bytes], place: int) -> list[str]:
    """Return the documents of files one of which is not there."""
    with files(contents) as paths:
        paths[place].unlink()
        return [plain(text) for text in imported("nanochat.dataloader").TextFiles(paths)]


@probe
def open_files(contents: list[bytes], passes: int) -> dict[str, Any]:
    """Return how many files are open before, at most while, and after the documents are read some times."""
    with files(contents) as paths:
        before = resources()["open files"]
        texts = imported("nanochat.dataloader").TextFiles(paths)
        most, number = 0, 0
        for _ in range(passes):
            for _ in texts:
                number += 1
                most = max(most, int(str(resources()["open files"])))
        return {"before": before, "most": most, "after": resources()["open files"], "documents": number}


@probe
def traces(contents: list[bytes], documents: list[str]) -> list[str]:
    """Return which settings that all share are changed by reading files, and by splitting texts."""
    module = imported("nanochat.dataloader")

    def read() -> None:
        list(module.TextFiles(paths))
        for part in module.split_texts(Texts(documents), 2):
            list(part)

    with files(contents) as paths, usual_defaults():
        return changed_by(read)


@probe
def peaks(line: str, lines: int, times: list[int]) -> list[dict[str, int]]:
    """Return for files of `times` documents, of `lines` lines each, how many there were and Python's peak."""
    document = (line + "\n") * lines + "\n"
    found = []
    for number in times:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "large.txt"
            with path.open("w", encoding="utf-8", newline="") as file:
                for _ in range(number):
                    file.write(document)
            texts = imported("nanochat.dataloader").TextFiles([path])
            tracemalloc.start()
            try:
                counted = sum(1 for _ in texts)
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
        found.append({"documents": counted, "peak": peak})
    return found


@probe
def split(texts: list[str], every: int | None, order: list[str]) -> list[list[str]]:
    """Return what training and validation hold, each time that `order` names one of them."""
    more = {} if every is None else {"every": every}
    training, validation = imported("nanochat.dataloader").split_texts(Texts(texts), **more)
    return [[plain(text) for text in (training if name == "training" else validation)] for name in order]


@probe
def split_alternating(texts: list[str], every: int) -> list[list[str]]:
    """Return training and validation, iterated in turns and each in two iterations at a time."""
    both = imported("nanochat.dataloader").split_texts(Texts(texts), every)
    running = [iter(part) for part in (*both, *both)]
    found: list[list[str]] = [[] for _ in running]
    for _ in range(len(texts) + 1):
        for each, part in zip(found, running, strict=True):
            each += [plain(text) for text in islice(part, 1)]
    return found


@probe
def split_ahead(every: int, number: int, most: int) -> list[int]:
    """Return how many texts were read for the first `number` of training, then for those of validation."""
    counted = []
    for which in range(2):
        texts = Texts(["a text"], most)
        part = imported("nanochat.dataloader").split_texts(texts, every)[which]
        taken = list(islice(part, number))
        counted.append(texts.read if len(taken) == number else -1)
    return counted


@probe
def split_memory(every: int, numbers: list[int]) -> dict[str, list[int]]:
    """Return the bytes that Python holds when so many texts were read for each part."""
    found: dict[str, list[int]] = {}
    for which, name in enumerate(("training", "validation")):
        texts = Texts(["a text of some length, " * 45], numbers[-1], numbered=True)
        running = iter(imported("nanochat.dataloader").split_texts(texts, every)[which])
        tracemalloc.start()
        try:
            found[name] = []
            for number in numbers:
                while texts.read < number and next(running, None) is not None:
                    pass
                found[name].append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
    return found


@probe
def batches(contents: list[bytes], every: int, B: int, T: int, number: int) -> list[Arrays]:
    """Return batches of both parts of text files, from files to tokens."""
    module = imported("nanochat.dataloader")
    with files(contents) as paths:
        both = module.split_texts(module.TextFiles(paths), every)
        return [arrays(iter(module.token_batches(part, WordTokenizer(), B, T)), number) for part in both]


@contextlib.contextmanager
def files(contents: list[bytes]) -> Iterator[list[Path]]:
    """Write the contents into files, whose names do not sort as they stand, and delete them afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{len(contents) - number}.txt" for number in range(len(contents))]
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content)
        yield paths


def plain(text: Any) -> Any:
    """Return a text as it is, and the name of the type of anything else."""
    return text if type(text) is str else f"a {type(text).__name__}"
