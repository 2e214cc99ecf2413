"""Memory that nobody wrote: the same bytes in every process, so a program that reads it has one verdict.

What `torch.empty` returns is whatever was there before: zeros from a new page, or an old tensor, which may
even be the right one. Of 42,630 verdicts over a class two differed between runs, both of a program that read
such memory. The bytes make finite numbers that no model computes: with NaN, a correct program that gives
unwritten slots a weight of zero would fail. Below a kilobyte the C library and NumPy have stores of their
own, whose memory keeps what it held.
"""

from __future__ import annotations

import ctypes

BYTE = 0x3F
"""0.747 in float32 and bfloat16, 4.8e-4 in float64, and as an index out of every range."""

_M_PERTURB = -6


def fill_unwritten_memory() -> bool:
    """Let what is allocated from now on, here and in forks, hold `BYTE`; return whether the C library can."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    # The GNU library writes the complement of what it is given into new memory, itself into freed memory.
    return mallopt is not None and bool(mallopt(_M_PERTURB, BYTE ^ 0xFF))
