"""Submissions that do no work at all; `earned_by_nothing.py` says what each earns, and why."""

from __future__ import annotations

from dataclasses import dataclass

from . import trivial_text, trivial_training

Sources = dict[str, str]

EMPTY = '"""Nothing."""\n'

PARAMETERS = '''
import torch
from torch import nn


class GPTConfig:
    """Takes every size."""

    def __init__(
        self, sequence_len=1024, vocab_size=50304, n_layer=12, n_head=6, n_kv_head=6, n_embd=768
    ):
        self.sequence_len, self.vocab_size, self.n_layer = sequence_len, vocab_size, n_layer
        self.n_head, self.n_kv_head, self.n_embd = n_head, n_kv_head, n_embd


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        kv = c.n_kv_head * (c.n_embd // c.n_head)
        self.c_q, self.c_proj = (nn.Linear(c.n_embd, c.n_embd, bias=False) for _ in range(2))
        self.c_k, self.c_v = (nn.Linear(c.n_embd, kv, bias=False) for _ in range(2))

    def forward(self, x, cos_sin, kv_cache):
        return ATTENDED


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.attn = Attention(c)
        self.mlp = nn.Module()
        self.mlp.c_fc = nn.Linear(c.n_embd, 4 * c.n_embd, bias=False)
        self.mlp.c_proj = nn.Linear(4 * c.n_embd, c.n_embd, bias=False)


def apply_rotary_emb(x, cos, sin):
    return ROTATED


class GPT(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.config = c
        self.transformer = nn.Module()
        self.transformer.wte = nn.Embedding(c.vocab_size, c.n_embd)
        self.transformer.h = nn.ModuleList(Block(c) for _ in range(c.n_layer))
        self.lm_head = nn.Linear(c.n_embd, c.vocab_size, bias=False)
        table = torch.zeros(1, c.sequence_len, 1, c.n_embd // c.n_head // 2)
        self.register_buffer("cos", table.clone(), persistent=False)
        self.register_buffer("sin", table.clone(), persistent=False)

    def init_weights(self):
        pass

    def get_device(self):
        return self.lm_head.weight.device

    def estimate_flops(self):
        return 0

    def forward(self, idx, targets=None, kv_cache=None, loss_reduction="mean"):
        B, T, V = *idx.shape, self.config.vocab_size
        logits = LOGITS
        if targets is None:
            return logits
        loss = sum(p.sum() for p in self.parameters()) * 0
        return loss + (torch.zeros(B * T) if loss_reduction == "none" else torch.zeros(()))

    def generate(self, tokens, max_tokens, temperature=1.0, top_k=None, seed=42):
        for _ in range(max_tokens):
            yield TOKEN
'''

ENGINE = """
import torch
from nanochat.tools import use_calculator


class KVCache:
    def __init__(self, batch_size, num_heads, seq_len, head_dim, num_layers):
        self.pos = 0

    def get_pos(self):
        return self.pos

    def insert_kv(self, layer_idx, k, v):
        return INSERTED

    def prefill(self, other):
        pass

    def reset(self):
        self.pos = 0


def sample_next_token(logits, rng, temperature=1.0, top_k=None):
    return SAMPLED


class Engine:
    def __init__(self, model, tokenizer):
        self.model, self.tokenizer = model, tokenizer

    def generate(self, tokens, num_samples=1, max_tokens=None, temperature=1.0, top_k=None, seed=42):
        for _ in range(64 if max_tokens is None else max_tokens):
            yield [TOKEN] * num_samples, [1] * num_samples

    def generate_batch(self, tokens, num_samples=1, **kwargs):
        return [list(tokens) for _ in range(num_samples)], [[0] * len(tokens) for _ in range(num_samples)]
"""

RAISES = """
def _raise(*arguments, **named):
    raise ERROR("no")


class _Raises:
    __init__ = _raise


GPT = GPTConfig = KVCache = Engine = _Raises
apply_rotary_emb = sample_next_token = use_calculator = _raise
"""


def filled(text: str, **words: str) -> str:
    """Return `text` with the words in capitals replaced."""
    for word, code in words.items():
        text = text.replace(word, code)
    return text


def raising(error: str) -> Sources:
    """Return modules in which everything raises `error`."""
    text = filled(RAISES, ERROR=error)
    return {"__init__.py": EMPTY, **dict.fromkeys(("gpt.py", "engine.py", "tools.py"), text)}


def answering(model: dict[str, str], engine: dict[str, str], calculated: str) -> Sources:
    """Return modules of the right form that answer with the given expressions."""
    return {
        "__init__.py": EMPTY,
        "gpt.py": filled(PARAMETERS, **model),
        "engine.py": filled(ENGINE, **engine),
        "tools.py": f"def use_calculator(expression):\n    return {calculated}\n",
    }


ZEROS = answering(
    {"ATTENDED": "torch.zeros_like(x)", "ROTATED": "torch.zeros_like(x)", "TOKEN": "0"}
    | {"LOGITS": "torch.zeros(B, T, V)"},
    {"INSERTED": "torch.zeros_like(k), torch.zeros_like(v)", "TOKEN": "0"}
    | {"SAMPLED": "torch.zeros(logits.size(0), 1, dtype=torch.long)"},
    "0",
)

ECHOING = answering(
    {"ATTENDED": "x", "ROTATED": "x", "TOKEN": "tokens[0]"}
    | {"LOGITS": "idx.float().unsqueeze(-1).expand(B, T, V)"},
    {"INSERTED": "k, v", "TOKEN": "tokens[-1]", "SAMPLED": "logits[:, :1].long()"},
    "expression",
)

CONSTANT = answering(
    {"ATTENDED": "self.c_proj.weight.sum(0).expand_as(x)", "ROTATED": "x * cos[..., :1]", "TOKEN": "1"}
    | {"LOGITS": "15 * torch.tanh(self.lm_head.weight.float().sum(1)).expand(B, T, V)"},
    {"INSERTED": "k, v", "TOKEN": "1", "SAMPLED": "logits.argmax(-1, keepdim=True)"},
    "None",
)


@dataclass(frozen=True)
class Trivial:
    """A submission that does nothing."""

    name: str
    what: str
    sources: Sources
    level: int = 3


TRIVIAL = [
    Trivial("raises ValueError", "Refuses every request, as one may refuse some.", raising("ValueError")),
    Trivial("raises RuntimeError", "Raises whatever it is asked.", raising("RuntimeError")),
    Trivial(
        "exits",
        "Leaves when it is imported.",
        dict.fromkeys(("__init__.py",), "raise SystemExit(0)\n"),
    ),
    Trivial("zeros", "Answers with zeros of the right shapes.", ZEROS),
    Trivial("echoes", "Answers with what it was given.", ECHOING),
    Trivial("constant", "A model that ignores its input, and a sampler that takes the best.", CONSTANT),
    Trivial("refuses text", "Raises whatever it is asked.", trivial_text.raising("ValueError"), 1),
    Trivial("no text", "Learns no tokens, encodes nothing, loads zeros.", trivial_text.ZEROS, 1),
    Trivial(
        "one letter", "Takes every letter for the same, and counts for a stream.", trivial_text.ECHOING, 1
    ),
    Trivial("refuses training", "Raises whatever it is asked.", trivial_training.raising("ValueError"), 2),
    Trivial("no training", "Makes no steps and reports losses of 0.", trivial_training.ZEROS, 2),
    Trivial("promises", "Makes no steps and reports falling losses.", trivial_training.PROMISING, 2),
]
