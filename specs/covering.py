"""Which values of a property's small parameters are tried together: every pair, as far as the examples go.

Hypothesis draws each parameter by itself. Of eight draws of (rows, dtype, copied or inserted) some pair is
missed more often than not, and a bug that needs just this pair passes. So parameters with few values are
dealt: what Hypothesis draws for them names an example, and the values come from a covering array, made
greedily as in Cohen, Dalal, Fredman and Patton, "The AETG system" (1997). Most bugs need one value or two
together (Kuhn, Wallace and Gallo, 2004).
"""

from __future__ import annotations

import functools
import itertools
import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies._internal.lazy import unwrap_strategies
from hypothesis.strategies._internal.misc import BooleansStrategy
from hypothesis.strategies._internal.numbers import IntegersStrategy
from hypothesis.strategies._internal.strategies import SampledFromStrategy

MOST_VALUES = 24
"""A parameter with more is left to Hypothesis."""

CANDIDATES = 30
"""Of which the one with the most new pairs is dealt, as AETG does."""

Row = tuple[int, ...]
"""Which of its values each small parameter has."""


def values_of(strategy: st.SearchStrategy[Any]) -> list[Any] | None:
    """Return the values of a strategy if they are few, else None."""
    # Hypothesis has no public way to ask; where its classes change, test_covering.py fails.
    plain = unwrap_strategies(strategy)  # type: ignore[no-untyped-call]  # Hypothesis leaves it untyped
    found: Sequence[Any] | None = None
    if isinstance(plain, SampledFromStrategy) and not plain._transformations:
        found = plain.elements
    elif isinstance(plain, BooleansStrategy):
        found = (False, True)
    elif isinstance(plain, IntegersStrategy) and plain.start is not None and plain.end is not None:
        found = range(plain.start, plain.end + 1)
    return list(found) if found is not None and 1 < len(found) <= MOST_VALUES else None


class Dealer:
    """Deals the small parameters of one property, as a function of what Hypothesis draws.

    The same draw has the same values whenever it comes again in a run, so Hypothesis can repeat and shrink.
    """

    def __init__(
        self, drawn: Mapping[str, st.SearchStrategy[Any]], cases: Sequence[Mapping[str, Any]]
    ) -> None:
        self._drawn = drawn
        self._listed = cases
        self.begin(0)

    # Looked at no earlier than a property runs: Hypothesis warns where that happens during imports.

    @functools.cached_property
    def values(self) -> dict[str, list[Any]]:
        """Return the values of each small parameter, the simplest first."""
        every = {name: values_of(strategy) for name, strategy in self._drawn.items()}
        return {name: values for name, values in every.items() if values is not None}

    @functools.cached_property
    def _sizes(self) -> list[int]:
        return list(map(len, self.values.values()))

    @functools.cached_property
    def _cases(self) -> dict[str, Row | None]:
        return {repr(sorted(case.items())): self._row(case) for case in self._listed}

    def begin(self, seed: int) -> None:
        """Begin a run: nothing has been dealt, and nothing has failed."""
        self._chance = random.Random(seed)
        self._dealt: dict[str, dict[str, Any]] = {}
        self._failed: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None
        self._tried: set[Row] = set()
        self._pairs: set[tuple[int, int, int, int]] = set()

    def deal(self, drawn: dict[str, Any]) -> dict[str, Any]:
        """Return what to use for what was drawn: a boundary as it is, else small parameters dealt."""
        name = repr(sorted(drawn.items()))
        if not self.values or name in self._cases:
            return drawn
        if name not in self._dealt:
            self._dealt[name] = self._of_new(drawn)
        return drawn | self._dealt[name]

    def failed(self, drawn: Mapping[str, Any], used: Mapping[str, Any]) -> None:
        """Deal no more: from the first failure on, only what Hypothesis makes smaller changes."""
        self._failed = self._failed or (drawn, used)

    def _of_new(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        if self._failed:
            return self._smaller(drawn)
        if not self._dealt:
            for row in self._cases.values():
                if row is not None:
                    self._try(row)
        if self._dealt or (simplest := self._row(drawn)) is None:
            return self._next()
        # What Hypothesis draws first is the simplest: kept, it is what is shown of a bug that always shows.
        self._try(simplest)
        return {name: drawn[name] for name in self.values}

    def _smaller(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        assert self._failed is not None
        then, used = self._failed
        return {name: used[name] if same(drawn[name], then[name]) else drawn[name] for name in self.values}

    def _next(self) -> dict[str, Any]:
        """Return values with the most pairs that no example had yet, no row twice until all were used."""
        if len(self._tried) >= math.prod(self._sizes):
            self._tried, self._pairs = set(), set()
        candidates = [row for row in self._candidates() if row not in self._tried] or [self._any_left()]
        row = max(candidates, key=lambda one: len(set(pairs(one)) - self._pairs))
        self._try(row)
        return {name: values[i] for (name, values), i in zip(self.values.items(), row, strict=True)}

    def _candidates(self) -> list[Row]:
        return [tuple(map(self._chance.randrange, self._sizes)) for _ in range(CANDIDATES)]

    def _any_left(self) -> Row:
        """Return values that were not used: by chance alone the last of few would hardly ever be found."""
        return next(row for row in itertools.product(*map(range, self._sizes)) if row not in self._tried)

    def _try(self, row: Row) -> None:
        self._tried.add(row)
        self._pairs.update(pairs(row))

    def _row(self, case: Mapping[str, Any]) -> Row | None:
        """Return which values a boundary has, None if one of them is none that is drawn."""
        found = [
            next((i for i, value in enumerate(values) if same(value, case[name])), None)
            for name, values in self.values.items()
        ]
        return None if None in found else tuple(i for i in found if i is not None)


def pairs(row: Row) -> list[tuple[int, int, int, int]]:
    """Return the pairs of values that a row has together; of one parameter, the value with itself."""
    if len(row) == 1:
        return [(0, row[0], 0, row[0])]
    return [(i, row[i], j, row[j]) for i, j in itertools.combinations(range(len(row)), 2)]


def same(one: Any, other: Any) -> bool:
    """Say whether two drawn values are the same; 1, 1.0 and True are not."""
    return repr(one) == repr(other)
