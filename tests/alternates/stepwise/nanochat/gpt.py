"""The model in objects: a rotary embedding, a head layout, an attention kernel for each kind of pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from nanochat.engine import KVCache, Sampler


@dataclass(frozen=True)
class HeadLayout:
    """How channels are cut into heads."""

    n_head: int
    n_kv_head: int
    head_dim: int

    def split(self, x: Tensor) -> Tensor:
        """Return (B, T, H, D) of (B, T, H * D)."""
        return x.reshape(x.size(0), x.size(1), x.size(2) // self.head_dim, self.head_dim)

    def spread(self, x: Tensor) -> Tensor:
        """Return key/value heads (B, Hkv, T, D) once for each query head, (B, H, T, D)."""
        serving = torch.arange(self.n_head, device=x.device) // (self.n_head // self.n_kv_head)
        return x.index_select(1, serving)


@dataclass(frozen=True)
class GPTConfig:
    """The sizes of a model."""

    sequence_len: int = 1024
    vocab_size: int = 50304
    n_layer: int = 12
    n_head: int = 6
    n_kv_head: int = 6
    n_embd: int = 768

    def __post_init__(self) -> None:
        self._require(all(size > 0 for size in vars(self).values()), "sizes are positive")
        self._require(self.n_embd % self.n_head == 0, "n_head divides n_embd")
        self._require(self.n_embd // self.n_head % 2 == 0, "heads have an even number of channels")
        self._require(self.n_head % self.n_kv_head == 0, "n_kv_head divides n_head")

    def _require(self, holds: bool, rule: str) -> None:
        if not holds:
            raise ValueError(f"{self} breaks the rule that {rule}")

    def layout(self) -> HeadLayout:
        """Return the layout of the heads."""
        return HeadLayout(self.n_head, self.n_kv_head, self.n_embd // self.n_head)


class RotaryEmbedding:
    """Angles of positions, and what they do to heads."""

    BASE: ClassVar[float] = 10000.0

    def __init__(self, head_dim: int) -> None:
        self.head_dim = head_dim

    def tables(self, positions: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return cos and sin, (1, positions, 1, head_dim / 2)."""
        pairs = torch.arange(self.head_dim // 2, dtype=torch.float64, device=device)
        frequency = self.BASE ** (-2.0 * pairs / self.head_dim)
        angle = torch.arange(positions, dtype=torch.float64, device=device)[:, None] * frequency
        return angle.cos().float()[None, :, None], angle.sin().float()[None, :, None]

    @staticmethod
    def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Return x turned, in its dtype."""
        half = x.shape[-1] // 2
        x1, x2 = x[..., :half].float(), x[..., half:].float()
        return torch.concat((x1 * cos + x2 * sin, x2 * cos - x1 * sin), -1).to(x.dtype)


def apply_rotary_emb(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Return the rotated heads (B, T, H, D)."""
    return RotaryEmbedding.rotate(x, cos, sin)


class Norm(nn.Module):
    """Root mean square, no gain."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x normalised."""
        return F.rms_norm(x, (x.size(-1),), eps=1e-6)


class AttentionKernel(ABC):
    """Attention of the last tokens over all, heads already spread: (B, H, Tq, D) and (B, H, Tk, D)."""

    @abstractmethod
    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Return (B, H, Tq, D)."""

    @staticmethod
    def choose(queries: int, keys: int) -> AttentionKernel:
        """Return the kernel for a kind of pass."""
        if queries == 1:
            return DecodeKernel()
        return PrefillKernel() if queries == keys else ChunkKernel()


class PrefillKernel(AttentionKernel):
    """The text begins here."""

    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Return causal attention."""
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)


class DecodeKernel(AttentionKernel):
    """One token, which sees everything."""

    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Return attention by a weighted sum."""
        score = (q * k).sum(dim=-1, dtype=torch.float32) * q.size(-1) ** -0.5
        share = score.softmax(dim=-1).unsqueeze(-1)
        read: Tensor = (share * v).sum(dim=-2, keepdim=True).to(v.dtype)
        return read


class ChunkKernel(AttentionKernel):
    """Several tokens after others: all see what came before, and they see each other causally."""

    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Return attention over both parts, weighted by their sums of exponentials."""
        old = k.size(2) - q.size(2)
        score = torch.matmul(q, k.transpose(-1, -2)).float() / q.size(-1) ** 0.5
        own = score[..., old:]
        hidden = torch.ones_like(own[0, 0], dtype=torch.bool).triu(1)
        parts = (score[..., :old], own.masked_fill(hidden, -torch.inf))
        sums = torch.stack([part.logsumexp(dim=-1, keepdim=True) for part in parts])
        means = [torch.softmax(part, dim=-1) @ value for part, value in zip(
            parts, (v[:, :, :old].float(), v[:, :, old:].float()), strict=True
        )]  # fmt: skip  # a pair
        weights = sums.softmax(dim=0)
        return (weights[0] * means[0] + weights[1] * means[1]).to(v.dtype)


class Attention(nn.Module):
    """One attention layer."""

    def __init__(self, config: GPTConfig, layer_idx: int) -> None:
        super().__init__()
        self.layer_idx = layer_idx
        self.layout = config.layout()
        self.norm = Norm()
        width, narrow = config.n_embd, config.n_kv_head * self.layout.head_dim
        self.c_q = nn.Linear(width, width, bias=False)
        self.c_k = nn.Linear(width, narrow, bias=False)
        self.c_v = nn.Linear(width, narrow, bias=False)
        self.c_proj = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, cos_sin: tuple[Tensor, Tensor], kv_cache: KVCache | None = None) -> Tensor:
        """Return (B, T, C)."""
        q = self._placed(self.c_q(x), cos_sin)
        k = self._placed(self.c_k(x), cos_sin)
        v = self.layout.split(self.c_v(x)).transpose(1, 2)
        if kv_cache is not None:
            k, v = kv_cache.insert_kv(self.layer_idx, k, v)
        attend = AttentionKernel.choose(q.size(2), k.size(2))
        y = attend(q, self.layout.spread(k), self.layout.spread(v))
        out: Tensor = self.c_proj(y.transpose(1, 2).flatten(start_dim=2))
        return out

    def _placed(self, projected: Tensor, cos_sin: tuple[Tensor, Tensor]) -> Tensor:
        heads: Tensor = self.norm(apply_rotary_emb(self.layout.split(projected), *cos_sin))
        return heads.transpose(1, 2)


class MLP(nn.Module):
    """Feed-forward."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.c_fc = nn.Linear(config.n_embd, 4 * config.n_embd, bias=False)
        self.c_proj = nn.Linear(4 * config.n_embd, config.n_embd, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, C)."""
        out: Tensor = self.c_proj(F.relu(self.c_fc(x)).pow(2))
        return out


class Residual(nn.Module):
    """One block."""

    def __init__(self, config: GPTConfig, layer_idx: int) -> None:
        super().__init__()
        self.norm = Norm()
        self.attn = Attention(config, layer_idx)
        self.mlp = MLP(config)

    def forward(self, x: Tensor, cos_sin: tuple[Tensor, Tensor], kv_cache: KVCache | None) -> Tensor:
        """Return the stream."""
        x = x + self.attn(self.norm(x), cos_sin, kv_cache)
        out: Tensor = x + self.mlp(self.norm(x))
        return out


class Trunk(nn.Module):
    """Everything below the head."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.h = nn.ModuleList(Residual(config, i) for i in range(config.n_layer))


class GPT(nn.Module):
    """The model."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.rotary = RotaryEmbedding(config.layout().head_dim)
        self.norm = Norm()
        self.transformer = Trunk(config)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        cos, sin = self.rotary.tables(config.sequence_len, self.get_device())
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def init_weights(self) -> None:
        """Fill every module's weights, and the tables."""
        rng = torch.Generator(device=self.get_device()).manual_seed(0)
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=0.7, generator=rng)
            elif isinstance(module, nn.Linear):
                nn.init.kaiming_uniform_(module.weight, a=5**0.5, generator=rng)
        for name, table in zip(
            ("cos", "sin"), self.rotary.tables(self.config.sequence_len, self.get_device()), strict=True
        ):
            setattr(self, name, table)

    def get_device(self) -> torch.device:
        """Return the device."""
        return self.transformer.wte.weight.device

    def estimate_flops(self) -> int:
        """Return the operations for a token."""
        multiplied = sum(module.weight.numel() for module in self.modules() if isinstance(module, nn.Linear))
        layout = self.config.layout()
        scores = 12 * self.config.n_layer * layout.n_head * layout.head_dim * self.config.sequence_len
        return 6 * multiplied + scores

    def forward(
        self,
        idx: Tensor,
        targets: Tensor | None = None,
        kv_cache: KVCache | None = None,
        loss_reduction: str = "mean",
    ) -> Tensor:
        """Return logits or loss."""
        logits = self._logits(idx, kv_cache)
        if targets is None:
            return logits
        return F.cross_entropy(
            logits.reshape(-1, logits.size(-1)),
            targets.reshape(-1).to(torch.int64),
            ignore_index=-1,
            reduction=loss_reduction,
        )

    def _logits(self, idx: Tensor, kv_cache: KVCache | None) -> Tensor:
        past = kv_cache.get_pos() if kv_cache is not None else 0
        here = slice(past, past + idx.size(1))
        if here.stop > self.config.sequence_len:
            raise ValueError(f"positions {here.start} to {here.stop - 1} of {self.config.sequence_len}")
        x = self.norm(self.transformer.wte(idx))
        for block in self.transformer.h:
            x = block(x, (self.cos[:, here], self.sin[:, here]), kv_cache)
        z = self.lm_head(self.norm(x)).float()
        capped: Tensor = 15 * torch.tanh(z / 15)
        return capped

    def generate(
        self,
        tokens: Sequence[int],
        max_tokens: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int = 42,
    ) -> Iterator[int]:
        """Yield ids; checks its arguments first."""
        from nanochat.engine import Sampler

        if not tokens:
            raise ValueError("tokens is empty")
        return self._continue(list(tokens), max_tokens, Sampler(temperature, top_k), seed)

    @torch.no_grad()
    def _continue(self, text: list[int], count: int, sampler: Sampler, seed: int) -> Iterator[int]:
        rng = torch.Generator(device=self.get_device()).manual_seed(seed)
        for _ in range(count):
            logits = self._logits(torch.tensor([text], device=self.get_device()), None)
            text.append(int(sampler(logits[:, -1], rng)))
            yield text[-1]
