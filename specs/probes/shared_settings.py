"""Settings that everybody in a process shares, and how to notice that somebody sets them.

Every one is moved away from where it usually is first: so one that is set to what it was long since, by an
earlier call or while a module was imported, shows as well.
"""

from __future__ import annotations

import contextlib
import decimal
import gc
import logging
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

import numpy as np
import torch

from specs.probes.traces import random_states

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE]

ANY = "any"
ON_IMPORT = "on import"
"""What no call may change, and what importing may not change besides."""


@dataclass(frozen=True)
class Flag:
    """A setting with a value that it hardly ever has."""

    get: Callable[[], Any]
    put: Callable[[Any], object]
    unusual: Any


def _of(holder: Any, name: str, unusual: Any) -> Flag:
    return Flag(
        lambda: _asked(lambda: getattr(holder, name)), lambda value: setattr(holder, name, value), unusual
    )


def _asked(get: Callable[[], Any]) -> Any:
    """Return a setting; torch does not say what one is that was set in its old way and its new one."""
    try:
        return get()
    except RuntimeError:
        return "set in two ways that differ"


_CUDA, _CUDNN = torch.backends.cuda, torch.backends.cudnn

BACKENDS = [torch.backends, _CUDA.matmul, _CUDNN]

FLAGS = {
    "cuDNN's TF32": _of(_CUDNN, "allow_tf32", False),
    "cuDNN's benchmarks": _of(_CUDNN, "benchmark", True),
    "cuDNN's determinism": _of(_CUDNN, "deterministic", True),
    "sums of products in float16": _of(_CUDA.matmul, "allow_fp16_reduced_precision_reduction", False),
    "sums of products in bfloat16": _of(_CUDA.matmul, "allow_bf16_reduced_precision_reduction", False),
    "the flash kernel of attention": Flag(_CUDA.flash_sdp_enabled, _CUDA.enable_flash_sdp, False),
    "the frugal kernel of attention": Flag(
        _CUDA.mem_efficient_sdp_enabled, _CUDA.enable_mem_efficient_sdp, False
    ),
    "the plain kernel of attention": Flag(_CUDA.math_sdp_enabled, _CUDA.enable_math_sdp, False),
    "deterministic algorithms": Flag(
        torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms, True
    ),
    "the search for anomalies": Flag(torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly, True),
    "NumPy's printing": Flag(
        lambda: np.get_printoptions()["precision"], lambda value: np.set_printoptions(precision=value), 5
    ),
    "decimal numbers": _of(decimal.getcontext(), "prec", 29),
    "garbage collection": Flag(gc.isenabled, lambda value: gc.enable() if value else gc.disable(), False),
    "how often threads take turns": Flag(sys.getswitchinterval, sys.setswitchinterval, 0.0625),
}
"""What importing may not change either."""


def changed_by(act: Callable[[], object], when: str = ANY) -> list[str]:
    """Return which settings `act` changes, each with what it was and what it is. Raises what `act` raises."""
    with unusual(), unusual_flags() if when == ON_IMPORT else contextlib.nullcontext():
        changed = _changed_by(act, when)
    if when == ON_IMPORT and not changed:
        # A precision that is moved away moves others with it, to where it is that somebody may set them.
        changed = _changed_by(act, when)
    return changed


def _changed_by(act: Callable[[], object], when: str) -> list[str]:
    before = settings(when)
    act()
    return differences(before, settings(when))


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Return which settings differ, each with what it was and what it is."""
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
        "the precision of matrix products": _asked(torch.get_float32_matmul_precision),
        "the precisions of torch's backends": str([_precision(each) for each in BACKENDS]),
        **{name: str(flag.get()) for name, flag in FLAGS.items()},
        "NumPy's handling of errors": str(np.geterr()),
        "the depth of recursion": str(sys.getrecursionlimit()),
        "the variables of the environment": str(sorted(os.environ.items())),
        "the log that all share": f"{logging.root.handlers}, level {logging.root.level}",
    }
    return named | (more if when == ON_IMPORT else {})


def _unusual_threads(present: int) -> int:
    """Return a number of threads that nobody sets: one more than now may be as many as processors."""
    processors = os.cpu_count() or 1
    likely = {present, processors, processors // 2, processors - 1}
    return next(number for number in (3, 5, 7, 9, 11) if number not in likely)


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


def _precision(backend: object) -> object:
    return _asked(lambda: getattr(backend, "fp32_precision", "not there"))


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
            torch.set_num_threads(_unusual_threads(threads))
            yield
        finally:
            torch.set_num_threads(threads)
            torch.set_default_device(None)
            torch.set_default_dtype(dtype)
            torch.set_float32_matmul_precision(precision)
            sys.setrecursionlimit(depth)


@contextlib.contextmanager
def unusual_flags() -> Iterator[None]:
    """Move every flag away from the usual, and back afterwards."""
    before = {name: flag.get() for name, flag in FLAGS.items()}
    try:
        for flag in FLAGS.values():
            flag.put(flag.unusual)
        yield
    finally:
        for name, flag in FLAGS.items():
            flag.put(before[name])


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
