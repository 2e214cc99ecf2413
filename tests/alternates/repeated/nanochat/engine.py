"""Cache, sampling and generation as functions; rows are immutable states."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nanochat.tools import use_calculator

__all__ = ["Engine", "KVCache", "sample_next_token", "use_calculator"]

Pair = tuple[Tensor, Tensor]


class KVCache:
    """A dictionary from the layer to its (keys, values), concatenated at every insertion."""

    def __init__(self, batch_size: int, num_heads: int, seq_len: int, head_dim: int, num_layers: int) -> None:
        self.sizes = {"rows": batch_size, "heads": num_heads, "channels": head_dim}
        self.num_layers = num_layers
        self.initial = seq_len
        self.layers: dict[int, Pair] = {}

    def get_pos(self) -> int:
        """Return the tokens of the last layer, which is the last to get them."""
        last = self.layers.get(self.num_layers - 1)
        return last[0].size(2) if last else 0

    def insert_kv(self, layer_idx: int, k: Tensor, v: Tensor) -> Pair:
        """Concatenate and return."""
        got = dict(zip(("rows", "heads", "channels"), (k.size(0), k.size(1), k.size(3)), strict=True))
        if got != self.sizes or k.shape != v.shape:
            raise ValueError(f"got keys {[*k.shape]} and values {[*v.shape]} for a cache of {self.sizes}")
        new = (k.detach(), v.detach())
        if layer_idx in self.layers:
            held = self.layers[layer_idx]
            self.layers[layer_idx] = (torch.cat((held[0], new[0]), 2), torch.cat((held[1], new[1]), 2))
        else:
            self.layers[layer_idx] = (new[0].clone(), new[1].clone())
        return self.layers[layer_idx]

    def prefill(self, other: KVCache) -> None:
        """Copy one row into all."""
        if self.layers or other.sizes != {**self.sizes, "rows": 1} or other.num_layers != self.num_layers:
            raise ValueError(
                f"cannot copy {other.num_layers} layers of {other.sizes} and {other.get_pos()} tokens into "
                f"{self.num_layers} layers of {self.sizes} and {self.get_pos()} tokens"
            )
        rows = self.sizes["rows"]
        for layer, (k, v) in other.layers.items():
            self.layers[layer] = (k.expand(rows, -1, -1, -1).clone(), v.expand(rows, -1, -1, -1).clone())

    def reset(self) -> None:
        """Empty the cache."""
        self.layers.clear()


def sample_next_token(
    logits: Tensor, rng: torch.Generator, temperature: float = 1.0, top_k: int | None = None
) -> Tensor:
    """Return ids (B, 1): the inverse of the cumulative distribution at a random place of its range."""
    if not (temperature >= 0 and temperature != math.inf):
        raise ValueError(f"temperature={temperature} is not a number from 0 on")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k={top_k} is less than 1")
    if temperature == 0:
        return logits.argmax(-1, keepdim=True)
    z, ids = logits.double().sort(dim=-1, descending=True)
    z, ids = z[:, :top_k], ids[:, :top_k]
    total = torch.exp((z - z[:, :1]) / temperature).cumsum(-1)
    place = torch.rand(len(z), 1, dtype=torch.float64, device=z.device, generator=rng) * total[:, -1:]
    # Rounded up to the very end of the range, a place would lie behind every id.
    place = torch.minimum(place, torch.nextafter(total[:, -1:], torch.zeros_like(place)))
    return ids.gather(-1, torch.searchsorted(total, place, right=True))


class State(NamedTuple):
    """A row: the forced ids to come, the open python block, the terminal that ended it."""

    forced: tuple[int, ...] = ()
    block: tuple[int, ...] | None = None
    terminal: int | None = None


def output_ids(tokenizer: Any, block: Sequence[int]) -> tuple[int, ...]:
    """Return the ids that follow a closed block."""
    value = use_calculator(tokenizer.decode(list(block)))
    if value is None:
        return ()
    text = repr(int(value)) if value % 1 == 0 else repr(value)
    special = tokenizer.encode_special
    return (special("<|output_start|>"), *tokenizer.encode(text), special("<|output_end|>"))


def advance(tokenizer: Any, state: State, sampled: int) -> tuple[State, int, int]:
    """Return (state, token, mask) of a row's next step."""
    if state.terminal is not None:
        return state, state.terminal, 0
    if state.forced:
        token, *rest = state.forced
        return state._replace(forced=tuple(rest)), token, 0
    special = tokenizer.encode_special
    if sampled in (special("<|assistant_end|>"), tokenizer.get_bos_token_id()):
        state = State(terminal=sampled)
    elif sampled == special("<|python_start|>"):
        state = State(block=())
    elif state.block is not None and sampled == special("<|python_end|>"):
        state = State(forced=output_ids(tokenizer, state.block))
    elif state.block is not None:
        state = State(block=(*state.block, sampled))
    return state, sampled, 1


class Engine:
    """The prompt is run once for each row, in one batch."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer = model, tokenizer

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
        """Yield the columns and their masks."""
        config, device = self.model.config, self.model.get_device()
        if min(len(tokens), num_samples) < 1 or (max_tokens is not None and max_tokens < 0):
            raise ValueError(f"got {len(tokens)} tokens, num_samples={num_samples}, max_tokens={max_tokens}")
        room = config.sequence_len - len(tokens)
        if room < (max_tokens or 0):
            raise ValueError(f"{(max_tokens or 0) - room} tokens too many for {config.sequence_len}")
        steps = room if max_tokens is None else max_tokens
        rng = torch.Generator(device=device)
        rng.manual_seed(seed)
        states = (State(),) * num_samples
        cache = KVCache(
            batch_size=num_samples,
            num_heads=config.n_kv_head,
            seq_len=len(tokens) + steps,
            head_dim=config.n_embd // config.n_head,
            num_layers=config.n_layer,
        )
        ids = torch.tensor([list(tokens)] * num_samples, dtype=torch.int32, device=device)
        for _ in range(steps):
            logits = self.model.forward(ids, kv_cache=cache)[:, -1, : self.tokenizer.get_vocab_size()]
            samples = sample_next_token(logits, rng, temperature, top_k).squeeze(1).tolist()
            steps_taken = [advance(self.tokenizer, *both) for both in zip(states, samples, strict=True)]
            states, column, masks = zip(*steps_taken, strict=True)
            yield list(column), list(masks)
            if all(state.terminal is not None for state in states):
                break
            ids = torch.tensor(column, dtype=torch.int32, device=device)[:, None]

    def generate_batch(
        self, tokens: Sequence[int], num_samples: int = 1, **kwargs: Any
    ) -> tuple[list[list[int]], list[list[int]]]:
        """Return the rows."""
        terminals = {self.tokenizer.encode_special("<|assistant_end|>"), self.tokenizer.get_bos_token_id()}
        sequences: list[list[int]] = [[*tokens] for _ in range(num_samples)]
        masks: list[list[int]] = [[0] * len(tokens) for _ in range(num_samples)]
        live = [True] * num_samples
        for column, flags in self.generate(tokens, num_samples, **kwargs):
            live = [alive and token not in terminals for alive, token in zip(live, column, strict=True)]
            for row in (i for i, alive in enumerate(live) if alive):
                sequences[row].append(column[row])
                masks[row].append(flags[row])
        return sequences, masks
