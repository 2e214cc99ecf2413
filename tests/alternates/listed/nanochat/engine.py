"""Cache, sampling and generation; the cache keeps the pieces that it was given and joins them when read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from nanochat.tools import use_calculator

__all__ = ["Engine", "KVCache", "sample_next_token", "use_calculator"]


class KVCache:
    """For each layer a list of keys and a list of values, one entry for each insertion."""

    GROWTH_STEP = 1
    """There are exactly as many slots as tokens."""

    def __init__(self, batch_size: int, num_heads: int, seq_len: int, head_dim: int, num_layers: int) -> None:
        self.batch_size = batch_size
        self.num_heads = num_heads
        self.seq_len = seq_len  # unused: nothing is allocated ahead
        self.head_dim = head_dim
        self.num_layers = num_layers
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.key_pieces: list[list[Tensor]] = [[] for _ in range(self.num_layers)]
        self.value_pieces: list[list[Tensor]] = [[] for _ in range(self.num_layers)]

    def get_seq_length(self, layer_idx: int) -> int:
        """Return the number of tokens in one layer."""
        return sum(piece.shape[-2] for piece in self.key_pieces[layer_idx])

    def get_pos(self) -> int:
        """Return the number of tokens in every layer."""
        return min(self.get_seq_length(layer_idx) for layer_idx in range(self.num_layers))

    def insert_kv(self, layer_idx: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Append to a layer, return contiguous copies of all of it."""
        for name, states in (("keys", k), ("values", v)):
            if states.shape != (self.batch_size, self.num_heads, k.shape[-2], self.head_dim):
                raise ValueError(
                    f"{name} are {tuple(states.shape)}, expected "
                    f"({self.batch_size}, {self.num_heads}, {k.shape[-2]}, {self.head_dim})"
                )
        # Cloned: what comes in may be a view of something larger, or be written to afterwards.
        self.key_pieces[layer_idx].append(k.detach().clone())
        self.value_pieces[layer_idx].append(v.detach().clone())
        return torch.cat(self.key_pieces[layer_idx], dim=2), torch.cat(self.value_pieces[layer_idx], dim=2)

    def prefill(self, other: KVCache) -> None:
        """Copy the only row of `other` into every row of this empty cache."""
        if self.get_pos() != 0:
            raise ValueError(f"cannot prefill a cache of {self.get_pos()} tokens; reset it before")
        if other.batch_size != 1:
            raise ValueError(f"cannot prefill from {other.batch_size} rows, only from 1")
        for name in ("num_layers", "num_heads", "head_dim"):
            if getattr(self, name) != getattr(other, name):
                raise ValueError(f"{name} is {getattr(other, name)} there and {getattr(self, name)} here")
        for mine, theirs in ((self.key_pieces, other.key_pieces), (self.value_pieces, other.value_pieces)):
            for layer_idx, pieces in enumerate(theirs):
                mine[layer_idx] = (
                    [torch.cat(pieces, dim=2).repeat(self.batch_size, 1, 1, 1)] if pieces else []
                )


Warper = Callable[[Tensor], Tensor]


def temperature_warper(temperature: float) -> Warper:
    """Return what divides logits by the temperature, the largest of them set to 0 before."""
    return lambda scores: (scores - scores.max(dim=-1, keepdim=True)[0]) / temperature


def top_k_warper(top_k: int) -> Warper:
    """Return what keeps the `top_k` best logits of a row."""

    def warp(scores: Tensor) -> Tensor:
        order = scores.argsort(dim=-1, descending=True, stable=True)
        return scores.scatter(-1, order[:, top_k:], float("-inf"))

    return warp


def sample_next_token(
    logits: Tensor, rng: torch.Generator, temperature: float = 1.0, top_k: int | None = None
) -> Tensor:
    """Return one id for each row, (rows, 1)."""
    if math.isnan(temperature) or math.isinf(temperature) or temperature < 0:
        raise ValueError(f"`temperature` has to be a non-negative finite number, but is {temperature}")
    if top_k is not None and top_k <= 0:
        raise ValueError(f"`top_k` has to be a positive integer, but is {top_k}")
    if temperature == 0:
        return torch.argmax(logits, dim=-1)[:, None]
    warpers = [temperature_warper(temperature)]
    if top_k is not None:
        warpers.insert(0, top_k_warper(top_k))
    scores = logits.to(torch.float64)
    for warper in warpers:
        scores = warper(scores)
    return torch.multinomial(torch.softmax(scores, dim=-1), num_samples=1, generator=rng)


class Engine:
    """Generation; the rows' states are lists that have an entry for each row."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.eos_token_ids = [tokenizer.get_bos_token_id(), tokenizer.encode_special("<|assistant_end|>")]

    @torch.no_grad()
    def _next_logits(self, input_ids: Tensor, cache: KVCache) -> Tensor:
        logits: Tensor = self.model.forward(input_ids, kv_cache=cache)[:, -1, :]
        return logits[:, : self.tokenizer.get_vocab_size()]

    def generate(
        self,
        tokens: Sequence[int],
        num_samples: int = 1,
        max_tokens: int | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int = 42,
    ) -> Iterator[tuple[list[int], list[int]]]:
        """Yield (token_column, token_masks)."""
        config = self.model.config
        if len(tokens) == 0:
            raise ValueError("`tokens` is empty")
        if num_samples <= 0:
            raise ValueError(f"`num_samples` has to be positive, but is {num_samples}")
        if max_tokens is not None and max_tokens < 0:
            raise ValueError(f"`max_tokens` has to be non-negative or None, but is {max_tokens}")
        total = len(tokens) if max_tokens is None else len(tokens) + max_tokens
        if total > config.sequence_len:
            raise ValueError(
                f"input length is {len(tokens)} and `max_tokens` is {max_tokens}: too long by "
                f"{total - config.sequence_len} for `sequence_len` = {config.sequence_len}"
            )
        if max_tokens is None:
            max_tokens = config.sequence_len - len(tokens)
        if max_tokens == 0:
            return

        device = self.model.get_device()
        generator = torch.Generator(device).manual_seed(seed)
        sizes = (config.n_kv_head, config.sequence_len, config.n_embd // config.n_head, config.n_layer)
        prompt_cache = KVCache(1, *sizes)
        logits = self._next_logits(torch.tensor([tokens], dtype=torch.long, device=device), prompt_cache)
        logits = logits.expand(num_samples, -1)
        cache = KVCache(num_samples, *sizes)
        cache.prefill(prompt_cache)
        del prompt_cache

        finished = [False] * num_samples
        pending: list[list[int]] = [[] for _ in range(num_samples)]  # forced ids, the next one last
        blocks: list[list[int] | None] = [None] * num_samples
        column = [0] * num_samples
        for generated in range(1, max_tokens + 1):
            sampled = sample_next_token(logits, generator, temperature, top_k).view(-1).tolist()
            masks = [0] * num_samples
            for row in range(num_samples):
                if pending[row]:
                    column[row] = pending[row].pop()
                elif not finished[row]:
                    column[row], masks[row] = sampled[row], 1
                    finished[row] = sampled[row] in self.eos_token_ids
                    blocks[row], forced = self._follow_block(blocks[row], sampled[row])
                    pending[row] = forced[::-1]
            yield column[:], masks
            if all(finished) or generated == max_tokens:
                break
            logits = self._next_logits(torch.tensor(column, device=device).unsqueeze(1), cache)

    def _follow_block(self, block: list[int] | None, token: int) -> tuple[list[int] | None, list[int]]:
        """Return the python block after `token`, None outside of one, and the ids that it makes forced."""
        if token == self.tokenizer.encode_special("<|python_start|>"):
            return [], []
        if block is None:
            return None, []
        if token != self.tokenizer.encode_special("<|python_end|>"):
            return [*block, token], []
        result = use_calculator(self.tokenizer.decode(block))
        if result is None:
            return None, []
        if isinstance(result, float) and result == math.floor(result):
            result = int(result)
        start, end = (self.tokenizer.encode_special(f"<|output_{edge}|>") for edge in ("start", "end"))
        return None, [start, *self.tokenizer.encode(str(result)), end]

    def generate_batch(
        self, tokens: Sequence[int], num_samples: int = 1, **kwargs: Any
    ) -> tuple[list[list[int]], list[list[int]]]:
        """Return (sequences, masks) without terminal tokens."""
        sequences = [list(tokens) for _ in range(num_samples)]
        masks = [[0 for _ in tokens] for _ in range(num_samples)]
        unfinished = set(range(num_samples))
        for column, column_masks in self.generate(tokens, num_samples, **kwargs):
            for row in sorted(unfinished):
                if column[row] in self.eos_token_ids:
                    unfinished.remove(row)
                else:
                    sequences[row].append(column[row])
                    masks[row].append(column_masks[row])
        return sequences, masks
