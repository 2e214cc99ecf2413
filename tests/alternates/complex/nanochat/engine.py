"""Cache, sampling and generation; every row is a coroutine that is sent what was sampled for it."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from typing import Any

import torch

from nanochat.tools import use_calculator

__all__ = ["Engine", "KVCache", "sample_next_token", "use_calculator"]


class KVCache:
    """One tensor for everything, (rows, layers, 2, heads, channels, slots): channels before slots."""

    GROWTH_STEP = 16

    def __init__(self, batch_size: int, num_heads: int, seq_len: int, head_dim: int, num_layers: int):
        self.layout = (num_layers, 2, num_heads, head_dim)
        self.rows = batch_size
        self.seq_len = seq_len
        self.pos = 0
        self.slots: torch.Tensor | None = None

    def get_pos(self) -> int:
        """Tokens held by every layer."""
        return self.pos

    def _at_least(self, needed: int, like: torch.Tensor) -> torch.Tensor:
        """Return storage of `needed` slots or more, of the dtype and device of `like`."""
        have = 0 if self.slots is None else self.slots.size(-1)
        if self.slots is not None and self.pos == 0 and self.slots.dtype != like.dtype:
            self.slots, have = None, 0
        if self.slots is None or have < needed:
            size = max(self.seq_len, math.ceil(needed / self.GROWTH_STEP) * self.GROWTH_STEP)
            new = torch.empty(self.rows, *self.layout, size, dtype=like.dtype, device=like.device)
            if self.slots is not None:
                new[..., :have] = self.slots
            self.slots = new
        return self.slots

    def insert_kv(
        self, layer_idx: int, k: torch.Tensor, v: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write (B, H, T, D) behind what is held; return all of it as strided views."""
        layers, _, heads, channels = self.layout
        T = k.size(2)
        for what in (k, v):
            if what.shape != (self.rows, heads, T, channels):
                raise ValueError(f"expected {(self.rows, heads, T, channels)}, got {tuple(what.shape)}")
        end = self.pos + T
        held = self._at_least(end, k)[:, layer_idx]
        with torch.no_grad():
            held[:, 0, ..., self.pos : end] = k.transpose(2, 3)
            held[:, 1, ..., self.pos : end] = v.transpose(2, 3)
        self.pos = end if layer_idx == layers - 1 else self.pos
        return held[:, 0, ..., :end].transpose(2, 3), held[:, 1, ..., :end].transpose(2, 3)

    def prefill(self, other: KVCache) -> None:
        """Take over one row's tokens in all rows."""
        if self.pos > 0:
            raise ValueError(f"{self.pos} tokens are here already")
        if other.rows != 1 or other.layout != self.layout:
            raise ValueError(f"1 row of {self.layout} expected, got {other.rows} of {other.layout}")
        if other.pos > 0 and other.slots is not None:
            held = self._at_least(other.pos, other.slots)
            held[..., : other.pos].copy_(other.slots[..., : other.pos].expand(self.rows, -1, -1, -1, -1, -1))
            self.pos = other.pos

    def reset(self) -> None:
        """Empty; storage up to twice the first size is kept."""
        self.pos = 0
        if self.slots is not None and self.slots.size(-1) > 2 * self.seq_len:
            self.slots = None


def sample_next_token(
    logits: torch.Tensor, rng: torch.Generator, temperature: float = 1.0, top_k: int | None = None
) -> torch.Tensor:
    """(B, V) -> (B, 1): the winner of an exponential race (each id runs at the speed of its probability)."""
    if not 0.0 <= temperature <= 1e300:
        raise ValueError(f"temperature {temperature} outside [0, 1e300]")
    if top_k is not None and top_k <= 0:
        raise ValueError(f"top_k {top_k} <= 0")
    if temperature == 0.0:
        return torch.argmax(logits, dim=-1, keepdim=True)
    values, ids = torch.topk(logits, min(top_k or logits.size(-1), logits.size(-1)), dim=-1)
    values = values.double()
    speeds = torch.exp((values - values[:, :1]) / temperature)
    clock = torch.empty_like(speeds).exponential_(generator=rng).clamp_(min=1e-300)
    return torch.gather(ids, -1, torch.argmax(speeds / clock, dim=-1, keepdim=True))


Step = tuple[int, int]


class Engine:
    """Runs the rows' coroutines in lockstep."""

    def __init__(self, model: Any, tokenizer: Any):
        self.model = model
        self.tokenizer = tokenizer

    def row(self) -> Generator[Step, int, None]:
        """Be sent sampled ids, yield (id, mask) for each; return behind the terminal one.

        The first id is sent after a first, empty step.
        """
        special = self.tokenizer.encode_special
        terminal = {special("<|assistant_end|>"), self.tokenizer.get_bos_token_id()}
        expression: list[int] | None = None
        step: Step = (-1, 0)
        while True:
            sampled = yield step
            step = (sampled, 1)
            if sampled in terminal:
                yield step
                return
            if sampled == special("<|python_start|>"):
                expression = []
            elif expression is not None and sampled == special("<|python_end|>"):
                value = use_calculator(self.tokenizer.decode(expression))
                expression = None
                if value is not None:
                    yield step
                    digits = self.tokenizer.encode(self.written(value))
                    forced = [special("<|output_start|>"), *digits, special("<|output_end|>")]
                    for token in forced[:-1]:
                        yield token, 0
                    step = (forced[-1], 0)
            elif expression is not None:
                expression.append(sampled)

    @staticmethod
    def written(value: float) -> str:
        """A number as text."""
        return str(value) if isinstance(value, int) or not value.is_integer() else str(int(value))

    def generate(
        self,
        tokens: Sequence[int],
        num_samples: int = 1,
        max_tokens: int | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int = 42,
    ) -> Iterator[tuple[list[int], list[int]]]:
        """Yield columns; raises at the first one."""
        limit = self.model.config.sequence_len
        if num_samples < 1:
            raise ValueError(f"num_samples {num_samples} < 1")
        if len(tokens) < 1:
            raise ValueError("0 tokens in the prompt")
        if max_tokens is not None and max_tokens < 0:
            raise ValueError(f"max_tokens {max_tokens} < 0")
        end = len(tokens) + (0 if max_tokens is None else max_tokens)
        if end > limit:
            raise ValueError(f"context of {limit} exceeded by {end - limit}")
        columns = (limit if max_tokens is None else end) - len(tokens)
        if columns:
            yield from self._columns(list(tokens), num_samples, columns, temperature, top_k, seed)

    @torch.no_grad()
    def _columns(
        self,
        tokens: list[int],
        num_samples: int,
        columns: int,
        temperature: float,
        top_k: int | None,
        seed: int,
    ) -> Iterator[tuple[list[int], list[int]]]:
        device = self.model.get_device()
        rng = torch.Generator(device=device)
        rng.manual_seed(seed)
        rows = [self.row() for _ in range(num_samples)]
        steps = [next(row) for row in rows]
        ended = [False] * num_samples
        first = self.new_cache(1, len(tokens))
        logits = self.model.forward(torch.tensor([tokens], device=device), kv_cache=first)[:, -1:]
        logits = logits.expand(num_samples, -1, -1)
        cache = self.new_cache(num_samples, len(tokens) + columns)
        cache.prefill(first)
        first.reset()
        del first
        vocab_size = self.tokenizer.get_vocab_size()
        for remaining in range(columns - 1, -1, -1):
            ids = sample_next_token(logits[:, -1, :vocab_size], rng, temperature, top_k)
            for i, sampled in enumerate(ids[:, 0].tolist()):
                steps[i] = self.sent(rows[i], sampled, steps[i])
                ended[i] = self.is_end(steps[i])
            yield [token for token, _ in steps], [mask for _, mask in steps]
            if remaining == 0 or all(ended):
                return
            fed = torch.tensor([[token] for token, _ in steps], device=device)
            logits = self.model.forward(fed, kv_cache=cache)

    @staticmethod
    def sent(row: Generator[Step, int, None], sampled: int, last: Step) -> Step:
        """The row's next step; one that has returned repeats its last id."""
        try:
            return row.send(sampled)
        except StopIteration:
            return last[0], 0

    def is_end(self, step: Step) -> bool:
        """Whether a step shows a terminal id. No forced id is one."""
        end = self.tokenizer.encode_special("<|assistant_end|>")
        return step[0] in (end, self.tokenizer.get_bos_token_id())

    def new_cache(self, rows: int, slots: int) -> KVCache:
        """An empty cache for the model."""
        c = self.model.config
        return KVCache(rows, c.n_kv_head, slots, c.n_embd // c.n_head, c.n_layer)

    def generate_batch(
        self, tokens: Sequence[int], num_samples: int = 1, **kwargs: Any
    ) -> tuple[list[list[int]], list[list[int]]]:
        """Rows up to their terminals."""
        rows: list[list[Step]] = [[(token, 0) for token in tokens] for _ in range(num_samples)]
        live = list(rows)
        for column, masks in self.generate(tokens, num_samples, **kwargs):
            steps = list(zip(column, masks, strict=True))
            for i, step in enumerate(steps):
                if self.is_end(step):
                    live[i] = []
                elif live[i]:
                    live[i].append(step)
        return [[token for token, _ in row] for row in rows], [[mask for _, mask in row] for row in rows]
