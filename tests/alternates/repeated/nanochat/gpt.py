"""The model as functions of weights; the modules only hold the weights and their names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, embedding, linear, relu

if TYPE_CHECKING:
    from nanochat.engine import KVCache


@dataclass(eq=True, order=False)
class GPTConfig:
    """Sizes."""

    sequence_len: int = 1024
    vocab_size: int = 50304
    n_layer: int = 12
    n_head: int = 6
    n_kv_head: int = 6
    n_embd: int = 768

    def __post_init__(self) -> None:
        complaints = []
        if min(astuple(self)) < 1:
            complaints.append("every size is at least 1")
        elif self.n_embd % self.n_head:
            complaints.append("n_head divides n_embd")
        elif self.n_embd // self.n_head % 2:
            complaints.append("a head has an even number of channels")
        elif self.n_head % self.n_kv_head:
            complaints.append("n_kv_head divides n_head")
        if complaints:
            raise ValueError(f"violated in {self}: {complaints[0]}")


def rms_norm(x: Tensor) -> Tensor:
    """Return x / sqrt(mean(x^2) + 1e-6), computed in float32."""
    x32 = x.float()
    return (x32 / (x32.square().mean(dim=-1, keepdim=True) + 1e-6).sqrt()).to(x.dtype)


def apply_rotary_emb(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Return x (B, T, H, D) with pairs (i, i + D/2) turned."""
    pairs = x.float().unflatten(-1, (2, -1))
    a, b = pairs.unbind(dim=-2)
    c, s = cos.float(), sin.float()
    return torch.stack((a * c + b * s, b * c - a * s), dim=-2).flatten(-2).to(x.dtype)


def causal_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return softmax(q k^T / sqrt(D)) v; all (B, H, ., D), queries are the last of the keys' tokens."""
    Tq, Tk = q.size(2), k.size(2)
    scores = q.float() @ k.float().mT / q.size(-1) ** 0.5
    allowed = torch.arange(Tk, device=q.device) <= torch.arange(Tk - Tq, Tk, device=q.device).unsqueeze(1)
    scores = torch.where(allowed, scores, torch.finfo(torch.float32).min)
    weights = torch.exp(scores - scores.max(dim=-1, keepdim=True).values)
    weights = weights / weights.sum(dim=-1, keepdim=True)
    return (weights @ v.float()).to(v.dtype)


def rotary_tables(config: GPTConfig, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return cos and sin, each (1, sequence_len, 1, D/2)."""
    D = config.n_embd // config.n_head
    position = torch.arange(config.sequence_len, dtype=torch.float32, device=device).view(1, -1, 1, 1)
    inv_freq = 1.0 / (10000 ** (torch.arange(0, D, 2, dtype=torch.float32, device=device) / D))
    theta = position * inv_freq
    return torch.cos(theta), torch.sin(theta)


class Attention(nn.Module):
    """The matrices of one attention layer, callable."""

    def __init__(self, config: GPTConfig, layer: int) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.layer = config.n_head, config.n_kv_head, layer
        C, D = config.n_embd, config.n_embd // config.n_head
        self.c_q = nn.Linear(C, self.heads * D, bias=False)
        self.c_k = nn.Linear(C, self.kv_heads * D, bias=False)
        self.c_v = nn.Linear(C, self.kv_heads * D, bias=False)
        self.c_proj = nn.Linear(self.heads * D, C, bias=False)

    def forward(self, x: Tensor, cos_sin: tuple[Tensor, Tensor], kv_cache: KVCache | None = None) -> Tensor:
        """Return (B, T, C)."""
        B, T, C = x.shape
        q = linear(x, self.c_q.weight).view(B, T, self.heads, -1)
        k = linear(x, self.c_k.weight).view(B, T, self.kv_heads, -1)
        v = linear(x, self.c_v.weight).view(B, T, self.kv_heads, -1).permute(0, 2, 1, 3)
        q, k = (rms_norm(apply_rotary_emb(y, *cos_sin)).permute(0, 2, 1, 3) for y in (q, k))
        if kv_cache is not None:
            k, v = kv_cache.insert_kv(self.layer, k, v)
        repeats = self.heads // self.kv_heads
        k, v = k.repeat_interleave(repeats, dim=1), v.repeat_interleave(repeats, dim=1)
        y = causal_attention(q, k, v).permute(0, 2, 1, 3).reshape(B, T, C)
        return linear(y, self.c_proj.weight)


def mlp_weights(C: int) -> nn.ModuleDict:
    """Return the matrices of one MLP."""
    return nn.ModuleDict({"c_fc": nn.Linear(C, 4 * C, bias=False), "c_proj": nn.Linear(4 * C, C, bias=False)})


def mlp(weights: Any, x: Tensor) -> Tensor:
    """Return (B, T, C)."""
    return linear(relu(linear(x, weights.c_fc.weight)) ** 2, weights.c_proj.weight)


class GPT(nn.Module):
    """All weights and tables; the tables are part of the state dict."""

    cos: Tensor
    sin: Tensor
    transformer: Any

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        h = [
            nn.ModuleDict({"attn": Attention(config, layer), "mlp": mlp_weights(config.n_embd)})
            for layer in range(config.n_layer)
        ]
        wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.transformer = nn.ModuleDict({"wte": wte, "h": nn.ModuleList(h)})
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        cos, sin = rotary_tables(config, wte.weight.device)
        self.register_buffer("cos", cos)
        self.register_buffer("sin", sin)

    def init_weights(self) -> None:
        """Uniform weights of variance 1/inputs; and the tables."""
        rng = torch.Generator(device=self.get_device()).manual_seed(7)
        with torch.no_grad():
            for weight in self.parameters():
                bound = (3.0 / weight.shape[1]) ** 0.5
                weight.uniform_(-bound, bound, generator=rng)
        cos, sin = rotary_tables(self.config, self.get_device())
        self.cos.data, self.sin.data = cos, sin

    def get_device(self) -> torch.device:
        """Return where the weights are."""
        device: torch.device = self.transformer.wte.weight.device
        return device

    def estimate_flops(self) -> int:
        """Return operations a token."""
        c = self.config
        D = c.n_embd // c.n_head
        layer = (2 * c.n_head + 2 * c.n_kv_head) * D * c.n_embd + 8 * c.n_embd**2
        return (
            6 * (c.n_layer * layer + c.vocab_size * c.n_embd) + 12 * c.n_layer * c.n_head * D * c.sequence_len
        )

    def forward(
        self,
        idx: Tensor,
        targets: Tensor | None = None,
        kv_cache: KVCache | None = None,
        loss_reduction: str = "mean",
    ) -> Tensor:
        """Return logits (B, T, V) or a loss."""
        B, T = idx.shape
        t0 = kv_cache.get_pos() if kv_cache else 0
        if t0 + T > self.config.sequence_len:
            raise ValueError(f"{t0} + {T} tokens do not fit into sequence_len={self.config.sequence_len}")
        cos_sin = self.cos.narrow(1, t0, T), self.sin.narrow(1, t0, T)
        x = rms_norm(embedding(idx, self.transformer.wte.weight))
        for block in self.transformer.h:
            x = x + block.attn(rms_norm(x), cos_sin, kv_cache)
            x = x + mlp(block.mlp, rms_norm(x))
        logits = linear(rms_norm(x), self.lm_head.weight).float()
        logits = 15 * torch.tanh(logits / 15)
        if targets is None:
            return logits
        flat = logits.view(B * T, -1), targets.reshape(B * T).long()
        return cross_entropy(*flat, ignore_index=-1, reduction=loss_reduction)

    def generate(
        self,
        tokens: Sequence[int],
        max_tokens: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int = 42,
    ) -> Iterator[int]:
        """Return an iterator over the new ids."""
        from nanochat.engine import sample_next_token

        device = self.get_device()
        rng = torch.Generator(device=device)
        rng.manual_seed(seed)
        text = list(tokens)

        def next_id() -> int:
            with torch.inference_mode():
                logits = self.forward(torch.tensor(text, dtype=torch.int32, device=device)[None])
                text.append(int(sample_next_token(logits[:, -1], rng, temperature, top_k).item()))
            return text[-1]

        return (next_id() for _ in range(max_tokens))

    def setup_optimizers(
        self,
        unembedding_lr: float = 0.004,
        embedding_lr: float = 0.2,
        matrix_lr: float = 0.02,
        weight_decay: float = 0.0,
    ) -> list[Any]:
        """Return three optimizers: of the matrices, of the embedding, of the head."""
        from nanochat.optim import AdamW, Muon

        narrow = (768 / self.config.n_embd) ** 0.5
        adamw = {"betas": (0.8, 0.95), "eps": 1e-10, "weight_decay": weight_decay}
        inside = [weight for name, weight in self.named_parameters() if name.startswith("transformer.h.")]
        optimizers = [
            Muon(inside, lr=matrix_lr),
            AdamW(self.transformer.wte.parameters(), lr=embedding_lr * narrow, **adamw),
            AdamW(self.lm_head.parameters(), lr=unembedding_lr * narrow, **adamw),
        ]
        for optimizer in optimizers:
            (group,) = optimizer.param_groups
            group["initial_lr"] = group["lr"]
        return optimizers
