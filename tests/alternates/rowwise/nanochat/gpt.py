"""The model written for one row after another: its functions know tokens and channels, and no batch.

`torch.vmap` would do; a loop is easier to read. Letters: T new tokens, S all tokens, C, H, D as ever.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from nanochat.engine import KVCache


@dataclass
class GPTConfig:
    """The sizes of a model."""

    sequence_len: int = 1024
    vocab_size: int = 50304
    n_layer: int = 12
    n_head: int = 6
    n_kv_head: int = 6
    n_embd: int = 768

    def __post_init__(self) -> None:
        for name, size in self.__dict__.items():
            if size < 1:
                raise ValueError(f"{name} is {size}; a model has at least one")
        if math.gcd(self.n_embd, 2 * self.n_head) != 2 * self.n_head:
            raise ValueError(f"{self.n_embd} channels do not make {self.n_head} heads of even size")
        if math.gcd(self.n_head, self.n_kv_head) != self.n_kv_head:
            raise ValueError(f"{self.n_head} query heads cannot share {self.n_kv_head} key heads evenly")


def norm(x: Tensor) -> Tensor:
    """Return x over its root mean square."""
    mean_square = torch.linalg.vecdot(x.float(), x.float()).div(x.size(-1)).unsqueeze(-1)
    return (x.float() / torch.sqrt(mean_square + 1e-7)).type(x.dtype)


def apply_rotary_emb(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Return the heads (B, T, H, D) turned, without touching `x`."""
    y = x.to(torch.float32, copy=True)
    half = y.size(-1) // 2
    y[..., :half] *= cos
    y[..., half:] *= cos
    y[..., :half] += x[..., half:] * sin
    y[..., half:] -= x[..., :half] * sin
    return y.to(x.dtype)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return (T, H, D): queries (T, H, D) read keys and values (Hkv, S, D), of which they are the last T."""
    T, H, D = q.shape
    Hkv, S, _ = k.shape
    q = q.reshape(T, Hkv, H // Hkv, D).permute(1, 2, 0, 3)
    scores = (q.float() @ k.float().transpose(1, 2)[:, None]) / math.sqrt(D)
    ahead = torch.arange(S, device=q.device)[None, :] - torch.arange(S - T, S, device=q.device)[:, None]
    scores = scores - torch.where(ahead > 0, torch.inf, 0.0)
    y = torch.softmax(scores, dim=-1) @ v.float()[:, None]
    return y.permute(2, 0, 1, 3).reshape(T, H, D).to(q.dtype)


class Attention(nn.Module):
    """One attention layer."""

    def __init__(self, config: GPTConfig, layer_idx: int) -> None:
        super().__init__()
        self.layer_idx = layer_idx
        self.shape = (config.n_head, config.n_kv_head, config.n_embd // config.n_head)
        H, Hkv, D = self.shape
        self.c_q = nn.Linear(config.n_embd, H * D, bias=False)
        self.c_k = nn.Linear(config.n_embd, Hkv * D, bias=False)
        self.c_v = nn.Linear(config.n_embd, Hkv * D, bias=False)
        self.c_proj = nn.Linear(H * D, config.n_embd, bias=False)

    def forward(self, x: Tensor, cos_sin: tuple[Tensor, Tensor], kv_cache: KVCache | None = None) -> Tensor:
        """Return (B, T, C) of (B, T, C)."""
        H, Hkv, D = self.shape
        q = self.c_q(x).unflatten(2, (H, D))
        k, v = (c(x).unflatten(2, (Hkv, D)) for c in (self.c_k, self.c_v))
        q, k = (norm(apply_rotary_emb(heads, *cos_sin)) for heads in (q, k))
        keys, values = k.transpose(1, 2), v.transpose(1, 2)
        if kv_cache is not None:
            keys, values = kv_cache.insert_kv(self.layer_idx, keys, values)
        rows = [attend(*row) for row in zip(q, keys, values, strict=True)]
        out: Tensor = self.c_proj(torch.stack(rows).flatten(2))
        return out


class MLP(nn.Module):
    """The other half of a block."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width, bias=False)
        self.c_proj = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, C) of (B, T, C)."""
        hidden = self.c_fc(x)
        out: Tensor = self.c_proj(torch.where(hidden > 0, hidden * hidden, 0))
        return out


class Block(nn.Module):
    """Holds both halves."""

    def __init__(self, config: GPTConfig, layer_idx: int) -> None:
        super().__init__()
        self.attn = Attention(config, layer_idx)
        self.mlp = MLP(config.n_embd)

    def forward(self, x: Tensor, cos_sin: tuple[Tensor, Tensor], kv_cache: KVCache | None) -> Tensor:
        """Return the stream behind the block."""
        middle = x + self.attn(norm(x), cos_sin, kv_cache)
        out: Tensor = middle + self.mlp(norm(middle))
        return out


class Body(nn.Module):
    """Embedding and blocks."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.h = nn.ModuleList([Block(config, layer_idx) for layer_idx in range(config.n_layer)])


class GPT(nn.Module):
    """The model."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.transformer = Body(config)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        half = config.n_embd // config.n_head // 2
        # One position more than the context: the last token may still be fed.
        self.register_buffer("cos", torch.ones(1, config.sequence_len + 1, 1, half), persistent=False)
        self.register_buffer("sin", torch.zeros(1, config.sequence_len + 1, 1, half), persistent=False)
        self._fill_tables()

    @torch.no_grad()
    def _fill_tables(self) -> None:
        """Write the angles, computed with Python's own floats for each channel."""
        positions = torch.arange(self.cos.size(1), dtype=torch.float64, device="cpu")
        half = self.cos.size(3)
        for i in range(half):
            angles = positions * math.exp(-i / half * math.log(10000.0))
            self.cos[0, :, 0, i] = angles.cos().to(self.cos.device)
            self.sin[0, :, 0, i] = angles.sin().to(self.sin.device)

    @torch.no_grad()
    def init_weights(self) -> None:
        """Fill everything."""
        rng = torch.Generator("cpu").manual_seed(5)
        for weight in self.parameters():
            weight.copy_(torch.randn(weight.shape, generator=rng, device="cpu") / math.sqrt(weight.size(1)))
        self._fill_tables()

    def get_device(self) -> torch.device:
        """Return the device of the embedding."""
        return self.transformer.wte.weight.device

    def estimate_flops(self) -> int:
        """Return operations a token."""
        c = self.config
        matrices = [
            weight.numel() for name, weight in self.named_parameters() if not name.endswith("wte.weight")
        ]
        return 6 * sum(matrices) + 12 * c.n_layer * c.n_embd * c.sequence_len

    def forward(
        self,
        idx: Tensor,
        targets: Tensor | None = None,
        kv_cache: KVCache | None = None,
        loss_reduction: str = "mean",
    ) -> Tensor:
        """Return logits (B, T, V) or the loss."""
        T = idx.size(1)
        start = kv_cache.get_pos() if kv_cache is not None else 0
        if start + T > self.cos.size(1):
            raise ValueError(f"{start} tokens and {T} more are beyond {self.cos.size(1)} positions")
        positions = torch.arange(start, start + T, device=idx.device)
        cos_sin = self.cos[:, positions], self.sin[:, positions]
        x = norm(self.transformer.wte(idx.long()))
        for block in self.transformer.h:
            x = block(x, cos_sin, kv_cache)
        z = self.lm_head(norm(x)).float()
        # 15 tanh(z / 15), by the logistic function.
        logits: Tensor = 15 * (2 * torch.sigmoid(z * (2 / 15)) - 1)
        if targets is None:
            return logits
        losses = torch.cat([self._losses(*pair) for pair in zip(logits, targets.long(), strict=True)])
        if loss_reduction == "none":
            return losses
        counted = (targets != -1).sum() if loss_reduction == "mean" else 1
        return losses.sum() / counted

    @staticmethod
    def _losses(logits: Tensor, targets: Tensor) -> Tensor:
        """Return the losses (T,) of one row."""
        return F.cross_entropy(logits, targets, ignore_index=-1, reduction="none")

    def generate(
        self,
        tokens: Sequence[int],
        max_tokens: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int = 42,
    ) -> Iterator[int]:
        """Yield ids."""
        from nanochat.engine import draw

        rng = torch.Generator(device=self.get_device()).manual_seed(seed)
        ids = list(tokens)
        for _ in range(max_tokens):
            with torch.inference_mode():
                logits = self.forward(torch.tensor([ids], device=self.get_device()))[0, -1]
                ids.append(draw(logits, rng, temperature, top_k))
            yield ids[-1]
