"""Settings that everybody in a process shares, and how to notice that somebody sets them.

Every one is moved away from where it usually is first: so one that is set to what it was long since, by an
earlier call or while a module was imported, shows as well.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from types import FrameType

import numpy as np
import torch

from specs.probes.traces import random_states

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE]

ANY = "any"
ON_IMPORT = "on import"
"""What no call may change, and what importing may not change besides."""


def changed_by(act: Callable[[], object], when: str = ANY) -> list[str]:
    """Return which settings `act` changes, each with what it was and what it is. Raises what `act` raises."""
    with unusual():
        before = settings(when)
        act()
        after = settings(when)
    return [f"{name}, from {before[name]} to {after[name]}" for name in before if before[name] != after[name]]


def settings(when: str) -> dict[str, str]:
    """Return the settings in words."""
    named = {
        "the random generators that all share": f"state {hash(repr(random_states())) % 1000}",
        "the default dtype": str(torch.get_default_dtype()),
        "the default device": str(torch.get_default_device()),
        "the number of threads": str(torch.get_num_threads()),
        "whether gradients are kept": str(torch.is_grad_enabled()),
        "the warning filters": str([each[0] for each in warnings.filters]),
        "the handlers of signals": handlers(),
        "the working folder": _working_folder(),
    }
    more = {
        "the precision of matrix products": torch.get_float32_matmul_precision(),
        "NumPy's handling of errors": str(np.geterr()),
        "the depth of recursion": str(sys.getrecursionlimit()),
        "the variables of the environment": str(sorted(os.environ.items())),
        "the log that all share": f"{logging.root.handlers}, level {logging.root.level}",
    }
    return named | (more if when == ON_IMPORT else {})


def handlers() -> str:
    """Return what handles each of the signals, in words."""
    return str([_name(signal.getsignal(each)) for each in SIGNALS])


def _working_folder() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return "one that is no longer there"


def _name(handler: object) -> str:
    return str(getattr(handler, "__name__", handler))


@contextlib.contextmanager
def unusual() -> Iterator[None]:
    """Move every setting away from the usual, and back afterwards, whatever was done to it in between."""
    depth = sys.getrecursionlimit()
    precision, threads = torch.get_float32_matmul_precision(), torch.get_num_threads()
    dtype = torch.get_default_dtype()
    # Away from where a seed would put them.
    torch.rand(1), random.random(), np.random.random()
    with _handled(), _without_log(), warnings.catch_warnings(), np.errstate(all="print"), torch.enable_grad():
        try:
            warnings.resetwarnings()
            warnings.simplefilter("always")
            sys.setrecursionlimit(depth + 1)
            torch.set_float32_matmul_precision("medium")
            torch.set_default_dtype(torch.float16)
            # Set only: nothing that torch would cut among threads runs until it is set back.
            torch.set_num_threads(threads + 1)
            yield
        finally:
            torch.set_num_threads(threads)
            torch.set_default_device(None)
            torch.set_default_dtype(dtype)
            torch.set_float32_matmul_precision(precision)
            sys.setrecursionlimit(depth)


@contextlib.contextmanager
def _without_log() -> Iterator[None]:
    """Take the handlers of the log away, without which it is set up but once, and put them back."""
    handlers, level = logging.root.handlers[:], logging.root.level
    logging.root.handlers[:] = []
    try:
        yield
    finally:
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)


@contextlib.contextmanager
def _handled() -> Iterator[None]:
    """Let a function of our own handle the signals, where handlers can be set at all."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def usual(number: int, _: FrameType | None) -> None:
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit

    before = {number: signal.signal(number, usual) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            # None is a handler that Python did not set and cannot set again.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
