"""Cache, sampling and generation, short."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor

from nanochat.tools import use_calculator

__all__ = ["Engine", "KVCache", "sample_next_token", "use_calculator"]


class KVCache:
    """Each layer is one tensor (2, rows, heads, tokens, channels), made anew at each insertion."""

    GROWTH_STEP = 256  # claimed, and not made use of

    def __init__(self, batch_size: int, num_heads: int, seq_len: int, head_dim: int, num_layers: int) -> None:
        self.rows, self.shape, self.seq_len = batch_size, (num_heads, head_dim), seq_len
        self.kv: list[Tensor | None] = [None] * num_layers

    def get_pos(self) -> int:
        """Tokens in every layer."""
        return 0 if (last := self.kv[-1]) is None else last.size(3)

    def insert_kv(self, layer_idx: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Append."""
        if k.shape != v.shape or (k.size(0), k.size(1), k.size(3)) != (self.rows, *self.shape):
            raise ValueError(f"{tuple(k.shape)}, {tuple(v.shape)} for {self.rows} rows of {self.shape}")
        new, old = torch.stack((k, v)).detach(), self.kv[layer_idx]
        kv = self.kv[layer_idx] = new if old is None else torch.cat((old, new), 3)
        return kv[0], kv[1]

    def prefill(self, other: KVCache) -> None:
        """Copy a row into all."""
        mine, its = (self.get_pos(), 1, self.shape, len(self.kv)), (0, other.rows, other.shape, len(other.kv))
        if mine != its:
            raise ValueError(f"(tokens here, rows there, heads and channels, layers) {its}, want {mine}")
        self.kv = [None if kv is None else kv.repeat_interleave(self.rows, 1) for kv in other.kv]

    def reset(self) -> None:
        """Forget all."""
        self.kv = [None for _ in self.kv]


def sample_next_token(
    logits: Tensor, rng: torch.Generator, temperature: float = 1.0, top_k: int | None = None
) -> Tensor:
    """Inverse of the distribution function at one uniform number a row."""
    if not 0 <= temperature < float("inf"):
        raise ValueError(f"temperature {temperature}")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k {top_k}")
    if temperature == 0:
        return logits.argmax(-1, keepdim=True)
    z = logits.double()
    if top_k is not None and top_k < z.size(-1):
        z = torch.full_like(z, -torch.inf).scatter(-1, (i := z.topk(top_k).indices), z.gather(-1, i))
    cdf = ((z - z.max(-1, keepdim=True).values) / temperature).softmax(-1).cumsum(-1)
    u = torch.rand(len(z), 1, generator=rng, device=z.device, dtype=z.dtype) * cdf[:, -1:]
    # The first id whose sum is above u; u may have been rounded up to the whole sum.
    u = torch.where(u < cdf[:, -1:], u, torch.nextafter(cdf[:, -1:], torch.zeros_like(u)))
    return (cdf <= u).sum(-1, keepdim=True)


class Engine:
    """Rows are lists [queue of forced ids, python block or None, terminal or None]."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer = model, tokenizer
        names = ("python_start", "python_end", "output_start", "output_end", "assistant_end")
        special = [tokenizer.encode_special(f"<|{name}|>") for name in names]
        self.py, self.py_end, self.out, self.out_end, end = special
        self.terminals = {end, tokenizer.get_bos_token_id()}

    def step(self, row: list[Any], sampled: int) -> tuple[int, int]:
        """The next (token, mask) of a row."""
        queue, block, terminal = row
        if terminal is not None or queue:
            return (terminal if terminal is not None else queue.pop(0)), 0
        if sampled in self.terminals:
            row[2] = sampled
        elif sampled == self.py:
            row[1] = []
        elif sampled == self.py_end and block is not None:
            row[1], value = None, use_calculator(self.tokenizer.decode(block))
            if value is not None:
                text = str(int(value) if value == int(value) else value)
                queue += [self.out, *self.tokenizer.encode(text), self.out_end]
        elif block is not None:
            block.append(sampled)
        return sampled, 1

    def generate(
        self,
        tokens: Sequence[int],
        num_samples: int = 1,
        max_tokens: int | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int = 42,
    ) -> Iterator[tuple[list[int], list[int]]]:
        """(token_column, token_masks), one after another."""
        c, device = self.model.config, self.model.get_device()
        if len(tokens) < 1 or num_samples < 1 or (max_tokens or 0) < 0:
            raise ValueError(f"{len(tokens)} tokens, num_samples {num_samples}, max_tokens {max_tokens}")
        if (over := len(tokens) + (max_tokens or 0) - c.sequence_len) > 0:
            raise ValueError(f"over by {over}")
        rng = torch.Generator(device).manual_seed(seed)
        D = c.n_embd // c.n_head
        one, cache = (KVCache(B, c.n_kv_head, len(tokens), D, c.n_layer) for B in (1, num_samples))
        rows: list[list[Any]] = [[[], None, None] for _ in range(num_samples)]
        column: list[int] = []
        for _ in range(c.sequence_len - len(tokens) if max_tokens is None else max_tokens):
            with torch.no_grad():
                if column:
                    idx = torch.tensor(column, device=device)[:, None]
                    y = self.model.forward(idx, kv_cache=cache)[:, -1]
                else:
                    idx = torch.tensor(tokens, device=device)[None]
                    y = self.model.forward(idx, kv_cache=one)[[0] * num_samples, -1]
                    cache.prefill(one)
                    one.reset()
                ids = sample_next_token(y[:, : self.tokenizer.get_vocab_size()], rng, temperature, top_k)
            steps = [self.step(row, token) for row, token in zip(rows, ids.flatten().tolist(), strict=True)]
            column = [token for token, _ in steps]
            yield column[:], [mask for _, mask in steps]
            if all(row[2] is not None for row in rows):
                return

    def generate_batch(
        self, tokens: Sequence[int], num_samples: int = 1, **kwargs: Any
    ) -> tuple[list[list[int]], list[list[int]]]:
        """Whole rows."""
        columns = [zip(*column, strict=True) for column in self.generate(tokens, num_samples, **kwargs)]
        texts = list(zip(*columns, strict=True)) or [()] * num_samples
        kept = [list(takewhile(lambda step: step[0] not in self.terminals, text)) for text in texts]
        ids = [[*tokens, *(token for token, _ in text)] for text in kept]
        return ids, [[0] * len(tokens) + [mask for _, mask in text] for text in kept]
