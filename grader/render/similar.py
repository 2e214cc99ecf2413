"""Suspicious similarity as plain values: which students share text that neither was handed, and where it stands."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Shared:
    """One stretch of text that two submissions share."""

    left: str
    """Where it stands in the one, `nanochat/engine.py:70-74`."""
    right: str
    tokens: int
    """How many tokens or words of it."""


@dataclass(frozen=True)
class Similar:
    """Two submissions that share more than what was handed out."""

    left: tuple[str, ...]
    """Who handed in the one: several where their files are the very same."""
    right: tuple[str, ...]
    score: float
    """Shared tokens of their own; one that n submissions have counts 2/n."""
    same: bool
    """Whether the files are the very same."""
    places: tuple[Shared, ...]


@dataclass(frozen=True)
class Similarity:
    """What is known of a class."""

    threshold: float = 0.0
    pairs: tuple[Similar, ...] = ()
    """The highest score first."""
    own: tuple[tuple[str, int], ...] = ()
    """Each tree that was compared, with how many tokens of its own it has."""
    missing: tuple[str, ...] = ()
    """Students whose files were not compared, as those are whose entry was rejected."""


def render(similarity: Similarity) -> str:
    """Return the pairs as JSON."""
    record = {"threshold": similarity.threshold, "pairs": [asdict(one) for one in similarity.pairs]}
    return json.dumps({**record, "not_compared": similarity.missing}, indent=2) + "\n"
