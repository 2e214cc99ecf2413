"""A stand-in for the model, whose next token is a plain function of the tokens it has seen.

Properties of the engine use it, so that they hold or fail by the engine alone. It learns what it has seen
from the cache itself: it stores every token's id as that token's key and value, and reads the whole
history back from what `insert_kv` returns. So it cannot tell, and does not care, how an engine prefills,
clones or re-fills its caches, or whether it uses any; but a token that was never fed, or was fed in the
wrong order, is seen to be missing.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from specs.probes import scripts
from specs.probes.setting import torch_device, torch_dtype

Script = Callable[[Sequence[int]], Sequence[float] | torch.Tensor]
"""From the tokens seen so far to the logits (vocabulary) of the next."""

MARGIN = 40.0
"""By how much a script that names tokens prefers them: the others have a chance of e^-40 each."""

BASE = 128
DIGITS = 3
"""Ids are stored as so many digits of this base, because bfloat16 holds integers exactly only up to 256."""

MIXED = BASE**DIGITS - 1
"""The id that is read where layers, heads, keys and values do not tell of one token."""


@dataclass
class ScriptedConfig:
    """The fields of `GPTConfig`."""

    sequence_len: int = 64
    vocab_size: int = 288
    n_layer: int = 1
    n_head: int = 2
    n_kv_head: int = 2
    n_embd: int = 16


class ScriptedModel(nn.Module):
    """Answers like a `GPT` of the contract, by a script.

    `calls` counts the forward passes, `fed` holds the shape (rows, tokens) of what each was given,
    `histories` the tokens that every row had seen by then, and `gradients` whether any pass ran with
    gradients enabled.
    """

    def __init__(self, config: ScriptedConfig, script: Script) -> None:
        super().__init__()
        self.config = config
        self._script = asked_by(ScriptedModel.forward.__code__, script)
        self.fed: list[tuple[int, int]] = []
        self.histories: list[list[list[int]]] = []
        self.gradients = False
        # What an engine may look at on a model: parameters for device and dtype, and the rotary tables.
        self.transformer = nn.ModuleDict({"wte": nn.Embedding(config.vocab_size, config.n_embd)})
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        pairs = config.n_embd // config.n_head // 2
        for name in ("cos", "sin"):
            self.register_buffer(name, torch.ones(1, config.sequence_len, 1, pairs), persistent=False)
        self.to(device=torch_device(), dtype=torch_dtype())
        self.eval()

    @property
    def calls(self) -> int:
        """Return how many forward passes there were."""
        return len(self.fed)

    def get_device(self) -> torch.device:
        """Return where the model computes."""
        return self.lm_head.weight.device

    def forward(
        self,
        idx: torch.Tensor,
        targets: torch.Tensor | None = None,
        kv_cache: Any = None,
        loss_reduction: str = "mean",  # noqa: ARG002  # the contract's signature
    ) -> torch.Tensor:
        """Return logits (row, position, vocabulary), float32, for the tokens `idx` (row, position)."""
        assert targets is None, "a scripted model has no loss"
        rows, length = idx.shape
        histories = idx.tolist() if kv_cache is None else self._remember(idx, kv_cache)
        self.fed.append((rows, length))
        self.histories.append(histories)
        self.gradients = self.gradients or torch.is_grad_enabled()
        rows_of_logits = []
        for history in histories:
            for t in range(length):
                said = self._script(history[: len(history) - length + t + 1])
                rows_of_logits.append(torch.as_tensor(said, dtype=torch.float32))
        return torch.stack(rows_of_logits).view(rows, length, -1).to(self.get_device())

    def _remember(self, idx: torch.Tensor, kv_cache: Any) -> list[list[int]]:
        """Store the ids `idx` in every layer of the cache and return all that it holds, row by row."""
        stored = self._written(idx)
        keys = stored
        for layer in range(self.config.n_layer):
            keys, _ = kv_cache.insert_kv(layer, stored, stored)
        return as_lists(self._read(keys[:, :1])[:, 0])

    def _written(self, idx: torch.Tensor) -> torch.Tensor:
        """Return ids (row, position) as keys or values (row, head, position, channel)."""
        head_dim = self.config.n_embd // self.config.n_head
        stored = torch.zeros(idx.size(0), self.config.n_kv_head, idx.size(1), head_dim)
        stored = stored.to(device=self.get_device(), dtype=self.lm_head.weight.dtype)
        for i in range(DIGITS):
            stored[..., i] = (idx // BASE**i % BASE)[:, None, :].to(stored.dtype)
        return stored

    def _read(self, stored: torch.Tensor) -> torch.Tensor:
        """Return the ids (row, head, position) that keys or values hold."""
        read = stored[..., :DIGITS].long()
        return (read * torch.tensor([BASE**i for i in range(DIGITS)], device=read.device)).sum(-1)


class LayeredModel(ScriptedModel):
    """Stores a token otherwise in each layer, and as key and as value, and reads all of them back.

    Where they do not tell of one token it has seen `MIXED`, a token that was never fed.
    """

    def _remember(self, idx: torch.Tensor, kv_cache: Any) -> list[list[int]]:
        written = self._written(idx)
        read = []
        for layer in range(self.config.n_layer):
            marks = 2 * layer + 1, 2 * layer + 2
            held = kv_cache.insert_kv(layer, *(written + mark for mark in marks))
            read += [self._read(each - mark) for each, mark in zip(held, marks, strict=True)]
        every = torch.cat(read, dim=1)
        first = every[:, 0]
        return as_lists(torch.where((every == every[:, :1]).all(1), first, torch.full_like(first, MIXED)))


def as_lists(ids: torch.Tensor) -> list[list[int]]:
    """Return ids (row, position) as lists."""
    return [[int(token) for token in row] for row in ids.tolist()]


def asked_by(code: types.CodeType, script: Script) -> Script:
    """Return `script`, answering only a function of this code: an engine has to run the model to hear it."""

    def asked(history: Sequence[int]) -> Sequence[float] | torch.Tensor:
        if sys._getframe(1).f_code is not code:
            raise RuntimeError("what a model says next is said by its forward pass alone")
        return script(history)

    return asked


def naming(vocab_size: int, names: Callable[[Sequence[int]], Sequence[int]]) -> Script:
    """Return the script that makes the tokens which `names` names, after a text, equally likely."""

    def script(history: Sequence[int]) -> torch.Tensor:
        logits = torch.zeros(vocab_size)
        logits[list(names(history))] = MARGIN
        return logits

    return script


def following(vocab_size: int, prompt: int, paths: Sequence[tuple[Sequence[int], Sequence[int]]]) -> Script:
    """Return the script of `specs.probes.scripts.follow`: on the paths as long as the engine is."""
    return naming(vocab_size, lambda history: scripts.follow(history, prompt, paths))


def hashing(vocab_size: int, choices: int, ids: int, fall: float = 0.0) -> Script:
    """Return the script of `specs.probes.scripts.hashed`: what it names hangs on every token it has seen.

    Each of the ids that it names has a logit that is `fall` below that of the one before.
    """
    heights = MARGIN - fall * torch.arange(choices)

    def script(history: Sequence[int]) -> torch.Tensor:
        logits = torch.zeros(vocab_size)
        logits[scripts.hashed(history, choices, ids)] = heights
        return logits

    return script


def constant(logits: Sequence[float]) -> Script:
    """Return the script that says the same whatever it has seen."""
    held = torch.tensor(logits, dtype=torch.float32)
    return lambda _history: held


def reciting(vocab_size: int, prompt: int, ids: Sequence[int]) -> Script:
    """Return the script that says `ids` in turn, whatever else it sees, and the last of them for good."""
    return naming(vocab_size, lambda history: [ids[min(len(history) - prompt, len(ids) - 1)]])
