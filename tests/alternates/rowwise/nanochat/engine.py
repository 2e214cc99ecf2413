"""Cache, sampling and generation row by row: each has its own cache and runs its own prompt."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from nanochat.tools import use_calculator

__all__ = ["Engine", "KVCache", "draw", "sample_next_token", "use_calculator"]


class KVCache:
    """A list of rows, each of which has a growing tensor (2, heads, slots, channels) for each layer."""

    GROWTH_STEP = 32

    def __init__(self, batch_size: int, num_heads: int, seq_len: int, head_dim: int, num_layers: int) -> None:
        self.rows: list[list[Tensor | None]] = [[None] * num_layers for _ in range(batch_size)]
        self.num_heads = num_heads
        self.seq_len = seq_len
        self.head_dim = head_dim
        self.num_layers = num_layers
        self.count = 0

    def get_pos(self) -> int:
        """Return the tokens that every layer holds."""
        return self.count

    def insert_kv(self, layer_idx: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store row by row; return the rows stacked."""
        if k.shape != v.shape or len(k) != len(self.rows):
            raise ValueError(f"{len(self.rows)} rows of keys and values expected: {k.shape}, {v.shape}")
        if (k.size(1), k.size(3)) != (self.num_heads, self.head_dim):
            raise ValueError(
                f"{self.num_heads} heads of {self.head_dim} expected: {k.size(1)} of {k.size(3)}"
            )
        end = self.count + k.size(2)
        for row, both in zip(self.rows, torch.stack([k, v], dim=1).detach(), strict=True):
            held = row[layer_idx] = self._room(row[layer_idx], end, both)
            held[:, :, self.count : end] = both
        if layer_idx == self.num_layers - 1:
            self.count = end
        keys, values = torch.stack([self._held(row, layer_idx)[:, :, :end] for row in self.rows], dim=1)
        return keys, values

    def prefill(self, other: KVCache) -> None:
        """Copy the one row of `other`."""
        if self.count != 0:
            raise ValueError(f"the cache is not empty, it holds {self.count}")
        if len(other.rows) != 1:
            raise ValueError(f"one row expected: {len(other.rows)}")
        theirs, mine = ((c.num_layers, c.num_heads, c.head_dim) for c in (other, self))
        if theirs != mine:
            raise ValueError(f"(layers, heads, channels) {mine} expected: {theirs}")
        self.reset()
        for layer_idx in range(self.num_layers if other.count else 0):
            source = self._held(other.rows[0], layer_idx)[:, :, : other.count]
            for row in self.rows:
                held = row[layer_idx] = self._room(None, other.count, source)
                held[:, :, : other.count] = source
        self.count = other.count

    def reset(self) -> None:
        """Give everything back."""
        self.rows = [[None] * self.num_layers for _ in self.rows]
        self.count = 0

    def _room(self, held: Tensor | None, end: int, like: Tensor) -> Tensor:
        if held is not None and held.size(2) >= end:
            return held
        slots = max(self.seq_len if held is None else 0, -(-end // self.GROWTH_STEP) * self.GROWTH_STEP)
        if held is None and end <= self.seq_len:
            slots = self.seq_len
        wider = like.new_empty(2, self.num_heads, slots, self.head_dim)
        if held is not None:
            wider[:, :, : self.count] = held[:, :, : self.count]
        return wider

    @staticmethod
    def _held(row: list[Tensor | None], layer_idx: int) -> Tensor:
        held = row[layer_idx]
        assert held is not None, "called for layers that hold tokens"
        return held


def draw(logits: Tensor, rng: torch.Generator, temperature: float, top_k: int | None) -> int:
    """Return an id drawn from one row of logits (vocabulary): candidates in order, and a walk along them."""
    if temperature < 0 or math.isnan(temperature):
        raise ValueError(f"temperature {temperature}: it is 0 or more")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k {top_k}: it is 1 or more")
    values = logits.double().tolist()
    best = max(values)
    if temperature == 0:
        return values.index(best)
    candidates = [i for i, value in enumerate(values) if value > -math.inf]
    if top_k is not None and top_k < len(candidates):
        candidates = sorted(candidates, key=lambda i: (-values[i], i))[:top_k]
    weights = [math.exp((values[i] - best) / temperature) for i in candidates]
    uniform = torch.rand((), dtype=torch.float64, device=logits.device, generator=rng).item()
    place = uniform * math.fsum(weights)
    for i, weight in zip(candidates, weights, strict=True):
        place -= weight
        if place < 0:
            return i
    # The sum was rounded: the last of the likeliest.
    return max(zip(weights, candidates, strict=True))[1]


def sample_next_token(
    logits: Tensor, rng: torch.Generator, temperature: float = 1.0, top_k: int | None = None
) -> Tensor:
    """Return (rows, 1) ids."""
    ids = [[draw(row, rng, temperature, top_k)] for row in logits]
    return torch.tensor(ids, dtype=torch.int64, device=logits.device)


class Engine:
    """Interleaves generators of one row each."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.special = {
            name: tokenizer.encode_special(f"<|{name}|>")
            for name in ("bos", "assistant_end", "python_start", "python_end", "output_start", "output_end")
        }

    def is_terminal(self, token: int) -> bool:
        """Say whether a token ends its row."""
        return token in (self.special["bos"], self.special["assistant_end"])

    def generate(
        self,
        tokens: Sequence[int],
        num_samples: int = 1,
        max_tokens: int | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int = 42,
    ) -> Iterator[tuple[list[int], list[int]]]:
        """Yield columns until every row has ended."""
        context = self.model.config.sequence_len
        if not len(tokens):
            raise ValueError("a prompt of no tokens")
        if num_samples <= 0:
            raise ValueError(f"{num_samples} samples")
        if max_tokens is not None and max_tokens < 0:
            raise ValueError(f"max_tokens={max_tokens} is negative")
        if len(tokens) > context:
            raise ValueError(f"the prompt: {len(tokens) - context + (max_tokens or 0)} tokens over {context}")
        if max_tokens is None:
            max_tokens = context - len(tokens)
        if len(tokens) + max_tokens > context:
            over = len(tokens) + max_tokens - context
            raise ValueError(f"{over} of the {max_tokens} tokens asked for do not fit behind {len(tokens)}")
        rng = torch.Generator(device=self.model.get_device()).manual_seed(seed)
        rows = [self.row(list(tokens), max_tokens, rng, temperature, top_k) for _ in range(num_samples)]
        for _ in range(max_tokens):
            column, masks, live = [], [], False
            for row in rows:
                token, mask, ended = next(row)
                column.append(token)
                masks.append(mask)
                live = live or not ended
            yield column, masks
            if not live:
                return

    def row(
        self, text: list[int], room: int, rng: torch.Generator, temperature: float, top_k: int | None
    ) -> Generator[tuple[int, int, bool], None, None]:
        """Yield (token, mask, whether the row has ended), for ever: an ended row repeats its terminal."""
        next_id = self.sampled(text, room, rng, temperature, top_k)
        fed: int | None = None
        while True:
            token = next_id.send(fed) if fed is not None else next(next_id)
            fed = token
            yield token, 1, self.is_terminal(token)
            while self.is_terminal(token):
                yield token, 0, True
            if token != self.special["python_start"]:
                continue
            # A block: everything up to its end, or up to another beginning, or the end of the row.
            block: list[int] = []
            while True:
                token = next_id.send(fed)
                fed = token
                if token == self.special["python_end"]:
                    break
                yield token, 1, self.is_terminal(token)
                while self.is_terminal(token):
                    yield token, 0, True
                block = [] if token == self.special["python_start"] else [*block, token]
            yield token, 1, False
            for forced in self.output(block):
                next_id.send(fed)
                fed = forced
                yield forced, 0, False

    def sampled(
        self, text: list[int], room: int, rng: torch.Generator, temperature: float, top_k: int | None
    ) -> Generator[int, int | None, None]:
        """Yield what the model would say next; be sent what was said."""
        config, device = self.model.config, self.model.get_device()
        cache = KVCache(1, config.n_kv_head, len(text) + room, config.n_embd // config.n_head, config.n_layer)
        fed: list[int] = text
        while True:
            with torch.no_grad():
                logits = self.model.forward(torch.tensor([fed], device=device), kv_cache=cache)[0, -1]
                token = draw(logits[: self.tokenizer.get_vocab_size()], rng, temperature, top_k)
            del logits
            said = yield token
            fed = [token if said is None else said]

    def output(self, block: list[int]) -> list[int]:
        """Return what is forced behind a block."""
        result = use_calculator(self.tokenizer.decode(block))
        if result is None:
            return []
        if isinstance(result, float):
            fraction, whole = math.modf(result)
            result = int(whole) if fraction == 0 else result
        return [self.special["output_start"], *self.tokenizer.encode(f"{result}"), self.special["output_end"]]

    def generate_batch(
        self, tokens: Sequence[int], num_samples: int = 1, **kwargs: Any
    ) -> tuple[list[list[int]], list[list[int]]]:
        """Return rows and masks."""
        stream = self.generate(tokens, num_samples, **kwargs)
        columns = list(islice(stream, self.model.config.sequence_len))
        sequences, masks = [], []
        for i in range(num_samples):
            sequence, mask = list(tokens), [0] * len(tokens)
            for column, column_masks in columns:
                if self.is_terminal(column[i]):
                    break
                sequence.append(column[i])
                mask.append(column_masks[i])
            sequences.append(sequence)
            masks.append(mask)
        return sequences, masks
