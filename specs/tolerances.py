"""Every tolerance of the specification, each with where it comes from.

A tolerance is relative to the size of what is expected (its root mean square), so that it means the same
for small and for large outputs. Bounds hold for correct code with a factor of ten to spare; what the seeded
faults of decoding change is at least 0.37 of that size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Tolerance:
    """Allows |got - want| up to `relative` x size + `absolute`, the size being at least `floor`."""

    relative: float
    absolute: float
    floor: float = 0.0
    """What the size is known to be from how the inputs are drawn, for when chance makes the few values of
    one example all small: two logits near zero are as far off as two logits near three."""

    def bound(self, want: NDArray[np.float64]) -> float:
        """Return the largest difference that is accepted for the expected values `want`."""
        size = float(np.sqrt(np.mean(np.square(want)))) if want.size else 0.0
        return self.relative * max(size, self.floor) + self.absolute

    def times(self, factor: float) -> Tolerance:
        """Return the tolerance widened by `factor`, for a comparison that adds rounding of its own."""
        return Tolerance(self.relative * factor, self.absolute * factor, self.floor)


EXACT = Tolerance(0.0, 0.0)

FLOAT32 = Tolerance(5e-5, 1e-6, floor=1.0)
"""float32 without TF32: cached against uncached logits of correct code differ by at most 4.0e-6 of their
size on a CPU (300 random models) and 3.7e-6 on an H200 (150); one row against a batch of 16 by 3.4e-6."""

GRADIENT = Tolerance(5e-4, 1e-7)
"""float32 gradients, sums over positions of products of values that were rounded on the way forward."""

STEP_GRADIENT = Tolerance(5e-4, 1e-5)
"""float32 gradients of a mean loss: sums over a few dozen targets of numbers of size one, divided once. The
absolute part is for gradients that almost cancel; a whole target of a hundred moves them by 1e-2."""

SCHEDULE = Tolerance(1e-9, 1e-12)
"""A few operations on Python floats, in any order: 1e-15; a step of a thousand is 1e-3."""

TRAINING_LOSS = Tolerance(2e-5, 1e-6)
"""A float32 mean of a few dozen losses; correct code is within 3e-7 of it."""

BFLOAT16 = Tolerance(0.2, 0.01, floor=1.0)
"""bfloat16 keeps 8 bits: correct code differed by at most 0.069 of that size on a CPU, 0.045 on an H200."""

ROTARY_TABLE = Tolerance(0.0, 5e-4)
"""Angles formed in float32 are off by position x 2^-24, which is 1.2e-4 at position 2,000; a wrong base,
a wrong exponent or a position off by one moves the fastest channels by far more than 0.01."""

ROTARY_TABLE_BFLOAT16 = Tolerance(0.0, 8e-3)
"""Rounding cos and sin to bfloat16 moves them by at most 2^-9 = 2.0e-3; angles formed in bfloat16 move
them by up to 2."""

ROTATION = Tolerance(0.0, 4e-6)
"""Two products and a sum of values of size one to four in float32."""

ROTATION_BFLOAT16 = Tolerance(0.0, 0.1)
"""The same with inputs, tables, products and sums each rounded to bfloat16: 4 x 2^-8 x a few."""

POSITION_SHIFT = Tolerance(1e-3, 1e-5, floor=0.1)
"""Attention after a shift of all positions, float32 tables: scores move by 1.3e-5 below position 4,000
when the angles were formed in float32."""

MATTERS = 1e-3
"""What must change must change by at least this part of its size: twenty times FLOAT32."""


def of(dtype: str) -> Tolerance:
    """Return the tolerance for model outputs computed in `dtype` ("float32" or "bfloat16")."""
    return BFLOAT16 if dtype == "bfloat16" else FLOAT32


ADAMW_STEP = 1e-3
"""Of the way that a parameter went, value by value. In float32 the update is off by about 1e-6 of itself, and
where `1 - beta2**t` is formed in float32 by 3e-5 (0.999 is off by 6e-8 of the 0.001 that is left). A wrong
exponent, a wrong place of epsilon or a missing correction changes it by a tenth and more."""

PLACE_ROUNDING = 2.0**-22
"""Of the largest value of a parameter, for each step: it is rounded to float32 (2^-24) up to twice a step."""


def newton_schulz(steps: int) -> Tolerance:
    """Return the tolerance of a matrix after so many Newton-Schulz steps in float32, by its root mean square.

    A step multiplies an error by the slope of its polynomial at the singular value, or by the ratio of what
    comes out to what goes in, which moves singular vectors. Along the way of no value between 0 and 1 do
    errors of all steps add up to more than 1 + 3.4445 + ... + 3.4445^steps, which is that from 0 (a test of
    the oracle computes it): 683 for five steps. Each is a few 2^-24, the rounding of a short sum of products.
    """
    growth = sum(3.4445**step for step in range(steps + 1))
    return Tolerance(relative=10 * 2.0**-24 * growth, absolute=0.0)


LEARNING_RATE = Tolerance(1e-6, 0.0)
"""A learning rate may be kept in float32, which rounds it by 6e-8 of itself."""
