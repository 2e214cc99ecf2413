"""The calculator: it runs nothing, survives everything, and leaves everything as it was."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from specs.calculations import brief, outcome, quick_outcome, shown, was_raised
from specs.compare import expect, expect_equal, quoted
from specs.law import law
from specs.probe import Probe

CRITERION = "tools"

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
"""Deep, long and huge. None may take noticeable time, or raise."""


@law()
def test_monstrous_expressions_are_survived(probe: Probe) -> None:
    """Deep nesting, long texts and huge numbers are answered at once, with a value or None, not with a crash.

    Kills: recursion and digit limits that raise, powers and products that are computed though they are too
    large, infinities, patterns that take exponential time.
    """
    for monster in MONSTERS:
        got = quick_outcome(probe, monster)
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
    some = ["", " ", *WARNED, *HARMLESS]
    for text, said in zip(some, probe("tools.said", expressions=some), strict=True):
        expect(not said, f"use_calculator({brief(text)}) said {quoted(said)}, want silence")
