"""Experiments on the token stream of a submission's loader.

The tokenizer is `WordTokenizer`, and texts are objects that can be iterated and nothing else. A `setup` holds
"documents", "B", "T" and whatever of "rank", "world_size", "bos" and "device" is not as usual. With "least"
the tokenizer has only what a loader may ask for.
"""

from __future__ import annotations

import contextlib
import json
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from specs.probes.elsewhere import other_hashes
from specs.probes.loading import imported
from specs.probes.registry import probe
from specs.probes.shared_settings import changed_by
from specs.probes.traces import usual_defaults
from specs.probes.values import dtype_name, values
from specs.probes.word_tokenizer import ORDINARY, LeastTokenizer, WordTokenizer

Setup = dict[str, Any]
Batch = tuple[Tensor, Tensor, Any]
Arrays = dict[str, list[NDArray[Any]]]

MOST_ITERATIONS = 50_000
MOST_READ = 200_000
"""How often texts may be iterated, and how many read: a search without end ends here, not at a clock."""


class SearchWithoutEnd(Exception):
    """The texts were read over and over."""


class Texts:
    """An iterable of texts that counts how many were read; endless, or soon empty, if it is told so."""

    def __init__(
        self,
        documents: Sequence[str],
        most: int | None = None,
        numbered: bool = False,
        epochs: int | None = None,
    ) -> None:
        self.documents = documents
        self.epochs = epochs
        self.most = most
        self.numbered = numbered
        self.read = 0
        self.iterations = 0

    def __iter__(self) -> Iterator[str]:
        self.iterations += 1
        if self.iterations > MOST_ITERATIONS:
            raise SearchWithoutEnd(f"the texts were iterated {MOST_ITERATIONS} times, which leads nowhere")
        if self.epochs is not None and self.iterations > self.epochs:
            return
        # What is endless for a loader that reads what it needs ends for one that wants to read it all.
        documents = self.documents if self.most is None else islice(cycle(self.documents), self.most)
        for text in documents:
            self.read += 1
            if self.read > MOST_READ:
                raise SearchWithoutEnd(f"{MOST_READ} texts were read, which leads nowhere")
            # A text of its own, so that whoever keeps it holds more.
            yield f"{text}{self.read}" if self.numbered else text


class BytesTokenizer(WordTokenizer):
    """Encodes a text as its bytes, with a hundredth of the objects that Python would have to count."""

    def encode_one(
        self, text: str, prepend: int | str | None = None, append: int | str | None = None
    ) -> list[int]:
        """Return the ids of one text."""
        return [*self._edge(prepend), *text.encode(), *self._edge(append)]


@probe
def batches(setup: Setup, number: int, state: str | None = None) -> Arrays:
    """Return inputs and targets of the first `number` batches, from a state in JSON on if one is given."""
    return arrays(islice(loader(setup, state), number), number)


@probe
def batches_elsewhere(setup: Setup, number: int, state: str) -> Arrays:
    """Return batches from a state that another process has written."""
    with other_hashes():
        return batches(setup, number, state)


@probe
def forms(setup: Setup, number: int) -> list[dict[str, Any]]:
    """Return dtype, shape, place and order in memory of inputs and targets of each batch."""
    found = []
    for batch in islice(loader(setup), number):
        inputs, targets, state = parts(batch)
        kind = "dict" if isinstance(state, dict) else type(state).__name__
        found.append({"inputs": form(inputs), "targets": form(targets), "state": kind})
    return found


@probe
def resumed(setup: Setup, lengths: list[int]) -> Arrays:
    """Return as many batches as `lengths` say, each part by a loader from the state of the part before."""
    whole: Arrays = {"inputs": [], "targets": []}
    state = None
    for length in lengths:
        taken = [parts(batch) for batch in islice(loader(setup, state), length)]
        state = written(taken[-1][2]) if taken else state
        for name, found in arrays(iter(taken), length).items():
            whole[name] += found
    return whole


@probe
def resumed_everywhere(setup: Setup, number: int, following: int) -> list[Arrays]:
    """Return the `following` batches from the state of each of the first `number` batches on."""
    states = [written(parts(batch)[2]) for batch in islice(loader(setup), number)]
    return [batches(setup, following, state) for state in states]


@probe
def states(setup: Setup, number: int) -> dict[str, Any]:
    """Return what the states of `number` batches say when they come and at the end, in JSON.

    And the state of the last, before and after a loader went on from it.
    """
    running = loader(setup)
    held, said = [], []
    for _ in range(number):
        state = parts(next(running, None))[2]
        held.append(state)
        said.append(written(state))
    for _ in range(3):
        next(running)
    at_the_end = [written(state) for state in held]
    given = json.loads(said[-1])
    for _ in islice(make(setup, Texts(setup["documents"]), state=given), 5):
        pass
    return {"said": said, "at_the_end": at_the_end, "given": written(given)}


@probe
def together(setup: Setup, number: int, stride: list[int]) -> list[Arrays]:
    """Return the first `number` batches of every rank; the ranks take turns, `stride` batches at a time."""
    texts = Texts(setup["documents"])
    world_size = setup["world_size"]
    running = [make({**setup, "rank": rank}, texts) for rank in range(world_size)]
    found: list[list[Batch]] = [[] for _ in running]
    turn = cycle(stride)
    while any(len(each) < number for each in found):
        for rank, batch in enumerate(running):
            missing = number - len(found[rank])
            found[rank] += [parts(each) for each in islice(batch, min(next(turn), missing))]
    return [arrays(iter(each), number) for each in found]


@probe
def read_ahead(setup: Setup, number: int, most: int | None) -> list[int]:
    """Return how many texts were read after each of `number` batches.

    The texts are the documents, epoch after epoch, or one epoch of `most` that repeat them.
    """
    texts = Texts(setup["documents"], most)
    counted = []
    for batch in islice(make(setup, texts), number):
        parts(batch)
        counted.append(texts.read)
    # A thread that reads ahead has its time.
    time.sleep(0.02)
    return [*counted[:-1], texts.read]


@probe
def emptied(setup: Setup, epochs: int) -> int:
    """Return how many batches came of texts that are there for so many epochs and then no more."""
    texts = Texts(setup["documents"], epochs=epochs)
    # More than these epochs can hold.
    most = 2 + epochs * sum(2 + len(text.encode()) for text in setup["documents"])
    return sum(1 for batch in islice(make(setup, texts), most) if parts(batch))


@probe
def memory(setup: Setup, numbers: list[int], most: int) -> list[int]:
    """Return the bytes that Python holds after so many batches, from `most` different texts."""
    running = make(setup, Texts(setup["documents"], most, numbered=True), BytesTokenizer())
    found, done = [], 0
    tracemalloc.start()
    try:
        for number in numbers:
            for _ in range(number - done):
                next(running)
            done = number
            found.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    return found


@probe
def kept(setup: Setup, number: int) -> dict[str, Arrays]:
    """Return batches as they came, and what the same tensors hold after all of them have come."""
    running = islice(loader(setup), number)
    held, came = [], []
    for batch in running:
        inputs, targets, state = parts(batch)
        held.append((inputs, targets, state))
        came.append((inputs.clone(), targets.clone(), state))
    return {"came": arrays(iter(came), number), "later": arrays(iter(held), number)}


@probe
def overwritten(setup: Setup, number: int) -> Arrays:
    """Return batches whose inputs are overwritten as soon as they came, then the targets, then the next."""
    found: Arrays = {"inputs": [], "targets": []}
    for batch in islice(loader(setup), number):
        inputs, targets, _ = parts(batch)
        found["inputs"].append(values(inputs, "inputs"))
        inputs.fill_(7)
        found["targets"].append(values(targets, "targets"))
        targets.fill_(-1)
    return found


@probe
def after_an_error(setup: Setup, wrong: Setup, number: int) -> Arrays:
    """Return batches of a loader that shares texts and tokenizer with one whose arguments were refused."""
    texts, tokenizer = Texts(setup["documents"]), WordTokenizer()
    with contextlib.suppress(ValueError):
        next(make({**setup, **wrong}, texts, tokenizer))
    return arrays(islice(make(setup, texts, tokenizer), number), number)


@probe
def traces(setup: Setup, number: int) -> list[str]:
    """Return which of the process's shared settings differ after `number` batches, or between two of them."""

    def load() -> None:
        forms(setup, number)

    waiting = []

    def begin() -> None:
        waiting.append(loader(setup))
        next(waiting[-1])

    with usual_defaults():
        # The first use may set up what is set up once, in torch itself for example.
        load()
        torch.set_default_device(None)
        changed = changed_by(load)
        # Whether gradients are kept by then is not said.
        return changed or [each for each in changed_by(begin) if "gradients" not in each]


def loader(setup: Setup, state: str | None = None, **more: Any) -> Iterator[Any]:
    """Return a loader of its own texts, from a state in JSON on if one is given."""
    if state is not None:
        more["state"] = json.loads(state)
    return make(setup, Texts(setup["documents"]), **more)


def make(setup: Setup, texts: Texts, tokenizer: WordTokenizer | None = None, **more: Any) -> Iterator[Any]:
    """Return the submission's `token_batches` on `texts`; what the setup does not name is left out."""
    more |= {name: setup[name] for name in ("rank", "world_size", "device") if name in setup}
    whole = tokenizer or WordTokenizer(setup.get("bos", ORDINARY))
    given = LeastTokenizer(whole) if setup.get("least") else whole
    running = imported("nanochat.dataloader").token_batches(texts, given, setup["B"], setup["T"], **more)
    return iter(running)


def parts(batch: Any) -> Batch:
    """Return the three parts of what a loader yielded; TypeError if it is something else."""
    if batch is None:
        raise TypeError("token_batches came to an end, but its stream has none")
    if not isinstance(batch, tuple | list) or len(batch) != 3:
        raise TypeError(f"token_batches must yield (inputs, targets, state), got a {type(batch).__name__}")
    inputs, targets, state = batch
    for name, value in (("inputs", inputs), ("targets", targets)):
        if not isinstance(value, Tensor):
            raise TypeError(f"{name} must be a torch.Tensor, got {type(value).__name__}")
    return inputs, targets, state


def arrays(running: Iterator[Any], number: int) -> Arrays:
    """Return `number` batches as arrays; TypeError if there are fewer."""
    found: Arrays = {"inputs": [], "targets": []}
    for _ in range(number):
        inputs, targets, _ = parts(next(running, None))
        found["inputs"].append(values(inputs, "inputs"))
        found["targets"].append(values(targets, "targets"))
    return found


def form(tensor: Tensor) -> dict[str, Any]:
    """Return dtype, shape, device and whether it is contiguous; nothing of its values is read."""
    return {
        "dtype": dtype_name(tensor),
        "shape": list(tensor.shape),
        "contiguous": tensor.is_contiguous(),
        "device": torch.device(tensor.device).type,
    }


def written(state: Any) -> str:
    """Return a state as JSON; TypeError, from `json`, if it holds what is not plain."""
    return json.dumps(state)
