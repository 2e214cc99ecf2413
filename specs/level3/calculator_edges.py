"""The calculator where its grammar ends: signs side by side, escapes, the limits exactly, near misses."""

from __future__ import annotations

from specs.calculations import brief, expect_value, outcome, shown, was_raised
from specs.compare import expect, expect_equal
from specs.law import law
from specs.oracles.calculator import Expression
from specs.probe import Probe

CRITERION = "tools"

SIGNS = {
    "2+-3//2": 0,
    "5--7//2": 9,
    "1--7%3": -1,
    "2+-7%3": 4,
    "2*-3": -6,
    "7//-2": -4,
    "-7//-2": 3,
    "--1": 1,
    "-+-1": 1,
    "2-+3": -1,
    "2---3": -1,
    "- 7 % 3": 2,
}


@law()
def test_a_sign_binds_more_tightly_than_an_operator(probe: Probe) -> None:
    """A sign belongs to the number behind it, also right behind an operator: 2+-3//2 is 2 + ((-3) // 2).

    Kills: signs merged with operators before the expression is read, a sign applied to all that follows.
    """
    for text, want in SIGNS.items():
        expect_equal(outcome(probe, text), want, f"use_calculator({text!r})")


DIGITS = {
    "0.00000012": 0.00000012,
    "3.14159265358979": 3.14159265358979,
    "1e-9*1e9": 1.0,
    "2.5E+3": 2500.0,
    "1E-3": 0.001,
    ".5": 0.5,
    "5.": 5.0,
    "123456789.987654321": 123456789.987654321,
    "1e-305": 1e-305,
    "1.5e-307/3": 5e-308,
    "1e300": 1e300,
    "-1.5e308/1e307": -15.0,
}


@law()
def test_a_number_keeps_its_digits(probe: Probe) -> None:
    """A number is read to its last digit, however small, and with an exponent of either case.

    Kills: numbers rounded to some decimals, an exponent that is not known, tiny numbers that are none.
    """
    for text, want in DIGITS.items():
        expect_value(outcome(probe, text), Expression(text, want, abs(want), False, 2))


TYPES = {
    "4/2": 2.0,
    "0/5": 0.0,
    f"{10**20}/{10**10}": 1e10,
    f"{2**60}/2": float(2**59),
    f"-{10**30}/{10**30}": -1.0,
    "1e20//1": 1e20,
    "1e20%7": 1e20 % 7,
    f"{10**20}*1.0": 1e20,
    f"{10**20}-0.0": 1e20,
    f"{10**20}//{10**10}": 10**10,
    f"{10**20}%{10**10}": 0,
    f"{10**60}-{10**60}": 0,
    "-9007199254740993//1": -9007199254740993,
    f"+{10**30}": 10**30,
}


@law()
def test_types_do_not_hang_on_sizes(probe: Probe) -> None:
    """Numbers large and small have results of Python's types: / gives a float, // of integers an integer.

    Kills: large quotients kept whole so that no digit is lost, large floats taken for integers, integers
    made floats beyond some size.
    """
    for text, want in TYPES.items():
        expect_value(outcome(probe, text), Expression(text, want, abs(want) if want else 1, False, 2))


ESCAPES = {
    r"'\x41\xe9\xE9'.count('\xe9')": 2,
    r"'A\x41\u0041\U00000041'.count('A')": 4,
    r"'\U0001f642\U0001F642'.count('🙂')": 2,
    r"'\U000e0001x'.count('\U000e0001')": 1,
    r"'\u00e9é'.count('\xe9')": 2,
    r"'a\nb\tc\rd\\e'.count('\n')": 1,
    r"'\\n'.count('n')": 1,
    r"'it\'s \"it\"'.count('\'')": 1,
    r'"it\'s \"it\"".count("\"")': 2,
}


@law()
def test_every_escape_is_known(probe: Probe) -> None:
    """Each escape that repr writes is known, with hexadecimal digits of both cases, printable or not.

    Kills: one kind of escape forgotten or cut to fewer digits.
    """
    for text, want in ESCAPES.items():
        expect_equal(outcome(probe, text), want, f"use_calculator({text!r})")


COUNTS = {
    "'ab b'.count(' b')": 1,
    "'b ab'.count('b ')": 1,
    "'  a  '.count(' ')": 4,
    "' a a '.count('  ')": 0,
    "'e\u0301 \u00e9'.count('\u00e9')": 1,
    "'\u00e9'.count('e')": 0,
    "'\ufb01\u00bd\uff11'.count('1')": 0,
    "'\u00df'.count('ss')": 0,
    "'" + "\u00e9" * 180 + "'.count('\u00e9')": 180,
    "'" + "\U0001f642" * 90 + "'.count('\U0001f642\U0001f642')": 45,
}


@law()
def test_text_is_counted_as_it_stands(probe: Probe) -> None:
    """Blanks at the ends of a literal count, and no character is taken for another or for several.

    The last two have fewer than 200 characters, though more bytes. Kills: literals that are stripped,
    normalised or folded before they are counted, a length in bytes.
    """
    for text, want in COUNTS.items():
        expect_equal(outcome(probe, text), want, f"use_calculator({text!r})")


REMAINDERS = {
    "1e20%3": 1.0,
    "1e17%7.0": 5.0,
    "-1e20%3": 2.0,
    "1e16%-7": -3.0,
    "9007199254740992.0%3": 2.0,
}


@law()
def test_a_remainder_of_floats_is_exact(probe: Probe) -> None:
    """The remainder of a large float by a small number is what Python gives, whole and to the last unit.

    Kills: a remainder as what is missing to the product of the rounded quotient.
    """
    for text, want in REMAINDERS.items():
        expect_equal(outcome(probe, text), want, f"use_calculator({text!r})")


DEEP = [
    Expression("1" + "+1" * 50, 51, 51.0, True, 0),
    Expression("3-(" * 49 + "3-3" + ")" * 49, 3, 153.0, True, 0),
    Expression("-" * 50 + "3", 3, 3.0, True, 1),
    Expression("(" * 50 + "7" + ")" * 50, 7, 7.0, True, 2),
    Expression("7" * 200, int("7" * 200), float("7" * 200), True, 2),
]
"""Exactly at what must be computed: 50 operations inside one another, 200 characters."""

MOST = 10**198 - 1

LONGEST = {
    f"{MOST}": MOST,
    f"-{MOST}": -MOST,
    f"{MOST}+1": MOST + 1,
    f"{10 * MOST + 9}": 10 * MOST + 9,
    f"{MOST // 10}//7": MOST // 10 // 7,
    f"{MOST // 100}%97": MOST // 100 % 97,
    f"{10**99 - 1}*{10**98 - 3}": (10**99 - 1) * (10**98 - 3),
    f"{10**65 - 1}*{10**65 - 3}*{10**65 - 9}": (10**65 - 1) * (10**65 - 3) * (10**65 - 9),
    f"-{7 * 10**97}*{7 * 10**97}-1": -49 * 10**194 - 1,
}
"""The longest integers that an expression of 200 characters can hold or give."""


@law()
def test_the_limits_themselves_are_computed(probe: Probe) -> None:
    """An expression of exactly 50 operations inside one another, or of 200 characters, is computed.

    Kills: a limit that is off by one.
    """
    for drawn in DEEP:
        expect_value(outcome(probe, drawn.text), drawn)


@law()
def test_the_longest_integers_are_computed(probe: Probe) -> None:
    """The longest integers that 200 characters can say are computed and returned to the last digit.

    Kills: a limit in bits or digits below that, at the literal, on the way or at the result.
    """
    answers = probe("tools.calculate", expressions=list(LONGEST))
    for (text, want), got in zip(LONGEST.items(), answers, strict=True):
        assert len(text) <= 200, text
        expect_equal(got, want, f"use_calculator({brief(text)})")


NEAR_MISSES = [
    *("1+1=", "1 + 1 =", "=1+1", "1+1?", "1+1;", "5%", "50 %", "2(3)", "(2)3", "3 4", "12 3", "1 / / 2"),
    *(
        "1e5 .count",
        "$5 + 1",
        "5 $",
        "2\u00d73",
        "6\u00f72",
        "3\u22121",
        "\uff11+\uff11",
        "\u00b2",
        "\u00bd",
        "1\0+1",
        "1+1\0",
        "0x",
        "1e",
        "1e+",
    ),
    *(
        "007",
        "012+1",
        "1.2.3",
        "1..2",
        "two + 2",
        "2 plus 2",
        "2^3",
        "1 000 + 1",
        "1.000.000",
        "'a'.count('a'",
        "'a'.count()",
    ),
    *("'a'.count('a', 0)", "'a'.count('a')('a')", "'a'.Count('a')", "'a'.count['a']", "'a'.counts('a')"),
    *("'a'.count(1)", "1.count('a')", "'a'.index('a')", "'a'.upper().count('A')", "'a'.count('a'.lower())"),
]


@law()
def test_what_is_nearly_an_expression_has_no_result(probe: Probe) -> None:
    """What a person would understand and Python would not has no result: it is not tidied up first.

    Kills: signs, blanks or other characters taken out or translated before the expression is read, a percent
    sign, a multiplication without its sign.
    """
    for text, got in zip(NEAR_MISSES, probe("tools.calculate", expressions=NEAR_MISSES), strict=True):
        expect(got is None, f"use_calculator({text!r}): got {shown(got)}, want None")


OVER_INFINITY: dict[str, float | None] = {
    "1/1e999": 0.0,
    "7%(1e308*10)": 7.0,
    "7//(1e308*10)": 0.0,
    "3-5/(1e308*10)": 3.0,
    "2.5+1/(1e200*1e200)": 2.5,
    "1e308*10-1": None,
    "1e999*0": None,
    "-1/(1e308*10-1e308*10)": None,
    "0.5*(1e308*10)": None,
}


@law()
def test_only_the_result_must_be_finite(probe: Probe) -> None:
    """What is infinite on the way may have a finite result, which is given: 1/1e999 is 0.0, as in Python.

    Kills: infinity refused wherever it comes up, or let out at the end.
    """
    answers = probe("tools.calculate", expressions=list(OVER_INFINITY))
    for (text, want), got in zip(OVER_INFINITY.items(), answers, strict=True):
        expect_equal(got, want, f"use_calculator({text!r})")


ALIKE: list[dict[str, int | float | None]] = [
    {"12": 12, "1 2": None},
    {"'ab'.count(' ')": 0, "'a b'.count(' ')": 1},
    {"'a'.count('A')": 0, "'A'.count('A')": 1},
    {"7//2": 3, "7/ /2": None},
    {"1e2": 100.0, "1 e2": None},
    {"1+1": 2, "1+1+": None},
    {"1000": 1000, "1,000": None},
    {"2*3": 6, "2**3": None},
    {"1": 1, "1.0": 1.0},
    {"(1)": 1, "1)": None},
]


@law()
def test_expressions_that_look_alike_are_not_taken_for_each_other(probe: Probe) -> None:
    """The answer to an expression does not hang on whether one that looks like it was asked before.

    Kills: answers remembered by an expression without its blanks, in lower case, or by its value.
    """
    for values in ALIKE:
        for texts in (list(values), list(values)[::-1]):
            got = probe("tools.calculate", expressions=texts)
            expect_equal(got, [values[text] for text in texts], f"the answers to {texts}, in this order")


LARGEST = 2**1024 - 1
"""The largest integer of 1,024 bits: it is above the largest float, and conversion to a float raises."""

EDGES = [
    *(
        f"{sign}{number}"
        for sign in ("", "-")
        for number in (LARGEST, LARGEST + 1, 2**1023, 10**308, 10**309)
    ),
    *(f"{LARGEST}{symbol}{other}" for symbol in "+-*/%" for other in ("1", "1.5", "3", "-0.5", "1e-300")),
    *(f"{LARGEST}//{other}" for other in ("1", "1.5", "0.5")),
    *(f"1.5{symbol}{LARGEST}" for symbol in ("+", "-", "*", "/", "%", "//")),
    *("9" * count for count in (299, 300, 301, 308, 309, 310, 400, 640, 641, 4300, 4301)),
    "'\0'.count('\0')",
    "'a\0b'.count('a')",
    "\0",
    "'\x1a'.count('\x1a')",
    "'\ud800'.count('a')",
    "\x0c1+1",
    "\ufeff1+1",
    "1\r\n+1",
]


@law()
def test_numbers_at_the_edge_of_floats_are_survived(probe: Probe) -> None:
    """Integers around the largest float, and texts with odd characters, are answered and never raise.

    Kills: an integer that no float can hold met by one, or by a check that makes it one; characters that the
    parser refuses by another exception than a syntax error.
    """
    for text, got in zip(EDGES, probe("tools.calculate", expressions=EDGES), strict=True):
        short = text if len(text) < 60 else f"{text[:20]}…{text[-20:]}"
        expect(not was_raised(got), f"use_calculator({short!r}) {shown(got)}, want a value or None")
