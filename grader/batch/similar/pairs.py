"""Pairs of submissions that share rare text of their own, found through an index.

Text that many have says nothing of two of them: it is the obvious repair, or comes from the lecture. So a
fingerprint that more than a share of the class has is dropped, and one that n have counts 2/n. What is left
is counted in tokens and not in fingerprints, so that one long text and many short ones weigh what they are
long.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from grader.batch.similar.own import Own, Print
from grader.render.similar import Shared, Similar

THRESHOLD, THRESHOLD_LARGE, LARGE = 80.0, 60.0, 200
"""Tokens, and for so many submissions or more, where what is common is better known. On simulated classes
independent students stay below: 65 of the one, 49 of the other (benchmarks/results/similarity.md)."""
SHARE = 0.2
"""Of the smaller one's own tokens. Who writes everything anew shares some with everybody who does, by chance
and because the contract is the same: two of the correct programs in tests/alternates up to 0.09."""
COMMON_SHARE, COMMON_LEAST, COMMON_MOST = 0.02, 3, 50
"""A fingerprint that more than this share of the submissions have is dropped, but none that so few have, and
any that more have than the most. The last bounds the time: n submissions with the same fingerprint are n²/2
pairs."""
MOST_PLACES = 20
"""What is listed of a pair: where more is alike, nobody reads further."""


@dataclass(frozen=True)
class Handed:
    """A tree, and who handed it in."""

    students: tuple[str, ...]
    own: Own


def threshold_for(count: int) -> float:
    """Return the score from which a pair of so many submissions is reported."""
    return THRESHOLD if count < LARGE else THRESHOLD_LARGE


def pairs(trees: Sequence[Handed], threshold: float | None = None, share: float = SHARE) -> list[Similar]:
    """Return the pairs above a threshold, by default that of the class, the highest score first."""
    threshold = threshold_for(len(trees)) if threshold is None else threshold
    index = rare(trees)
    bounds: dict[tuple[int, int], float] = defaultdict(float)
    for holders in index.values():
        bound = weight(len(holders))
        for (one, first), (other, _) in combinations(holders.items(), 2):
            bounds[one, other] += bound * first.length
    found = []
    for (one, other), bound in bounds.items():
        size = min(trees[one].own.size, trees[other].own.size)
        if bound >= max(threshold, share * size):
            found.append(compared(trees[one], trees[other], index, one, other))
    found += [alike(one) for one in trees if len(one.students) > 1]
    found = [one for one in found if one.score >= max(threshold, share * one.own)]
    return sorted(found, key=lambda one: (-one.score, one.left, one.right))


Index = Mapping[int, Mapping[int, Print]]
"""For each fingerprint the trees that have it, with where it stands first."""


def rare(trees: Sequence[Handed]) -> Index:
    """Return the fingerprints that at least two trees have, and not more than a share of them."""
    index: dict[int, dict[int, Print]] = defaultdict(dict)
    for number, tree in enumerate(trees):
        for one in tree.own.prints:
            index[one.hash].setdefault(number, one)
    most = min(max(COMMON_LEAST, round(COMMON_SHARE * len(trees))), COMMON_MOST)
    return {name: holders for name, holders in index.items() if 2 <= len(holders) <= most}


def weight(holders: int) -> float:
    """Return what a token counts that so many submissions have."""
    return 2 / holders


def compared(left: Handed, right: Handed, index: Index, one: int, other: int) -> Similar:
    """Return what two trees share of what is rare."""
    shared = {
        found.hash: (weight(len(holders)), holders[one], holders[other])
        for found in left.own.prints
        if one in (holders := index.get(found.hash, {})) and other in holders
    }
    score = min(
        covered((counts, place) for counts, place, _ in shared.values()),
        covered((counts, place) for counts, _, place in shared.values()),
    )
    places = tuple(stretches(left.own, right.own, [pair[1:] for pair in shared.values()]))
    size = min(left.own.size, right.own.size)
    return Similar(left.students, right.students, round(score, 1), size, False, places[:MOST_PLACES])


def alike(tree: Handed) -> Similar:
    """Return what those share who handed in the very same files: all that is their own."""
    places = tuple(stretches(tree.own, tree.own, [(one, one) for one in tree.own.prints]))
    score = covered((1.0, one) for one in tree.own.prints)
    first, *others = tree.students
    return Similar((first,), tuple(others), round(score, 1), tree.own.size, True, places[:MOST_PLACES])


def covered(weighted: Iterator[tuple[float, Print]]) -> float:
    """Return how many tokens fingerprints cover, each with the highest weight of those that cover it."""
    weights: dict[int, float] = {}
    for counts, one in weighted:
        for position in range(one.start, one.start + one.length):
            weights[position] = max(counts, weights.get(position, 0.0))
    return sum(weights.values())


def stretches(left: Own, right: Own, shared: Sequence[tuple[Print, Print]]) -> Iterator[Shared]:
    """Yield each stretch that is shared: fingerprints that follow one another in both."""
    group: list[tuple[Print, Print]] = []
    ends = [0, 0]
    for pair in sorted(shared, key=lambda one: (one[0].start, one[0].length)):
        if group and not all(
            group[0][i].file == pair[i].file and group[0][i].start <= pair[i].start <= ends[i] for i in (0, 1)
        ):
            yield stretch(left, right, group)
            group, ends = [], [0, 0]
        group.append(pair)
        ends = [max(end, one.start + one.length) for end, one in zip(ends, pair, strict=True)]
    if group:
        yield stretch(left, right, group)


def stretch(left: Own, right: Own, group: Sequence[tuple[Print, Print]]) -> Shared:
    """Return a group of neighbours as one stretch."""
    tokens = int(covered((1.0, one) for one, _ in group))
    return Shared(place(left, [one for one, _ in group]), place(right, [one for _, one in group]), tokens)


def place(own: Own, prints: Sequence[Print]) -> str:
    """Return where fingerprints stand, as file and lines."""
    first, last = min(one.line for one in prints), max(one.last for one in prints)
    return f"{own.files[prints[0].file]}:{first}" + (f"-{last}" if last > first else "")
