"""Logits against the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from specs import tolerances
from specs.compare import expect_close
from specs.oracles import gpt

LOGIT_AXES = ("row", "position", "token")


def expect_logits(
    got: Any,
    config: gpt.Config,
    weights: gpt.Weights,
    tokens: NDArray[np.int64],
    dtype: str,
    what: str = "the logits",
    times: float = 1.0,
) -> None:
    """Require logits (row, position, token), computed in `dtype`, to be the oracle's. Raises LawBroken.

    `times` widens the tolerance, for inputs that stretch rounding.
    """
    want, slack = gpt.logits_and_slack(config, weights, tokens)
    expect_close(got, want, tolerances.of(dtype).times(times), what, LOGIT_AXES, slack=slack)
