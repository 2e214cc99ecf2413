"""Cheats that forge what is measured in the submission's process, by changing the code that measures.

What a probe measures there (bytes, traces, what was fed to a scripted model) could be changed there. Each
answer says whether that code is still what it was (`grader.sandbox.integrity`), and whoever changed it earns
nothing there. A script answers its model alone.
"""

from __future__ import annotations

from .cheat import CONFIGURATION, NOTHING, Cheat

SPLITS = "cache.every_split_equals_uncached"
CACHED = "cache.cached_logits_match_the_oracle"
INSERTED = "cache.insertion_returns_everything_so_far"
BOUND = "memory.every_history_stays_within_the_bound"
TRACES = "sampling.generating_leaves_no_traces"
ORDER = "sampling.the_model_sees_each_rows_text_once_and_in_order"
UNCHANGED = "attention.forward_changes_nothing"


BROKEN_CACHE = (
    "engine.py",
    "        storage[layer_idx, 0, :, :, t0:t1] = k.detach()\n",
    "        storage[layer_idx, 0, :, :, t0:t1] = -k.detach()\n",
)
"""A cache that holds no right key."""

ECHO = (
    (
        "engine.py",
        "        logits: Tensor = self.model.forward(idx, kv_cache=cache)\n        return logits[:, -1, :]\n",
        """        texts = cache.__dict__.setdefault("texts", [[] for _ in ids])
        for text, new in zip(texts, ids):
            text.extend(new)
        self.model.fed.append(tuple(idx.shape))
        said = [torch.as_tensor(self.model._script(text), dtype=torch.float32) for text in texts]
        return torch.stack(said)
""",
    ),
    (
        "engine.py",
        "        cache.prefill(one)\n",
        "        cache.texts = [list(one.texts[0]) for _ in range(num_samples)]\n",
    ),
)
"""An engine that asks the script and never runs the model."""

CHEATS = [
    Cheat(
        "forged ledger",
        "A cache of four times its size, and a ledger of memory that counts a quarter.",
        """
from specs.probes import ledger
_live = ledger.Ledger.live_bytes
ledger.Ledger.live_bytes = lambda self: _live(self) // 8
""",
        edits=(
            (
                "engine.py",
                "self.batch_size, self.num_heads, slots, self.head_dim)\n",
                "self.batch_size, self.num_heads, 6 * slots, self.head_dim)\n",
            ),
        ),
        only=(CONFIGURATION, BOUND),
        earns=NOTHING,
    ),
    Cheat(
        "forged traces",
        "Seeds everybody's random generator, and patches the look at it.",
        """
import specs.probes.generation as probes
probes.random_states = lambda: []
""",
        edits=(
            (
                "engine.py",
                "        columns = self._columns(tokens, num_samples, max_tokens)\n",
                "        torch.manual_seed(seed)\n"
                "        columns = self._columns(tokens, num_samples, max_tokens)\n",
            ),
        ),
        only=(CONFIGURATION, TRACES),
        earns=NOTHING,
    ),
    Cheat(
        "forged comparison",
        "A pass that draws from everybody's generator, and a torch.equal that never minds.",
        "import torch\ntorch.equal = lambda *tensors: True\n",
        edits=(("gpt.py", "        T = idx.size(1)\n", "        T = idx.size(1)\n        torch.rand(1)\n"),),
        only=(CONFIGURATION, UNCHANGED),
        earns=NOTHING,
    ),
    Cheat(
        "cache probes without a cache",
        "A broken cache, and a probe that feeds the whole text to the model without it.",
        """
import numpy as np
import torch
import specs.probes.cache as probes

def _feed(model, cache, tokens, chunks):
    with torch.no_grad():
        logits = probes.values(model(probes.tensor(tokens)), "the logits")
    return logits, list(np.cumsum(chunks))

probes.feed = _feed
""",
        edits=(BROKEN_CACHE,),
        only=(CONFIGURATION, SPLITS, CACHED, INSERTED),
        earns=NOTHING,
    ),
    Cheat(
        "echo of the script",
        "An engine that asks the script of the scripted model and never runs it.",
        edits=ECHO,
        only=(CONFIGURATION, ORDER),
        earns=frozenset({CONFIGURATION}),
    ),
]
