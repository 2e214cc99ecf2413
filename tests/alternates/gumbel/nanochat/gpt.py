"""The model as one flat function; the modules name the weights.

Queries and keys are normalised before the rotation, which does not change their length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from nanochat.engine import KVCache


class SizeError(ValueError):
    """Sizes that make no model."""


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
        too_small = [f"{f.name}={getattr(self, f.name)}" for f in fields(self) if getattr(self, f.name) < 1]
        if too_small:
            raise SizeError(f"below 1: {', '.join(too_small)}")
        if self.n_embd % self.n_head or (self.n_embd // self.n_head) % 2:
            raise SizeError(f"n_head={self.n_head} cuts n_embd={self.n_embd} into no even heads")
        if self.n_head % self.n_kv_head:
            raise SizeError(f"n_kv_head={self.n_kv_head} does not divide n_head={self.n_head}")


def unit(x: Tensor) -> Tensor:
    """RMSNorm with torch's own choice of epsilon, in x's dtype."""
    return F.rms_norm(x, x.shape[-1:])


def apply_rotary_emb(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn x by the angles, with fused multiply and add, in the wider of the dtypes."""
    wide = x.to(torch.promote_types(x.dtype, torch.promote_types(cos.dtype, torch.float32)))
    lower, upper = wide.split(x.size(-1) // 2, dim=-1)
    cos, sin = cos.to(wide.dtype), sin.to(wide.dtype)
    return torch.cat(
        [torch.addcmul(lower * cos, upper, sin), torch.addcmul(upper * cos, lower, sin, value=-1)], -1
    ).to(x.dtype)


class Attention(nn.Module):
    """Four matrices and the function that uses them."""

    def __init__(self, c: GPTConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.head_dim = c.n_embd // c.n_head
        self.c_q = nn.Linear(c.n_embd, c.n_embd, bias=False)
        self.c_k = nn.Linear(c.n_embd, c.n_kv_head * self.head_dim, bias=False)
        self.c_v = nn.Linear(c.n_embd, c.n_kv_head * self.head_dim, bias=False)
        self.c_proj = nn.Linear(c.n_embd, c.n_embd, bias=False)

    def forward(self, x: Tensor, cos_sin: tuple[Tensor, Tensor], kv_cache: KVCache | None = None) -> Tensor:
        """(B, T, C) to (B, T, C)."""
        q, k, v = (m(x).unflatten(-1, (-1, self.head_dim)) for m in (self.c_q, self.c_k, self.c_v))
        q, k = apply_rotary_emb(unit(q), *cos_sin), apply_rotary_emb(unit(k), *cos_sin)
        k, v = k.transpose(1, 2), v.transpose(1, 2)
        if kv_cache is not None:
            k, v = kv_cache.insert_kv(self.layer, k, v)
        # The queries of a group are stacked along time, (B, Hkv, group * T, D).
        B, T, heads, D = q.shape
        stacked = q.view(B, T, k.size(1), -1, D).permute(0, 2, 3, 1, 4).flatten(2, 3)
        mask = torch.ones(T, k.size(2), dtype=torch.bool, device=x.device).tril(k.size(2) - T)
        mask = mask.repeat(heads // k.size(1), 1)
        y = F.scaled_dot_product_attention(stacked, k, v, attn_mask=mask)
        y = y.view(B, k.size(1), -1, T, D).permute(0, 3, 1, 2, 4).flatten(2)
        return F.linear(y, self.c_proj.weight)


class GPT(nn.Module):
    """The model. The tables stay in float32 whatever the weights are converted to."""

    cos: Tensor
    sin: Tensor
    transformer: Any

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = c = config

        def matrices(**shapes: tuple[int, int]) -> nn.ModuleDict:
            return nn.ModuleDict({name: nn.Linear(*shape, bias=False) for name, shape in shapes.items()})

        mlps = [
            matrices(c_fc=(c.n_embd, 4 * c.n_embd), c_proj=(4 * c.n_embd, c.n_embd)) for _ in range(c.n_layer)
        ]
        blocks = [nn.ModuleDict({"attn": Attention(c, i), "mlp": mlp}) for i, mlp in enumerate(mlps)]
        self.transformer = nn.ModuleDict(
            {"wte": nn.Embedding(c.vocab_size, c.n_embd), "h": nn.ModuleList(blocks)}
        )
        self.lm_head = nn.Linear(c.n_embd, c.vocab_size, bias=False)
        self.register_buffer("cos", torch.empty(0), persistent=False)
        self.register_buffer("sin", torch.empty(0), persistent=False)
        self._tabulate(self.get_device())

    def _tabulate(self, device: torch.device) -> None:
        pairs = self.config.n_embd // self.config.n_head // 2
        position = torch.arange(self.config.sequence_len, device=device).double()
        turns = (
            position.view(-1, 1) * torch.logspace(0, -4, pairs + 1, dtype=torch.float64, device=device)[:-1]
        )
        self.cos = turns.cos().float().view(1, -1, 1, pairs)
        self.sin = turns.sin().float().view(1, -1, 1, pairs)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> GPT:
        """Convert the model, and make the tables again if they were rounded."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch has no types here
        if self.cos.dtype != torch.float32 and self.cos.device.type != "meta":
            self._tabulate(self.cos.device)
        return self

    def init_weights(self) -> None:
        """Truncated normal weights."""
        rng = torch.Generator(device=self.get_device()).manual_seed(99)
        for p in self.parameters():
            std = p.size(1) ** -0.5
            nn.init.trunc_normal_(p, std=std, a=-3 * std, b=3 * std, generator=rng)
        self._tabulate(self.get_device())

    def get_device(self) -> torch.device:
        """The weights' device."""
        device: torch.device = self.transformer.wte.weight.device
        return device

    def estimate_flops(self) -> int:
        """By the formula."""
        c = self.config
        looked_up: int = self.transformer.wte.weight.numel()
        return (
            6 * (sum(p.numel() for p in self.parameters()) - looked_up)
            + 12 * c.n_layer * c.n_embd * c.sequence_len
        )

    def forward(
        self,
        idx: Tensor,
        targets: Tensor | None = None,
        kv_cache: KVCache | None = None,
        loss_reduction: str = "mean",
    ) -> Tensor:
        """Logits or loss."""
        begin = kv_cache.get_pos() if kv_cache is not None else 0
        end = begin + idx.size(1)
        if end > self.config.sequence_len:
            raise ValueError(f"{end - self.config.sequence_len} tokens beyond the context")
        cos_sin = self.cos[:, begin:end], self.sin[:, begin:end]
        x = unit(F.embedding(idx, self.transformer.wte.weight))
        for block in self.transformer.h:
            x = x + block.attn(unit(x), cos_sin, kv_cache)
            hidden = F.linear(unit(x), block.mlp.c_fc.weight)
            x = x + F.linear(hidden.relu().square(), block.mlp.c_proj.weight)
        z = F.linear(unit(x), self.lm_head.weight)
        logits = 15.0 * (z.float() / 15.0).tanh()
        if targets is None:
            return logits
        kept = targets.flatten() >= 0
        losses = torch.zeros(kept.shape, device=logits.device)
        chosen = F.cross_entropy(logits.flatten(0, 1)[kept], targets.flatten()[kept].long(), reduction="none")
        if loss_reduction == "none":
            return losses.masked_scatter(kept, chosen)
        return chosen.sum() if loss_reduction == "sum" else chosen.mean()

    def generate(
        self,
        tokens: Sequence[int],
        max_tokens: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int = 42,
    ) -> Iterator[int]:
        """New ids, one by one."""
        from nanochat.engine import sample_next_token

        rng = torch.Generator(device=self.get_device()).manual_seed(seed)
        text = torch.empty(len(tokens) + max_tokens, dtype=torch.int32, device=self.get_device())
        text[: len(tokens)] = torch.tensor(list(tokens))
        for end in range(len(tokens), len(text)):
            with torch.no_grad():
                logits = self.forward(text[None, :end])[:, end - 1]
            text[end] = sample_next_token(logits, rng, temperature, top_k)[0, 0]
            yield int(text[end])

    def setup_optimizers(
        self,
        unembedding_lr: float = 0.004,
        embedding_lr: float = 0.2,
        matrix_lr: float = 0.02,
        weight_decay: float = 0.0,
    ) -> list[Any]:
        """Muon with a group for each shape of matrix, AdamW with one for each end of the model."""
        from nanochat.optim import AdamW, Muon

        shapes: dict[tuple[int, ...], list[nn.Parameter]] = {}
        ends = []
        for name, weight in self.named_parameters():
            if name.split(".")[:2] == ["transformer", "h"]:
                shapes.setdefault(tuple(weight.shape), []).append(weight)
            else:
                rate = unembedding_lr if name.startswith("lm_head") else embedding_lr
                rate /= (self.config.n_embd / 768) ** 0.5
                ends.append({"params": [weight], "lr": rate, "initial_lr": rate})
        matrices = [{"params": same, "initial_lr": matrix_lr} for same in shapes.values()]
        return [
            Muon(matrices, lr=matrix_lr),
            AdamW(ends, betas=(0.8, 0.95), eps=1e-10, weight_decay=weight_decay),
        ]
