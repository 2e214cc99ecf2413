"""The model: a decoder-only transformer.

What it does otherwise than GPT-2: RMSNorm without gain (Zhang and Sennrich 2019, arXiv:1910.07467), rotary
position embeddings (Su et al. 2021, arXiv:2104.09864), normalised queries and keys (Henry et al. 2020,
arXiv:2010.04245), grouped-query attention (Ainslie et al. 2023, arXiv:2305.13245), the square of ReLU (So et
al. 2021, arXiv:2109.08668), logits capped by a tanh (Gemma 2, arXiv:2408.00118), no biases, and an output
layer that shares nothing with the embedding.

Letters of shapes: B rows, T tokens, C channels of the model, H heads, D channels of a head, V vocabulary.
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
    from torch.optim import Optimizer

    from nanochat.engine import KVCache

LOGIT_CAP = 15.0
IGNORED_TARGET = -1
DEFAULT_SEED = 0
"""The first of many that do: with each seed from 0 to 39, on a CPU and on an H200, the small model of the
level 3 notebook (4 layers, a tokenizer of 268 tokens) writes 30 tokens without a terminal one among them."""
FRESH_LOGIT_STD = 0.3
"""Standard deviation of a fresh model's logits: no token is near certain, and none is out of reach."""


@dataclass(frozen=True)
class GPTConfig:
    """The sizes of a model. Raises ValueError for sizes that do not fit together."""

    sequence_len: int = 1024
    vocab_size: int = 50304
    n_layer: int = 12
    n_head: int = 6
    n_kv_head: int = 6
    n_embd: int = 768

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise ValueError(f"{name} is {value} and must be at least 1")
        if self.n_embd % self.n_head != 0:
            raise ValueError(f"n_embd is {self.n_embd} and must be a multiple of n_head, {self.n_head}")
        if self.n_head % self.n_kv_head != 0:
            raise ValueError(f"n_head is {self.n_head} and must be a multiple of n_kv_head, {self.n_kv_head}")
        if self.head_dim % 2 != 0:
            raise ValueError(
                f"n_embd / n_head is {self.head_dim} and must be even: rotary angles are for pairs"
            )

    @property
    def head_dim(self) -> int:
        """Return the number of channels of one head."""
        return self.n_embd // self.n_head


def rms_norm(x: Tensor) -> Tensor:
    """Return `x` over the root of its mean square along the last axis, without gain; shape and dtype stay."""
    return F.rms_norm(x, (x.size(-1),))


def rotary_tables(positions: int, head_dim: int, base: float = 10000.0) -> tuple[Tensor, Tensor]:
    """Return (cos, sin) of the rotary angles, float32 on the CPU, each (1, positions, 1, head_dim / 2).

    The angles are formed in float64: in float32 an angle near 1000 is off by up to 3e-5 before its cosine
    is even taken.
    """
    channels = torch.arange(0, head_dim, 2, dtype=torch.float64, device="cpu")
    inverse_frequencies = 1.0 / base ** (channels / (2 * head_dim))
    angles = torch.outer(torch.arange(positions, dtype=torch.float64, device="cpu"), inverse_frequencies)
    cos, sin = angles.cos().float(), angles.sin().float()
    return cos[None, :, None, :], sin[None, :, None, :]


def apply_rotary_emb(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Return the heads `x` (B, T, H, D) turned by the angles of `cos` and `sin` (1, T, 1, D/2), in x's dtype.

    Channel i makes a pair with channel i + D/2. Computed in float32 or better: in bfloat16 each product would
    be rounded before the two are added.
    """
    x1, x2 = x.to(torch.promote_types(x.dtype, torch.float32)).chunk(2, dim=-1)
    y1 = x1 * cos + x2 * sin
    y2 = -x1 * sin + x2 * cos
    return torch.cat([y1, y2], dim=-1).to(x.dtype)


class CausalSelfAttention(nn.Module):
    """Grouped-query attention of each token over itself and all earlier ones."""

    def __init__(self, config: GPTConfig, layer_idx: int) -> None:
        super().__init__()
        self.layer_idx = layer_idx
        self.n_head = config.n_head
        self.n_kv_head = config.n_kv_head
        self.head_dim = config.head_dim
        self.c_q = nn.Linear(config.n_embd, self.n_head * self.head_dim, bias=False)
        self.c_k = nn.Linear(config.n_embd, self.n_kv_head * self.head_dim, bias=False)
        self.c_v = nn.Linear(config.n_embd, self.n_kv_head * self.head_dim, bias=False)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=False)

    def forward(self, x: Tensor, cos_sin: tuple[Tensor, Tensor], kv_cache: KVCache | None) -> Tensor:
        """Return (B, T, C) of `x` (B, T, C); `cos_sin` holds the rotary tables of these T positions."""
        B, T, C = x.size()
        q = self.c_q(x).view(B, T, self.n_head, self.head_dim)
        k = self.c_k(x).view(B, T, self.n_kv_head, self.head_dim)
        v = self.c_v(x).view(B, T, self.n_kv_head, self.head_dim)

        cos, sin = cos_sin
        q, k = apply_rotary_emb(q, cos, sin), apply_rotary_emb(k, cos, sin)
        q, k = rms_norm(q), rms_norm(k)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)  # (B, H, T, D)

        if kv_cache is not None:
            k, v = kv_cache.insert_kv(self.layer_idx, k, v)
        y = self._attend(q, k, v)
        projected: Tensor = self.c_proj(y.transpose(1, 2).reshape(B, T, C))
        return projected

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Return (B, H, Tq, D): the last Tq of Tk tokens attend to themselves and to what came before.

        Query head h reads key/value head h // (n_head / n_kv_head).
        """
        Tq, Tk = q.size(2), k.size(2)
        enable_gqa = self.n_head == self.n_kv_head
        if Tq == Tk:
            return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=enable_gqa)
        if Tq == 1:  # the last token may read everything
            return F.scaled_dot_product_attention(q, k, v, is_causal=False, enable_gqa=enable_gqa)
        # A chunk after cached tokens. Not is_causal: it aligns query 0 with key 0, not with key Tk - Tq.
        visible = torch.ones(Tq, Tk, dtype=torch.bool, device=q.device).tril(diagonal=Tk - Tq)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=visible, enable_gqa=enable_gqa)


class MLP(nn.Module):
    """Two layers, four times as wide between them, with the square of ReLU."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.c_fc = nn.Linear(config.n_embd, 4 * config.n_embd, bias=False)
        self.c_proj = nn.Linear(4 * config.n_embd, config.n_embd, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, C) of `x` (B, T, C)."""
        projected: Tensor = self.c_proj(F.relu(self.c_fc(x)).square())
        return projected


class Block(nn.Module):
    """Attention and MLP, each of the normalised stream and added to it."""

    def __init__(self, config: GPTConfig, layer_idx: int) -> None:
        super().__init__()
        self.attn = CausalSelfAttention(config, layer_idx)
        self.mlp = MLP(config)

    def forward(self, x: Tensor, cos_sin: tuple[Tensor, Tensor], kv_cache: KVCache | None) -> Tensor:
        """Return (B, T, C) of `x` (B, T, C)."""
        attended: Tensor = x + self.attn(rms_norm(x), cos_sin, kv_cache)
        transformed: Tensor = attended + self.mlp(rms_norm(attended))
        return transformed


class Transformer(nn.Module):
    """The token embedding and the blocks."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.h = nn.ModuleList(Block(config, layer_idx) for layer_idx in range(config.n_layer))


class GPT(nn.Module):
    """The model. Call `init_weights` before use: the constructor only makes the parameters."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.transformer = Transformer(config)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        # Not in the state dict: they follow from the configuration.
        self.register_buffer("cos", None, persistent=False)
        self.register_buffer("sin", None, persistent=False)
        self._make_rotary_tables()

    def _make_rotary_tables(self) -> None:
        cos, sin = rotary_tables(self.config.sequence_len, self.config.head_dim)
        self.cos, self.sin = cos.to(self.get_device()), sin.to(self.get_device())

    @torch.no_grad()
    def init_weights(self, seed: int = DEFAULT_SEED) -> None:
        """Fill every parameter and buffer: the same values for the same configuration, on every device.

        Also after construction on the meta device and `to_empty`. The numbers come from a generator of its
        own on the CPU, so that neither the global one nor the device has a say. Matrices get a standard
        deviation of 1/sqrt(inputs); those that write into the residual stream are divided by
        sqrt(2 n_layer) more, for the number of writes (GPT-2). None is zero: a zero output projection hides
        whatever its block computes.
        """
        config = self.config
        rng = torch.Generator(device="cpu").manual_seed(seed)
        for name, parameter in self.named_parameters():
            std = 1.0 / math.sqrt(parameter.size(1))
            if name == "transformer.wte.weight":
                std = 1.0
            elif name == "lm_head.weight":
                std *= FRESH_LOGIT_STD
            elif name.endswith("c_proj.weight"):
                std /= math.sqrt(2 * config.n_layer)
            parameter.copy_(torch.randn(parameter.shape, generator=rng, device="cpu") * std)
        self._make_rotary_tables()

    def get_device(self) -> torch.device:
        """Return where the parameters are."""
        return self.transformer.wte.weight.device

    def estimate_flops(self) -> int:
        """Return the floating-point operations of training on one token, forward and backward.

        Six per parameter of a matrix product (two forward, four backward; the embedding is a look-up), and
        for attention 12 * heads * channels of a head * context in each layer (Chowdhery et al. 2022,
        arXiv:2204.02311, appendix B).
        """
        config = self.config
        parameters = sum(parameter.numel() for parameter in self.parameters())
        matrices = parameters - self.transformer.wte.weight.numel()
        return 6 * matrices + 12 * config.n_layer * config.n_head * config.head_dim * config.sequence_len

    def setup_optimizers(
        self,
        unembedding_lr: float = 0.004,
        embedding_lr: float = 0.2,
        matrix_lr: float = 0.02,
        weight_decay: float = 0.0,
    ) -> list[Optimizer]:
        """Return the optimizers that train this model, every parameter with one of them."""
        # Here and not above: the model must import also where the optimizers do not.
        from nanochat.optim import make_optimizers

        return make_optimizers(self, unembedding_lr, embedding_lr, matrix_lr, weight_decay)

    def forward(
        self,
        idx: Tensor,
        targets: Tensor | None = None,
        kv_cache: KVCache | None = None,
        loss_reduction: str = "mean",
    ) -> Tensor:
        """Return logits (B, T, V) in float32, or the cross-entropy loss if there are `targets`.

        `idx` (B, T) holds int32 or int64 ids, `targets` (B, T) the ids that should come next, -1 where none
        counts. With a cache the T tokens follow those it holds, and are added to it. `loss_reduction` is
        "mean", "sum" or "none"; "none" returns (B*T,). Raises ValueError if the positions exceed the context.
        """
        T = idx.size(1)
        start = 0 if kv_cache is None else kv_cache.get_pos()
        if start + T > self.cos.size(1):
            raise ValueError(
                f"{start} cached and {T} new tokens are {start + T - self.cos.size(1)} more than the context "
                f"of {self.cos.size(1)} (sequence_len)"
            )
        cos_sin = self.cos[:, start : start + T], self.sin[:, start : start + T]

        x = rms_norm(self.transformer.wte(idx))
        for block in self.transformer.h:
            x = block(x, cos_sin, kv_cache)
        x = rms_norm(x)

        # float32 before the cap: in bfloat16 the numbers near 15 are 1/16 apart.
        logits = self.lm_head(x).float()
        logits = LOGIT_CAP * torch.tanh(logits / LOGIT_CAP)
        if targets is None:
            return logits
        return F.cross_entropy(
            logits.flatten(0, 1),
            targets.flatten().long(),
            ignore_index=IGNORED_TARGET,
            reduction=loss_reduction,
        )

    @torch.inference_mode()
    def generate(
        self,
        tokens: Sequence[int],
        max_tokens: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int = 42,
    ) -> Iterator[int]:
        """Yield `max_tokens` new ids that continue `tokens`, one by one: the slow way, without a cache.

        It runs the whole text again for every token. `nanochat.engine` is the fast way, and must agree.
        """
        # Here and not above: the model must import also where the engine does not.
        from nanochat.engine import sample_next_token

        if not tokens:
            raise ValueError("no tokens to continue; begin with the BOS token")
        rng = torch.Generator(device=self.get_device()).manual_seed(seed)
        ids = torch.tensor([list(tokens)], dtype=torch.long, device=self.get_device())
        for _ in range(max_tokens):
            logits = self.forward(ids)[:, -1]
            next_id = sample_next_token(logits, rng, temperature, top_k)
            ids = torch.cat([ids, next_id], dim=1)
            yield int(next_id.item())
