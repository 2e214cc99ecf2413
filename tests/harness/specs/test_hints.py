"""The small cases that hints tell of come out as they say, by the oracles."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import numpy as np
import pytest

from grader import levels
from specs.oracles import bytepairs, gpt, optimizers, rotary, stream


def pairs() -> str:
    """Count the pairs of two texts."""
    counts = bytepairs.pair_counts([bytepairs.as_bytes(text) for text in ("aaab", "aab")])
    assert [counts[b"a", other] for other in (b"a", b"b")] == [3, 2]
    return "a stands beside a three times and a beside b twice"


def documents() -> str:
    """Put two documents behind each other."""
    ids = map(str, islice(stream.stream([[0, 1, 2], [0, 3, 4]]), 9))
    return f"The stream is {' '.join(ids).replace('0', 'B')} and so on."


def multipliers() -> str:
    """Go up in two steps of ten and down in three, to 0.1."""
    down = [1 - 0.9 * step / 3 for step in (1, 2, 3)]
    found = [1 / 2, 2 / 2, *[1] * 5, *down]
    return f"0 to 9 are {', '.join(f'{one:.3g}' for one in found)}:"


def averages() -> str:
    """Average the gradients 1 and 3."""
    first, second = 0.8 * 0.2 * 1 + 0.2 * 3, 0.95 * 0.05 * 1**2 + 0.05 * 3**2
    parts = f"{1 - 0.8**2:.3g} and by {1 - 0.95**2:.3g}"
    found = f"the averages are {first:.4g} and {second:.4g}"
    return f"{found}, and both are corrected before use: divided by {parts}"


def steps_of_muon() -> str:
    """Compare the steps of a column and of a row."""
    gradient = np.arange(1.0, 5.0)
    tall, wide = (
        np.linalg.norm(optimizers.path("Muon", np.zeros(shape), [gradient.reshape(shape)], [{}]).places[-1])
        for shape in ((4, 1), (1, 4))
    )
    assert tall == pytest.approx(2 * wide)
    return "a matrix of 4 rows and 1 column: its step is twice as long as that of a matrix with 1 row and 4"


def angles() -> str:
    """Turn the two pairs of a head of four channels."""
    cos, sin = rotary.table(101, 4)
    found = np.arctan2(sin, cos)
    assert found[1] == pytest.approx([1, 0.01])
    assert found[100, 1] == pytest.approx(1)
    return "by 1 radian and the second by 0.01; at position 100 the second has turned by 1"


def cap() -> str:
    """Cap a logit of 15."""
    return f"a logit of 15 into 15 times the tanh of 1, which is {float(gpt.capped(np.array(15.0))):.1f}"


def calculations() -> str:
    """Divide with and without a rest."""
    return f"-7//2 is {-7 // 2}, and 4/2 is {4 / 2} until"


@pytest.mark.parametrize(
    ("level", "criterion", "case"),
    [
        (1, "bpe", pairs),
        (1, "data", documents),
        (2, "schedule", multipliers),
        (2, "optimizers", averages),
        (2, "optimizers", steps_of_muon),
        (3, "rotary", angles),
        (3, "attention", cap),
        (3, "tools", calculations),
    ],
)
def test_the_small_case_of_a_hint(level: int, criterion: str, case: Callable[[], str]) -> None:
    found = next(one for one in levels.read(level).criteria if one.id == criterion)
    assert case() in found.hints[1]
