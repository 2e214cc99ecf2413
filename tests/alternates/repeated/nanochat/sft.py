"""Fine-tuning batches by masks of NumPy arrays; rows are padded with their own last id."""

from __future__ import annotations

import itertools

import numpy as np
import torch


def sft_batches(conversations, tokenizer, batch_size, max_tokens=2048, *, device="cpu"):
    if batch_size < 1:
        raise ValueError(f"a batch of {batch_size} rows holds nothing; batch_size must be 1 or more")
    return batches(iter(conversations), tokenizer, batch_size, max_tokens, device)


def batches(conversations, tokenizer, batch_size, max_tokens, device):
    while True:
        rows = [
            tokenizer.render_conversation(one, max_tokens)
            for one in itertools.islice(conversations, batch_size)
        ]
        if not rows:
            return
        length = max(len(ids) for ids, _ in rows)
        ids = np.stack(
            [np.pad(np.array(ids, dtype=np.int64), (0, length - len(ids)), mode="edge") for ids, _ in rows]
        )
        mask = np.stack([np.pad(np.array(mask, dtype=bool), (0, length - len(mask))) for _, mask in rows])
        inputs, targets = ids[:, :-1].astype(np.int32), np.where(mask, ids, -1)[:, 1:]
        yield torch.from_numpy(inputs.copy()).to(device), torch.from_numpy(targets.copy()).to(device)
