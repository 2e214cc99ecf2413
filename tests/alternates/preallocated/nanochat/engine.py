"""Cache, sampling and generation; the cache has rows of slots allocated ahead, doubled when they are full."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from nanochat.tools import use_calculator

__all__ = ["Engine", "KVCache", "sample_next_token", "use_calculator"]


class KVCache:
    """For each layer a tensor of keys and one of values, (rows, slots, heads, channels)."""

    GROWTH_STEP = 1
    """Twice the slots of a full cache are fewer than twice the tokens that did not fit."""

    def __init__(self, batch_size: int, num_heads: int, seq_len: int, head_dim: int, num_layers: int) -> None:
        self.batch_size = batch_size
        self.num_heads = num_heads
        self.seq_len = seq_len
        self.head_dim = head_dim
        self.num_layers = num_layers
        self.reset()

    def reset(self) -> None:
        """Forget everything and give the memory back."""
        self.length = 0
        self.keys: list[Tensor | None] = [None] * self.num_layers
        self.values: list[Tensor | None] = [None] * self.num_layers

    def get_pos(self) -> int:
        """Return the number of tokens that all layers hold."""
        return self.length

    def insert_kv(self, layer_idx: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Add (rows, heads, T, channels) and return all of the layer, as views."""
        wanted = (self.batch_size, self.num_heads, k.shape[-2], self.head_dim)
        if k.shape != wanted or v.shape != wanted:
            raise ValueError(f"keys {tuple(k.shape)} and values {tuple(v.shape)} must both be {wanted}")
        start, stop = self.length, self.length + k.size(2)
        keys = self.keys[layer_idx] = self._with_room(self.keys[layer_idx], stop, k)
        values = self.values[layer_idx] = self._with_room(self.values[layer_idx], stop, v)
        keys[:, start:stop] = k.detach().transpose(1, 2)
        values[:, start:stop] = v.detach().transpose(1, 2)
        if layer_idx + 1 == self.num_layers:
            self.length = stop
        return keys[:, :stop].transpose(1, 2), values[:, :stop].transpose(1, 2)

    def prefill(self, other: KVCache) -> None:
        """Copy a cache of one row into every row of this empty one."""
        if self.length:
            raise ValueError(f"only an empty cache can be prefilled, this one holds {self.length} tokens")
        theirs = (other.batch_size, other.num_layers, other.num_heads, other.head_dim)
        if theirs != (1, self.num_layers, self.num_heads, self.head_dim):
            raise ValueError(f"cannot prefill from a cache of (rows, layers, heads, channels) {theirs}")
        for layer in range(self.num_layers if other.length else 0):
            for mine, source in ((self.keys, other.keys[layer]), (self.values, other.values[layer])):
                assert source is not None, "a layer that holds tokens has memory"
                held = mine[layer] = self._with_room(mine[layer], other.length, source)
                held[:, : other.length] = source[:, : other.length]
        self.length = other.length

    def _with_room(self, held: Tensor | None, stop: int, like: Tensor) -> Tensor:
        """Return a tensor of at least `stop` slots with what `held` holds."""
        slots = 0 if held is None else held.size(1)
        if held is not None and slots >= stop:
            return held
        size = max(stop, self.seq_len if held is None else 2 * slots)
        grown = like.new_empty(self.batch_size, size, self.num_heads, self.head_dim)
        if held is not None:
            grown[:, : self.length] = held[:, : self.length]
        return grown


def sample_next_token(
    logits: Tensor, rng: torch.Generator, temperature: float = 1.0, top_k: int | None = None
) -> Tensor:
    """Return (rows, 1) ids drawn from `logits` (rows, vocabulary)."""
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature must be finite and not negative, got {temperature}")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must be positive, got {top_k}")
    if temperature == 0.0:
        return logits.max(dim=-1, keepdim=True).indices
    scores = logits.double()
    if top_k is not None and top_k < scores.size(-1):
        best = scores.topk(top_k, dim=-1)
        scores = torch.full_like(scores, float("-inf")).scatter(-1, best.indices, best.values)
    scores = (scores - scores.amax(dim=-1, keepdim=True)) / temperature
    return torch.multinomial(scores.softmax(dim=-1), 1, generator=rng)


@dataclass
class Row:
    """The state of one row; `block` is None outside of python blocks."""

    last: int = 0
    ended: bool = False
    block: list[int] | None = None
    waiting: deque[int] = field(default_factory=deque)


class Engine:
    """Generates rows in lockstep over one cache."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.ids = {name: tokenizer.encode_special(f"<|{name}|>") for name in (
            "assistant_end", "python_start", "python_end", "output_start", "output_end"
        )}  # fmt: skip  # a table
        self.terminals = (self.ids["assistant_end"], tokenizer.get_bos_token_id())

    def generate(
        self,
        tokens: Sequence[int],
        num_samples: int = 1,
        max_tokens: int | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int = 42,
    ) -> Iterator[tuple[list[int], list[int]]]:
        """Return the stream of (tokens, masks); impossible requests are a ValueError here and now."""
        context = self.model.config.sequence_len
        if not tokens or num_samples < 1 or (max_tokens or 0) < 0:
            raise ValueError(f"prompt of {len(tokens)}, num_samples={num_samples}, max_tokens={max_tokens}")
        excess = len(tokens) + (max_tokens or 0) - context
        if excess > 0:
            raise ValueError(f"the request is {excess} tokens longer than the context")
        steps = context - len(tokens) if max_tokens is None else max_tokens
        return self._stream(list(tokens), num_samples, steps, temperature, top_k, seed)

    @torch.inference_mode()
    def _stream(
        self,
        prompt: list[int],
        num_samples: int,
        steps: int,
        temperature: float,
        top_k: int | None,
        seed: int,
    ) -> Iterator[tuple[list[int], list[int]]]:
        if steps == 0:
            return
        device = self.model.get_device()
        rng = torch.Generator(device=device).manual_seed(seed)
        rows = [Row() for _ in range(num_samples)]
        single = self._cache(1, len(prompt))
        logits = self.model.forward(torch.tensor([prompt], device=device), kv_cache=single)
        logits = logits[:, -1].repeat(num_samples, 1)
        cache = self._cache(num_samples, len(prompt) + steps)
        cache.prefill(single)
        del single
        for step in range(steps):
            if step:
                column = torch.tensor([[row.last] for row in rows], device=device)
                logits = self.model.forward(column, kv_cache=cache)[:, -1]
            known = logits[:, : self.tokenizer.get_vocab_size()]
            drawn = sample_next_token(known, rng, temperature, top_k).flatten().tolist()
            masks = [self._take(row, token) for row, token in zip(rows, drawn, strict=True)]
            yield [row.last for row in rows], masks
            if all(row.ended for row in rows):
                return

    def generate_batch(
        self, tokens: Sequence[int], num_samples: int = 1, **kwargs: Any
    ) -> tuple[list[list[int]], list[list[int]]]:
        """Return whole rows, prompt included and terminal tokens not."""
        columns = list(self.generate(tokens, num_samples, **kwargs))
        sequences, masks = [], []
        for i in range(num_samples):
            row = [(column[i], mask[i]) for column, mask in columns]
            ends = [n for n, (token, _) in enumerate(row) if token in self.terminals]
            row = row[: ends[0]] if ends else row
            sequences.append([*tokens, *(token for token, _ in row)])
            masks.append([0] * len(tokens) + [mask for _, mask in row])
        return sequences, masks

    def _cache(self, rows: int, slots: int) -> KVCache:
        c = self.model.config
        return KVCache(rows, c.n_kv_head, slots, c.n_embd // c.n_head, c.n_layer)

    def _take(self, row: Row, drawn: int) -> int:
        """Set the row's next token; return 1 if it is the drawn one."""
        if row.ended:
            return 0
        if row.waiting:
            row.last = row.waiting.popleft()
            return 0
        row.last = drawn
        if drawn in self.terminals:
            row.ended = True
        elif drawn == self.ids["python_start"]:
            row.block = []
        elif drawn == self.ids["python_end"]:
            block, row.block = row.block, None
            row.waiting.extend(self._output(block) if block is not None else [])
        elif row.block is not None:
            row.block.append(drawn)
        return 1

    def _output(self, block: list[int]) -> list[int]:
        """Return the ids to force after a block."""
        value = use_calculator(self.tokenizer.decode(block))
        if value is None:
            return []
        whole = isinstance(value, float) and value.is_integer()
        text = str(int(value) if whole else value)
        return [self.ids["output_start"], *self.tokenizer.encode(text), self.ids["output_end"]]
