"""Cache, sampling and generation in objects: a pool of pages, a sampler, and rows that are state machines."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from nanochat.tools import use_calculator

__all__ = ["Engine", "KVCache", "Sampler", "sample_next_token", "use_calculator"]

PAGE = 16
"""Slots of a page."""


class PagePool:
    """Pages (2, rows, heads, 16, channels) by number, for all layers; freed ones are used again."""

    def __init__(self, rows: int, heads: int, channels: int) -> None:
        self.shape = (2, rows, heads, PAGE, channels)
        self.pages: dict[int, Tensor] = {}
        self.free: list[int] = []

    def allocate(self, like: Tensor) -> int:
        """Return the number of a page of the dtype of `like`."""
        while self.free:
            number = self.free.pop()
            if (self.pages[number].dtype, self.pages[number].device) == (like.dtype, like.device):
                return number
            del self.pages[number]
        number = max(self.pages, default=-1) + 1
        self.pages[number] = torch.empty(self.shape, dtype=like.dtype, device=like.device)
        return number

    def release(self, numbers: Sequence[int], keep: int) -> None:
        """Free pages; the memory of all but `keep` is given back."""
        self.free.extend(numbers)
        while len(self.pages) > keep and self.free:
            del self.pages[self.free.pop()]


@dataclass
class LayerCache:
    """One layer: its page table and its length."""

    pool: PagePool
    table: list[int] = field(default_factory=list)
    length: int = 0

    def append(self, k: Tensor, v: Tensor) -> None:
        """Write tokens into the last page and new ones."""
        written = 0
        while written < k.size(2):
            offset = self.length % PAGE
            if offset == 0:
                self.table.append(self.pool.allocate(k))
            count = min(PAGE - offset, k.size(2) - written)
            page = self.pool.pages[self.table[-1]]
            for part, source in enumerate((k, v)):
                page[part, :, :, offset : offset + count] = source[:, :, written : written + count]
            self.length += count
            written += count

    def gather(self) -> tuple[Tensor, Tensor]:
        """Return copies of all keys and values."""
        used = [(number, min(PAGE, self.length - i * PAGE)) for i, number in enumerate(self.table)]
        keys = torch.cat([self.pool.pages[number][0, :, :, :count] for number, count in used], dim=2)
        values = torch.cat([self.pool.pages[number][1, :, :, :count] for number, count in used], dim=2)
        return keys, values

    def clear(self) -> list[int]:
        """Forget everything and return the pages' numbers."""
        numbers, self.table, self.length = self.table, [], 0
        return numbers


class KVCache:
    """A paged cache."""

    GROWTH_STEP = PAGE

    def __init__(self, batch_size: int, num_heads: int, seq_len: int, head_dim: int, num_layers: int) -> None:
        self.batch_size = batch_size
        self.num_heads = num_heads
        self.head_dim = head_dim
        self.kept_pages = num_layers * (seq_len // PAGE)
        self.pool = PagePool(batch_size, num_heads, head_dim)
        self.layers = [LayerCache(self.pool) for _ in range(num_layers)]

    def get_pos(self) -> int:
        """Return the tokens in every layer."""
        return min(layer.length for layer in self.layers)

    @torch.no_grad()
    def insert_kv(self, layer_idx: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Append to a layer and gather it."""
        self._check("keys", k, k.size(2))
        self._check("values", v, k.size(2))
        layer = self.layers[layer_idx]
        layer.append(k, v)
        return layer.gather()

    @torch.no_grad()
    def prefill(self, other: KVCache) -> None:
        """Copy the row of `other` into every row."""
        if self.get_pos() > 0:
            raise ValueError(f"this cache holds {self.get_pos()} tokens; prefill is for an empty one")
        if other.batch_size != 1:
            raise ValueError(f"the other cache has {other.batch_size} rows; prefill copies one")
        if len(other.layers) != len(self.layers):
            raise ValueError(f"the other cache has {len(other.layers)} layers, this one {len(self.layers)}")
        if (other.num_heads, other.head_dim) != (self.num_heads, self.head_dim):
            raise ValueError(
                f"the other cache has {other.num_heads} heads of {other.head_dim} channels, this one "
                f"{self.num_heads} of {self.head_dim}"
            )
        for mine, theirs in zip(self.layers, other.layers, strict=True):
            if theirs.length:
                mine.append(*(part.expand(self.batch_size, -1, -1, -1) for part in theirs.gather()))

    def reset(self) -> None:
        """Free all pages; as many as the first slots fill stay allocated."""
        numbers = [number for layer in self.layers for number in layer.clear()]
        self.pool.release(numbers, self.kept_pages)

    def _check(self, what: str, given: Tensor, tokens: int) -> None:
        if given.shape != (self.batch_size, self.num_heads, tokens, self.head_dim):
            raise ValueError(
                f"{what} of shape {tuple(given.shape)} do not belong into a cache of "
                f"{self.batch_size} rows and {self.num_heads} heads of {self.head_dim} channels"
            )


class Sampler:
    """Draws ids by one temperature and one number of candidates."""

    def __init__(self, temperature: float, top_k: int | None) -> None:
        if math.isnan(temperature) or temperature < 0 or temperature == math.inf:
            raise ValueError(f"the temperature is {temperature}; it must be a number from 0 on")
        if top_k is not None and top_k < 1:
            raise ValueError(f"top_k is {top_k}; it must be 1 or more")
        self.temperature = temperature
        self.top_k = top_k

    def __call__(self, logits: Tensor, rng: torch.Generator) -> Tensor:
        """Return (B, 1) ids."""
        if self.temperature == 0:
            return logits.argmax(dim=-1).unsqueeze(-1)
        candidates = self._candidates(logits.double())
        return candidates.indices.gather(-1, torch.multinomial(candidates.values, 1, generator=rng))

    def _candidates(self, logits: Tensor) -> torch.return_types.topk:
        """Return (values, indices) of what may be drawn: probabilities and ids, (B, k)."""
        width = logits.size(-1)
        best = logits.topk(width if self.top_k is None else min(self.top_k, width), dim=-1)
        scaled = (best.values - best.values[:, :1]) / self.temperature
        return torch.return_types.topk((scaled.softmax(dim=-1), best.indices))


def sample_next_token(
    logits: Tensor, rng: torch.Generator, temperature: float = 1.0, top_k: int | None = None
) -> Tensor:
    """Return (B, 1) ids."""
    return Sampler(temperature, top_k)(logits, rng)


class Mode(enum.Enum):
    """What a row is in the middle of."""

    TEXT = enum.auto()
    PYTHON = enum.auto()
    OUTPUT = enum.auto()
    ENDED = enum.auto()


class Vocabulary:
    """The ids that mean something to a row."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.size = tokenizer.get_vocab_size()
        self.python_start = tokenizer.encode_special("<|python_start|>")
        self.python_end = tokenizer.encode_special("<|python_end|>")
        self.output_start = tokenizer.encode_special("<|output_start|>")
        self.output_end = tokenizer.encode_special("<|output_end|>")
        end = tokenizer.encode_special("<|assistant_end|>")
        self.terminals = frozenset({tokenizer.get_bos_token_id(), end})

    def evaluate(self, expression: Sequence[int]) -> list[int]:
        """Return the whole output that answers an expression, empty if there is none."""
        result = use_calculator(self.tokenizer.decode(list(expression)))
        if result is None:
            return []
        written = str(result)
        if isinstance(result, float) and result.is_integer():
            written = str(int(result))
        return [self.output_start, *self.tokenizer.encode(written), self.output_end]


class Row:
    """A state machine."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.mode = Mode.TEXT
        self.token: int | None = None
        self.was_sampled = False
        self.expression: list[int] = []
        self.output: Iterator[int] = iter(())
        self.remaining = 0

    def advance(self, sampled: int) -> None:
        """Take the next token: the sampled one, unless something else comes first."""
        self.was_sampled = self.mode in (Mode.TEXT, Mode.PYTHON)
        if self.mode is Mode.OUTPUT:
            self.token = next(self.output)
            self.remaining -= 1
            if self.remaining == 0:
                self.mode = Mode.TEXT
        elif self.mode is not Mode.ENDED:
            self.token = sampled
            self.mode = self._mode_after(sampled)

    def _mode_after(self, token: int) -> Mode:
        if token in self.vocabulary.terminals:
            return Mode.ENDED
        if token == self.vocabulary.python_start:
            self.expression = []
            return Mode.PYTHON
        if self.mode is Mode.PYTHON and token == self.vocabulary.python_end:
            output = self.vocabulary.evaluate(self.expression)
            self.output, self.remaining = iter(output), len(output)
            return Mode.OUTPUT if output else Mode.TEXT
        if self.mode is Mode.PYTHON:
            self.expression.append(token)
        return self.mode


@dataclass(frozen=True)
class Request:
    """What is asked for, checked against the model's context."""

    tokens: tuple[int, ...]
    num_samples: int
    max_tokens: int | None
    context: int

    def __post_init__(self) -> None:
        if not self.tokens:
            raise ValueError("the prompt holds no token")
        if self.num_samples < 1:
            raise ValueError(f"{self.num_samples} samples cannot be generated")
        if self.max_tokens is not None and self.max_tokens < 0:
            raise ValueError(f"{self.max_tokens} tokens cannot be generated")
        missing = len(self.tokens) + (self.max_tokens or 0) - self.context
        if missing > 0:
            raise ValueError(f"the context of {self.context} is short of {missing} slots for this request")

    @property
    def columns(self) -> int:
        """Return how many columns there may be."""
        return self.context - len(self.tokens) if self.max_tokens is None else self.max_tokens


class Engine:
    """Prefills all of the prompt but its last token, which is then fed to every row like any other."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model = model
        self.vocabulary = Vocabulary(tokenizer)

    def generate(
        self,
        tokens: Sequence[int],
        num_samples: int = 1,
        max_tokens: int | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int = 42,
    ) -> Iterator[tuple[list[int], list[int]]]:
        """Return a stream of (token_column, token_masks)."""
        request = Request(tuple(tokens), num_samples, max_tokens, self.model.config.sequence_len)
        return self._stream(request, Sampler(temperature, top_k), seed)

    @torch.inference_mode()
    def _stream(self, request: Request, sampler: Sampler, seed: int) -> Iterator[tuple[list[int], list[int]]]:
        rng = torch.Generator(device=self.model.get_device()).manual_seed(seed)
        rows = [Row(self.vocabulary) for _ in range(request.num_samples)]
        cache: KVCache | None = None
        for _ in range(request.columns):
            cache = cache or self._prefilled(request)
            fed = [[request.tokens[-1] if row.token is None else row.token] for row in rows]
            logits = self.model.forward(self._tensor(fed), kv_cache=cache)[:, 0, : self.vocabulary.size]
            for row, token in zip(rows, sampler(logits, rng).view(-1).tolist(), strict=True):
                row.advance(token)
            yield [row.token for row in rows if row.token is not None], [int(row.was_sampled) for row in rows]
            if all(row.mode is Mode.ENDED for row in rows):
                return

    def _prefilled(self, request: Request) -> KVCache:
        """Return a cache of all rows that holds the prompt without its last token."""
        config = self.model.config
        caches = [
            KVCache(
                batch_size=rows,
                num_heads=config.n_kv_head,
                seq_len=config.sequence_len,
                head_dim=config.n_embd // config.n_head,
                num_layers=config.n_layer,
            )
            for rows in (1, request.num_samples)
        ]
        if len(request.tokens) > 1:
            self.model.forward(self._tensor([request.tokens[:-1]]), kv_cache=caches[0])
        caches[1].prefill(caches[0])
        return caches[1]

    def _tensor(self, ids: Sequence[Sequence[int]]) -> Tensor:
        return torch.tensor(ids, dtype=torch.int64, device=self.model.get_device())

    def generate_batch(
        self, tokens: Sequence[int], num_samples: int = 1, **kwargs: Any
    ) -> tuple[list[list[int]], list[list[int]]]:
        """Return (sequences, masks)."""
        sequences = [list(tokens) for _ in range(num_samples)]
        masks = [[0] * len(tokens) for _ in range(num_samples)]
        open_rows = list(range(num_samples))
        for column, column_masks in self.generate(tokens, num_samples, **kwargs):
            open_rows = [i for i in open_rows if column[i] not in self.vocabulary.terminals]
            for i in open_rows:
                sequences[i].append(column[i])
                masks[i].append(column_masks[i])
        return sequences, masks
