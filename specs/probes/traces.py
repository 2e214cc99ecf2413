"""What a call may leave behind in its process, as values that can be compared before and after."""

from __future__ import annotations

import contextlib
import os
import random
import threading
from collections.abc import Iterator

import numpy as np
import torch

from specs.probes.setting import torch_device

_DESCRIPTORS = 1024


def random_states() -> list[object]:
    """Return the states of the random generators that everybody in the process shares."""
    # The global generator of NumPy is what must be left alone.
    numpy_state = repr(np.random.get_state(legacy=False))
    states: list[object] = [random.getstate(), numpy_state, torch.get_rng_state().tolist()]
    if torch_device().type == "cuda":
        states += [state.tolist() for state in torch.cuda.get_rng_state_all()]
    return states


def moved_random_states() -> list[object]:
    """Return the states after drawing from each, so that to seed them, as was done before, changes them."""
    random.random()
    np.random.random()
    torch.rand(1)
    if torch_device().type == "cuda":
        torch.rand(1, device="cuda")
    return random_states()


def torch_defaults() -> list[object]:
    """Return the settings of torch that everybody in the process shares."""
    return [
        torch.get_default_dtype(),
        torch.tensor(0.0).device,
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
    ]


@contextlib.contextmanager
def usual_defaults() -> Iterator[None]:
    """Set torch's shared settings to the usual ones, which an earlier call may have changed for good."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float32)
    with torch.enable_grad():
        yield


def resources() -> dict[str, int]:
    """Return the threads, child processes and open files of this process."""
    return {
        "threads": threading.active_count(),
        "child processes": _has_children(),
        "open files": sum(_is_open(descriptor) for descriptor in range(_DESCRIPTORS)),
    }


def _has_children() -> bool:
    try:
        # Looks without reaping: the children may be somebody else's.
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
