"""Fine-tuning batches by a collate function that pads sequences, as torch's loaders do it."""

from __future__ import annotations

import torch
from torch.nn.utils.rnn import pad_sequence


def sft_batches(conversations, tokenizer, batch_size, max_tokens=2048, *, device="cpu"):
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size}, and must be positive")

    def example(conversation):
        ids, mask = (torch.tensor(part) for part in tokenizer.render_conversation(conversation, max_tokens))
        return ids[:-1].int(), torch.where(mask[1:].bool(), ids[1:], -1)

    def collate(examples):
        inputs, targets = zip(*examples, strict=True)
        return (
            pad_sequence(inputs, batch_first=True, padding_value=2).to(device),
            pad_sequence(targets, batch_first=True, padding_value=-1).to(device),
        )

    examples = []
    for conversation in conversations:
        examples.append(example(conversation))
        if len(examples) >= batch_size:
            yield collate(examples)
            examples.clear()
    if examples:
        yield collate(examples)
