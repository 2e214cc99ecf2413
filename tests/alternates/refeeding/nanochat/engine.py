"""Cache, sampling and generation; the engine has no use for the cache, and no state but what the rows say.

At each step the whole text of every row goes through the model again, and what a row is in the middle of is
read off its own tokens.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from nanochat.tools import use_calculator

__all__ = ["Engine", "KVCache", "sample_next_token", "use_calculator"]


class KVCache:
    """A tensor for each token of each layer, (2, rows, heads, channels), stacked when read."""

    GROWTH_STEP = 1

    def __init__(self, batch_size: int, num_heads: int, seq_len: int, head_dim: int, num_layers: int) -> None:
        self.batch_size = batch_size
        self.num_heads = num_heads
        self.seq_len = seq_len
        self.head_dim = head_dim
        self.num_layers = num_layers
        self.reset()

    def reset(self) -> None:
        """Drop all tokens."""
        self.tokens: list[list[Tensor]] = [[] for _ in range(self.num_layers)]

    def get_pos(self) -> int:
        """Return how many tokens every layer has."""
        return min(map(len, self.tokens))

    def insert_kv(self, layer_idx: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Add (B, H, T, D) token by token."""
        want = torch.Size([self.batch_size, self.num_heads, k.size(-2), self.head_dim])
        if not (k.shape == v.shape == want):
            raise ValueError(f"keys are {list(k.shape)}, values {list(v.shape)}; want {list(want)} twice")
        both = torch.stack([k.detach(), v.detach()])
        # A clone for each, or one token would keep the memory of all that came with it.
        self.tokens[layer_idx].extend(token.clone() for token in both.unbind(dim=3))
        keys, values = torch.stack(self.tokens[layer_idx], dim=3).unbind()
        return keys, values

    def prefill(self, other: KVCache) -> None:
        """Give every row what the one row of `other` holds."""
        if self.get_pos():
            raise ValueError(f"there are {self.get_pos()} tokens here already")
        shapes = [(c.num_layers, c.num_heads, c.head_dim) for c in (self, other)]
        if shapes[0] != shapes[1] or other.batch_size != 1:
            raise ValueError(f"got {other.batch_size} rows of {shapes[1]}, want 1 of {shapes[0]}")
        self.tokens = [[token.repeat(1, self.batch_size, 1, 1) for token in layer] for layer in other.tokens]


def sample_next_token(
    logits: Tensor, rng: torch.Generator, temperature: float = 1.0, top_k: int | None = None
) -> Tensor:
    """Return (B, 1) ids."""
    if math.isnan(temperature) or temperature < 0:
        raise ValueError(f"temperature={temperature}, want 0 or more")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k={top_k}, want 1 or more, or None")
    if temperature == 0:
        return logits.argmax(dim=1, keepdim=True)
    # The rank of each id, whose ties the sort has broken.
    ranks = logits.argsort(dim=1, descending=True).argsort(dim=1)
    kept = ranks < (logits.size(1) if top_k is None else top_k)
    gaps = logits.double() - logits.double().amax(dim=1, keepdim=True)
    weights = torch.exp(gaps / temperature).nan_to_num(nan=0.0)  # infinity over infinity is an excluded id
    return torch.multinomial(weights * kept, num_samples=1, generator=rng)


class Engine:
    """Generates without a cache."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.python = (
            tokenizer.encode_special("<|python_start|>"),
            tokenizer.encode_special("<|python_end|>"),
        )
        self.output = (
            tokenizer.encode_special("<|output_start|>"),
            tokenizer.encode_special("<|output_end|>"),
        )
        self.terminals = (tokenizer.get_bos_token_id(), tokenizer.encode_special("<|assistant_end|>"))

    def forced(self, text: Sequence[int], masks: Sequence[int]) -> int | None:
        """Return the id that a row's generated text forces next, None where it forces none."""
        if text and text[-1] in self.terminals:
            return text[-1]
        # The latest sampled token is where the forced ones began, if they did.
        sampled = max((place for place, mask in enumerate(masks) if mask), default=-1)
        if sampled < 0 or text[sampled] != self.python[1]:
            return None
        call = self.block_before(sampled, text, masks)
        result = None if call is None else use_calculator(self.tokenizer.decode(call))
        if result is None:
            return None
        number = int(result) if result == int(result) else result
        output = [self.output[0], *self.tokenizer.encode(str(number)), self.output[1]]
        there = len(text) - sampled - 1
        return output[there] if there < len(output) else None

    def block_before(self, end: int, text: Sequence[int], masks: Sequence[int]) -> list[int] | None:
        """Return the ids of the python block that the token at `end` closes, None if none is open there."""
        for place in range(end - 1, -1, -1):
            if masks[place] and text[place] == self.python[0]:
                return list(text[place + 1 : end])
            if not masks[place] or text[place] == self.python[1]:
                return None
        return None

    def checked(self, tokens: Sequence[int], num_samples: int, max_tokens: int | None) -> int:
        """Return the number of columns; ValueError if they cannot be."""
        if len(tokens) == 0:
            raise ValueError("tokens=[], want at least one")
        if num_samples < 1:
            raise ValueError(f"num_samples={num_samples}, want at least 1")
        if max_tokens is not None and max_tokens < 0:
            raise ValueError(f"max_tokens={max_tokens}, want 0 or more, or None")
        room = self.model.config.sequence_len - len(tokens)
        columns = max_tokens if max_tokens is not None else max(room, 0)
        if columns > room:
            raise ValueError(
                f"{columns - room} more tokens than the context of {self.model.config.sequence_len} holds"
            )
        return columns

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
        columns = self.checked(tokens, num_samples, max_tokens)
        prompt = list(tokens)
        device = self.model.get_device()
        rng = torch.Generator(device=device).manual_seed(seed)
        texts: list[list[int]] = [[] for _ in range(num_samples)]
        flags: list[list[int]] = [[] for _ in range(num_samples)]
        for _ in range(columns):
            with torch.no_grad():
                idx = torch.tensor([[*prompt, *text] for text in texts], dtype=torch.int32, device=device)
                logits = self.model.forward(idx)[:, -1, : self.tokenizer.get_vocab_size()]
            drawn = sample_next_token(logits, rng, temperature, top_k)
            for text, masks, sampled in zip(texts, flags, drawn[:, 0].tolist(), strict=True):
                forced = self.forced(text, masks)
                text.append(sampled if forced is None else forced)
                masks.append(int(forced is None))
            yield [text[-1] for text in texts], [masks[-1] for masks in flags]
            if all(text[-1] in self.terminals for text in texts):
                return

    def generate_batch(
        self, tokens: Sequence[int], num_samples: int = 1, **kwargs: Any
    ) -> tuple[list[list[int]], list[list[int]]]:
        """Return the rows without terminals."""
        sequences = [list(tokens) for _ in range(num_samples)]
        masks = [[0] * len(tokens) for _ in range(num_samples)]
        for token_column, token_masks in self.generate(tokens, num_samples, **kwargs):
            for i, token in enumerate(token_column):
                sequences[i].append(token)
                masks[i].append(token_masks[i])
        for sequence, mask in zip(sequences, masks, strict=True):
            while len(sequence) > len(tokens) and sequence[-1] in self.terminals:
                sequence.pop()
                mask.pop()
        return sequences, masks
