"""The calculator: arithmetic on numbers and `.count` of string literals, as in Python."""

from __future__ import annotations

import functools

from hypothesis import strategies as st

from specs.calculations import expect_value, outcome, random_expressions
from specs.compare import expect_equal
from specs.imports import expect_import_without_traces
from specs.law import law
from specs.oracles import calculator
from specs.oracles.calculator import Expression
from specs.order import expect_any_order
from specs.probe import Probe
from specs.strategies import seeds

CRITERION = "tools"


def binary(left: str, symbol: str, right: str) -> Expression:
    """Return an expression of two numbers, or of a number and an expression's text made the same way."""
    return calculator.binary(calculator.number(left), symbol, calculator.number(right), " ")


WORKED = [
    calculator.number("7"),
    binary("7", "/", "2"),
    binary("4", "/", "2"),
    binary("5", "-", "5"),
    binary("7", "//", "2"),
    calculator.binary(calculator.negative(calculator.number("7")), "//", calculator.number("2")),
    calculator.binary(calculator.negative(calculator.number("7")), "%", calculator.number("3")),
    calculator.binary(calculator.number("7.5"), "%", calculator.negative(calculator.number("2"))),
    calculator.negative(calculator.number("3.5")),
    calculator.binary(calculator.number("2"), "+", binary("3", "*", "4")),
    calculator.binary(binary("2", "+", "3"), "*", calculator.number("4")),
    calculator.binary(calculator.number("4"), "*", binary("2", "+", "3")),
    calculator.binary(binary("9", "-", "5"), "-", calculator.number("3")),
    calculator.binary(calculator.number("9"), "-", binary("5", "-", "3")),
    calculator.binary(calculator.count("banana", "an"), "*", calculator.number("10")),
    binary("123456789012", "*", "987654321098"),
]


@law(examples=8, seed=seeds, pad=st.sampled_from(["", " ", "   "]))
def test_arithmetic_is_pythons(probe: Probe, seed: int, pad: str) -> None:
    """Numbers, signs, + - * / // %, parentheses and counts have the value and type that Python gives them.

    Kills: operators of one rank taken from right to left, ranks mixed up, signs lost, quotients rounded
    towards zero, integers that lose digits, numbers with a point or an exponent refused, blanks refused,
    inside or around.
    """
    drawn = [*WORKED, *random_expressions(seed, 60)]
    answers = probe("tools.calculate", expressions=[f"{pad}{each.text}{pad}" for each in drawn])
    for each, got in zip(drawn, answers, strict=True):
        expect_value(got, each)


@law(
    examples=29,
    symbol=st.sampled_from(["/", "//", "%"]),
    zero=st.sampled_from(["0", "0.0", "(5 - 5)", "(0 * 7)", "(1.5 - 1.5)", "'abc'.count('d')"]),
    before=st.sampled_from(["", "1 + ", "0 * ", "-"]),
    top=st.sampled_from(["1", "0", "7.5", "(2 + 3)"]),
)
def test_division_by_zero_has_no_result(probe: Probe, symbol: str, zero: str, before: str, top: str) -> None:
    """A division by zero has no result: None.

    Kills: an exception that reaches the caller, infinity, 0.
    """
    text = f"{before}{top} {symbol} {zero}"
    expect_equal(outcome(probe, text), None, f"use_calculator({text!r})")


LONG = [
    calculator.number("12345678901234567890" * 10),
    calculator.binary(calculator.number("9" * 99), "*", calculator.number("9" * 99)),
    functools.reduce(
        lambda left, right: calculator.binary(left, "*", right), [calculator.number("7" * 24)] * 8
    ),
    functools.reduce(lambda left, right: calculator.binary(left, "+", right), [calculator.number("1")] * 50),
    functools.reduce(lambda right, left: calculator.binary(left, "-", right), [calculator.number("3")] * 40),
    functools.reduce(lambda inner, wrap: wrap(inner), [calculator.negative] * 24, calculator.number("3.5")),
    calculator.count("abcab, " * 23, "b, a"),
    calculator.binary(calculator.parenthesised(calculator.number("2")), "/", binary("1" * 60, "+", "2" * 60)),
]
"""At the limits within which a calculator must answer: 200 characters, 50 operations, long integers."""


@law()
def test_long_expressions_are_computed(probe: Probe) -> None:
    """Expressions of up to 200 characters and 50 operations inside one another are computed, digit by digit.

    Kills: limits that are too tight, integers that go through floats.
    """
    for drawn in LONG:
        assert len(drawn.text) <= 200, drawn.text
        expect_value(outcome(probe, drawn.text), drawn)


LETTERS = "aab, .'\"()0123+-*/_[]{}:;=<>|é日🙂"

WORDS = [
    "import",
    "__",
    "eval",
    "exec",
    "open(",
    "lambda",
    "count",
    "print",
    "input",
    "file",
    "ab",
    "1,000",
    "1 + 1",
]

contents = st.lists(st.one_of(st.sampled_from(LETTERS), st.sampled_from(WORDS)), max_size=12).map("".join)

quotes = st.sampled_from("'\"")


@law(
    examples=60,
    cases=[
        {"text": "strawberry", "part": "r", "span": None, "quote": "'", "other": "'"},
        {"text": "a,b,c", "part": ",", "span": None, "quote": "'", "other": '"'},
        {"text": "1,000,000", "part": "1000", "span": None, "quote": '"', "other": "'"},
        {"text": "aaaa", "part": "aa", "span": None, "quote": "'", "other": "'"},
        {"text": "abc", "part": "z", "span": None, "quote": "'", "other": "'"},
        {"text": "it's", "part": "'", "span": None, "quote": '"', "other": '"'},
        {"text": "__import__('os')", "part": "__", "span": None, "quote": '"', "other": '"'},
        {"text": "1+1 = 2", "part": "1", "span": None, "quote": '"', "other": '"'},
        {"text": "Strawberry", "part": "s", "span": None, "quote": '"', "other": '"'},
        {"text": "x').count('", "part": "'", "span": None, "quote": '"', "other": '"'},
        {"text": "Übergrößenträger", "part": "ß", "span": None, "quote": "'", "other": "'"},
        {"text": "  two  blanks ", "part": " ", "span": None, "quote": "'", "other": "'"},
        {"text": "", "part": "a", "span": None, "quote": "'", "other": "'"},
    ],
    text=contents,
    part=contents,
    span=st.one_of(st.none(), st.tuples(st.integers(0, 12), st.integers(1, 3))),
    quote=quotes,
    other=quotes,
)
def test_count_is_pythons(
    probe: Probe, text: str, part: str, span: tuple[int, int] | None, quote: str, other: str
) -> None:
    """'text'.count('part') is what Python counts, whatever stands between the quotes.

    Kills: separators or blanks stripped inside strings, overlapping matches counted, case folded, words
    that look dangerous refused inside a string, quotes inside the other kind of quotes, letters beyond
    ASCII.
    """
    if span is not None:  # a part that is there
        part = text[span[0] : span[0] + span[1]]
    text, part = text.replace(quote, ""), part.replace(other, "")
    expression = f"{quote}{text}{quote}.count({other}{part}{other})"
    expect_equal(outcome(probe, expression), text.count(part), f"use_calculator({expression!r})")


@law(examples=9, other=st.sampled_from(["a", "é", "日"]), quote=quotes, many=st.integers(1, 3))
def test_every_character_counts(probe: Probe, other: str, quote: str, many: int) -> None:
    """In a string literal every printable character is just itself, and is counted as often as it is there.

    Kills: separators, currency signs or underscores taken out of the whole expression beforehand.
    """
    characters = [each for each in map(chr, range(32, 127)) if each not in (quote, "\\")]
    texts = [f"{quote}{other}{(each + other) * many}{quote}" for each in characters if each != other]
    wanted = [each for each in characters if each != other]
    expressions = [f"{text}.count({quote}{each}{quote})" for text, each in zip(texts, wanted, strict=True)]
    answers = probe("tools.calculate", expressions=expressions)
    for expression, answer in zip(expressions, answers, strict=True):
        expect_equal(answer, many, f"use_calculator({expression!r})")


@law(
    examples=25,
    cases=[
        {"text": "it's", "part": "'"},
        {"text": "two\nlines\nhere", "part": "\n"},
        {"text": "a\\b\\\\c", "part": "\\"},
        {"text": "'\"'", "part": '"'},
        {"text": "\x00\x7f\x80é\u2028\U0001f642\ud800", "part": "\x80"},
    ],
    text=st.lists(st.sampled_from("aab'\"\\\n\t\r\0\x1b\x85é\u2028日"), max_size=8).map("".join),
    part=st.sampled_from(["a", "'", '"', "\\", "\n", "\t", "\x85", "\u2028", "n", "x", "a'"]),
)
def test_escapes_are_pythons(probe: Probe, text: str, part: str) -> None:
    """In string literals, the escapes that Python's repr writes mean what they mean in Python.

    Kills: a backslash counted as a character, a quote after a backslash taken for the end.
    """
    drawn = calculator.count(text, part)
    expect_value(outcome(probe, drawn.text), drawn)


@law(examples=5, seed=seeds)
def test_answers_do_not_hang_on_what_came_before(probe: Probe, seed: int) -> None:
    """An expression has the same result each time, from nanochat.tools and from nanochat.engine.

    Kills: state kept between calls, a cache with the wrong key, another calculator in the engine.
    """
    some = [each.text for each in random_expressions(seed, 12)]
    first = probe("tools.calculate", expressions=some)
    second = probe("tools.calculate", expressions=[*some[::-1], "1 +", *some])
    engine = probe("tools.calculate", expressions=some, module="engine")
    count = len(some)
    expect_equal(second[:count][::-1], first, f"the answers to {some}, asked in the other order")
    expect_equal(second[count + 1 :], first, f"the answers to {some}, a third time")
    expect_equal(engine, first, f"the answers to {some} of nanochat.engine.use_calculator")


TWINS = [
    (left, symbol, right)
    for symbol in ("+", "-", "*", "/", "//", "%")
    for left, right in (("6", "4"), ("0", "3"), ("9007199254740992", "1"), ("1", "2"))
]
"""Operations on whole numbers, each of which may be written as an integer and as a float."""

ODD = ["1/0", "1.0/0", "x", "1+", "2**3", "", "'ab'.count('a')", "'ab'.count('ab')", "1e999", "True"]


@law()
def test_expressions_may_come_in_any_order(probe: Probe) -> None:
    """Operations on equal numbers of other types have results of their own, whichever is asked for first.

    Kills: operations or numbers that are remembered by their value, for which 2 and 2.0 are one; anything
    else that one expression leaves for the next.
    """
    drawn = [
        binary(f"{left}{one}", symbol, f"{right}{other}")
        for left, symbol, right in TWINS
        for one, other in (("", ""), (".0", ""), ("", ".0"), (".0", ".0"))
    ]

    def ask(some: list[str]) -> list[object]:
        answers: list[object] = probe("tools.calculate", expressions=some)
        return answers

    calls = [*(each.text for each in drawn), *ODD]
    answers = expect_any_order(probe, ask, calls, lambda text: f"use_calculator({text!r})")
    for each, got in zip(drawn, answers, strict=False):
        expect_value(got, each)


@law()
def test_importing_the_calculator_changes_nothing(probe: Probe) -> None:
    """Importing the module starts nothing, writes nothing, and changes no setting that others share.

    Kills: a limit of digits or of recursion, a signal handler or warning filters set while it is imported.
    """
    expect_import_without_traces(probe, "nanochat.tools")
