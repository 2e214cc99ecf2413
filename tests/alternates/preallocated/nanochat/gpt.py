"""The model, with attention as einsums over groups of query heads.

Letters: b rows, t new tokens, s all tokens, n key/value heads, g query heads of a group, d channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from nanochat.engine import KVCache

CosSin = tuple[Tensor, Tensor]


@dataclass
class GPTConfig:
    """Sizes of a model; ValueError where they do not fit together."""

    sequence_len: int = 1024
    vocab_size: int = 50304
    n_layer: int = 12
    n_head: int = 6
    n_kv_head: int = 6
    n_embd: int = 768

    def __post_init__(self) -> None:
        smallest = min(vars(self), key=vars(self).__getitem__)
        if vars(self)[smallest] < 1:
            raise ValueError(f"{smallest} must be positive, got {vars(self)[smallest]}")
        if self.n_embd % (2 * self.n_head):
            raise ValueError(f"n_embd={self.n_embd} does not give {self.n_head} heads of even size")
        if self.n_head % self.n_kv_head:
            raise ValueError(f"n_head={self.n_head} is no multiple of n_kv_head={self.n_kv_head}")


def norm(x: Tensor) -> Tensor:
    """Return `x` over its root mean square, with the largest epsilon that the contract allows."""
    return F.rms_norm(x, x.shape[-1:], eps=1e-5)


def apply_rotary_emb(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the two halves of the channels of `x` (b, t, heads, d)."""
    half = x.size(-1) // 2
    first, second = x[..., :half], x[..., half:]
    out = torch.empty_like(x, dtype=torch.promote_types(x.dtype, cos.dtype))
    out[..., :half] = first * cos + second * sin
    out[..., half:] = second * cos - first * sin
    return out.to(x.dtype)


class Attention(nn.Module):
    """Grouped-query attention, cached keys and values included."""

    def __init__(self, config: GPTConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.kv_heads = config.n_kv_head
        self.group = config.n_head // config.n_kv_head
        self.channels = config.n_embd // config.n_head
        kv_width = self.kv_heads * self.channels
        self.c_q = nn.Linear(config.n_embd, config.n_embd, bias=False)
        self.c_k = nn.Linear(config.n_embd, kv_width, bias=False)
        self.c_v = nn.Linear(config.n_embd, kv_width, bias=False)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=False)

    def forward(self, x: Tensor, cos_sin: CosSin, kv_cache: KVCache | None = None) -> Tensor:
        """Return (b, t, width) of `x` (b, t, width)."""
        q = norm(apply_rotary_emb(self.c_q(x).unflatten(-1, (-1, self.channels)), *cos_sin))
        k = norm(apply_rotary_emb(self.c_k(x).unflatten(-1, (-1, self.channels)), *cos_sin))
        v = self.c_v(x).unflatten(-1, (-1, self.channels))
        k, v = k.transpose(1, 2), v.transpose(1, 2)
        if kv_cache is not None:
            k, v = kv_cache.insert_kv(self.layer, k, v)

        t, s = x.size(1), k.size(2)
        q = q.unflatten(2, (self.kv_heads, self.group))
        scores = torch.einsum("btngd,bnsd->bngts", q, k).float() * self.channels**-0.5
        positions = torch.arange(s, device=x.device)
        future = positions[None, :] > positions[s - t :, None]
        shares = scores.masked_fill(future, float("-inf")).softmax(dim=-1).to(v.dtype)
        y = torch.einsum("bngts,bnsd->btngd", shares, v)
        out: Tensor = self.c_proj(y.flatten(2))
        return out


class MLP(nn.Module):
    """Squared ReLU between two matrices."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width, bias=False)
        self.c_proj = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (b, t, width) of `x` (b, t, width)."""
        out: Tensor = self.c_proj(self.c_fc(x).clamp(min=0).pow(2))
        return out


class Block(nn.Module):
    """One layer."""

    def __init__(self, config: GPTConfig, layer: int) -> None:
        super().__init__()
        self.attn = Attention(config, layer)
        self.mlp = MLP(config.n_embd)

    def forward(self, x: Tensor, cos_sin: CosSin, kv_cache: KVCache | None) -> Tensor:
        """Return the stream after this layer."""
        x = x + self.attn(norm(x), cos_sin, kv_cache)
        out: Tensor = x + self.mlp(norm(x))
        return out


class GPT(nn.Module):
    """The model."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        blocks = [Block(config, layer) for layer in range(config.n_layer)]
        self.transformer: Any = nn.ModuleDict(
            {"wte": nn.Embedding(config.vocab_size, config.n_embd), "h": nn.ModuleList(blocks)}
        )
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        cos, sin = self._angles()
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def _angles(self) -> CosSin:
        """Return the rotary tables, angles in float32."""
        half = self.config.n_embd // self.config.n_head // 2
        device = self.get_device()
        speeds = 10000.0 ** -(torch.arange(half, device=device, dtype=torch.float32) / half)
        places = torch.arange(self.config.sequence_len, device=device, dtype=torch.float32)
        angles = torch.einsum("p,i->pi", places, speeds)[None, :, None]
        return angles.cos(), angles.sin()

    @torch.no_grad()
    def init_weights(self) -> None:
        """Fill parameters and tables."""
        device = self.get_device()
        rng = torch.Generator(device=device).manual_seed(1)
        for parameter in self.parameters():
            parameter.normal_(std=0.5 * parameter.size(-1) ** -0.5, generator=rng)
        self.cos, self.sin = self._angles()

    def get_device(self) -> torch.device:
        """Return the device of the parameters."""
        return self.lm_head.weight.device

    def estimate_flops(self) -> int:
        """Return the operations of training on one token."""
        c = self.config
        weights = sum(p.numel() for p in self.parameters()) - c.vocab_size * c.n_embd
        return 6 * weights + 12 * c.n_layer * c.n_embd * c.sequence_len

    def forward(
        self,
        idx: Tensor,
        targets: Tensor | None = None,
        kv_cache: KVCache | None = None,
        loss_reduction: str = "mean",
    ) -> Tensor:
        """Return float32 logits (b, t, vocabulary), or the loss against `targets` (b, t)."""
        start = kv_cache.get_pos() if kv_cache is not None else 0
        stop = start + idx.size(1)
        if stop > self.cos.size(1):
            raise ValueError(f"{stop} positions, the rotary tables have {self.cos.size(1)}")
        cos_sin = (self.cos[:, start:stop], self.sin[:, start:stop])
        x = norm(self.transformer["wte"](idx))
        for block in self.transformer["h"]:
            x = block(x, cos_sin, kv_cache)
        logits: Tensor = 15.0 * torch.tanh(self.lm_head(norm(x)).float() / 15.0)
        if targets is None:
            return logits
        return F.cross_entropy(
            logits.transpose(1, 2), targets.long(), ignore_index=-1, reduction=loss_reduction
        ).reshape(-1 if loss_reduction == "none" else ())

    def generate(
        self,
        tokens: Sequence[int],
        max_tokens: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int = 42,
    ) -> Iterator[int]:
        """Yield `max_tokens` ids that continue `tokens`."""
        from nanochat.engine import sample_next_token

        rng = torch.Generator(device=self.get_device()).manual_seed(seed)
        ids = list(tokens)
        for _ in range(max_tokens):
            with torch.no_grad():
                logits = self(torch.tensor([ids], device=self.get_device()))
                ids.append(int(sample_next_token(logits[:, -1], rng, temperature, top_k)))
            yield ids[-1]
