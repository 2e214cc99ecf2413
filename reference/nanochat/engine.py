"""Fast generation: a cache of keys and values, sampling, and the rows that call the calculator on the way.

One column of tokens is produced at a time, one token for each row. A token is *sampled* from the model, or
*forced* when it belongs to the output of a tool. Either way it is fed to the model next, so that the cache
holds exactly what the row says.

Letters of shapes: B rows, H key/value heads, T tokens, D channels of a head, V vocabulary.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from nanochat.tools import use_calculator

__all__ = ["Engine", "KVCache", "sample_next_token", "use_calculator"]


class KVCache:
    """Keys and values of all layers for the tokens seen so far, in memory that grows in steps.

    One tensor (num_layers, 2, batch_size, num_heads, slots, head_dim) holds them, keys at 0 and values at 1
    of its second axis, slots in the order of the tokens. It is made at the first insertion, in the dtype and
    on the device of what is inserted: `seq_len` slots, more if the tokens do not fit. A cache is for
    inference: gradients do not flow through it.
    """

    GROWTH_STEP = 64
    """Slots. Larger wastes memory, smaller copies the cache more often."""

    def __init__(self, batch_size: int, num_heads: int, seq_len: int, head_dim: int, num_layers: int) -> None:
        sizes = {
            "batch_size": batch_size,
            "num_heads": num_heads,
            "seq_len": seq_len,
            "head_dim": head_dim,
            "num_layers": num_layers,
        }
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{name} is {size} and must be at least 1")
        self.batch_size = batch_size
        self.num_heads = num_heads
        self.seq_len = seq_len
        self.head_dim = head_dim
        self.num_layers = num_layers
        self.pos = 0
        self.storage: Tensor | None = None

    def get_pos(self) -> int:
        """Return the number of tokens that every layer holds, which is the position of the next one."""
        return self.pos

    def insert_kv(self, layer_idx: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Add keys and values (B, H, T, D) of new tokens to a layer; return all it holds now, (B, H, all, D).

        Layers take turns from 0 up, with the same T. The tokens count as held after the last layer, because
        all layers of one pass through the model write to the same slots. What is returned are views of the
        cache. Raises ValueError for a wrong shape, layer or dtype.
        """
        self._check(layer_idx, k, v)
        t0, t1 = self.pos, self.pos + k.size(2)
        storage = self._reserve(t1, like=k)
        storage[layer_idx, 0, :, :, t0:t1] = k.detach()
        storage[layer_idx, 1, :, :, t0:t1] = v.detach()
        if layer_idx == self.num_layers - 1:
            self.pos = t1
        return storage[layer_idx, 0, :, :, :t1], storage[layer_idx, 1, :, :, :t1]

    def prefill(self, other: KVCache) -> None:
        """Copy the tokens of `other`, a cache of one row, into every row of this empty one.

        Raises ValueError if this cache holds tokens or `other` has another shape.
        """
        if self.pos != 0:
            raise ValueError(
                f"prefill needs an empty cache, this one holds {self.pos} tokens; reset it first"
            )
        got = (other.batch_size, other.num_layers, other.num_heads, other.head_dim)
        want = (1, self.num_layers, self.num_heads, self.head_dim)
        if got != want:
            raise ValueError(f"prefill from a cache of (rows, layers, heads, head_dim) {got}, wanted {want}")
        if other.storage is None or other.pos == 0:
            return
        storage = self._reserve(other.pos, like=other.storage)
        storage[..., : other.pos, :] = other.storage[..., : other.pos, :]  # one row is broadcast to all
        self.pos = other.pos

    def reset(self) -> None:
        """Forget all tokens. The memory is kept for reuse, unless it has grown past `seq_len` slots."""
        self.pos = 0
        if self.storage is not None and self.storage.size(4) > self.seq_len:
            self.storage = None

    @torch.inference_mode(False)  # memory made in that mode could not be written to outside of it
    def _reserve(self, t1: int, like: Tensor) -> Tensor:
        """Return storage of at least `t1` slots with all tokens so far; a new one has `like`'s dtype."""
        if self.pos == 0 and self.storage is not None and self.storage.dtype != like.dtype:
            self.storage = None  # it is left from before a reset
        held = 0 if self.storage is None else self.storage.size(4)
        if self.storage is not None and t1 <= held:
            return self.storage
        slots = self.seq_len
        if t1 > slots:
            needed = t1 + self.GROWTH_STEP
            slots = math.ceil(needed / self.GROWTH_STEP) * self.GROWTH_STEP
        shape = (self.num_layers, 2, self.batch_size, self.num_heads, slots, self.head_dim)
        storage = like.new_empty(shape)
        if self.storage is not None:
            storage[..., :held, :] = self.storage
        self.storage = storage
        return storage

    def _check(self, layer_idx: int, k: Tensor, v: Tensor) -> None:
        """Raise ValueError if `k` and `v` do not belong into layer `layer_idx` of this cache."""
        if not 0 <= layer_idx < self.num_layers:
            raise ValueError(f"layer_idx is {layer_idx}; this cache has layers 0 to {self.num_layers - 1}")
        for name, inserted in (("k", k), ("v", v)):
            got = tuple(inserted.shape)
            want = (self.batch_size, self.num_heads, k.size(2) if k.ndim == 4 else "T", self.head_dim)
            if got != want:
                raise ValueError(f"{name} has the shape (rows, heads, tokens, head_dim) {got}, wanted {want}")
            empty = self.pos == 0 and layer_idx == 0
            if self.storage is not None and not empty and inserted.dtype != self.storage.dtype:
                raise ValueError(f"{name} is {inserted.dtype}, this cache holds {self.storage.dtype}")


def sample_next_token(
    logits: Tensor, rng: torch.Generator, temperature: float = 1.0, top_k: int | None = None
) -> Tensor:
    """Return one token id for each row of `logits` (B, V), as (B, 1) int64.

    Drawn from softmax(logits / temperature) over the `top_k` largest logits of the row, exactly that many
    also if some are equal; over all of them if `top_k` is None. A temperature of 0 means the largest logit.
    `rng` must be on the device of the logits, which stay as they are. Raises ValueError for a temperature
    that is negative or not finite, and for a `top_k` below 1.
    """
    if not (temperature >= 0 and math.isfinite(temperature)):
        raise ValueError(f"temperature is {temperature} and must be a finite number, at least 0")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k is {top_k} and must be at least 1, or None for all tokens")
    if temperature == 0:
        return logits.argmax(dim=-1, keepdim=True)
    if top_k is None:
        return torch.multinomial(_probabilities(logits, temperature), num_samples=1, generator=rng)
    # Not a threshold at the k-th largest: that would keep every logit equal to it.
    largest, ids = torch.topk(logits, min(top_k, logits.size(-1)), dim=-1)
    choice = torch.multinomial(_probabilities(largest, temperature), num_samples=1, generator=rng)
    return ids.gather(-1, choice)


def _probabilities(logits: Tensor, temperature: float) -> Tensor:
    """Return softmax(logits / temperature) in float32; no logit or temperature is too large or too small."""
    logits = logits.float()
    # The largest becomes 0 first, so that dividing by a tiny temperature gives -inf elsewhere and never inf.
    logits = logits - logits.max(dim=-1, keepdim=True).values
    smallest = torch.finfo(torch.float32).tiny
    return torch.softmax(logits / max(temperature, smallest), dim=-1)


class Tokenizer(Protocol):
    """What the engine needs of a tokenizer."""

    def get_vocab_size(self) -> int:
        """Return the number of tokens."""

    def get_bos_token_id(self) -> int:
        """Return the id of the BOS token."""

    def encode_special(self, token: str) -> int:
        """Return the id of a special token."""

    def encode(self, text: str) -> list[int]:
        """Return the ids of ordinary text."""

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids."""


@dataclass
class Row:
    """What one row is in the middle of."""

    done: bool = False
    token: int = -1
    """The latest token; once the row is done, its terminal token for good."""
    in_python: bool = False
    expression: list[int] = field(default_factory=list)
    """Ids since the python block opened. Decoded together: one character may take several tokens."""
    forced: deque[int] = field(default_factory=deque)
    """Ids of a tool's output, which come next, first one first."""


class Engine:
    """Continues one prompt in several rows at once, with a cache, and runs the calculator when a row asks."""

    def __init__(self, model: Any, tokenizer: Tokenizer) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.python_start = tokenizer.encode_special("<|python_start|>")
        self.python_end = tokenizer.encode_special("<|python_end|>")
        self.output_start = tokenizer.encode_special("<|output_start|>")
        self.output_end = tokenizer.encode_special("<|output_end|>")
        self.terminal = {tokenizer.encode_special("<|assistant_end|>"), tokenizer.get_bos_token_id()}

    @torch.inference_mode()
    def generate(
        self,
        tokens: Sequence[int],
        num_samples: int = 1,
        max_tokens: int | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int = 42,
    ) -> Iterator[tuple[list[int], list[int]]]:
        """Yield (token_column, token_masks): the next token of each row, and 1 if sampled, 0 if forced.

        A row ends with the column that holds its terminal token, and repeats it with mask 0 while others go
        on. At most `max_tokens` columns, or as many as the context has room for. Raises ValueError, when the
        first column is asked for, if the request makes no sense or does not fit into the context.
        """
        columns = self._columns(tokens, num_samples, max_tokens)
        if columns == 0:
            return
        rng = torch.Generator(device=self.model.get_device()).manual_seed(seed)
        rows = [Row() for _ in range(num_samples)]
        logits, cache = self._prefill(tokens, num_samples, slots=len(tokens) + columns)
        while True:
            # The model's vocabulary may be padded: ids from here on do not exist.
            logits = logits[:, : self.tokenizer.get_vocab_size()]
            sampled = sample_next_token(logits, rng, temperature, top_k)
            candidates = sampled[:, 0].tolist()
            masks = [self._advance(row, token) for row, token in zip(rows, candidates, strict=True)]
            yield [row.token for row in rows], masks
            columns -= 1
            if columns == 0 or all(row.done for row in rows):
                return
            logits = self._forward([[row.token] for row in rows], cache)

    def generate_batch(
        self, tokens: Sequence[int], num_samples: int = 1, **kwargs: Any
    ) -> tuple[list[list[int]], list[list[int]]]:
        """Return (sequences, masks), one of each a row: the prompt and what follows, without terminal tokens.

        The mask is 0 on the prompt. `kwargs` are those of `generate`.
        """
        sequences = [list(tokens) for _ in range(num_samples)]
        masks = [[0] * len(tokens) for _ in range(num_samples)]
        ended = [False] * num_samples
        for token_column, token_masks in self.generate(tokens, num_samples, **kwargs):
            for i, (token, mask) in enumerate(zip(token_column, token_masks, strict=True)):
                ended[i] = ended[i] or token in self.terminal
                if not ended[i]:
                    sequences[i].append(token)
                    masks[i].append(mask)
        return sequences, masks

    def _columns(self, tokens: Sequence[int], num_samples: int, max_tokens: int | None) -> int:
        """Return how many columns the request asks for; ValueError if it cannot be met."""
        context = self.model.config.sequence_len
        if len(tokens) == 0:
            raise ValueError("the prompt is empty; begin with the BOS token")
        if num_samples < 1:
            raise ValueError(f"num_samples is {num_samples} and must be at least 1")
        if max_tokens is not None and max_tokens < 0:
            raise ValueError(
                f"max_tokens is {max_tokens} and must be at least 0, or None for the whole context"
            )
        wanted = len(tokens) + (max_tokens or 0)
        if wanted > context:
            raise ValueError(
                f"a prompt of {len(tokens)} tokens and max_tokens={max_tokens} exceed the context of "
                f"{context} (sequence_len) by {wanted - context} tokens"
            )
        return context - len(tokens) if max_tokens is None else max_tokens

    def _prefill(self, tokens: Sequence[int], num_samples: int, slots: int) -> tuple[Tensor, KVCache]:
        """Return the logits (rows, V) after the prompt, and a cache that holds the prompt in every row.

        The prompt runs through the model once, whatever the number of rows. The cache of that one row ends
        with this function.
        """
        one = self._new_cache(rows=1, slots=len(tokens))
        logits = self._forward([list(tokens)], one)
        cache = self._new_cache(num_samples, slots)
        cache.prefill(one)
        return logits.expand(num_samples, -1), cache

    def _new_cache(self, rows: int, slots: int) -> KVCache:
        config = self.model.config
        return KVCache(
            batch_size=rows,
            num_heads=config.n_kv_head,
            seq_len=slots,
            head_dim=config.n_embd // config.n_head,
            num_layers=config.n_layer,
        )

    def _forward(self, ids: list[list[int]], cache: KVCache) -> Tensor:
        """Return the logits (rows, V) after the last token of each row."""
        idx = torch.tensor(ids, dtype=torch.long, device=self.model.get_device())
        logits: Tensor = self.model.forward(idx, kv_cache=cache)
        return logits[:, -1, :]

    def _advance(self, row: Row, sampled: int) -> int:
        """Give the row its next token and return its mask: 1 if it is the sampled one, 0 if not."""
        if row.done:
            return 0
        if row.forced:
            row.token = row.forced.popleft()
            return 0
        row.token = sampled
        if sampled in self.terminal:
            row.done = True
        elif sampled == self.python_start:
            row.in_python, row.expression = True, []
        elif sampled == self.python_end and row.in_python:
            row.in_python = False
            self._call_tool(row)
        elif row.in_python:
            row.expression.append(sampled)
        return 1

    def _call_tool(self, row: Row) -> None:
        """Run the calculator on the row's expression and force what it returns, if it returns anything."""
        result = use_calculator(self.tokenizer.decode(row.expression))
        if result is None:
            return
        # As people write it, and as it stands in training text: 10 and not 10.0.
        text = str(int(result)) if result == int(result) else str(result)
        row.forced.extend([self.output_start, *self.tokenizer.encode(text), self.output_end])
