"""Fine-tuning: conversations as batches whose targets are what the assistant must produce.

Training on them is `nanochat.train.train_step` like any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Protocol

import torch
from torch import Tensor

IGNORED_TARGET = -1
# Any id of the vocabulary will do: nothing is learned where it stands, and nothing before it sees it.
PADDING_ID = 0

Conversation = dict[str, Any]


class Renderer(Protocol):
    """The part of a tokenizer that is needed here."""

    def render_conversation(
        self, conversation: Conversation, max_tokens: int = 2048
    ) -> tuple[list[int], list[int]]:
        """Return the ids of a conversation and its mask, 1 on what the assistant must produce."""
        ...


def sft_batches(
    conversations: Iterable[Conversation],
    tokenizer: Renderer,
    batch_size: int,
    max_tokens: int = 2048,
    *,
    device: str | torch.device = "cpu",
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (inputs, targets), int32 and int64, (rows, columns): a row is a conversation, in their order.

    The last batch has what is left. Raises ValueError, with the first batch, if `batch_size` is below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size} and must be at least 1")
    rows = (supervised_row(conversation, tokenizer, max_tokens) for conversation in conversations)
    while batch := list(islice(rows, batch_size)):
        columns = max(len(inputs) for inputs, _ in batch)
        inputs = [padded(inputs, columns, PADDING_ID) for inputs, _ in batch]
        targets = [padded(targets, columns, IGNORED_TARGET) for _, targets in batch]
        yield (
            torch.tensor(inputs, dtype=torch.int32, device=device),
            torch.tensor(targets, dtype=torch.int64, device=device),
        )


def supervised_row(
    conversation: Conversation, tokenizer: Renderer, max_tokens: int
) -> tuple[list[int], list[int]]:
    """Return the inputs and targets of a conversation: each id's target is the one that follows it.

    What counts is the mask of the target, not that of the input: the first token of an answer is produced at
    `<|assistant_start|>`, whose own mask is 0.
    """
    ids, mask = tokenizer.render_conversation(conversation, max_tokens=max_tokens)
    inputs = ids[:-1]
    targets = [
        IGNORED_TARGET if is_supervised else target
        for target, is_supervised in zip(ids[1:], mask[1:], strict=True)
    ]
    return inputs, targets


def padded(values: list[int], columns: int, padding: int) -> list[int]:
    """Return the values with as many `padding` behind them as make `columns`."""
    return values + [padding] * (columns - len(values))
