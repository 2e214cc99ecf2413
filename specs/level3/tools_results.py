"""Tool use: what stands for a result, and when there is none.

The model is a stand-in as in `specs.level3.tools`.
"""

from __future__ import annotations

from hypothesis import strategies as st

from specs.compare import expect
from specs.law import law
from specs.oracles import calculator
from specs.probe import Probe
from specs.tool_draws import FAILING, SUCCEEDING, failing_calls, plain_texts
from specs.toolcalls import (
    OUTPUT_START,
    TOKENIZER,
    Call,
    call,
    expect_masks,
    expect_path,
    generate,
    path_of,
    row_of,
    spelled,
)

CRITERION = "tools"

MARKS = (OUTPUT_START, TOKENIZER.encode_special("<|user_start|>"))
"""Special tokens that neither end a row nor open or close a block.

The tokenizer's last id is left out: whether it can be sampled is the business of sampling.
"""


INSIDE = [*MARKS, *(TOKENIZER.encode_special(f"<|{name}|>") for name in ("user_end", "assistant_start"))]


@law(
    examples=20,
    cases=[{"expression": expression, "want": result} for expression, result in SUCCEEDING],
    expression=st.builds("{}/{}".format, st.integers(0, 400), st.sampled_from([1, 2, 3, 4, 7])),
    want=st.none(),
)
def test_an_integer_is_written_as_an_integer(probe: Probe, expression: str, want: str | None) -> None:
    """The result is written like a person writes it: 4/2 is 2, 7/2 is 3.5, 5-5 is 0.

    Kills: "2.0" where training text has "2", 3.5 cut to "3", a result of 0 taken for none, a lost sign.
    """
    if want is None:
        top, bottom = expression.split("/")
        want = calculator.written(int(top) / int(bottom))
    path = path_of([call(expression, want)])
    columns, _ = generate(probe, [path])
    expect_path(columns, 0, path, f"the row that calculates {expression}")


@law()
def test_a_zero_is_written_without_decimals(probe: Probe) -> None:
    """A float of value zero is written as an integer whatever its sign: -0.0 is 0, or -0.

    Kills: "-0.0" where a person writes 0.
    """
    for expression in ("0.0", "-0.0", "0*-1.5", "-0.0/3", "1.5-1.5"):
        paths = [path_of([call(expression, text)]) for text in ("0", "-0")]
        columns, _ = generate(probe, paths)
        row = [column[0] for column in columns]
        expect(
            any(row[: len(path.tokens)] == path.tokens for path in paths),
            f"the row that calculates {expression} reads {spelled(row)}, want {spelled(paths[0].tokens)}",
        )


LONG_RESULTS = {
    # Integers beyond 2**53, where a float has no odd ones.
    "9007199254740992+1": "9007199254740993",
    "123456789*1000000007": "123456789864197523",
    "1-10000000000000000000000": "-9999999999999999999999",
    # Floats with an integer value, small and large.
    "5e3*2": "10000",
    "1e15*10": "10000000000000000",
    # Floats to their last digit, however near an integer is.
    "0.1+0.2": "0.30000000000000004",
    "0.1+0.2-0.3": "5.551115123125783e-17",
    "1-1e-12": "0.999999999999",
    "10/3": "3.3333333333333335",
    "1000000.5*2+0.25": "2000001.25",
    "1/8192": "0.0001220703125",
    # More digits than a buffer of a hundred has room for.
    f"{'7' * 90}*1{'0' * 89}": "7" * 90 + "0" * 89,
}


@law()
def test_a_result_keeps_all_its_digits(probe: Probe) -> None:
    """The text of a result holds all its digits: nothing is rounded, and no integer goes through a float.

    Kills: results formatted to some digits or without an exponent, an integer made a float to see whether it
    is one, a float near an integer written as that.
    """
    for expression, result in LONG_RESULTS.items():
        path = path_of([call(expression, result)])
        columns, _ = generate(probe, [path])
        expect_path(columns, 0, path, f"the row that calculates {expression}")


@law(
    examples=12,
    cases=[
        *({"drawn": call(text, None), "after": list(b"12")} for text in FAILING),
        # Special tokens are part of the expression, as the text that stands for them.
        *({"drawn": Call((*b"1", token, *b"+1"), None), "after": list(b"12")} for token in MARKS),
    ],
    drawn=failing_calls,
    after=plain_texts,
)
def test_nothing_is_forced_without_a_result(probe: Probe, drawn: Call, after: list[int]) -> None:
    """When an expression has no result nothing is forced, and the model goes on as it likes.

    Kills: "None" or an error forced as output, empty output delimiters, an exception, a row given up.
    """
    marks = [token for token in drawn.ids if token in MARKS]
    if marks and not goes_on_behind(probe, marks):
        return  # where a row ends without a tool is the business of another criterion
    path = path_of([drawn, after])
    columns, masks = generate(probe, [path])
    expect_path(columns, 0, path, f"the row that calculates {spelled(drawn.ids)}")
    expect_masks(masks, 0, path, f"the row that calculates {spelled(drawn.ids)}")


AS_THEY_ARE = {
    '"a , b , c".count(" ")': 4,
    '"a . b ! c ? d : e ; f".count(" ")': 10,
    "\"it 's n't , ' x ' .\".count(' ')": 7,
    '"( a ) [ b ]".count(" ")': 5,
    '"a  b   c".count("  ")': 2,
    '" a ".count(" ")': 2,
    '"\ta\t".count("\t")': 2,
    '"aBc ABC".count("B")': 2,
    '"ABC".count("b")': 0,
    '"1,000 + 2,000 = 3_000".count(",")': 2,
    '"&amp;&lt;".count("&")': 2,
    '"\u201cx\u201d\u2019\u2026".count("\u201c")': 1,
    '"\u201cx\u201d".count("x")': 1,
    '"\ufb01\u00bd\uff11\u00b2".count("1")': 0,
    '"e\u0301".count("\u00e9")': 0,
    '"\u200b\ufeff\u00a0".count("\u200b")': 1,
    '"```1```".count("`")': 6,
    '"profile, important, direct, evaluate".count("e")': 4,
    '"a #b $c %d".count("#")': 1,
    r'"a\nb\\n".count("\n")': 1,
    " 1 + 1 ": 2,
    "12 + 34": 46,
}
"""Expressions whose result hangs on characters that a program might tidy up on the way."""


@law()
def test_the_expression_is_not_tidied_up(probe: Probe) -> None:
    """What stands between the delimiters reaches the calculator character by character, blanks and all.

    Special tokens that neither end a row nor open or close a block are there as their texts.
    Kills: blanks taken out or put in before punctuation, letters folded, characters normalised, text stripped
    of what looks like a format, a block that another special token closes or clears.
    """
    calls = [call(expression, str(result)) for expression, result in AS_THEY_ARE.items()]
    for token in INSIDE:
        if not goes_on_behind(probe, [token]):
            continue  # where a row ends without a tool is the business of another criterion
        calls.append(Call((*b'"a', token, *b'b".count("', token, *b'")'), "1"))
        calls.append(Call((token, token, *b"+1"), None))
        calls.append(Call((*b"1", token, *b"+1"), None))
    for drawn in calls:
        path = path_of([list(b"a"), drawn, list(b"12")])
        columns, masks = generate(probe, [path])
        what = f"the row that calculates {spelled(drawn.ids)}"
        expect_path(columns, 0, path, what)
        expect_masks(masks, 0, path, what)


def goes_on_behind(probe: Probe, tokens: list[int]) -> bool:
    """Say whether a row in which a model says `tokens`, outside of any block, goes on behind them."""
    path = path_of([[*tokens, *b"12"]])
    columns, _ = generate(probe, [path])
    return row_of(columns, 0)[: len(path.tokens)] == path.tokens


@law(
    examples=10,
    cases=[
        {"text": "éa", "part": "è"},
        {"text": "naïve ñandú", "part": "ñ"},
        {"text": "日本日", "part": "日"},
        {"text": "日本", "part": "月"},
        {"text": "🙂🙃", "part": "🙂"},
    ],
    text=st.lists(st.sampled_from("éèaß日本月"), max_size=6).map("".join),
    part=st.sampled_from("éèß日本月"),
)
def test_the_expression_is_decoded_as_a_whole(probe: Probe, text: str, part: str) -> None:
    """The tokens of an expression are decoded together: a character may lie across several of them.

    Kills: tokens decoded one by one, which makes all characters beyond ASCII look alike.
    """
    expression = f"'{text}'.count('{part}')"
    path = path_of([call(expression, str(text.count(part)), as_bytes=True)])
    columns, _ = generate(probe, [path])
    expect_path(columns, 0, path, f"the row that calculates {expression}")
