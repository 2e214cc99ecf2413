"""The model, short: one product for queries, keys and values, one loop, no class for a block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass
class GPTConfig:
    """Sizes."""

    sequence_len: int = 1024
    vocab_size: int = 50304
    n_layer: int = 12
    n_head: int = 6
    n_kv_head: int = 6
    n_embd: int = 768

    def __post_init__(self) -> None:
        if min(vars(self).values()) < 1 or self.n_embd % (2 * self.n_head) or self.n_head % self.n_kv_head:
            raise ValueError(f"not the sizes of a model: {self}")


def norm(x: Tensor) -> Tensor:
    """x over its root mean square."""
    return F.rms_norm(x, (x.size(-1),))


def apply_rotary_emb(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Both halves at once: x cos + (x2, -x1) sin."""
    a, b = x.float().chunk(2, -1)
    cos, sin = cos.repeat(1, 1, 1, 2), sin.repeat(1, 1, 1, 2)
    return (torch.cat((a, b), -1) * cos + torch.cat((b, -a), -1) * sin).to(x)


def linear(outputs: int, inputs: int) -> nn.Linear:
    """A matrix."""
    return nn.Linear(inputs, outputs, bias=False)


class Attention(nn.Module):
    """One layer's attention."""

    def __init__(self, c: GPTConfig, layer: int) -> None:
        super().__init__()
        self.layer, self.H, self.D = layer, c.n_head, c.n_embd // c.n_head
        self.c_q, self.c_proj = linear(c.n_embd, c.n_embd), linear(c.n_embd, c.n_embd)
        self.c_k, self.c_v = (linear(c.n_kv_head * self.D, c.n_embd) for _ in "kv")

    def forward(self, x: Tensor, cos_sin: tuple[Tensor, Tensor], kv_cache: Any = None) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        weight = torch.cat((self.c_q.weight, self.c_k.weight, self.c_v.weight))
        qkv = F.linear(x, weight).unflatten(-1, (-1, self.D))
        n = (qkv.size(2) - self.H) // 2
        qk = norm(apply_rotary_emb(qkv[:, :, : self.H + n], *cos_sin))
        q, k = qk.transpose(1, 2).split((self.H, n), 1)
        v = qkv[:, :, self.H + n :].transpose(1, 2)
        if kv_cache is not None:
            k, v = kv_cache.insert_kv(self.layer, k, v)
        bias = torch.zeros(q.size(2), k.size(2), dtype=q.dtype, device=q.device)
        future = torch.ones_like(bias, dtype=torch.bool).triu(k.size(2) - q.size(2) + 1)
        bias = bias.masked_fill(future, -torch.inf)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, enable_gqa=n < self.H)
        return F.linear(y.transpose(1, 2).flatten(2), self.c_proj.weight)


class GPT(nn.Module):
    """The model; its tables reach four contexts far, and so does `forward`."""

    transformer: Any
    cos: Tensor
    sin: Tensor

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config, C = config, config.n_embd
        self.transformer = nn.ModuleDict({"wte": nn.Embedding(config.vocab_size, C), "h": nn.ModuleList()})
        for i in range(config.n_layer):
            mlp = nn.ModuleDict({"c_fc": linear(4 * C, C), "c_proj": linear(C, 4 * C)})
            self.transformer.h.append(nn.ModuleDict({"attn": Attention(config, i), "mlp": mlp}))
        self.lm_head = linear(config.vocab_size, C)
        for name in ("cos", "sin"):
            self.register_buffer(name, None, persistent=False)
        self.tables()

    def tables(self) -> None:
        """Make cos and sin where the weights are."""
        D, device = self.config.n_embd // self.config.n_head, self.get_device()
        t = torch.arange(4 * self.config.sequence_len, device=device, dtype=torch.float32)
        f = torch.outer(t, 10000 ** (-torch.arange(0, D, 2, device=device, dtype=torch.float32) / D))
        self.cos, self.sin = f.cos()[None, :, None], f.sin()[None, :, None]

    @torch.no_grad()
    def init_weights(self) -> None:
        """N(0, 1 / inputs), on whatever device."""
        rng = torch.Generator(self.get_device()).manual_seed(3)
        for p in self.parameters():
            p.normal_(0, p.size(1) ** -0.5, generator=rng)
        self.tables()

    def get_device(self) -> torch.device:
        """The device."""
        return self.lm_head.weight.device

    def estimate_flops(self) -> int:
        """6 N + 12 L C T."""
        c, N = self.config, sum(p.numel() for p in self.parameters())
        return 6 * (N - c.vocab_size * c.n_embd) + 12 * c.n_layer * c.n_embd * c.sequence_len

    def forward(
        self, idx: Tensor, targets: Tensor | None = None, kv_cache: Any = None, loss_reduction: str = "mean"
    ) -> Tensor:
        """(B, T) -> (B, T, V) or a loss."""
        t = 0 if kv_cache is None else kv_cache.get_pos()
        if t + idx.size(1) > self.cos.size(1):
            raise ValueError(f"{t + idx.size(1)} positions are more than {self.cos.size(1)}")
        cos_sin = self.cos[:, t : t + idx.size(1)], self.sin[:, t : t + idx.size(1)]
        x = norm(self.transformer.wte(idx))
        for b in self.transformer.h:
            x = x + b.attn(norm(x), cos_sin, kv_cache)
            x = x + b.mlp.c_proj(b.mlp.c_fc(norm(x)).relu() ** 2)
        y: Tensor = 15 * torch.tanh(self.lm_head(norm(x)).float() / 15)
        if targets is None:
            return y
        y, targets = y.flatten(0, 1), targets.flatten().long()
        return F.cross_entropy(y, targets, ignore_index=-1, reduction=loss_reduction)

    @torch.no_grad()
    def generate(
        self,
        tokens: Sequence[int],
        max_tokens: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int = 42,
    ) -> Iterator[int]:
        """Ids, one by one."""
        from nanochat.engine import sample_next_token

        rng, ids = torch.Generator(self.get_device()).manual_seed(seed), list(tokens)
        for _ in range(max_tokens):
            y = self(torch.tensor([ids], device=self.get_device()))[:, -1]
            yield (token := sample_next_token(y, rng, temperature, top_k).item())  # type: ignore[misc]  # an int
            ids.append(token)  # type: ignore[arg-type]  # as above

    def setup_optimizers(
        self,
        unembedding_lr: float = 0.004,
        embedding_lr: float = 0.2,
        matrix_lr: float = 0.02,
        weight_decay: float = 0.0,
    ) -> list[Any]:
        """AdamW for the ends, Muon for what is between them."""
        from nanochat.optim import AdamW, Muon

        def group(module: nn.Module, lr: float) -> dict[str, Any]:
            return {"params": module.parameters(), "lr": lr, "initial_lr": lr}

        factor = (self.config.n_embd / 768) ** -0.5
        ends = [
            group(self.lm_head, unembedding_lr * factor),
            group(self.transformer.wte, embedding_lr * factor),
        ]
        adamw = AdamW(ends, betas=(0.8, 0.95), eps=1e-10, weight_decay=weight_decay)
        return [adamw, Muon([group(block, matrix_lr) for block in self.transformer.h])]
