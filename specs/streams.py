"""Streams of an engine, as the laws about generation ask for them and read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from specs.compare import broken, expect, expect_equal, quoted
from specs.oracles import engine
from specs.oracles.engine import Path
from specs.probes import scripts
from specs.probes.byte_tokenizer import ByteTokenizer

TOKENIZER = ByteTokenizer()

SIZE = TOKENIZER.get_vocab_size()

BOS = TOKENIZER.get_bos_token_id()

ASSISTANT_END = TOKENIZER.encode_special("<|assistant_end|>")

TERMINALS = (ASSISTANT_END, BOS)

TEXT_IDS = 251
"""The hashed script names ids below this: bytes, neither special nor terminal."""

prompts = st.lists(st.one_of(st.integers(0, 255), st.sampled_from([BOS, ASSISTANT_END])), max_size=9).map(
    lambda ids: [BOS, *ids]
)
"""A conversation may have turns that ended, and may have ended with one."""

row_counts = st.sampled_from([1, 2, 3, 5])


def following(texts: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Return the script of a model that says one of `texts`, each as likely as the others."""
    paths = [Path().sample(list(text)) for text in texts]
    return {"paths": [(path.tokens, path.says) for path in paths]}


def full_columns(stream: Any, num_samples: int) -> list[list[int]]:
    """Return the token columns of a stream whose columns and masks all hold `num_samples` integers."""
    for name in ("tokens", "masks"):
        for step, column in enumerate(stream[name]):
            expect(
                isinstance(column, list)
                and len(column) == num_samples
                and all(type(entry) is int for entry in column),
                f"the {name} of column {step} are {quoted(column)}, want a list of {num_samples} integers",
            )
    columns: list[list[int]] = stream["tokens"]
    return columns


def full_rows(batch: Any, num_samples: int) -> tuple[list[list[int]], list[list[int]]]:
    """Return the rows and masks of generate_batch, which must be one list of integers a row."""
    for name in ("tokens", "masks"):
        expect(
            isinstance(batch[name], list)
            and len(batch[name]) == num_samples
            and all(
                isinstance(row, list) and all(type(entry) is int for entry in row) for row in batch[name]
            ),
            f"generate_batch returned {quoted(batch[name])} as {name}, want {num_samples} lists of integers",
        )
    return batch["tokens"], batch["masks"]


def expect_said(
    columns: Sequence[Sequence[int]], prompt: Sequence[int], choices: int, ids: int = TEXT_IDS
) -> None:
    """Require each token to be one that the hashed script says after the prompt and its row's tokens."""
    for i in range(len(columns[0]) if columns else 0):
        text = list(prompt)
        for step, column in enumerate(columns):
            said = scripts.hashed(text, choices, ids)
            expect(
                column[i] in said,
                f"token {step} of row {i} is {column[i]}; after {quoted(text)} the model says {quoted(said)}",
            )
            text.append(column[i])


def expect_batch(both: Any, num_samples: int, prompt: Sequence[int], what: str) -> None:
    """Require the rows of generate_batch to be the prompt and what generate yields for each before its end.

    `both` is an answer of the probe `streams.both_ways`.
    """
    columns = full_columns(both["stream"], num_samples)
    for i, (row, row_masks) in enumerate(zip(*full_rows(both["batch"], num_samples), strict=True)):
        text = engine.row(columns, i, TERMINALS)
        expect_equal(row, [*prompt, *text], f"row {i} of {num_samples} of generate_batch with {what}")
        masks = [column[i] for column in both["stream"]["masks"]][: len(text)]
        expect_equal(row_masks, [0] * len(prompt) + masks, f"the masks of row {i} with {what}")


def one_of(row: list[int], texts: Sequence[Sequence[int]], what: str) -> Sequence[int]:
    """Return the one of `texts` that `row` is, terminals left out; LawBroken if it is none."""
    wanted = {tuple(token for token in text if token not in TERMINALS): text for text in texts}
    if tuple(row) not in wanted:
        broken(f"{what} is {quoted(row)}, want one of {quoted([list(text) for text in wanted])}")
    return wanted[tuple(row)]
