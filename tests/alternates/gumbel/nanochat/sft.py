"""Fine-tuning batches in tensors made for them, prepared one batch ahead of the one that is asked for."""

from __future__ import annotations

import torch


def sft_batches(conversations, tokenizer, batch_size, max_tokens=2048, *, device="cpu"):
    if batch_size < 1:
        raise ValueError(f"batch_size must not be {batch_size}: 1 is the least")
    stream = iter(conversations)
    ready = prepared(stream, tokenizer, batch_size, max_tokens)
    while ready is not None:
        following = prepared(stream, tokenizer, batch_size, max_tokens)
        yield tuple(part.to(device) for part in ready)
        ready = following


def prepared(stream, tokenizer, batch_size, max_tokens):
    """Return the batch of the next conversations, or None if there are no more."""
    rows = []
    for conversation in stream:
        rows.append(tokenizer.render_conversation(conversation, max_tokens=max_tokens))
        if len(rows) == batch_size:
            break
    if not rows:
        return None
    columns = max(len(ids) for ids, _ in rows) - 1
    inputs = torch.full((len(rows), columns), 3, dtype=torch.int32)
    targets = torch.full((len(rows), columns), -1, dtype=torch.int64)
    for row, (ids, mask) in enumerate(rows):
        tokens, counts = torch.tensor(ids), torch.tensor(mask, dtype=torch.bool)
        inputs[row, : len(ids) - 1] = tokens[:-1]
        targets[row, : len(ids) - 1] = tokens[1:].masked_fill(~counts[1:], -1)
    return inputs, targets
