"""Takes the few values around the first difference out of two answers, for a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specs.outcomes import Comparison

CELLS = 9
"""Values that are taken, at most."""
LONGEST = 12
"""Characters of one."""


def of_arrays(
    got: NDArray[Any],
    want: Any,
    wrong: NDArray[np.bool_],
    place: Sequence[int],
    index: str,
    axes: Sequence[str] = (),
) -> Comparison | None:
    """Return the line of values through `place`, the first `wrong` one, along the positions if there are any.

    `index` names that place in words and `axes` the axes of the arrays, which have one shape. None for one
    value alone: it stands in the message.
    """
    wanted = np.asarray(want)
    kinds = kind(got), kind(wanted)
    if wrong.size == 1:
        return None
    named = axes if len(axes) == wrong.ndim else ["index"] * wrong.ndim
    along = named.index("position") if "position" in named else wrong.ndim - 1
    if wrong.shape[along] == 1:  # along another one, the last if that is longer
        along = max(range(wrong.ndim), key=lambda axis: (wrong.shape[axis] > 1, axis))
    start = first_cell(place[along], wrong.shape[along])
    line = tuple(slice(start, start + CELLS) if axis == along else i for axis, i in enumerate(place))
    differs = [bool(one) for one in wrong[line]]
    pairs = zip(got[line].tolist(), wanted[line].tolist(), differs, strict=True)
    cells = [number_texts(*pair) for pair in pairs]
    return Comparison(
        index, named[along], start, wrong.shape[along],
        tuple(one for one, _ in cells), tuple(one for _, one in cells), tuple(differs), *kinds,
    )  # fmt: skip


def of_values(got: Any, want: Any, same: Callable[[Any, Any], bool]) -> Comparison | None:
    """Return the part of two lists or texts where they differ, however deep.

    None for other values, and where a single value or a short text is all there is: it stands in the message.
    """
    place: tuple[int, ...] = ()
    if not goes_deeper(got, want):
        return None
    while True:
        at = next(
            (i for i, (a, b) in enumerate(zip(got, want, strict=False)) if not same(a, b)),
            min(len(got), len(want)),
        )
        place += (at,)
        if at == min(len(got), len(want)) or not goes_deeper(got[at], want[at]):
            break
        got, want = got[at], want[at]
    if (count := max(len(got), len(want))) == 1:
        return None
    start = first_cell(at, count)
    pairs = [(got[i : i + 1], want[i : i + 1]) for i in range(start, min(start + CELLS, count))]
    return Comparison(
        f"index {list(place)}",
        "character" if isinstance(want, str) else "index",
        start,
        count,
        tuple(value_text(one) for one, _ in pairs),
        tuple(value_text(one) for _, one in pairs),
        tuple(not same(one, other) for one, other in pairs),
        kind(got),
        kind(want),
    )


def are_lists(got: Any, want: Any) -> bool:
    """Say whether both are lists or tuples."""
    return isinstance(got, list | tuple) and isinstance(want, list | tuple)


def are_texts(got: Any, want: Any) -> bool:
    """Say whether both are texts."""
    return isinstance(got, str) and isinstance(want, str)


def goes_deeper(got: Any, want: Any) -> bool:
    """Say whether two elements are lists, or texts too long for one cell: then their parts are compared."""
    return are_lists(got, want) or (are_texts(got, want) and max(len(got), len(want)) > LONGEST)


def first_cell(place: int, count: int) -> int:
    """Return where to begin, so that `place` is as far in the middle as the ends allow."""
    return max(0, min(place - CELLS // 2, count - CELLS))


def number_texts(got: float, want: float, differs: bool) -> tuple[str, str]:
    """Return two numbers as texts; with more digits where they differ and would look alike."""
    if isinstance(got, int) and isinstance(want, int):
        return str(got), str(want)
    for digits in (5, 9, 17):
        texts = f"{got:.{digits}g}", f"{want:.{digits}g}"
        if texts[0] != texts[1] or not differs:
            break
    return texts


def value_text(one: Sequence[Any]) -> str:
    """Return the only element of a list or text, cut; "" if there is none."""
    text = "".join(beginning(each, LONGEST) for each in one)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def beginning(value: Any, characters: int) -> str:
    """Return `repr(value)`; of one that is longer than `characters` at least as many, but not much more.

    An answer may be a text of 16 MiB, and is quoted each time that a smaller input is tried.
    """
    if isinstance(value, str | bytes):
        return repr(value[: characters + 1])
    if type(value) is dict:
        text, end = "{", "}"
    elif isinstance(value, list | tuple):
        text, end = ("[", "]") if isinstance(value, list) else ("(", ",)" if len(value) == 1 else ")")
    else:
        return repr(value)
    for number, each in enumerate(value):
        text += ", " * bool(number) + beginning(each, characters)
        if type(value) is dict:
            text += ": " + beginning(value[each], characters)
        if len(text) > characters:
            return text
    return text + end


def kind(value: Any) -> str:
    """Return the type and size of a value."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{list(value.shape)}"
    return f"text of {len(value)} characters" if isinstance(value, str) else f"list of {len(value)}"
