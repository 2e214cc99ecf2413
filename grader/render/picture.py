"""A comparison as a picture: its values in cells with bars for a page, and as aligned rows for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from rich.cells import cell_len

from specs.outcomes import Comparison

HEIGHT = 32
"""Of a bar's picture, in its own units."""


@dataclass(frozen=True)
class Bar:
    """A bar from the line of zero up or down."""

    base: float
    """How far the line of zero lies below the top."""
    top: float
    height: float


@dataclass(frozen=True)
class Cell:
    """One place of a comparison."""

    label: str
    got: str
    want: str
    differs: bool
    got_bar: Bar | None = None
    """None where the values are no numbers that have a size, as ids have none."""
    want_bar: Bar | None = None


GAP = Cell("…", "…", "…", False)
"""What is left out at a side."""


def cells(seen: Comparison) -> list[Cell]:
    """Return the cells of a comparison, with bars on one scale where it is of numbers with a point."""
    sizes = [size(one) for one in (*seen.got, *seen.want)] if seen.want_kind.startswith("float") else []
    known = [one for one in sizes if one is not None]
    low, high = min(0.0, *known, 0.0), max(0.0, *known, 0.0)
    bars = [None if one is None else bar(one, low, high) for one in sizes] or [None] * 2 * len(seen.got)
    labels = [str(seen.start + i) for i in range(len(seen.got))]
    columns = zip(labels, seen.got, seen.want, seen.differs, bars, bars[len(labels) :], strict=False)
    return with_gaps([Cell(*column) for column in columns], seen)


def with_gaps(found: list[Cell], seen: Comparison) -> list[Cell]:
    """Return cells with a gap at each side where some are left out."""
    first, last = int(found[0].label), int(found[-1].label)
    return [*[GAP] * (first > 0), *found, *[GAP] * (last < seen.count - 1)]


def size(text: str) -> float | None:
    """Return the number that a cell holds, None if it is none or not finite."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def bar(number: float, low: float, high: float) -> Bar:
    """Return the bar of a number on a scale from `low` to `high`, which hold 0 between them."""
    # Halved first: the difference of two finite numbers need not be finite.
    span = (high / 2 - low / 2) or 1.0
    base = round(HEIGHT * (high / 2 / span), 1)
    height = round(max(HEIGHT * (abs(number) / 2 / span), 0.5), 1)
    return Bar(base, base if number < 0 else round(base - height, 1), height)


def rows(seen: Comparison, width: int) -> Iterator[str]:
    """Yield the lines of a comparison, with as many places around the first difference as have room."""
    found = [one for one in cells(seen) if one is not GAP]
    place = seen.differs.index(True) if True in seen.differs else 0
    while len(found) > 1 and cell_len(next(aligned(seen, with_gaps(found, seen)))) > width:
        at = seen.start + place - int(found[0].label)
        found = found[:-1] if at < len(found) - at else found[1:]
    yield from aligned(seen, with_gaps(found, seen))


def aligned(seen: Comparison, columns: list[Cell]) -> Iterator[str]:
    """Yield the numbers of the places, what was got, what was wanted, and marks below what differs."""
    names = [seen.axis, "got", "want", "differs"]
    lines = [[name.ljust(max(map(len, names)))] for name in names]
    for one in columns:
        texts = [one.label, one.got or "nothing", one.want or "nothing"]
        wide = max(map(cell_len, texts))
        texts.append("^" * wide if one.differs else "")
        for line, text in zip(lines, texts, strict=True):
            line.append(" " * (wide - cell_len(text)) + text)
    yield from ("  ".join(line).rstrip() for line in lines)
