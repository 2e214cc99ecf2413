"""Suspicious similarity as plain values: who shares text that neither was handed, and where it stands."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from grader.render.escape import visible


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
    own: int
    """How many tokens of its own the one with fewer has: the highest score that there could be."""
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
    """Students whose files were not compared: rejected, or graded where nobody knew what was handed out."""

    def of(self, student: str) -> Similarity:
        """Return only the pairs that a student is in."""
        return replace(self, pairs=tuple(one for one in self.pairs if student in one.left + one.right))


def render(similarity: Similarity) -> str:
    """Return the pairs as JSON."""
    record = {"threshold": similarity.threshold, "pairs": [asdict(one) for one in similarity.pairs]}
    return json.dumps({**record, "not_compared": similarity.missing}, indent=2) + "\n"


def table(similarity: Similarity) -> str:
    """Return the pairs as lines for a person, each stretch that they share below them."""
    lines = []
    for one in similarity.pairs:
        how = "the very same files, " if one.same else ""
        lines.append(f"{', '.join(one.left)} and {', '.join(one.right)}: {how}{one.score:g} of {one.own}")
        lines += [f"    {place.tokens:4}  {place.left}  {place.right}" for place in one.places]
    if not lines:
        lines = [f"no two share {similarity.threshold:g} tokens that are neither handed out nor common"]
    if similarity.missing:
        lines.append(f"not compared: {', '.join(similarity.missing)}")
    return visible("\n".join(lines)) + "\n"
