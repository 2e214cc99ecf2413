"""Tool use: what the engine forces into a row when the model calls the calculator.

A stand-in model follows a path: it says what the path says, and at places where the engine must force a
token it says "X". After a text that is not on the path it says "?". Temperature is 0 where one row is
enough, and what is compared ends before the text does, so that bugs of sampling do not show here.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from specs.compare import broken, expect, expect_at_most, expect_equal, quoted
from specs.law import law
from specs.oracles import calculator
from specs.oracles.engine import Path
from specs.probe import Probe
from specs.strategies import seeds
from specs.toolcalls import (
    BOS,
    LENGTH,
    OUTPUT_END,
    OUTPUT_START,
    PYTHON_END,
    PYTHON_START,
    TERMINALS,
    Call,
    Segment,
    batch,
    call,
    columns_of,
    expect_masks,
    expect_path,
    generate,
    path_of,
    row_of,
    script_of,
    spelled,
    streamed,
)

CRITERION = "tools"

SUCCEEDING = [
    ("5+3", "8"),
    ("12*10", "120"),
    ("(1+2)*3", "9"),
    ("2-5", "-3"),
    ("7/2", "3.5"),
    ("10 / 4", "2.5"),
    ("4/2", "2"),
    ("2.5*4", "10"),
    ("5.0", "5"),
    ("1-1.5", "-0.5"),
    ("1-3.0", "-2"),
    ("0.5*3", "1.5"),
    ("100*1000.0", "100000"),
    ("4000000*2500000.0", "10000000000000"),
    ("5-5", "0"),
    ("1/3", "0.3333333333333333"),
    ("7//2", "3"),
    ("1e22", "10000000000000000000000"),
    ("5.0e-1", "0.5"),
    ("0/3", "0"),
    ("'strawberry'.count('r')", "3"),
    ("'abc'.count('z')", "0"),
    ('"a, b, c".count(",")', "2"),
]
FAILING = [
    "1/0",
    "1+",
    "foo",
    "import os",
    "print(1)",
    "2+x",
    "*3",
    "(1+2",
    "hello world",
    "2**3",
    "1,000",
    "'abc'",
    "1e999",
    "True",
]


@st.composite
def calls(draw: st.DrawFn) -> Call:
    """Draw a block with a result: a worked example, or an operation on two numbers."""
    as_bytes = draw(st.booleans())
    if draw(st.booleans()):
        return call(*draw(st.sampled_from(SUCCEEDING)), as_bytes=as_bytes)
    left, right = draw(st.integers(0, 1500)), draw(st.sampled_from([1, 2, 4, 7, 10, 12, 100]))
    symbol = draw(st.sampled_from("+-*/"))
    built = calculator.binary(calculator.number(str(left)), symbol, calculator.number(str(right)))
    assert built.value is not None
    return call(built.text, calculator.written(built.value), as_bytes=as_bytes)


failing_calls = st.builds(
    lambda text, as_bytes: call(text, None, as_bytes=as_bytes), st.sampled_from(FAILING), st.booleans()
)
# Digits, so that an engine that takes text outside of a block for an expression finds one there.
plain_texts = st.lists(st.sampled_from(list(b"12+ ")), max_size=4)
segments = st.one_of(
    calls(),
    calls(),
    failing_calls,
    plain_texts,
    st.just(Call((), None)),  # an empty block
    st.just([PYTHON_END]),  # an end without a beginning
    # A beginning in an open block begins anew.
    st.builds(
        lambda junk, block: replace(block, junk=tuple(junk)),
        plain_texts.filter(bool),
        st.one_of(calls(), failing_calls),
    ),
)


@law(examples=20, lead=plain_texts, drawn=calls(), num_samples=st.sampled_from([1, 2, 3]))
def test_the_result_is_forced_in_order(probe: Probe, lead: list[int], drawn: Call, num_samples: int) -> None:
    """After <|python_end|> come exactly <|output_start|>, the tokens of the result, <|output_end|>.

    Kills: the three parts in another order, the result's tokens backwards, a delimiter left out, nothing
    forced, the first row alone served.
    """
    path = path_of([lead, drawn])
    columns, _ = generate(probe, [path], num_samples=num_samples)
    for i in range(num_samples):
        expect_path(columns, i, path, f"row {i} of {num_samples}")


@law(
    examples=20,
    cases=[{"expression": expression, "result": result} for expression, result in SUCCEEDING],
    expression=st.builds("{}/{}".format, st.integers(0, 400), st.sampled_from([1, 2, 3, 4, 7])),
    result=st.none(),
)
def test_an_integer_is_written_as_an_integer(probe: Probe, expression: str, result: str | None) -> None:
    """The result is written like a person writes it: 4/2 is 2, 7/2 is 3.5, 5-5 is 0.

    Kills: "2.0" where training text has "2", 3.5 cut to "3", a result of 0 taken for none, a lost sign.
    """
    if result is None:
        top, bottom = expression.split("/")
        result = calculator.written(int(top) / int(bottom))
    path = path_of([call(expression, result)])
    columns, _ = generate(probe, [path])
    expect_path(columns, 0, path, f"the row that calculates {expression}")


@law(
    examples=12,
    cases=[{"drawn": call(text, None), "after": list(b"12")} for text in FAILING],
    drawn=failing_calls,
    after=plain_texts,
)
def test_nothing_is_forced_without_a_result(probe: Probe, drawn: Call, after: list[int]) -> None:
    """When an expression has no result nothing is forced, and the model goes on as it likes.

    Kills: "None" or an error forced as output, empty output delimiters, an exception, a row given up.
    """
    path = path_of([drawn, after])
    columns, masks = generate(probe, [path])
    expect_path(columns, 0, path, f"the row that calculates {spelled(drawn.ids)}")
    expect_masks(masks, 0, path, f"the row that calculates {spelled(drawn.ids)}")


@law(
    examples=12,
    cases=[
        {"drawn": [[PYTHON_END]]},
        {"drawn": [list(b"1+1"), [PYTHON_END]]},
        {"drawn": [Call((), None)]},
        {"drawn": [[PYTHON_END], call("1+1", "2")]},
        {"drawn": [call("1+1", "2"), [PYTHON_END], list(b"2"), [PYTHON_END]]},
        {"drawn": [[PYTHON_START, *b"1+1"]]},
        {"drawn": [call("1/0", None), list(b"2+2"), [PYTHON_END]]},
    ],
    drawn=st.lists(st.one_of(plain_texts, st.just([PYTHON_END]), st.just(Call((), None))), max_size=5),
)
def test_only_a_closed_block_with_content_counts(probe: Probe, drawn: list[Segment]) -> None:
    """An end without a beginning, an empty block and a block that stays open force nothing.

    Kills: text outside of a block calculated, a block that is closed twice calculated twice, an
    exception for an end without a beginning.
    """
    path = path_of(drawn)
    columns, masks = generate(probe, [path])
    expect_path(columns, 0, path, "the row")
    expect_masks(masks, 0, path, "the row")


@law(
    examples=25,
    cases=[
        {"drawn": [call("1+1", "2"), call("2+2", "4")]},
        {"drawn": [call("1/0", None), call("2+2", "4")]},
        {"drawn": [call("7/2", "3.5"), list(b"12 "), call("foo", None), call("10/4", "2.5"), list(b"1")]},
    ],
    drawn=st.lists(segments, min_size=2, max_size=5),
)
def test_every_call_of_a_row_is_served(probe: Probe, drawn: list[Segment]) -> None:
    """Each call of a row gets its own result, also after other calls, after failing ones and after text.

    Kills: an expression that is not cleared, a first call that shuts out later ones, a failing call that
    leaves something behind.
    """
    path = path_of(drawn)
    columns, masks = generate(probe, [path])
    expect_path(columns, 0, path, "the row")
    expect_masks(masks, 0, path, "the row")


@law(examples=12, drawn=calls(), after=st.lists(st.integers(97, 122), min_size=2, max_size=6))
def test_the_model_sees_what_was_forced(probe: Probe, drawn: Call, after: list[int]) -> None:
    """The model goes on from a text that holds the forced tokens, each once, and not what it said instead.

    Kills: forced tokens shown but not fed to the model, the model's own tokens fed in their place,
    forced tokens fed twice or all at the end.
    """
    path = path_of([drawn, after])
    columns, _ = generate(probe, [path])
    expect_path(
        columns,
        0,
        path,
        "the row",
        'The model says "?" after a text other than prompt, call and forced tokens.',
    )


@law(
    examples=12,
    drawn=st.lists(segments, min_size=1, max_size=3),
    last=calls(),
    prompt=st.lists(st.integers(0, 255), max_size=4),
)
def test_masks_tell_forced_from_sampled(
    probe: Probe, drawn: list[Segment], last: Call, prompt: list[int]
) -> None:
    """The mask is 0 on forced tokens and 1 on sampled ones, <|python_end|> among them, in stream and batch.

    Kills: masks turned around, masks late or early by one, delimiters counted as sampled, masks lost on
    the way to generate_batch.
    """
    path = path_of([*drawn, last])
    prompt = [BOS, *prompt]
    columns, masks = generate(probe, [path], prompt=prompt)
    expect_path(columns, 0, path, "the row")
    expect_masks(masks, 0, path, "the row")
    rows, row_masks = batch(probe, [path], prompt=prompt)
    expect_equal(
        row_masks[0][: len(path.masks)], path.masks, f"the masks of generate_batch for {spelled(rows[0])}"
    )


@st.composite
def branches(draw: st.DrawFn) -> list[Path]:
    """Draw paths that begin with different tokens and then go their own ways, of about one length."""
    paths = []
    for first in range(draw(st.integers(2, 4))):
        drawn = draw(st.lists(segments, min_size=1, max_size=3))
        paths.append(path_of([[ord("a") + first], *drawn]))
    return paths


UNLIKE = [
    path_of([list(b"a"), call("1+1", "2")]),
    path_of([list(b"b12"), call("123*10", "1230")]),
    path_of([list(b"c"), call("1/0", None), list(b"1"), call("5-7", "-2")]),
    path_of([list(b"d1+1"), [PYTHON_END], list(b"12")]),
]


@law(
    examples=12,
    cases=[{"paths": UNLIKE, "num_samples": 6, "seed": seed} for seed in (0, 3)],
    paths=branches(),
    num_samples=st.sampled_from([2, 4, 6]),
    seed=seeds,
)
def test_each_row_calls_for_itself(probe: Probe, paths: list[Path], num_samples: int, seed: int) -> None:
    """Each row has its own blocks, expressions and forced tokens, whatever the other rows do.

    Kills: one expression, one queue of forced tokens or one open block shared by the rows, forcing that
    stops or shifts the other rows.
    """
    columns, masks = generate(probe, paths, num_samples=num_samples, temperature=1.0, seed=seed)
    rows, row_masks = batch(probe, paths, num_samples=num_samples, temperature=1.0, seed=seed)
    by_first = {path.tokens[0]: path for path in paths}
    for i in range(num_samples):
        path = by_first.get(columns[0][i]) if columns else None
        expect(
            path is not None, f"row {i} begins with {quoted(columns[:1])}, want one of {spelled(by_first)}"
        )
        assert path is not None
        expect_path(columns, i, path, f"row {i} of {num_samples}")
        expect_masks(masks, i, path, f"row {i} of {num_samples}")
        path = by_first.get(rows[i][0]) if rows[i] else None
        expect(path is not None, f"row {i} of generate_batch is {spelled(rows[i])}")
        assert path is not None
        count = len(path.tokens)
        expect_equal(
            spelled(rows[i][:count]),
            spelled(path.tokens),
            f"row {i} of {num_samples} of generate_batch",
        )
        expect_equal(row_masks[i][:count], path.masks, f"the masks of row {i} of generate_batch")


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


@law(examples=12, lead=plain_texts, drawn=calls(), cut=st.floats(0, 1), num_samples=st.sampled_from([1, 2]))
def test_forced_tokens_count(
    probe: Probe, lead: list[int], drawn: Call, cut: float, num_samples: int
) -> None:
    """Forced tokens count as tokens: max_tokens cuts them off like others, in the middle if need be.

    Judged against the same request to a model that calls no tool. Kills: forced tokens on top of
    max_tokens, a result that is finished beyond the limit, a call at the limit that raises.
    """
    path = path_of([lead, drawn])
    max_tokens = max(1, round(cut * len(path.tokens)))
    options = {"num_samples": num_samples, "max_tokens": max_tokens, "temperature": 0.0}
    got, plain = (
        streamed(probe, script, options) for script in (script_of([path]), {"steps": list(b"abcde")})
    )
    expect_equal(
        len(got[0]),
        len(plain[0]),
        f"the number of columns with max_tokens={max_tokens}, against one without tools",
    )
    expect_equal(
        spelled(row_of(got[0], 0)[: len(path.tokens)]),
        spelled(path.tokens[: len(got[0])]),
        f"the row with max_tokens={max_tokens}",
    )


@law(examples=12, lead=plain_texts, drawn=calls(), cut=st.floats(0, 1), length=st.integers(1, 4))
def test_forced_tokens_end_with_the_context(
    probe: Probe, lead: list[int], drawn: Call, cut: float, length: int
) -> None:
    """Without max_tokens, forced tokens are cut off where the context ends, like others.

    Judged against a model that calls no tool. Kills: an exception or positions beyond the context when a
    tool answers at its very end.
    """
    path = path_of([lead, drawn])
    room = max(1, round(cut * len(path.tokens)))
    got, plain = (
        streamed(probe, script, {"temperature": 0.0}, prompt=[BOS] * length, sequence_len=length + room)
        for script in (script_of([path]), {"steps": list(b"abcde")})
    )
    expect_equal(
        len(got[0]),
        len(plain[0]),
        f"the number of columns with room for {room} tokens, against one without tools",
    )
    expect_equal(
        spelled(row_of(got[0], 0)[: len(path.tokens)]),
        spelled(path.tokens[: len(got[0])]),
        f"the row with room for {room} tokens",
    )


@law(
    examples=12,
    place=st.sampled_from(["in an open block", "after the output", "after a failing call"]),
    drawn=calls(),
    terminal=st.sampled_from(TERMINALS),
    lead=plain_texts,
)
def test_a_terminal_ends_a_row_at_once(
    probe: Probe, place: str, drawn: Call, terminal: int, lead: list[int]
) -> None:
    """A terminal token ends the row in an open block and right after a tool's output as well.

    Judged against a row that ends without a tool. Kills: a terminal taken for a part of the expression,
    a queue that is served after the end, a terminal overlooked after forced tokens.
    """
    befores: dict[str, list[Segment]] = {
        "in an open block": [lead, [PYTHON_START, *drawn.ids]],
        "after the output": [lead, drawn],
        "after a failing call": [lead, Call(tuple(b"1/0"), None)],
    }
    path = path_of(befores[place]).sample([terminal])
    plain = Path().sample([*b"12", terminal])
    what = f"<|{'bos' if terminal == BOS else 'assistant_end'}|> {place}"
    for one in (plain, path):
        columns, masks = streamed(
            probe, script_of([one], []), {"temperature": 0.0, "max_tokens": len(one.tokens) + 5}
        )
        (row,), (row_masks,) = batch(probe, [one], rest=[])
        holds = (
            row_of(columns, 0) == one.tokens
            and row_of(masks, 0) == one.masks
            and row == one.tokens[:-1]
            and row_masks == one.masks[:-1]
        )
        if one is plain and not holds:
            return  # rows do not end as they should: the business of another criterion
        expect_equal(spelled(row_of(columns, 0)), spelled(one.tokens), f"the stream, {what}")
        expect_equal(row_of(masks, 0), one.masks, f"the masks of the stream, {what}")
        expect_equal(spelled(row), spelled(one.tokens[:-1]), f"generate_batch, {what}")
        expect_equal(row_masks, one.masks[:-1], f"the masks of generate_batch, {what}")


@law(examples=10, drawn=calls(), lead=plain_texts, cut=st.floats(0, 1))
def test_a_call_that_is_cut_off_is_forgotten(probe: Probe, drawn: Call, lead: list[int], cut: float) -> None:
    """A block left open, or forced tokens left over, when one request ends do not reach the next.

    Kills: open blocks, expressions or queues kept in the engine.
    """
    # The next request begins with what would close a block that was left open.
    path = path_of([list(b"1"), [PYTHON_END], lead, drawn])
    max_tokens = max(3, round(cut * len(path.tokens)))
    answers = probe(
        "generation.stream",
        prompt=[BOS],
        script=script_of([path]),
        options={"max_tokens": max_tokens, "temperature": 0.0},
        sequence_len=LENGTH,
        times=3,
    )
    for number, answer in enumerate(answers):
        columns = columns_of(answer["tokens"], 1)
        expect_equal(
            spelled(row_of(columns, 0)[: len(path.tokens)]),
            spelled(path.tokens[: len(columns)]),
            f"the row of request {number} of 3 with max_tokens={max_tokens}",
        )


@law(
    examples=6,
    spelling=st.lists(
        st.sampled_from([PYTHON_START, PYTHON_END, OUTPUT_START, *b"1+"]), min_size=1, max_size=5
    ),
    after=st.sampled_from([[PYTHON_END], [ord("5"), PYTHON_END]]),
)
def test_forced_tokens_do_nothing(probe: Probe, spelling: list[int], after: list[int]) -> None:
    """Forced tokens neither end a row nor open or close a block, whatever a tokenizer makes of the result.

    Kills: forced tokens that pass through the same door as sampled ones.
    """
    # A tokenizer that writes 42 in its own way.
    path = Path().sample([PYTHON_START, *b"40+2", PYTHON_END])
    path.force([OUTPUT_START, *spelling, OUTPUT_END]).sample([*after, *b"ab"])
    columns, masks = streamed(
        probe,
        script_of([path]),
        {"temperature": 0.0, "max_tokens": len(path.tokens)},
        spellings=[("42", spelling)],
    )
    expect_equal(spelled(row_of(columns, 0)), spelled(path.tokens), "the row, with the result's ids as given")
    expect_masks(masks, 0, path, "the row")


WORDS = [PYTHON_START, PYTHON_END, OUTPUT_START, OUTPUT_END, *b"1+2"]


@law(
    examples=20,
    said=st.lists(st.sampled_from(WORDS), min_size=1, max_size=20),
    num_samples=st.sampled_from([1, 3]),
)
def test_no_order_of_tool_tokens_breaks_generation(probe: Probe, said: list[int], num_samples: int) -> None:
    """Whatever order a model says the tool tokens in, generation goes on to its limit.

    What is forced for blocks inside blocks is free. Kills: exceptions and endless loops for orders that
    training never shows.
    """
    options = {"num_samples": num_samples, "max_tokens": len(said) + 5, "temperature": 0.0}
    got, plain = (streamed(probe, {"steps": steps}, options) for steps in ([*said, *b"."], list(b"abc")))
    expect_equal(len(got[0]), len(plain[0]), f"the number of columns when the model says {spelled(said)}")


HOSTILE = [
    "1" + "0" * 320 + ".0*10",
    "1" + "0" * 320 + ".0*10-1" + "0" * 320 + ".0*10",
    "1e308*10",
    "1e999-1e999",
    # Python writes and reads no integer of more than 4,300 digits.
    "1" + "0" * 2208 + "*1" + "0" * 2208,
    "1" + "0" * 5024,
    "9" * 50 + ".5",
    "-" * 300 + "1",
    "(" * 300,
    "0.1+0.2",
    "1e-300",
    "-0.0",
    "0*-1.5",
    "'abc'",
    "1<2",
    "1j",
    "()",
    "1,000",
    "\x00",
    "<|python_end|>",
    "'<|assistant_end|>'",
]


@law()
def test_no_result_breaks_generation(probe: Probe) -> None:
    """Whatever an expression comes to, infinite, enormous or no number, generation goes on.

    What is forced for these is free. Kills: infinity turned into an integer, an integer with more digits
    than Python writes, an exception of the tool that ends all rows.
    """
    for expression in HOSTILE:
        block = [PYTHON_START, *call(expression, None).ids, PYTHON_END]
        options = {"num_samples": 2, "max_tokens": len(block) + 12, "temperature": 0.0}
        outcome = probe.attempt(
            "generation.stream",
            prompt=[BOS],
            script={"steps": [*block, *b"."]},
            options=options,
            sequence_len=len(block) + 30,
        )
        if not isinstance(outcome, list):
            start = (
                expression if len(expression) < 40 else f"{expression[:40]}... ({len(expression)} characters)"
            )
            broken(f"calculating {start!r} in a block ended generation: {outcome}")


@law()
def test_nothing_stays_behind(probe: Probe) -> None:
    """Generation with tools leaves no threads, child processes or open files behind.

    Kills: a thread or a process for each call, pipes that are not closed.
    """
    path = path_of([call("5+3", "8"), call("1/0", None), call("'aa'.count('a')", "2")])
    got = probe(
        "tools.left_behind",
        script=script_of([path]),
        options={"num_samples": 3, "max_tokens": len(path.tokens), "temperature": 0.0},
        times=4,
    )
    for what, (before, after) in got.items():
        expect_at_most(after, before, f"{what} after 4 more generations that call the calculator")
