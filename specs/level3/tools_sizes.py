"""Tool use of every size: many calls and rows, small and large numbers, large vocabularies.

The model is a stand-in as in `specs.level3.tools`.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from hypothesis import strategies as st

from specs.compare import expect_equal
from specs.law import law
from specs.oracles import calculator
from specs.oracles.calculator import Expression
from specs.oracles.engine import Path
from specs.probe import Probe
from specs.strategies import seeds
from specs.tool_draws import segments
from specs.toolcalls import (
    BOS,
    LENGTH,
    PYTHON_END,
    TERMINALS,
    call,
    columns_of,
    expect_masks,
    expect_path,
    path_of,
    row_of,
    script_of,
    spelled,
)

CRITERION = "tools"


@st.composite
def ends_among_calls(draw: st.DrawFn) -> list[Path]:
    """Draw paths that begin with different tokens, call the calculator, and end where they like."""
    paths = []
    for first in range(draw(st.integers(2, 4))):
        drawn = draw(st.lists(segments, max_size=3))
        paths.append(path_of([[ord("a") + first], *drawn]).sample([draw(st.sampled_from(TERMINALS))]))
    return paths


@law(
    examples=3,
    cases=[
        {"paths": [path_of([list(b"a"), [BOS]]), path_of([list(b"b"), call("6*7", "42"), [BOS]])], "seed": 0},
        {
            "paths": [
                path_of([list(b"a1"), [BOS]]),
                path_of([list(b"b"), call("1/8", "0.125"), list(b"12"), call("1/0", None), [BOS]]),
                path_of([list(b"c1"), call("1+1", "2"), call("5-5", "0"), [BOS]]),
            ],
            "seed": 0,
        },
    ],
    paths=ends_among_calls(),
    seed=seeds,
)
def test_rows_that_ended_leave_the_others_their_calls(probe: Probe, paths: list[Path], seed: int) -> None:
    """While some rows have ended, the others are served to their own end, and the stream ends with the last.

    Kills: a column in which nothing is sampled taken for the end, results forced into another row once some
    have ended.
    """
    # The same without any call: where rows do not end as they should is the business of another criterion.
    if all(fault is None for fault in faults(probe, [plain(path) for path in paths], seed)):
        for fault in faults(probe, paths, seed):
            if fault is not None:
                expect_equal(*fault)


def plain(path: Path) -> Path:
    """Return a path as long as `path` that begins and ends as it does and calls no tool."""
    between = [ord("1")] * max(0, len(path.tokens) - 2)
    return Path().sample([path.tokens[0], *between, path.tokens[-1]])


def faults(probe: Probe, paths: list[Path], seed: int) -> Iterator[tuple[Any, Any, str] | None]:
    """Yield what was got and wanted, and of what, for each row that is none of the paths; None for others."""
    # Which path a row takes is drawn with its first token: of forty rows some take each.
    count, limit = 40, max(len(path.tokens) for path in paths)
    (got,) = probe(
        "generation.stream",
        prompt=[BOS],
        script=script_of(paths, []),
        options={"num_samples": count, "max_tokens": limit + 5, "temperature": 1.0, "seed": seed},
        sequence_len=LENGTH,
    )
    columns, masks = columns_of(got["tokens"], count), columns_of(got["masks"], count)
    by_first = {path.tokens[0]: path for path in paths}
    for i in range(count):
        row, row_masks = row_of(columns, i), row_of(masks, i)
        path = by_first.get(row[0]) if row else None
        if path is None:
            yield spelled(row[:1]), spelled(list(by_first)), f"how row {i} of {count} may begin"
            continue
        rest = limit - len(path.tokens)
        tokens, wanted = [*path.tokens, *path.tokens[-1:] * rest], [*path.masks, *[0] * rest]
        if row != tokens:
            what = f"row {i} of {count}, in a stream that ends with the longest one"
            yield spelled(row), spelled(tokens), what
        elif row_masks != wanted:
            yield row_masks, wanted, f"the masks of row {i} of {count}, {spelled(row)}"
        else:
            yield None


@law()
def test_a_row_may_call_many_times(probe: Probe) -> None:
    """The seventieth call of a row is served like the first.

    Kills: a number of calls or of results after which nothing is forced any more.
    """
    numbers = [f"{number % 10}" for number in range(70)]
    path = path_of([call(number, number) for number in numbers])
    columns, masks = generate_long(probe, path)
    expect_path(columns, 0, path, "the row that calls 70 times")
    expect_masks(masks, 0, path, "the row that calls 70 times")


NUMBERS = ["1e16", "1e100", "1e-5", "0.0001", "1e-7", "5e-324", "2.5e-310", "0.1e-9", "123456789.5e-20"]


@law(examples=1, seed=seeds)
def test_numbers_of_every_size_are_written_as_python_writes_them(probe: Probe, seed: int) -> None:
    """A result is written as str writes it, with its exponent, or as an integer if it is one, at every size.

    Kills: zeros cut off an exponent, an exponent without its sign, a point added or taken away, small numbers
    written out or made zero, large ones cut.
    """
    random = Random(seed)
    tens = [f"{random.choice(['1', '1.5', '7'])}e-{size}" for size in random.sample(range(10, 330, 10), 8)]
    anything = [
        f"{random.randint(1, 10 ** random.randint(1, 17))}e{random.randint(-300, 40)}" for _ in range(8)
    ]
    quotients = [
        (f"{random.randint(1, 99)}", f"{random.choice([8, 3, 7])}{'0' * random.randint(0, 30)}")
        for _ in range(6)
    ]
    for expressions in (
        *([random.choice([calculator.number, minus])(text) for text in texts] for texts in (tens, anything)),
        [calculator.number(text) for text in NUMBERS],
        [calculator.binary(calculator.number(top), "/", calculator.number(low)) for top, low in quotients],
    ):
        calls = []
        for each in expressions:
            assert each.value, "how a zero with a minus sign is written is free"
            calls.append(call(each.text, calculator.written(each.value)))
        path = path_of(calls)
        columns, _ = generate_long(probe, path)
        expect_path(
            columns, 0, path, f"the row that calculates {', '.join(each.text for each in expressions)}"
        )


def minus(text: str) -> Expression:
    """Return a number with a sign."""
    return calculator.negative(calculator.number(text))


def generate_long(probe: Probe, path: Path) -> tuple[list[list[int]], list[list[int]]]:
    """Return columns and masks of a stream that is as long as a path, in a context that has room for it."""
    (got,) = probe(
        "generation.stream",
        prompt=[BOS],
        script=script_of([path]),
        options={"temperature": 0.0, "max_tokens": len(path.tokens)},
        sequence_len=len(path.tokens) + 8,
    )
    return columns_of(got["tokens"], 1), columns_of(got["masks"], 1)


SHIFT = 70_000
"""Beyond what sixteen bits hold, and beyond the whole numbers of half precision."""


@law()
def test_tools_work_with_a_large_vocabulary(probe: Probe) -> None:
    """Where all ids are tens of thousands, blocks are seen, expressions read and results forced as ever.

    Kills: ids of special tokens, of expressions or of results cut to sixteen bits or half precision.
    """
    path = path_of(
        [list(b"ab"), call("40+2", "42"), list(b"c"), call("1/0", None), [PYTHON_END], list(b"12")]
    )
    large, says = ([token + SHIFT for token in ids] for ids in (path.tokens, path.says))
    options: dict[str, Any] = {"num_samples": 2, "temperature": 0.0, "max_tokens": len(large)}
    (got,) = probe(
        "generation.stream",
        prompt=[BOS + SHIFT],
        script={"paths": [([*large, 0], [*says, 0])]},
        options=options,
        shift=SHIFT,
    )
    columns = columns_of(got["tokens"], 2)
    for i in range(2):
        shown = [token - SHIFT for token in row_of(columns, i)]
        expect_equal(spelled(shown), spelled(path.tokens), f"row {i} of 2 where ids are {SHIFT:,} larger")
        expect_masks(columns_of(got["masks"], 2), i, path, f"row {i} of 2")
