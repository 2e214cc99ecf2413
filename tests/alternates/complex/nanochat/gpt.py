"""The model with rotation as a product of complex numbers, and attention that sees keys block by block."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn as nn
import torch.nn.functional as F

if TYPE_CHECKING:
    from nanochat.engine import KVCache

KEY_BLOCK = 16


@dataclass(frozen=True, slots=True)
class GPTConfig:
    """Sizes; checked when a configuration is made."""

    sequence_len: int = 1024
    vocab_size: int = 50304
    n_layer: int = 12
    n_head: int = 6
    n_kv_head: int = 6
    n_embd: int = 768

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)} < 1")
        head_dim, rest = divmod(self.n_embd, self.n_head)
        if rest or head_dim % 2:
            raise ValueError(f"n_embd / n_head = {self.n_embd} / {self.n_head} is no even integer")
        if self.n_head % self.n_kv_head:
            raise ValueError(f"n_head / n_kv_head = {self.n_head} / {self.n_kv_head} is no integer")


def norm(x: torch.Tensor) -> torch.Tensor:
    """Divide by the root mean square: a unit vector times the root of its length."""
    wide = x.float()
    return (F.normalize(wide, dim=-1, eps=1e-12) * math.sqrt(x.shape[-1])).to(x.dtype)


def precompute_phasors(positions: int, head_dim: int, device: torch.device) -> torch.Tensor:
    """Return exp(i p f), complex64 (positions, head_dim / 2), for the angles p f formed in float32."""
    f = torch.exp(torch.arange(0, head_dim, 2, device=device).float() * (-math.log(10000.0) / head_dim))
    angles = torch.outer(torch.arange(positions, device=device).float(), f)
    return torch.polar(torch.ones_like(angles), angles)


def apply_rotary_emb(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Multiply x1 + i x2 by cos - i sin."""
    x1, x2 = x.float().chunk(2, dim=-1)
    # Contiguous halves: torch.complex of strided ones is slow on some devices.
    z = torch.complex(x1.contiguous(), x2.contiguous()) * torch.complex(cos.float(), -sin.float())
    return torch.cat([z.real, z.imag], dim=-1).type_as(x)


def blockwise_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Softmax attention in one pass over blocks of keys, with running sums (Milakov 2018, arXiv:1805.02867).

    q is (B, G, R, Tq, D), k and v are (B, G, 1, Tk, D); the queries are the last Tq tokens.
    """
    q = q.float() / math.sqrt(q.size(-1))
    Tq, Tk = q.size(-2), k.size(-2)
    last_visible = torch.arange(Tk - Tq, Tk, device=q.device)[:, None]
    highest = q.new_full((*q.shape[:-1], 1), -math.inf)
    total = torch.zeros_like(highest)
    y = torch.zeros_like(q)
    for begin in range(0, Tk, KEY_BLOCK):
        keys, values = (part[..., begin : begin + KEY_BLOCK, :].float() for part in (k, v))
        scores = q @ keys.transpose(-2, -1)
        place = begin + torch.arange(scores.size(-1), device=q.device)
        scores = scores.masked_fill(place > last_visible, -math.inf)
        # Every query sees key 0, so the maximum is finite from the first block on.
        new_highest = torch.maximum(highest, scores.detach().amax(-1, keepdim=True))
        shares, fade = torch.exp(scores - new_highest), torch.exp(highest - new_highest)
        total = total * fade + shares.sum(-1, keepdim=True)
        y = y * fade + shares @ values
        highest = new_highest
    return (y / total).to(v.dtype)


class CausalSelfAttention(nn.Module):
    """Attention of one layer."""

    def __init__(self, config: GPTConfig, layer_idx: int):
        super().__init__()
        self.layer_idx = layer_idx
        self.groups = config.n_kv_head
        self.head_dim = config.n_embd // config.n_head
        self.c_q = nn.Linear(config.n_embd, config.n_embd, bias=False)
        self.c_k = nn.Linear(config.n_embd, self.groups * self.head_dim, bias=False)
        self.c_v = nn.Linear(config.n_embd, self.groups * self.head_dim, bias=False)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=False)

    def forward(
        self,
        x: torch.Tensor,
        cos_sin: tuple[torch.Tensor, torch.Tensor],
        kv_cache: KVCache | None = None,
    ) -> torch.Tensor:
        """(B, T, C) -> (B, T, C)."""
        B, T, C = x.size()
        heads = [c(x).view(B, T, -1, self.head_dim) for c in (self.c_q, self.c_k, self.c_v)]
        q, k = (norm(apply_rotary_emb(y, *cos_sin)).transpose(1, 2) for y in heads[:2])
        v = heads[2].transpose(1, 2)
        if kv_cache is not None:
            k, v = kv_cache.insert_kv(self.layer_idx, k, v)
        q = q.unflatten(1, (self.groups, -1))
        y = blockwise_attention(q, k.unsqueeze(2), v.unsqueeze(2))
        out: torch.Tensor = self.c_proj(y.flatten(1, 2).transpose(1, 2).reshape(B, T, C))
        return out


class MLP(nn.Module):
    """Squared ReLU."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.c_fc = nn.Linear(config.n_embd, config.n_embd * 4, bias=False)
        self.c_proj = nn.Linear(config.n_embd * 4, config.n_embd, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, T, C) -> (B, T, C)."""
        x = self.c_fc(x)
        out: torch.Tensor = self.c_proj(x * F.relu(x))
        return out


class Block(nn.Module):
    """Attention and MLP."""

    def __init__(self, config: GPTConfig, layer_idx: int):
        super().__init__()
        self.attn = CausalSelfAttention(config, layer_idx)
        self.mlp = MLP(config)


class GPT(nn.Module):
    """The whole."""

    cos: torch.Tensor
    sin: torch.Tensor

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.config = config
        self.transformer = nn.Module()
        self.transformer.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.transformer.h = nn.ModuleList([Block(config, i) for i in range(config.n_layer)])
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        for name in ("cos", "sin"):
            self.register_buffer(name, torch.zeros(1, 1, 1, 1), persistent=False)
        self.init_tables()

    def init_tables(self) -> None:
        """Set cos and sin on the model's device."""
        c = self.config
        phasors = precompute_phasors(c.sequence_len, c.n_embd // c.n_head, self.get_device())
        phasors = phasors.view(1, c.sequence_len, 1, -1)
        self.cos, self.sin = phasors.real.contiguous(), phasors.imag.contiguous()

    def init_weights(self) -> None:
        """Orthogonal-looking weights: normal ones of the variance that keeps lengths."""
        generator = torch.Generator(device=self.get_device())
        generator.manual_seed(0x5EED)
        for name, p in self.named_parameters():
            fan_out, fan_in = p.shape
            std = 0.8 if "wte" in name else min(1.0, math.sqrt(fan_out / fan_in)) / math.sqrt(fan_in)
            drawn = torch.randn(p.shape, device=p.device, dtype=torch.float32, generator=generator)
            p.data = (drawn * std).to(p.dtype)
        self.init_tables()

    def get_device(self) -> torch.device:
        """Device of the weights."""
        return self.lm_head.weight.device

    def estimate_flops(self) -> int:
        """6 N + 12 L H Q T."""
        c = self.config
        N = sum(p.numel() for name, p in self.named_parameters() if not name.endswith("wte.weight"))
        L, H, Q, T = c.n_layer, c.n_head, c.n_embd // c.n_head, c.sequence_len
        return 6 * N + 12 * L * H * Q * T

    def forward(
        self,
        idx: torch.Tensor,
        targets: torch.Tensor | None = None,
        kv_cache: KVCache | None = None,
        loss_reduction: str = "mean",
    ) -> torch.Tensor:
        """Logits, or a loss where there are targets."""
        T = idx.size(1)
        T0 = kv_cache.get_pos() if kv_cache is not None else 0
        if self.cos.size(1) < T0 + T:
            raise ValueError(f"sequence of {T0 + T} > {self.cos.size(1)} positions")
        cos_sin = self.cos[:, T0 : T0 + T], self.sin[:, T0 : T0 + T]
        x = norm(self.transformer.wte(idx))  # type: ignore[operator]  # a module set on a plain nn.Module
        for block in self.transformer.h:  # type: ignore[union-attr]  # as above
            x = x + block.attn(norm(x), cos_sin, kv_cache)
            x = x + block.mlp(norm(x))
        logits: torch.Tensor = self.lm_head(norm(x)).float()
        logits = 15.0 * torch.tanh(logits / 15.0)
        if targets is None:
            return logits
        logits, targets = logits.view(-1, logits.size(-1)), targets.reshape(-1).long()
        counts = targets != -1
        picked = torch.gather(logits, 1, targets.clamp(min=0)[:, None])[:, 0]
        losses = (torch.logsumexp(logits, dim=-1) - picked) * counts
        if loss_reduction == "none":
            return losses
        return losses.sum() if loss_reduction == "sum" else losses.sum() / counts.sum()

    @torch.inference_mode()
    def generate(
        self,
        tokens: Sequence[int],
        max_tokens: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int = 42,
    ) -> Iterator[int]:
        """Yield ids."""
        from nanochat.engine import sample_next_token

        device = self.get_device()
        rng = torch.Generator(device=device)
        rng.manual_seed(seed)
        ids = torch.tensor([tokens], dtype=torch.long, device=device)
        for _ in range(max_tokens):
            next_ids = sample_next_token(self.forward(ids)[:, -1, :], rng, temperature, top_k)
            ids = torch.cat((ids, next_ids), dim=1)
            yield int(next_ids.item())
