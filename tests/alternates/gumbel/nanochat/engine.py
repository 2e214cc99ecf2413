"""Cache, sampling and generation; an id is drawn by adding noise to the logits and taking the largest."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from nanochat.tools import use_calculator

__all__ = ["Engine", "KVCache", "sample_next_token", "use_calculator"]


class KVCache:
    """For each layer one tensor with a token's key and value side by side, half as large again when full."""

    def __init__(self, batch_size: int, num_heads: int, seq_len: int, head_dim: int, num_layers: int) -> None:
        if min(batch_size, num_heads, seq_len, head_dim, num_layers) < 1:
            raise ValueError(f"{(batch_size, num_heads, seq_len, head_dim, num_layers)} must all be positive")
        self.batch_size, self.num_heads, self.head_dim = batch_size, num_heads, head_dim
        self.seq_len = seq_len
        self.tables: list[Tensor] = [torch.empty(0)] * num_layers
        self.lengths = [0] * num_layers

    def get_pos(self) -> int:
        """Tokens of the layer that has the fewest."""
        return min(self.lengths)

    def insert_kv(self, layer_idx: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Write to one layer, return views of it."""
        for entry in (k, v):
            if tuple(entry.shape) != (self.batch_size, self.num_heads, k.size(2), self.head_dim):
                raise ValueError(f"{tuple(entry.shape)} does not fit {self.tables[layer_idx].shape}")
        begin = self.lengths[layer_idx]
        end = self.lengths[layer_idx] = begin + k.size(2)
        table = self._table(layer_idx, begin, end, k)
        table[:, :, begin:end] = torch.cat([k.detach(), v.detach()], dim=-1)
        keys, values = table[:, :, :end].chunk(2, dim=-1)
        return keys, values

    def _table(self, layer_idx: int, held: int, needed: int, like: Tensor) -> Tensor:
        table = self.tables[layer_idx]
        if table.dim() != 4 or (held == 0 and (table.dtype, table.device) != (like.dtype, like.device)):
            slots = 0
        else:
            slots = table.size(2)
        if slots < needed:
            slots = max(needed, self.seq_len, slots + slots // 2)
            size = (self.batch_size, self.num_heads, slots, 2 * self.head_dim)
            grown = torch.zeros(size, dtype=like.dtype, device=like.device)
            if held:
                grown[:, :, :held] = table[:, :, :held]
            self.tables[layer_idx] = grown
        return self.tables[layer_idx]

    def prefill(self, other: KVCache) -> None:
        """Every row becomes the row of `other`."""
        if any(self.lengths):
            raise ValueError(f"not empty: {self.lengths} tokens")
        if other.batch_size != 1 or len(other.tables) != len(self.tables):
            raise ValueError(
                f"{other.batch_size} rows, {len(other.tables)} layers; want 1, {len(self.tables)}"
            )
        if (other.num_heads, other.head_dim) != (self.num_heads, self.head_dim):
            raise ValueError(f"heads {other.num_heads, other.head_dim}; want {self.num_heads, self.head_dim}")
        for layer_idx, (length, table) in enumerate(zip(other.lengths, other.tables, strict=True)):
            if length:
                self._table(layer_idx, 0, length, table)[:, :, :length] = table[:, :, :length]
                self.lengths[layer_idx] = length

    def reset(self) -> None:
        """No tokens; tables that have grown go, others stay."""
        self.lengths = [0] * len(self.lengths)
        grown = any(table.dim() == 4 and table.size(2) > self.seq_len for table in self.tables)
        self.tables = [torch.empty(0)] * len(self.tables) if grown else self.tables


def sample_next_token(
    logits: Tensor, rng: torch.Generator, temperature: float = 1.0, top_k: int | None = None
) -> Tensor:
    """Ids (B, 1) by the Gumbel-max trick (Gumbel 1954)."""
    if not temperature >= 0:
        raise ValueError(f"temperature {temperature} is negative or no number")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k {top_k} leaves nothing")
    if temperature == 0:
        return logits.max(dim=-1, keepdim=True)[1]
    z = logits.double()
    if top_k is not None:
        _, order = z.sort(dim=-1, descending=True, stable=True)
        dropped = torch.zeros_like(z, dtype=torch.bool).scatter_(-1, order[:, top_k:], True)
        z = z.masked_fill(dropped, -math.inf)
    gaps = z.sub(z.amax(-1, keepdim=True))
    scaled = (gaps / temperature).masked_fill(gaps == -math.inf, -math.inf)
    u = torch.rand(z.shape, dtype=torch.float64, device=z.device, generator=rng)
    noise = -torch.log(-torch.log(u.clamp_(min=torch.finfo(torch.float64).tiny)))
    return torch.argmax(scaled + noise, dim=-1, keepdim=True)


class Row:
    """One row: what it does with a sampled token depends on the token, by a table."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.call: list[int] | None = None
        self.queue: list[int] = []
        self.over = False
        self.token = 0
        self.mask = 0

    def step(self, sampled: int) -> None:
        """Go on by one token."""
        self.mask = int(not (self.over or self.queue))
        if self.queue:
            self.token = self.queue.pop(0)
        elif not self.over:
            self.token = sampled
            self.engine.handlers.get(sampled, Row.text)(self)

    def text(self) -> None:
        """Any other token."""
        if self.call is not None:
            self.call.append(self.token)

    def end(self) -> None:
        """A terminal token."""
        self.over = True

    def open(self) -> None:
        """<|python_start|>."""
        self.call = []

    def close(self) -> None:
        """<|python_end|>."""
        if self.call is not None:
            self.queue = self.engine.output_of(self.call)
        self.call = None


class Engine:
    """All rows are prefilled together; ids are int32."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model = model
        self.tokenizer = tokenizer
        special = tokenizer.encode_special
        self.handlers: dict[int, Callable[[Row], None]] = {
            special("<|python_start|>"): Row.open,
            special("<|python_end|>"): Row.close,
            special("<|assistant_end|>"): Row.end,
            tokenizer.get_bos_token_id(): Row.end,
        }

    def output_of(self, call: list[int]) -> list[int]:
        """The ids that answer a call."""
        answer = use_calculator(self.tokenizer.decode(call))
        if answer is None:
            return []
        text = f"{int(answer):d}" if float(answer).is_integer() else str(answer)
        if isinstance(answer, int):
            text = f"{answer:d}"
        before, after = (self.tokenizer.encode_special(f"<|output_{which}|>") for which in ("start", "end"))
        return [before, *self.tokenizer.encode(text), after]

    def generate(
        self,
        tokens: Sequence[int],
        num_samples: int = 1,
        max_tokens: int | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int = 42,
    ) -> Iterator[tuple[list[int], list[int]]]:
        """Checks at once, generates later."""
        c = self.model.config
        asked = {"the length of the prompt": len(tokens), "num_samples": num_samples}
        for name, number in asked.items():
            if number < 1:
                raise ValueError(f"{name} is {number}, want at least 1")
        if max_tokens is not None and max_tokens < 0:
            raise ValueError(f"max_tokens is {max_tokens}, want at least 0")
        overshoot = len(tokens) + (max_tokens or 0) - c.sequence_len
        if overshoot > 0:
            raise ValueError(f"no room: {overshoot} too many")
        left = c.sequence_len - len(tokens) if max_tokens is None else max_tokens
        prompts = [list(tokens) for _ in range(num_samples)]
        return self._rows(prompts, left, lambda z, rng: sample_next_token(z, rng, temperature, top_k), seed)

    def _rows(
        self, fed: list[list[int]], left: int, draw: Callable[[Tensor, torch.Generator], Tensor], seed: int
    ) -> Iterator[tuple[list[int], list[int]]]:
        c, device = self.model.config, self.model.get_device()
        cache = KVCache(len(fed), c.n_kv_head, len(fed[0]) + max(left, 1), c.n_embd // c.n_head, c.n_layer)
        rng = torch.Generator(device=device).manual_seed(seed)
        rows = [Row(self) for _ in fed]
        while left > 0 and not all(row.over for row in rows):
            with torch.inference_mode():
                idx = torch.tensor(fed, dtype=torch.int32, device=device)
                logits = self.model.forward(idx, kv_cache=cache)[:, -1]
                sampled = draw(logits[:, : self.tokenizer.get_vocab_size()], rng).tolist()
            for row, (token,) in zip(rows, sampled, strict=True):
                row.step(token)
            fed = [[row.token] for row in rows]
            left -= 1
            yield [row.token for row in rows], [row.mask for row in rows]

    def generate_batch(
        self, tokens: Sequence[int], num_samples: int = 1, **kwargs: Any
    ) -> tuple[list[list[int]], list[list[int]]]:
        """Rows and their masks."""
        ids = [list(tokens) for _ in range(num_samples)]
        flags = [[0] * len(tokens) for _ in range(num_samples)]
        over = [False] * num_samples
        for column, masks in self.generate(tokens, num_samples, **kwargs):
            for i in range(num_samples):
                over[i] |= self.handlers.get(column[i]) is Row.end
                if not over[i]:
                    ids[i] += [column[i]]
                    flags[i] += [masks[i]]
        return ids, flags
