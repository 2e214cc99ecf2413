"""Fine-tuning batches whose number of columns is a multiple of eight."""

from __future__ import annotations

import torch


def sft_batches(conversations, tokenizer, batch_size, max_tokens=2048, *, device="cpu"):
    if not batch_size >= 1:
        raise ValueError(f"batch_size: got {batch_size}, want 1 or more")
    held = []
    for conversation in conversations:
        held.append(tokenizer.render_conversation(conversation, max_tokens=max_tokens))
        if len(held) == batch_size:
            yield collated(held, device)
            held = []
    if held:
        yield collated(held, device)


def collated(rows, device):
    """Return (inputs, targets) of rendered rows, filled in one token at a time."""
    columns = -(-max(len(ids) - 1 for ids, _ in rows) // 8) * 8
    inputs = [[1] * columns for _ in rows]
    targets = [[-1] * columns for _ in rows]
    for row, (ids, mask) in enumerate(rows):
        for place in range(len(ids) - 1):
            inputs[row][place] = ids[place]
            if mask[place + 1] == 1:
                targets[row][place] = ids[place + 1]
    return torch.IntTensor(inputs).to(device), torch.LongTensor(targets).to(device)
