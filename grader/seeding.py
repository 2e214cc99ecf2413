"""Which inputs a property draws: a function of the seed and the property's name, and of nothing else."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
from hypothesis.internal.conjecture import providers

if TYPE_CHECKING:
    from specs.law import Law


CASES = "hypothesis_explicit_examples"


def property_seed(seed: int, property_id: str) -> int:
    """Return the seed of one property, so that running it alone draws what it draws among all others."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{property_id}".encode()).digest()[:8], "big")


def sow(law: Law, seed: int) -> None:
    """Make the next run of a property draw the inputs of `seed`."""
    if hasattr(law.check, "hypothesis"):  # one that draws nothing has nothing to sow
        own = property_seed(seed, law.id)
        hypothesis.seed(own)(law.check)
        law.dealer.begin(own)


@contextlib.contextmanager
def without_cases(law: Law) -> Iterator[None]:
    """Let a property draw all of its inputs, and skip the boundaries that it always tries first."""
    # Hypothesis keeps them on the function, and has no public way to leave them out.
    cases = vars(law.check).get(CASES, ())
    setattr(law.check, CASES, ())
    try:
        yield
    finally:
        setattr(law.check, CASES, cases)


def has_cases(law: Law) -> bool:
    """Say whether a property lists boundaries that it always tries first."""
    return bool(vars(law.check).get(CASES))


def make_repeatable() -> None:
    """Make Hypothesis draw the same inputs on every machine, from any folder, in process or not.

    It looks for constants in the source of all loaded modules and draws them more often. In process that
    would let a submission choose its own questions, a property run alone would draw other inputs than
    among all others, and each start would parse everything. It also keeps what it found in `.hypothesis`
    below the current folder, which is the student's.
    """
    empty = type(providers._local_constants)()
    # Private, hence the test in tests/harness/judge/test_seeding.py: there is no public way to ask for it.
    providers._get_local_constants = lambda: empty
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    hypothesis.configuration.set_hypothesis_home_dir(cache / "nanograder" / "hypothesis")
