"""What the laws of the data loader share: documents to draw, and comparisons with the stream's oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from specs.compare import broken, expect, quoted
from specs.comparison import of_arrays
from specs.oracles import stream
from specs.probes.byte_tokenizer import SPECIAL
from specs.probes.word_tokenizer import ORDINARY, WordTokenizer

Setup = dict[str, Any]

FILLER = "the quick brown fox jumps over ab é lazy dogs... and back again, the other way around. "

short_texts = st.text(alphabet="abc é🙂\n<|", max_size=7)

long_texts = st.integers(20, 90).map(lambda length: (FILLER * 2)[:length])

texts = st.one_of(short_texts, short_texts, long_texts, st.just(""), st.sampled_from(SPECIAL))

corpora = st.lists(texts, min_size=1, max_size=9)

sizes = st.tuples(st.sampled_from([1, 2, 3, 5]), st.sampled_from([1, 2, 3, 7, 8, 16]))
"""(B, T)."""

BOS_IDS = [ORDINARY, 0, 50_000, 100_000, 2**24 + 1]
"""The least, which is no truth value either, and what 15 bits, 16 bits and a float32 do not hold."""


def setup(documents: list[str], size: tuple[int, int], **more: Any) -> Setup:
    """Return the setup of a loader, as the probes take it."""
    return {"documents": documents, "B": size[0], "T": size[1], **more}


def encoded(setup: Setup) -> list[list[int]]:
    """Return the documents of a setup as ids, `<|bos|>` in front."""
    tokenizer = WordTokenizer(setup.get("bos", ORDINARY))
    bos = tokenizer.get_bos_token_id()
    return [tokenizer.encode_one(text, prepend=bos) for text in setup["documents"]]


def wanted(setup: Setup, number: int, first: int = 0) -> dict[str, NDArray[np.int64]]:
    """Return inputs and targets, (number, B, T) each, that a loader must yield from batch `first` on."""
    inputs, targets = stream.batches(
        encoded(setup),
        setup["B"],
        setup["T"],
        number,
        setup.get("rank", 0),
        setup.get("world_size", 1),
        first,
    )
    return {"inputs": inputs, "targets": targets}


def shaped(got: Any, setup: Setup, number: int, name: str, what: str) -> NDArray[Any]:
    """Return the answered arrays `name` as one, (number, B, T). Raises LawBroken if they are none."""
    found = got[name]
    for index, array in enumerate(found):
        if not isinstance(array, np.ndarray) or array.shape != (setup["B"], setup["T"]):
            shape = array.shape if isinstance(array, np.ndarray) else quoted(array)
            broken(f"{what}: {name} of batch {index} have the shape {shape}, want {(setup['B'], setup['T'])}")
    expect(len(found) == number, f"{what}: got {len(found)} batches, want {number}")
    return np.stack(found)


def expect_batches(
    got: Any,
    setup: Setup,
    number: int,
    what: str,
    first: int = 0,
    names: tuple[str, ...] = ("inputs", "targets"),
) -> None:
    """Require `number` batches that are those of the stream from batch `first` on. Raises LawBroken."""
    want = wanted(setup, number, first)
    for name in names:
        array = shaped(got, setup, number, name, what)
        wrong = array != want[name]
        if not wrong.any():
            continue
        batch, row, column = (int(index) for index in np.argwhere(wrong)[0])
        place = ((first + batch) * setup["B"] + row) * setup["T"] + column + (name == "targets")
        first_wrong = [int(wrong.argmax())]
        seen = of_arrays(
            array.ravel(), want[name].ravel(), wrong.ravel(), first_wrong, f"id {place}", ["position"]
        )
        broken(
            f"{what}: {name} differ first in batch {first + batch}, row {row}, column {column}, which is "
            f"id {place} of the stream: got {array[batch, row, column]}, "
            f"want {want[name][batch, row, column]}. "
            f"That row: got {quoted(array[batch, row].tolist())}, want "
            f"{quoted(want[name][batch, row].tolist())}. {length_of_epoch(setup)}",
            seen,
        )


def length_of_epoch(setup: Setup) -> str:
    """Say how long an epoch of a rank is and what its documents are: that often names the cause."""
    rank, world_size = setup.get("rank", 0), setup.get("world_size", 1)
    lengths = [len(ids) for ids in stream.share(encoded(setup), rank, world_size)]
    whose = f"of rank {rank} of {world_size} " if world_size > 1 else ""
    return f"An epoch {whose}has {sum(lengths)} ids, in documents of {quoted(lengths)}, <|bos|> included."
