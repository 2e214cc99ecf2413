"""Everything slow that a fork should find done: imports, and what torch sets up at its first use."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import threading
import warnings
from collections.abc import Iterable
from pathlib import Path

from specs import probes
from specs.outcomes import GraderFault

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
"""The environment in which torch must be imported: two threads and one parallel region hang every fork."""

FORKABLE = {**ONE_THREAD, "CUDA_VISIBLE_DEVICES": ""}
"""The same, and no GPU: a fork that starts one takes a second and memory for it, and none needs it."""

LIBRARIES = ("tiktoken", "rustbpe")
"""What submissions import beside torch and the standard library."""


def prepare(more: Iterable[str] = ()) -> None:
    """Import torch, the probes and `more`, use once what torch loads lazily, and freeze it all for forks.

    Raises GraderFault if the environment lets torch start threads, or if a thread runs already.
    """
    wrong = [f"{name}={value}" for name, value in FORKABLE.items() if os.environ.get(name) != value]
    if wrong:
        raise GraderFault(f"{', '.join(wrong)} must be set before torch is imported, or forks hang")
    import torch

    from specs.probes import ledger

    torch.set_num_threads(1)
    for file in sorted(Path(str(probes.__file__)).parent.glob("[a-z]*.py")):
        importlib.import_module(f"specs.probes.{file.stem}")
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for name in more:
        importlib.import_module(name)
    _use_torch()
    require_one_thread()
    gc.collect()
    # What is frozen is never looked at by the collections of a fork, which would copy every page of it.
    gc.freeze()
    ledger.frozen_before()


def require_one_thread() -> None:
    """Raise GraderFault unless this process has one thread: a fork copies no other, and may wait for it."""
    tasks = Path("/proc/self/task")
    count = len(list(tasks.iterdir())) if tasks.is_dir() else threading.active_count()
    if count != 1:
        raise GraderFault(f"the process that is forked runs {count} threads, want 1: a fork of it may hang")


def _use_torch() -> None:
    """Run once what torch loads at its first use: autograd, optimizers, the meta device, attention."""
    import torch
    from torch.nn import functional as F

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with torch.device("meta"):
            layer = torch.nn.Linear(4, 4, bias=False)
        layer.to_empty(device="cpu")
        torch.nn.init.ones_(layer.weight)
        # Its first construction imports torch._dynamo, 0.9 s.
        optimizer = torch.optim.Adam(layer.parameters())
        rows = layer(torch.ones(1, 2, 2, 4))
        total = F.scaled_dot_product_attention(rows, rows, rows, is_causal=True).sum()
        # Where torch knows CUDA, these start the driver, and the driver a thread, GPU or not.
        if torch.version.cuda is None:
            total.backward()  # type: ignore[no-untyped-call]  # torch types this in part
            optimizer.step()
        with torch.inference_mode():
            torch.multinomial(torch.softmax(rows[0, 0].detach(), -1), 1, generator=torch.Generator())
