"""Witnesses of bugs in the data loader, its text files and their split."""

from __future__ import annotations

import copy
import json
import tempfile
import tracemalloc
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from grader.bugs.witnesses.setting import Modules, attempt

CORPORA = (
    ["ab", "", "c", "defgh"],
    ["one", "two and", "three", "", "five in a row", " ", "seven"],
    [f"text {number}" + "." * (number % 5) for number in range(23)],
    ["a" * 9000, "b"],
    ["A\tb\r\n", "c\x00d", "e\r\nf\r\n"],
)
SIZES = ((1, 2), (2, 3), (3, 8), (4, 64))


class Letters:
    """A tokenizer whose ids are the bytes of a text; where `<|bos|>` lies is chosen."""

    def __init__(self, bos: int) -> None:
        self.bos = bos

    def get_bos_token_id(self) -> int:
        """Return the id of `<|bos|>`."""
        return self.bos

    def encode(self, text: str, prepend: int | None = None) -> list[int]:
        """Return the bytes of a text, one id in front if asked for."""
        return ([] if prepend is None else [prepend]) + list(text.encode())


class Repeating:
    """Texts that give up after they were iterated often, and count what was read."""

    def __init__(self, texts: Sequence[str], most: int = 3000) -> None:
        self.texts, self.most, self.read = texts, most, 0

    def __iter__(self) -> Iterator[str]:
        self.most -= 1
        if self.most < 0:
            raise RuntimeError("iterated without end")
        for text in self.texts:
            self.read += 1
            yield text


def taken(
    modules: Modules, texts: Iterable[str], size: tuple[int, int], number: int, bos: int = 300, **more: Any
) -> Any:
    """Return the first batches as lists of ids with their states."""
    running = modules["dataloader"].token_batches(texts, Letters(bos), *size, **more)
    return [(x.tolist(), y.tolist(), dict(state)) for x, y, state in islice(running, number)]


def stream(modules: Modules) -> Any:
    """Return batches of several corpora."""
    return [
        attempt(
            lambda: [(x, y) for x, y, _ in taken(modules, Repeating(texts), size, 40, bos)]  # noqa: B023  # called at once
        )
        for texts in CORPORA
        for size in SIZES
        for bos in (300, 70_000)
    ]


def forms(modules: Modules) -> Any:
    """Return the dtypes and shapes of batches."""
    found = []
    for texts in CORPORA[:2]:
        for size in SIZES:
            running = modules["dataloader"].token_batches(texts, Letters(300), *size)
            found += [
                (str(x.dtype), str(y.dtype), list(x.shape), list(y.shape)) for x, y, _ in islice(running, 2)
            ]
    return found


def devices(modules: Modules) -> Any:
    """Return where batches lie that are asked for on torch's device without memory."""
    found = []
    for texts in CORPORA[:2]:
        for size in SIZES[:2]:
            running = modules["dataloader"].token_batches(texts, Letters(300), *size, device="meta")
            found += [(x.device.type, y.device.type) for x, y, _ in islice(running, 2)]
    return found


def ranks(modules: Modules) -> Any:
    """Return what several ranks read."""
    found = []
    for texts in CORPORA[1:3]:
        for world_size in (2, 3, 5):
            for rank in range(world_size):
                batches = attempt(
                    lambda: taken(modules, Repeating(texts), (1, 9), 30, rank=rank, world_size=world_size)  # noqa: B023  # called at once
                )
                found.append(batches if isinstance(batches, str) else [x for x, _, _ in batches])
    return found


def resume(modules: Modules) -> Any:
    """Return what comes after the states of many batches."""
    found = []
    for texts in CORPORA[:3]:
        for size in SIZES[:3]:
            states = [state for *_, state in taken(modules, Repeating(texts), size, 12)]
            for state in states:
                again = attempt(lambda: taken(modules, Repeating(texts), size, 20, state=state))  # noqa: B023  # called at once
                found.append(again if isinstance(again, str) else [x for x, _, _ in again])
    for rank in range(2):
        share = {"rank": rank, "world_size": 2}
        for *_, state in taken(modules, CORPORA[2], (2, 8), 12, **share):
            found.append([x for x, _, _ in taken(modules, CORPORA[2], (2, 8), 3, state=state, **share)])
    return found


def states(modules: Modules) -> Any:
    """Return whether states differ from what they were when they came."""
    found: list[Any] = []
    for texts in CORPORA[:3]:
        running = modules["dataloader"].token_batches(texts, Letters(300), 2, 3)
        held, said = [], []
        for _, _, state in islice(running, 6):
            held.append(state)
            said.append(json.dumps(state))
        found.append([json.dumps(state) == text for state, text in zip(held, said, strict=True)])
        given = copy.deepcopy(json.loads(said[2]))
        list(islice(modules["dataloader"].token_batches(texts, Letters(300), 2, 3, state=given), 3))
        found.append([json.dumps(given) == said[2]])
        # Rounded, because the numbers in a state get longer, too.
        found.append(len(json.dumps(taken(modules, texts, (2, 3), 300)[-1][2])) // 200)
    return found


def kept(modules: Modules) -> Any:
    """Return what batches hold when others have come after them."""
    found = []
    for texts in CORPORA[:3]:
        for size in SIZES[:2]:
            running = modules["dataloader"].token_batches(texts, Letters(300), *size)
            found += [(x.tolist(), y.tolist()) for x, y, _ in list(islice(running, 5))]
    return found


def reading(modules: Modules) -> Any:
    """Return how many texts were read for a batch."""
    found = []
    for size in SIZES[:3]:
        texts = Repeating([f"text {number}" for number in range(5000)])
        taken(modules, texts, size, 3)
        found.append(texts.read)
    return found


def holding(modules: Modules) -> Any:
    """Return how many half megabytes Python holds after many batches of different texts."""
    found = []
    for size in ((4, 256), (8, 128)):
        texts = (f"text {number} of many" + "." * 60 for number in range(100_000))
        running = modules["dataloader"].token_batches(texts, Letters(300), *size)
        next(running)
        tracemalloc.start()
        for _ in islice(running, 300):
            pass
        found.append(tracemalloc.get_traced_memory()[0] // 500_000)
        tracemalloc.stop()
    return found


def traces(modules: Modules) -> Any:
    """Return what torch draws after batches were yielded."""
    found = []
    for seed in (3, 4):
        torch.manual_seed(seed)
        taken(modules, CORPORA[0], (2, 3), 2)
        found.append(torch.rand(3).tolist())
    return found


def splitting(modules: Modules) -> Any:
    """Return how many texts were read for the first of each part."""
    found = []
    for every in (2, 5):
        for part in range(2):
            texts = Repeating(["text"] * 500)
            list(islice(modules["dataloader"].split_texts(texts, every)[part], 2))
            found.append(texts.read)
    return found


def separators(modules: Modules) -> Any:
    """Return the documents of files that hold characters at which a line ends elsewhere."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "separators.txt"
        for content in ("one\x0cpage", "a\x85b\u2028c\n\nd", "\x1ce"):
            path.write_bytes(content.encode())
            found.append(list(modules["dataloader"].TextFiles([path])))
    return found


def refusals(modules: Modules) -> Any:
    """Return what arguments without sense, and ranks without documents, lead to."""
    wrong: list[dict[str, Any]] = [
        {"size": (0, 3)},
        {"size": (2, 0)},
        {"size": (-1, 2)},
        {"world_size": 0},
        {"rank": 3, "world_size": 2},
        {"rank": -1},
        {"rank": 6, "world_size": 9},
    ]
    return [
        attempt(lambda: len(taken(modules, Repeating(CORPORA[0]), number=1, **{"size": (2, 3), **one})))  # noqa: B023  # called at once
        for one in wrong
    ] + [
        attempt(lambda: len(taken(modules, Repeating([]), (1, 1), 1))),
        *(attempt(lambda: len(modules["dataloader"].split_texts(["a"], every))) for every in (1, 0, -2)),  # noqa: B023  # as above
    ]


CONTENTS = (
    "one\ntwo\n\nthree",
    "\n\n  one\n\ttwo \n \nthree\n\n\n",
    "one\r\ntwo\r\n\r\nthree\r\n",
    "",
    "é" * 9000 + "\n\nend\n",
    "one\n# two\n---\n<!-- three -->\n> four\n",
)


def files(modules: Modules) -> Any:
    """Return the documents of text files, in two passes."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.txt" for number in range(len(CONTENTS))]
        for path, content in zip(paths, CONTENTS, strict=True):
            path.write_bytes(content.encode())
        for some in (paths, paths[2:], paths[:1]):
            texts = modules["dataloader"].TextFiles(some)
            found += [attempt(lambda: list(texts)) for _ in range(2)]  # noqa: B023  # called at once
    return found


def large_files(modules: Modules) -> Any:
    """Return by how many megabytes Python's peak is larger for a large file than for a small one."""
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.txt"
        for number in (500, 10_000):
            path.write_text(("one line of a document\n" * 20 + "\n") * number, encoding="utf-8")
            tracemalloc.start()
            list(islice(modules["dataloader"].TextFiles([path]), 3))
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    return round((peaks[1] - peaks[0]) / 1e6)


def parts(modules: Modules) -> Any:
    """Return the parts of several texts, each iterated twice."""
    found = []
    for texts in CORPORA:
        for every in (2, 3, 5, 20):
            both = modules["dataloader"].split_texts(texts, every)
            found += [[list(part) for part in both] for _ in range(2)]
    return found
