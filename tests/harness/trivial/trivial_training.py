"""Submissions to level 2 that do no work: nothing is learned, nothing is saved."""

from __future__ import annotations

from .trivial_text import EMPTY, replaced

OPTIMIZERS = """
import torch


class AdamW(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay))

    def step(self, closure=None):
        pass


class Muon(torch.optim.Optimizer):
    def __init__(self, params, lr=0.02, momentum=0.95, nesterov=True, ns_steps=5):
        super().__init__(params, dict(lr=lr, momentum=momentum, nesterov=nesterov, ns_steps=ns_steps))

    def step(self, closure=None):
        pass
"""

MODEL = """
from torch import nn

from nanochat.optim import AdamW


class GPTConfig:
    def __init__(
        self, sequence_len=1024, vocab_size=50304, n_layer=12, n_head=6, n_kv_head=6, n_embd=768
    ):
        self.n_embd = n_embd


class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.weight = nn.Linear(config.n_embd, config.n_embd)

    def setup_optimizers(self, unembedding_lr=0.004, embedding_lr=0.2, matrix_lr=0.02, weight_decay=0.0):
        return [AdamW(self.parameters())]
"""

TRAINING = """
import os


def lr_multiplier(step, num_steps, warmup_ratio=0.0, warmdown_ratio=0.2, final_lr_frac=0.0):
    return 1.0


def set_learning_rates(optimizers, multiplier):
    pass


def train_step(model, optimizers, micro_batches, grad_clip=None):
    return 0.0, 0.0


def evaluate(model, batches):
    return 0.0


def evaluate_bits_per_byte(model, batches, token_bytes):
    return 0.0


def fit(model, optimizers, batches, num_steps, *, first_step=0, on_step=None, **options):
    return [HISTORY for step in range(first_step, num_steps)]


def save_checkpoint(directory, model, optimizers, step, data_state=None):
    os.makedirs(directory, exist_ok=True)


def load_checkpoint(directory, model, optimizers):
    return {"step": 0, "data_state": None}
"""

TUNING = """
import torch


def sft_batches(conversations, tokenizer, batch_size, max_tokens=2048, *, device="cpu"):
    BATCHES
"""

RAISES = """
def _raise(*arguments, **named):
    raise ERROR("no")


class GPT:
    __init__ = _raise


GPTConfig = AdamW = Muon = lr_multiplier = set_learning_rates = train_step = evaluate = _raise
evaluate_bits_per_byte = fit = save_checkpoint = load_checkpoint = sft_batches = _raise
"""


def raising(error: str) -> dict[str, str]:
    """Return modules in which everything raises `error`."""
    text = RAISES.replace("ERROR", error)
    return {"__init__.py": EMPTY, **dict.fromkeys(("gpt.py", "optim.py", "train.py", "sft.py"), text)}


def answering(history: str, batches: str) -> dict[str, str]:
    """Return modules of the right form that train nothing."""
    return {
        "__init__.py": EMPTY,
        "gpt.py": MODEL,
        "optim.py": OPTIMIZERS,
        "train.py": replaced(TRAINING, {"HISTORY": history}),
        "sft.py": replaced(TUNING, {"BATCHES": batches}),
    }


ZEROS = answering(
    '{"step": step, "loss": 0.0, "grad_norm": 0.0, "lr_multiplier": 1.0}',
    "yield torch.zeros(1, 1, dtype=torch.int32), torch.full((1, 1), -1)",
)
PROMISING = answering(
    '{"step": step, "loss": 1.0 / (step + 1), "grad_norm": 1.0, "lr_multiplier": 1.0}',
    """for conversation in conversations:
        ids, _ = tokenizer.render_conversation(conversation, max_tokens=max_tokens)
        yield torch.tensor([ids[:-1]], dtype=torch.int32), torch.tensor([ids[1:]])""",
)
