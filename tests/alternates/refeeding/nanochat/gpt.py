"""The model, with attention one head at a time: slow, and legible."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
        if not all(size >= 1 for size in vars(self).values()):
            raise ValueError(f"all sizes of {self} must be at least 1")
        if self.n_embd % self.n_head != 0 or self.n_embd // self.n_head % 2 != 0:
            raise ValueError(f"n_embd={self.n_embd} must be an even multiple of n_head={self.n_head}")
        if self.n_head % self.n_kv_head != 0:
            raise ValueError(f"n_head={self.n_head} must be a multiple of n_kv_head={self.n_kv_head}")


class Angles(nn.Module):
    """The rotary angles as a table of one row a position."""

    @staticmethod
    def tables(positions: int, head_dim: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return cos and sin, built by doubling: the angles of p + n are those of p, turned by n steps."""
        step = 10000.0 ** (-torch.arange(0, head_dim, 2, dtype=torch.float64, device="cpu") / head_dim)
        angles = torch.zeros(1, head_dim // 2, dtype=torch.float64, device="cpu")
        while len(angles) < positions:
            angles = torch.cat([angles, angles + len(angles) * step])
        angles = angles[:positions].view(1, positions, 1, head_dim // 2)
        return angles.cos().float().to(device), angles.sin().float().to(device)


def apply_rotary_emb(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Return `x` turned: each pair of channels is multiplied by a matrix of two rows and columns."""
    matrix = torch.stack([torch.stack([cos, sin], dim=-1), torch.stack([-sin, cos], dim=-1)], dim=-2)
    pairs = torch.stack(x.chunk(2, dim=-1), dim=-1).to(matrix.dtype)
    turned = (matrix * pairs.unsqueeze(-2)).sum(dim=-1)
    return torch.cat(turned.unbind(dim=-1), dim=-1).to(x.dtype)


def normalised(x: Tensor) -> Tensor:
    """Return `x` with a root mean square of one."""
    return x * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True).clamp(min=1e-12)).to(x.dtype)


class Attention(nn.Module):
    """Attention of one layer."""

    def __init__(self, config: GPTConfig, layer_idx: int) -> None:
        super().__init__()
        self.layer_idx = layer_idx
        self.n_head = config.n_head
        self.head_dim = config.n_embd // config.n_head
        self.queries_of_a_key = config.n_head // config.n_kv_head
        kv_channels = config.n_kv_head * self.head_dim
        self.c_q = nn.Linear(config.n_embd, config.n_embd, bias=False)
        self.c_k = nn.Linear(config.n_embd, kv_channels, bias=False)
        self.c_v = nn.Linear(config.n_embd, kv_channels, bias=False)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=False)

    def forward(self, x: Tensor, cos_sin: tuple[Tensor, Tensor], kv_cache: KVCache | None) -> Tensor:
        """Return what every token of `x` (B, T, C) reads from itself and those before it."""
        q = self.in_heads(self.c_q(x), cos_sin)
        k = self.in_heads(self.c_k(x), cos_sin)
        v = self.in_heads(self.c_v(x), None)
        if kv_cache is not None:
            k, v = kv_cache.insert_kv(self.layer_idx, k, v)
        serving = [h // self.queries_of_a_key for h in range(self.n_head)]
        each = [self.one_head(q[:, h], k[:, served], v[:, served]) for h, served in enumerate(serving)]
        projected: Tensor = self.c_proj(torch.cat(each, dim=-1))
        return projected

    def in_heads(self, y: Tensor, cos_sin: tuple[Tensor, Tensor] | None) -> Tensor:
        """Return (B, H, T, D) of (B, T, H * D), turned and normalised if there are angles."""
        heads = y.view(*y.shape[:2], -1, self.head_dim)
        if cos_sin is not None:
            heads = normalised(apply_rotary_emb(heads, *cos_sin))
        return heads.transpose(1, 2)

    def one_head(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Return (B, Tq, D) of one head's (B, Tq, D), (B, Tk, D) and (B, Tk, D)."""
        scores = torch.bmm(q, k.transpose(1, 2)) * (1.0 / self.head_dim**0.5)
        seen = torch.ones_like(scores[0], dtype=torch.bool).tril(k.size(1) - q.size(1))
        scores = scores.float().masked_fill(~seen, float("-inf"))
        return torch.bmm(F.softmax(scores, dim=-1).to(v.dtype), v)


class FeedForward(nn.Module):
    """The MLP of one layer."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.c_fc = nn.Linear(config.n_embd, 4 * config.n_embd, bias=False)
        self.c_proj = nn.Linear(4 * config.n_embd, config.n_embd, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, C)."""
        projected: Tensor = self.c_proj(torch.square(torch.relu(self.c_fc(x))))
        return projected


class Layer(nn.ModuleDict):
    """Attention and MLP by name."""

    def __init__(self, config: GPTConfig, layer_idx: int) -> None:
        super().__init__({"attn": Attention(config, layer_idx), "mlp": FeedForward(config)})

    def forward(self, x: Tensor, cos_sin: tuple[Tensor, Tensor], kv_cache: KVCache | None) -> Tensor:
        """Return the stream with both added."""
        x = x + self["attn"](normalised(x), cos_sin, kv_cache)
        added: Tensor = x + self["mlp"](normalised(x))
        return added


class GPT(nn.Module):
    """The model."""

    cos: Tensor
    sin: Tensor
    transformer: Any

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.transformer = nn.ModuleDict()
        self.transformer["wte"] = nn.Embedding(config.vocab_size, config.n_embd)
        self.transformer["h"] = nn.ModuleList(Layer(config, i) for i in range(config.n_layer))
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        cos, sin = Angles.tables(config.sequence_len, config.n_embd // config.n_head, torch.device("cpu"))
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    @torch.no_grad()
    def init_weights(self) -> None:
        """Fill all weights from a generator of this call's own, and the tables."""
        rng = torch.Generator(device="cpu").manual_seed(2024)
        for weight in self.parameters():
            drawn = torch.rand(weight.shape, generator=rng, device="cpu") - 0.5
            weight.copy_(drawn * (12.0 / weight.size(1)) ** 0.5)
        self.cos, self.sin = Angles.tables(
            self.config.sequence_len, self.config.n_embd // self.config.n_head, self.get_device()
        )

    def get_device(self) -> torch.device:
        """Return where the head is."""
        return self.lm_head.weight.device

    def estimate_flops(self) -> int:
        """Return the operations for one token of training."""
        layers: int = sum(weight.numel() for weight in self.transformer["h"].parameters())
        per_position = 12 * self.config.n_layer * self.config.n_embd
        return 6 * (layers + self.lm_head.weight.numel()) + per_position * self.config.sequence_len

    def forward(
        self,
        idx: Tensor,
        targets: Tensor | None = None,
        kv_cache: KVCache | None = None,
        loss_reduction: str = "mean",
    ) -> Tensor:
        """Return logits (B, T, V), or their loss."""
        first = kv_cache.get_pos() if kv_cache is not None else 0
        positions = range(first, first + idx.size(1))
        if positions.stop > self.config.sequence_len:
            raise ValueError(f"the last position would be {positions[-1]} of {self.config.sequence_len}")
        cos_sin = self.cos[:, positions.start : positions.stop], self.sin[:, positions.start : positions.stop]
        x = normalised(self.transformer["wte"](idx))
        for layer in self.transformer["h"]:
            x = layer(x, cos_sin, kv_cache)
        logits = self.lm_head(normalised(x)).float()
        logits = torch.tanh(logits.div(15)).mul(15)
        if targets is None:
            return logits
        return F.nll_loss(
            F.log_softmax(logits, dim=-1).flatten(0, 1),
            targets.flatten().long(),
            ignore_index=-1,
            reduction=loss_reduction,
        )

    def generate(
        self,
        tokens: Sequence[int],
        max_tokens: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int = 42,
    ) -> Iterator[int]:
        """Yield `max_tokens` ids after `tokens`."""
        from nanochat.engine import sample_next_token

        rng = torch.Generator(device=self.get_device()).manual_seed(seed)
        text = [int(token) for token in tokens]
        for _ in range(max_tokens):
            idx = torch.tensor(text, device=self.get_device()).view(1, -1)
            with torch.no_grad():
                (next_id,) = sample_next_token(self(idx)[:, -1], rng, temperature, top_k).flatten().tolist()
            text.append(next_id)
            yield next_id
