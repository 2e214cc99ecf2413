"""Makes those of the candidates that the seed picks, as far as the formatter would leave the result alone.

The reference stands as its formatter leaves it, and a disguise must too: a line that is broken where the
formatter would not break it says that somebody was here. No formatter runs for that, because then the bytes
would depend on its version. A rewrite is made only where no formatter could want another layout: a statement
on one line stays on one line and fits, and a statement on several lines never gets shorter on any of them,
so that nothing could be joined, and never too long on any, so that nothing must be broken.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable

from grader.bugs.disguise.module import WIDTH, Candidate, Module, Rewrite


def rewritten(module: Module, candidates: Iterable[Candidate], seed: str, share: float) -> str:
    """Return the module's text with about `share` of the candidates made, in the order of their ranks."""
    keyed = numbered(candidates)
    taken: list[Rewrite] = []
    claimed: set[str] = set()
    growth: Counter[int] = Counter()
    for key, candidate in sorted(keyed, key=lambda pair: (pair[1].preference, rank(seed, pair[0]))):
        claims = candidate.claims | {candidate.group} - {""}
        if fraction(seed, candidate.group or key) >= share or claimed & claims:
            continue
        after = Counter(growth)
        after.update(changes_of_lines(module, candidate))
        if clashes(candidate, taken) or not fits(module, candidate, after):
            continue
        taken.extend(candidate.rewrites)
        claimed |= claims
        growth = after
    return replaced(module.text, taken)


def numbered(candidates: Iterable[Candidate]) -> list[tuple[str, Candidate]]:
    """Return the candidates with keys that differ: those with the same key are counted."""
    seen: Counter[str] = Counter()
    found = []
    for candidate in candidates:
        found.append((f"{candidate.key}|{seen[candidate.key]}", candidate))
        seen[candidate.key] += 1
    return found


def changes_of_lines(module: Module, candidate: Candidate) -> Counter[int]:
    """Return by how much each line grows, for rewrites inside one line."""
    changes: Counter[int] = Counter()
    for one in candidate.rewrites:
        if "\n" not in one.text + module.text[one.start : one.end]:
            changes[module.line_of(one.start)] += len(one.text) - (one.end - one.start)
    return changes


def fits(module: Module, candidate: Candidate, changes: Counter[int]) -> bool:
    """Say whether the lines of a candidate may become longer or shorter by these changes."""
    for one in candidate.rewrites:
        if any(len(line) > WIDTH for line in one.text.split("\n")):
            return False
        if "\n" in one.text + module.text[one.start : one.end]:
            continue
        line = module.line_of(one.start)
        if changes[line] > 0 and len(module.lines[line - 1]) + changes[line] > WIDTH:
            return False
        if changes[line] < 0 and line in module.continued and not candidate.stable:
            return False
    return True


def clashes(candidate: Candidate, taken: Iterable[Rewrite]) -> bool:
    """Say whether a candidate touches what another one rewrites."""
    return any(
        (one.start < other.end and other.start < one.end) or (one.start, one.end) == (other.start, other.end)
        for one in candidate.rewrites
        for other in taken
    )


def replaced(text: str, rewrites: Iterable[Rewrite]) -> str:
    """Return the text with all rewrites made."""
    for one in sorted(rewrites, key=lambda rewrite: rewrite.start, reverse=True):
        text = text[: one.start] + one.text + text[one.end :]
    return text


def rank(seed: str, key: str) -> str:
    """Return where a key stands in the order that the seed makes, as text that sorts."""
    return hashlib.sha256(f"rank|{seed}|{key}".encode()).hexdigest()


def fraction(seed: str, key: str) -> float:
    """Return a number from 0 to below 1 that the seed gives a key."""
    return int.from_bytes(hashlib.sha256(f"share|{seed}|{key}".encode()).digest()[:4]) / 2**32
