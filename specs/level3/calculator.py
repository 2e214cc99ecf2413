"""The calculator: arithmetic on numbers and `.count` of string literals, and nothing else, ever."""

from __future__ import annotations

import functools
from random import Random
from typing import Any

from hypothesis import strategies as st

from specs.compare import broken, expect, expect_equal, quoted
from specs.law import law
from specs.oracles import calculator
from specs.oracles.calculator import Expression
from specs.probe import Probe
from specs.strategies import seeds

CRITERION = "tools"


def random_expressions(seed: int, number: int) -> list[Expression]:
    """Return expressions of one to six numbers, the shortest first: the first that fails teaches most."""
    random = Random(seed)
    found = [joined(random, random.randint(1, 6), random.random() < 0.5) for _ in range(number)]
    return sorted((each for each in found if len(each.text) <= 200), key=lambda each: len(each.text))


def joined(random: Random, leaves: int, only_integers: bool) -> Expression:
    """Return an expression of so many numbers, joined in pairs at any depth, with signs and parentheses."""
    if leaves == 1:
        made = any_number(random, only_integers)
    else:
        first = random.randint(1, leaves - 1)
        left = joined(random, first, only_integers)
        right = joined(random, leaves - first, only_integers)
        made = calculator.binary(left, random.choice(SYMBOLS), right, random.choice(["", " "]))
    chance = random.random()
    if chance < 0.15:
        return calculator.negative(made)
    if chance < 0.2:
        return calculator.positive(made)
    return calculator.parenthesised(made) if chance < 0.25 else made


SYMBOLS = ["+", "-", "*", "/", "+", "-", "*", "/", "//", "%"]


def any_number(random: Random, only_integers: bool) -> Expression:
    """Return a number without a sign, in one of the ways to write it, or now and then a count."""
    if random.random() < 0.1:
        text = "".join(random.choices("aab1,", k=random.randint(0, 6)))
        return calculator.count(text, random.choice(["a", "b", "aa", ",", "1"]))
    whole = random.randint(0, random.choice([3, 12, 9_999, 10**9]))
    if only_integers:
        return calculator.number(str(whole))
    after = "".join(random.choices("0123456789", k=random.randint(1, 3)))
    exponent = random.choice(["e2", "E3", "e-2", "e+1"])
    ways = [
        f"{whole}.{after}",
        f"{whole}.5",
        f"{whole}",
        f"{whole}.",
        f".{after}",
        f"{whole}.{after}{exponent}",
    ]
    return calculator.number(random.choice(ways))


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
    examples=10,
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


ATTACKS = [
    "x",
    "abs",
    "print",
    "x + 1",
    "1 + x",
    "None",
    "__name__",
    "__builtins__",
    "__import__('os')",
    "__import__('os').getpid()",
    "__import__('os').system('true')",
    "__import__('subprocess').run(['true'])",
    "__import__('os').environ.setdefault('CALCULATOR', '1')",
    "import os",
    "from os import getpid",
    "open('/dev/null')",
    "open('/dev/null').read().count('a')",
    "eval('1 + 1')",
    "exec('x = 1')",
    "compile('1', '', 'eval')",
    "print('hello')",
    "globals()",
    "len('abc')",
    "abs(-1)",
    "int('7')",
    "pow(2, 3)",
    "max(1, 2)",
    "sum([1, 2])",
    "(lambda: 1)()",
    "(lambda x: x + 1)(2)",
    "lambda: 0",
    "[c for c in 'abc']",
    "sum(1 for _ in 'abc')",
    "(x := 5)",
    "(x := 5) + x",
    "x = 5",
    "del x",
    "assert 0",
    "raise ValueError",
    "1; print(1)",
    "1\nprint(1)",
    "while True: pass",
    "def f(): pass",
    "(1).real",
    "1 .real",
    "(1).__class__",
    "(1).bit_length()",
    "().__class__.__bases__[0].__subclasses__()",
    "''.__class__.__mro__[1].__subclasses__()",
    "'abc'.__class__",
    "'abc'.__len__()",
    "'abc'.upper()",
    "'abc'.upper().count('A')",
    "'abc'.lower",
    "'a b'.split()",
    "'abc'.index('b')",
    "'abc'.find('b')",
    "'abc'.encode()",
    "'{}'.format(1)",
    "'{0.__class__}'.format(1)",
    "'{0.__class__}'.format(1).count('c')",
    "'%s' % open",
    "'abc'.count",
    "'abc'.count.__self__",
    "'abc'.count.__class__('a')",
    "'abc'.count('a').real",
    "'abc'.count('a').__class__",
    "'abc'.count('a').bit_length()",
    "'abc'.count('a')()",
    "'abc'.count(x)",
    "x.count('a')",
    "'abc'.count(__name__)",
    "'abc'.count(str(1))",
    "'abc'.count(open('/dev/null').read())",
    "'abc'.count('a', x)",
    "'abc'.count(*['a'])",
    "'abc'.count(**{})",
    "'abc'.count(sub='a')",
    "'abc'.count(x='a')",
    "'abc'.count((lambda: 'a')())",
    "'abc'.count('a' if x else 'b')",
    "'abc'.count((y := 'a'))",
    "'abc'.count('a' + x)",
    "'abc'.count([c for c in 'a'][0])",
    "'abc'.count('A'.lower())",
    "'abc'.count(1)",
    "'abc'.count()",
    "(1).count(1)",
    "[1, 2].count(1)",
    "('a', 'b').count('a')",
    "['a', 'b'].count('a')",
    "('a' * 3).count('a')",
    "'abc'[0].count('a')",
    "'abc'[::-1].count('a')",
    "f'{open}'.count('o')",
    "f'{__name__}'.count('o')",
    "'abc'.count(f'{open}')",
    "f\"{__import__('os').getpid()}\".count('1')",
    "'a'.count('a') + __import__('os').getpid()",
    "'a'.count('a') or open('/dev/null')",
    "open('/dev/null') if 1 else 0",
    "0 if 1 else open('/dev/null')",
    "[].append(1)",
    "{}.get('a')",
    "{'a': 1}['a'].count('a')",
    "type('X', (), {})",
    "getattr('abc', 'count')('a')",
    "vars()",
    "help",
    "`ls`",
    "$(ls)",
    "yield 1",
    "",
    " ",
    "True",
    "False + 1",
    "1 < 2",
    "1 == 1",
    "1 and 2",
    "not 1",
    "1 if 1 else 2",
    "~1",
    "1 | 2",
    "1 & 2",
    "1 ^ 2",
    "1 << 2",
    "1 @ 2",
    "2**3",
    "2.0**0.5",
    "9**9**9",
    "1j",
    "1 + 2j",
    "...",
    "()",
    "[1]",
    "{1}",
    "{}",
    "1, 2",
    "1,000",
    "1,000 + 1",
    "(1, 2)",
    "'abc'",
    "'abc' + 'd'",
    "'abc' * 2",
    "'abc' % 1",
    "'%d' % 1",
    "-'abc'",
    "'a' + 1",
    "'a'.count('a') + 'a'",
    "b'abc'.count(b'a')",
    "'abc'[0]",
    "'abc' in 'abc'",
    "007",
    "1 2",
    "1 +",
    "* 2",
    "(1",
    "1)",
    "1 + + ",
    "1e999",
    "1e999 - 1e999",
    "-1e999",
    "1e308 * 10",
    "1e308 * 10 - 1e308 * 10",
    "1e-400 / 1e-400",
    "await x",
    "async def f(): pass",
    "@x",
]


@law()
def test_nothing_but_numbers_and_count_has_a_result(probe: Probe) -> None:
    """Names, attributes, calls, other operators, and what is no finite number, have no result.

    Kills: `eval`, also behind a list of forbidden words or without builtins; an evaluator that follows
    attributes or calls what it finds.
    """
    for attack, got in zip(ATTACKS, probe("tools.calculate", expressions=ATTACKS), strict=True):
        expect(got is None, f"use_calculator({attack!r}): got {shown(got)}, want None")
    odds: tuple[Any, ...] = (None, 7, 2.5, True, b"1 + 1", ["1 + 1"], {})
    for odd in odds:
        got = outcome(probe, odd)
        expect(got is None, f"use_calculator({odd!r}): got {shown(got)}, want None")


HARMLESS = [
    "1 + 1",
    "2 * (3 - 4.5)",
    "1 / 0",
    "1 +",
    "hello",
    "'abc'.count('a')",
    "'a,b'.count(1)",
    "x.y('z')",
]

REACHES = (
    "open",
    "os.",
    "subprocess.",
    "socket.",
    "import",
    "ctypes.",
    "shutil.",
    "glob.",
    "pty.",
    "tempfile.",
    "builtins.input",
    "object.__getattr__",
    "object.__setattr__",
    "object.__delattr__",
    "signal.",
    "sys.set",
    "gc.",
    "code.__new__",
    "function.__new__",
    "exec",
)
"""Beginnings of the names of audit events by which Python reports that code reaches out of itself."""


@law()
def test_no_expression_reaches_out(probe: Probe) -> None:
    """Whatever the expression, the calculator opens, starts, imports and executes nothing on its behalf.

    Events that harmless expressions cause as well are the calculator's own way of working, and free.
    Kills: an `eval` whose result is only looked at afterwards, a filter that runs what it filters.
    """
    got = probe("tools.audited", harmless=HARMLESS, attacks=ATTACKS)
    usual = {event for events in got["harmless"] for event in events}
    for attack, events in zip(ATTACKS, got["attacks"], strict=True):
        unusual = [event for event in events if event.startswith(REACHES) and event not in usual]
        expect(not unusual, f"use_calculator({attack!r}) caused {unusual}, which a sum does not")


SCRAPS = "0123456789+-*/().,'\"_ceontxj \t\n\0\\#[]{}:=é日\ud800"
anything = st.lists(st.integers(0, 0x10FFFF), max_size=20).map(lambda codes: "".join(map(chr, codes)))
texts = st.one_of(
    anything,
    st.lists(st.sampled_from(SCRAPS), max_size=20).map("".join),
    st.lists(st.sampled_from([*ATTACKS, *HARMLESS, ".count(", "'", "(", ")", "+", " "]), max_size=4).map(
        "".join
    ),
).map(lambda text: text.replace("**", "*"))  # what a power costs is not the matter here


@law(examples=25, drawn=st.lists(texts, min_size=1, max_size=6))
def test_any_text_is_answered_without_an_exception(probe: Probe, drawn: list[str]) -> None:
    """The calculator never raises, whatever the text: half expressions, other characters, no text at all.

    Kills: exceptions of the parser or of an operation that reach the caller.
    """
    for text, got in zip(drawn, probe("tools.calculate", expressions=drawn), strict=True):
        expect(not was_raised(got), f"use_calculator({text!r}) {shown(got)}, want a value or None")


MONSTERS = [
    "(" * 5000,
    "(" * 5000 + "1" + ")" * 5000,
    "(" * 90 + "1" + ")" * 90,
    "-" * 100_000 + "1",
    "- " * 3000 + "1",
    "1" + "+1" * 20_000,
    "1" + "*(1" * 2000 + ")" * 2000,
    "9" * 100_000,
    "9" * 5000 + "*" + "9" * 5000,
    "*".join(["9" * 50] * 300),
    "*".join(["9" * 300] * 2000),
    "9" * 400 + ".0 * 10",
    "1" + "0" * 308 + ".0 * 10",
    "1" + "0" * 308 + ".0 * 10 - 1" + "0" * 308 + ".0 * 10",
    "1e308 * 10",
    "1e999 - 1e999",
    "0." + "0" * 400 + "1",
    "1 / 0." + "0" * 320 + "1",
    "'" + "a" * 200_000 + "'.count('a')",
    "'a'" + ".count('a')" * 3000,
    "'" + "(" * 5000,
    "1" * 5000 + "!",
    "1 " * 3000 + "!",
    "1+" * 40 + "!",
    "1." * 3000,
    "'a" * 3000,
    ".count(" * 3000,
    "\\" * 10_000,
    " " * 100_000,
    "\n" * 10_000 + "1",
    "9**9**9",
    "(9**9**9) + 1",
    "9 ** 9 ** 9 ** 9",
    "(-9)**9**9**9",
]
"""Deep, long and huge. None may take longer than the calculator's own limit, or raise."""


@law()
def test_monstrous_expressions_are_survived(probe: Probe) -> None:
    """Deep nesting, long texts and huge numbers are answered, with a value or None, and not with a crash.

    Kills: recursion and digit limits that raise, powers that never end, infinities, patterns that take
    exponential time.
    """
    for monster in MONSTERS:
        got = outcome(probe, monster)
        expect(not was_raised(got), f"use_calculator({brief(monster)}) {shown(got)}, want a value or None")


@law()
def test_it_works_off_the_main_thread(probe: Probe) -> None:
    """In a thread other than the main one the calculator gives the same answers.

    Kills: a time limit by signal, which only the main thread may set.
    """
    some = ["1 + 1", "7 / 2", "1 / 0", "hello", "", "'banana'.count('an')", "9**9**9", "1 +", *ATTACKS[:12]]
    here = probe("tools.calculate", expressions=some)
    there = probe("tools.calculate", expressions=some, thread=True)
    expect_equal(len(there), len(here), "the number of answers from a thread")
    for text, one, other in zip(some, here, there, strict=True):
        expect_equal(other, one, f"use_calculator({text!r}) in a thread other than the main one")
    expect_equal(there[:6], [2, there[1], None, None, None, 2], f"the answers to {some[:6]} in a thread")


@law()
def test_the_process_stays_as_it_was(probe: Probe) -> None:
    """The calculator leaves signal handlers, timers, limits, filters and the environment as they were.

    Kills: an alarm handler left installed, the caller's timer cancelled, a recursion limit raised for
    good, warnings silenced for good.
    """
    for some in (["1 + 1", "'abc'.count('b')"], ["1 / 0", "1 +", "hello", "(" * 300], ["9**9**9"], ATTACKS):
        changed = probe("tools.changes", expressions=some)
        expect(not changed, f"use_calculator changed {' and '.join(changed)}, on one of {quoted(some)}")


WARNED = [
    "1 is 1",
    "'a' is 1",
    "1()",
    "'a'()",
    "(1)(2)",
    "1[0]",
    "'abc'['a']",
    "0or 1",
    "1if 1else 2",
    "0x1for x in y",
    "'\\d'.count('d')",
    "'\\d'",
    "'abc'.count('\\.')",
    "b'\\d'",
    "assert (1, 2)",
    "print('hello')",
    "f'{x!r}'",
    *MONSTERS[:6],
]
"""What Python's parser or compiler warns about, and what prints."""


@law()
def test_nothing_is_said_or_shown(probe: Probe) -> None:
    """The calculator prints nothing and lets no warning out, neither Python's nor its own.

    Kills: warnings of Python's parser about what a model wrote, messages left in from debugging.
    """
    some = [*WARNED, *HARMLESS]
    for text, said in zip(some, probe("tools.said", expressions=some), strict=True):
        expect(not said, f"use_calculator({brief(text)}) said {quoted(said)}, want silence")


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


def expect_value(got: Any, drawn: Expression) -> None:
    """Require the answer to an expression to be its value, in Python's type."""
    what = f"use_calculator({drawn.text!r})"
    if drawn.value is None:
        expect(got is None, f"{what}, which divides by zero: got {shown(got)}, want None")
    elif type(got) is not type(drawn.value):
        kind = type(drawn.value).__name__
        broken(f"{what}: got {shown(got)}, want {drawn.value!r}, which Python gives as {kind}")
    elif not abs(got - drawn.value) <= drawn.tolerance:
        broken(f"{what}: got {shown(got)}, want {drawn.value!r} within {drawn.tolerance:.1g}")


def outcome(probe: Probe, expression: Any) -> Any:
    """Return what the calculator makes of one expression."""
    (got,) = probe("tools.calculate", expressions=[expression])
    return got


def was_raised(got: Any) -> bool:
    """Say whether an outcome is an exception."""
    return isinstance(got, dict) and "raised" in got


def shown(got: Any) -> str:
    """Return an outcome as a reader expects it."""
    if isinstance(got, dict):
        return f"raised {got['raised']}" if was_raised(got) else f"a {got.get('type')}"
    return quoted(got)


def brief(text: str) -> str:
    """Return the beginning of a long text and its length."""
    return repr(text) if len(text) <= 40 else f"{text[:40]!r}..., {len(text):,} characters"
