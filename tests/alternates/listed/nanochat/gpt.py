"""The model in the style of a model zoo: rotate_half, an additive mask for every pass, one attention call."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from nanochat.engine import KVCache


@dataclasses.dataclass(kw_only=True)
class GPTConfig:
    """The sizes of a model."""

    sequence_len: int = 1024
    vocab_size: int = 50304
    n_layer: int = 12
    n_head: int = 6
    n_kv_head: int = 6
    n_embd: int = 768

    def __post_init__(self) -> None:
        for name in (field.name for field in dataclasses.fields(self)):
            if getattr(self, name) <= 0:
                raise ValueError(f"`{name}` must be positive (got {getattr(self, name)})")
        if self.n_embd % self.n_head != 0:
            raise ValueError(f"`n_embd` ({self.n_embd}) must be divisible by `n_head` ({self.n_head})")
        if self.head_size % 2 == 1:
            raise ValueError(f"the size of a head ({self.head_size}) must be even")
        if self.n_head % self.n_kv_head != 0:
            raise ValueError(f"`n_head` ({self.n_head}) must be divisible by `n_kv_head` ({self.n_kv_head})")

    @property
    def head_size(self) -> int:
        """Return the channels of a head."""
        return self.n_embd // self.n_head


class RMSNorm(nn.Module):
    """Normalises in float32, without a gain."""

    def __init__(self, eps: float = 1e-8) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Return the normalised states in their own dtype."""
        wide = hidden_states.to(torch.float32)
        variance = wide.pow(2).mean(-1, keepdim=True)
        return (wide * torch.rsqrt(variance + self.eps)).to(hidden_states.dtype)


def rotate_half(x: Tensor) -> Tensor:
    """Return the second half of the channels, and then the first with its sign turned."""
    x1, x2 = torch.tensor_split(x, 2, dim=-1)
    return torch.cat((x2, -x1), dim=-1)


def apply_rotary_emb(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Return `x` rotated; the tables hold half of the channels and serve both halves."""
    cos, sin = (torch.cat((table, table), dim=-1) for table in (cos, sin))
    return (x * cos + rotate_half(x) * sin).type_as(x)


def lower_right_mask(queries: int, keys: int, like: Tensor) -> Tensor:
    """Return what to add to the scores: 0 where a query may look, minus infinity where it may not."""
    mask = torch.full((queries, keys), float("-inf"), dtype=like.dtype, device=like.device)
    return mask.triu(keys - queries + 1)


class Attention(nn.Module):
    """Self attention with grouped key/value heads."""

    def __init__(self, config: GPTConfig, layer_idx: int) -> None:
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        self.c_q = nn.Linear(config.n_embd, config.n_head * config.head_size, bias=False)
        self.c_k = nn.Linear(config.n_embd, config.n_kv_head * config.head_size, bias=False)
        self.c_v = nn.Linear(config.n_embd, config.n_kv_head * config.head_size, bias=False)
        self.c_proj = nn.Linear(config.n_head * config.head_size, config.n_embd, bias=False)
        self.qk_norm = RMSNorm()

    def forward(self, x: Tensor, cos_sin: tuple[Tensor, Tensor], kv_cache: KVCache | None = None) -> Tensor:
        """Return the attention output (batch, tokens, width)."""
        input_shape = x.shape[:-1]
        hidden_shape = (*input_shape, -1, self.config.head_size)
        q = self.qk_norm(apply_rotary_emb(self.c_q(x).view(hidden_shape), *cos_sin)).transpose(1, 2)
        k = self.qk_norm(apply_rotary_emb(self.c_k(x).view(hidden_shape), *cos_sin)).transpose(1, 2)
        v = self.c_v(x).view(hidden_shape).transpose(1, 2)
        if kv_cache is not None:
            k, v = kv_cache.insert_kv(self.layer_idx, k, v)
        mask = lower_right_mask(q.shape[-2], k.shape[-2], q)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
        out: Tensor = self.c_proj(y.transpose(1, 2).reshape(*input_shape, -1))
        return out


class MLP(nn.Module):
    """Feed-forward layer."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.c_fc = nn.Linear(config.n_embd, 4 * config.n_embd, bias=False)
        self.c_proj = nn.Linear(4 * config.n_embd, config.n_embd, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the output (batch, tokens, width)."""
        activated = F.relu(self.c_fc(x))
        out: Tensor = self.c_proj(activated * activated)
        return out


class DecoderLayer(nn.Module):
    """Attention and MLP with residual connections."""

    def __init__(self, config: GPTConfig, layer_idx: int) -> None:
        super().__init__()
        self.attn_norm = RMSNorm()
        self.attn = Attention(config, layer_idx)
        self.mlp_norm = RMSNorm()
        self.mlp = MLP(config)

    def forward(self, x: Tensor, cos_sin: tuple[Tensor, Tensor], kv_cache: KVCache | None) -> Tensor:
        """Return the residual stream after this layer."""
        residual = x
        x = residual + self.attn(self.attn_norm(x), cos_sin, kv_cache)
        residual = x
        out: Tensor = residual + self.mlp(self.mlp_norm(x))
        return out


class GPTModel(nn.Module):
    """Embedding and layers."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.h = nn.ModuleList([DecoderLayer(config, i) for i in range(config.n_layer)])
        self.norm = RMSNorm()

    def forward(self, idx: Tensor, cos_sin: tuple[Tensor, Tensor], kv_cache: KVCache | None) -> Tensor:
        """Return the normalised last hidden states."""
        x = self.norm(self.wte(idx))
        for layer in self.h:
            x = layer(x, cos_sin, kv_cache)
        out: Tensor = self.norm(x)
        return out


class GPT(nn.Module):
    """The model with its head."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.transformer = GPTModel(config)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        shape = (1, config.sequence_len, 1, config.head_size // 2)
        self.register_buffer("cos", torch.empty(shape), persistent=False)
        self.register_buffer("sin", torch.empty(shape), persistent=False)
        self._reset_rotary_tables()

    @torch.no_grad()
    def _reset_rotary_tables(self) -> None:
        """Write the angles into the buffers, wherever these are."""
        exponents = (
            torch.arange(0, self.config.head_size, 2).to(self.cos.device).double() / self.config.head_size
        )
        positions = torch.arange(self.config.sequence_len).to(self.cos.device).double()
        freqs = positions[None, :, None, None] / torch.pow(10000.0, exponents)
        self.cos.copy_(freqs.cos())
        self.sin.copy_(freqs.sin())

    @torch.no_grad()
    def init_weights(self, seed: int = 1234) -> None:
        """Draw the weights from normal distributions, from a generator on the CPU."""
        generator = torch.Generator("cpu").manual_seed(seed)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                std = 1.0 if isinstance(module, nn.Embedding) else module.in_features**-0.5
                drawn = torch.empty(module.weight.shape, device="cpu").normal_(0.0, std, generator=generator)
                module.weight.copy_(drawn)
        self._reset_rotary_tables()

    def get_device(self) -> torch.device:
        """Return the device of the first parameter."""
        return next(self.parameters()).device

    def estimate_flops(self) -> int:
        """Return 6 operations a weight and 12 a layer, channel and position."""
        linear = [module.weight.numel() for module in self.modules() if isinstance(module, nn.Linear)]
        attention = 12 * self.config.n_layer * self.config.n_embd * self.config.sequence_len
        return 6 * sum(linear) + attention

    def forward(
        self,
        idx: Tensor,
        targets: Tensor | None = None,
        kv_cache: KVCache | None = None,
        loss_reduction: str = "mean",
    ) -> Tensor:
        """Return float32 logits (batch, tokens, vocabulary), or the loss where there are targets."""
        past = 0 if kv_cache is None else kv_cache.get_pos()
        positions = torch.arange(past, past + idx.shape[1], device=idx.device)
        if past + idx.shape[1] > self.config.sequence_len:
            raise ValueError(f"position {past + idx.shape[1] - 1} is beyond {self.config.sequence_len - 1}")
        cos_sin = (self.cos.index_select(1, positions), self.sin.index_select(1, positions))
        logits = self.lm_head(self.transformer(idx, cos_sin, kv_cache)).to(torch.float32)
        logits = (logits / 15).tanh() * 15
        if targets is None:
            out: Tensor = logits
            return out
        losses = F.cross_entropy(
            logits.reshape(-1, self.config.vocab_size),
            targets.reshape(-1).long(),
            ignore_index=-1,
            reduction="none",
        )
        if loss_reduction == "none":
            return losses
        total = losses.sum()
        return total if loss_reduction == "sum" else total / (targets != -1).sum()

    def generate(
        self,
        tokens: Sequence[int],
        max_tokens: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int = 42,
    ) -> Iterator[int]:
        """Yield new ids, every one from a pass over the whole text."""
        from nanochat.engine import sample_next_token

        generator = torch.Generator(self.get_device()).manual_seed(seed)
        input_ids = torch.tensor(tokens, dtype=torch.int64, device=self.get_device()).unsqueeze(0)
        while max_tokens > 0:
            with torch.no_grad():
                next_logits = self(input_ids)[:, -1, :]
            next_id = sample_next_token(next_logits, generator, temperature=temperature, top_k=top_k)
            input_ids = torch.cat([input_ids, next_id], dim=-1)
            max_tokens -= 1
            yield next_id.item()  # type: ignore[misc]  # a number, of an integer tensor

    def setup_optimizers(
        self,
        unembedding_lr: float = 0.004,
        embedding_lr: float = 0.2,
        matrix_lr: float = 0.02,
        weight_decay: float = 0.0,
    ) -> list[torch.optim.Optimizer]:
        """Return a fused AdamW of torch for embedding and head, and a Muon for the layers."""
        from nanochat.optim import AdamW, Muon

        dmodel_lr_scale = (self.config.n_embd / 768) ** -0.5
        adam_groups = [
            {"params": list(self.lm_head.parameters()), "lr": unembedding_lr * dmodel_lr_scale},
            {"params": list(self.transformer.wte.parameters()), "lr": embedding_lr * dmodel_lr_scale},
        ]
        adamw_kwargs = {"betas": (0.8, 0.95), "eps": 1e-10, "weight_decay": weight_decay}
        adamw_optimizer = AdamW(adam_groups, fused=True, **adamw_kwargs)
        muon_optimizer = Muon(self.transformer.h.parameters(), lr=matrix_lr)
        optimizers = [adamw_optimizer, muon_optimizer]
        for opt in optimizers:
            for group in opt.param_groups:
                group["initial_lr"] = group["lr"]
        return optimizers
