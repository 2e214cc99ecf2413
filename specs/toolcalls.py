"""Rows that call the calculator: how a law says what they must become, and asks an engine for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from specs.compare import expect, expect_equal, quoted
from specs.oracles import engine
from specs.oracles.engine import Path
from specs.probe import Probe
from specs.probes.byte_tokenizer import ByteTokenizer
from specs.streams import full_rows

TOKENIZER = ByteTokenizer()
BOS = TOKENIZER.get_bos_token_id()
ASSISTANT_END = TOKENIZER.encode_special("<|assistant_end|>")
PYTHON_START = TOKENIZER.encode_special("<|python_start|>")
PYTHON_END = TOKENIZER.encode_special("<|python_end|>")
OUTPUT_START = TOKENIZER.encode_special("<|output_start|>")
OUTPUT_END = TOKENIZER.encode_special("<|output_end|>")
TERMINALS = (ASSISTANT_END, BOS)

LENGTH = 400
"""Tokens of the context: more than any row here needs, unless a law is about the context."""

REST = list(b"....")
"""What the model says when the part of a path that is compared is over."""


@dataclass(frozen=True)
class Call:
    """A python block: the ids of its expression, and the text that must be forced, None for nothing."""

    ids: tuple[int, ...]
    result: str | None
    junk: tuple[int, ...] = ()
    """What an open block holds before <|python_start|> comes once more and begins it anew."""


Segment = Call | list[int]
"""A part of a row: a call, or text of other tokens."""


def call(expression: str, result: str | None, *, as_bytes: bool = False) -> Call:
    """Return the block of an expression, cut into the tokenizer's tokens or into single bytes."""
    ids = list(expression.encode()) if as_bytes else TOKENIZER.encode_one(expression)
    return Call(tuple(ids), result)


def path_of(parts: Sequence[Segment]) -> Path:
    """Return the path of a row made of texts and calls."""
    path = Path()
    for part in parts:
        if isinstance(part, list):
            path.sample(part)
            continue
        if part.junk:
            path.sample([PYTHON_START, *part.junk])
        path.sample([PYTHON_START, *part.ids, PYTHON_END])
        if part.result is not None:
            path.force([OUTPUT_START, *TOKENIZER.encode_one(part.result), OUTPUT_END])
    return path


def script_of(paths: Sequence[Path], rest: Sequence[int] = REST) -> dict[str, Any]:
    """Return the script of a model on these paths, which says `rest` at their end."""
    return {"paths": [([*path.tokens, *rest], [*path.says, *rest]) for path in paths]}


def generate(
    probe: Probe, paths: Sequence[Path], prompt: Sequence[int] = (BOS,), **options: Any
) -> tuple[list[list[int]], list[list[int]]]:
    """Return columns and masks of a stream long enough for every path, with a few tokens to spare."""
    most = max(len(path.tokens) for path in paths) + 2
    longer = [len(path.tokens) for path in paths]
    # Short paths go on with text until the longest is over.
    rest = [ord(".")] * (most - min(longer) + 4)
    return streamed(
        probe, script_of(paths, rest), {"temperature": 0.0, "max_tokens": most, **options}, prompt=prompt
    )


def streamed(
    probe: Probe,
    script: dict[str, Any],
    options: dict[str, Any],
    prompt: Sequence[int] = (BOS,),
    sequence_len: int = LENGTH,
    spellings: Sequence[tuple[str, list[int]]] = (),
) -> tuple[list[list[int]], list[list[int]]]:
    """Return columns and masks of a stream; `spellings` are texts and the ids that they are encoded as."""
    (got,) = probe(
        "generation.stream",
        prompt=list(prompt),
        script=script,
        options=options,
        sequence_len=sequence_len,
        spellings=list(spellings),
    )
    count = options.get("num_samples", 1)
    return columns_of(got["tokens"], count), columns_of(got["masks"], count)


def batch(
    probe: Probe,
    paths: Sequence[Path],
    prompt: Sequence[int] = (BOS,),
    rest: Sequence[int] | None = None,
    **options: Any,
) -> tuple[list[list[int]], list[list[int]]]:
    """Return what generate_batch adds to the prompt, and its masks, with a limit as in `generate`."""
    most = max(len(path.tokens) for path in paths) + 2
    if rest is None:
        rest = [ord(".")] * (most + 4)
    got = probe(
        "generation.batch",
        prompt=list(prompt),
        script=script_of(paths, rest),
        options={"temperature": 0.0, "max_tokens": most, **options},
        sequence_len=LENGTH,
    )
    tokens, masks = full_rows(got, options.get("num_samples", 1))
    # That the prompt is there, with mask 0, is the business of another criterion.
    count = len(prompt)
    starts = [count if row[:count] == list(prompt) else 0 for row in tokens]
    rows = [row[start:] for row, start in zip(tokens, starts, strict=True)]
    return rows, [row[start:] for row, start in zip(masks, starts, strict=True)]


def columns_of(columns: Any, num_samples: int) -> list[list[int]]:
    """Return the columns of a stream; LawBroken unless each is a list with an integer for every row."""
    for step, column in enumerate(columns):
        expect(
            isinstance(column, list)
            and len(column) == num_samples
            and all(type(entry) is int for entry in column),
            f"column {step} is {quoted(column)}, want a list of {num_samples} integers",
        )
    found: list[list[int]] = columns
    return found


def row_of(columns: Sequence[Sequence[int]], index: int) -> list[int]:
    """Return what a row shows in all columns."""
    return [column[index] for column in columns]


def expect_path(columns: Sequence[Sequence[int]], index: int, path: Path, what: str, also: str = "") -> None:
    """Require a row to begin with the tokens of `path`."""
    row = engine.row(columns, index, TERMINALS)[: len(path.tokens)]
    expect_equal(spelled(row), spelled(path.tokens), what, also)


def expect_masks(masks: Sequence[Sequence[int]], index: int, path: Path, what: str) -> None:
    """Require the masks of a row to be those of `path`."""
    got = row_of(masks, index)[: len(path.masks)]
    expect_equal(got, path.masks, f"the masks of {what}, {spelled(path.tokens)}")


def spelled(ids: Any) -> list[str]:
    """Return ids as the texts of their tokens, for messages and for comparing what is not sure to be ids."""
    size = TOKENIZER.get_vocab_size()
    return [
        TOKENIZER.id_to_token(i) if type(i) is int and 0 <= i < size else f"{quoted(i)}, no token"
        for i in ids
    ]
