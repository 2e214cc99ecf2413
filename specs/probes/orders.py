"""Many calls in a row, each answered as if it were alone: a call that raises is answered by that.

What goes before what is up to the judge, which asks for the same in other orders.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from specs.probes.dataloader import Texts, arrays, make
from specs.probes.loading import imported
from specs.probes.registry import probe
from specs.probes.tokenizer import Learning, bytes_of_all, learn, plainly
from specs.probes.word_tokenizer import ORDINARY, WordTokenizer

RAISED = "raised"


class ShiftedTokenizer(WordTokenizer):
    """Gives bytes other ids than `WordTokenizer` does, `shift` further on, around the end."""

    def __init__(self, shift: int) -> None:
        super().__init__()
        self._shift = shift

    def encode_one(
        self, text: str, prepend: int | str | None = None, append: int | str | None = None
    ) -> list[int]:
        """Return the ids of one text."""
        ids = [(token + self._shift) % ORDINARY for token in super().encode_one(text)]
        return [*self._edge(prepend), *ids, *self._edge(append)]


def outcome(ask: Callable[..., Any], *arguments: Any) -> Any:
    """Return what `ask` returns, or that it raised: what, is the business of other laws."""
    try:
        return ask(*arguments)
    except Exception:  # noqa: BLE001  # as above
        return RAISED


@probe
def tokenizer(learning: Learning, calls: list[dict[str, Any]]) -> list[Any]:
    """Return what one tokenizer answers: a call is a "method", its "arguments" and, if need be, "options"."""
    asked = learn(learning)

    def answer(call: dict[str, Any]) -> Any:
        arguments = copy.deepcopy(call["arguments"])
        return plainly(copy.deepcopy(getattr(asked, call["method"])(*arguments, **call.get("options", {}))))

    return [outcome(answer, call) for call in calls]


@probe
def trainings(calls: list[dict[str, Any]]) -> list[Any]:
    """Return the bytes of what is learned: a call holds "texts" and "vocab_size", and "breaks" after some."""
    kind = imported("nanochat.tokenizer").RustBPETokenizer

    def texts(call: dict[str, Any]) -> Iterator[str]:
        yield from call["texts"][: call.get("breaks")]
        if "breaks" in call:
            raise OSError("a file of texts went away")

    def answer(call: dict[str, Any]) -> Any:
        learned = kind.train_from_iterator(texts(call), call["vocab_size"])
        size = learned.get_vocab_size()
        return [size, bytes_of_all(learned, range(256, size))]

    return [outcome(answer, call) for call in calls]


@probe
def loaders(calls: list[dict[str, Any]]) -> list[Any]:
    """Return the first batches of loaders: a call holds a "setup", the "shift" of its ids, and a "number"."""

    def answer(call: dict[str, Any]) -> Any:
        setup = call["setup"]
        running = make(setup, Texts(setup["documents"]), ShiftedTokenizer(call["shift"]))
        got = arrays(islice(running, call["number"]), call["number"])
        return {name: [each.tolist() for each in found] for name, found in got.items()}

    return [outcome(answer, call) for call in calls]


@probe
def files(rounds: list[list[bytes]]) -> list[Any]:
    """Return the documents of one `TextFiles` in each round: its files have other contents in each."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{place}.txt" for place in range(len(rounds[0]))]
        _write(paths, rounds[0])
        texts = imported("nanochat.dataloader").TextFiles(paths)
        found = []
        for contents in rounds:
            _write(paths, contents)
            found.append([str(text) for text in texts])
        return found


def _write(paths: list[Path], contents: list[bytes]) -> None:
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)


@probe
def in_parts(setup: dict[str, Any], lengths: list[int]) -> Any:
    """Return the batches of one loader that is taken by loops of these lengths, with a `next` before each."""
    texts = Texts(setup["documents"])
    # Not by `make`, which asks for an iterator: whether there is one stream is the question.
    running = imported("nanochat.dataloader").token_batches(texts, WordTokenizer(), setup["B"], setup["T"])
    taken = []
    for length in lengths:
        taken.append(next(running))
        if length:
            for place, batch in enumerate(running, 1):
                taken.append(batch)
                if place == length:
                    break
    return arrays(iter(taken), len(taken))
