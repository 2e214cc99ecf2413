"""Tool use at the limits: of tokens, of the context, of a row, and of what a model may say.

The model is a stand-in as in `specs.level3.tools`.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from specs.compare import broken, expect_at_most, expect_equal
from specs.law import law
from specs.oracles.engine import Path
from specs.probe import Probe
from specs.tool_draws import calls, plain_texts
from specs.toolcalls import (
    ASSISTANT_END,
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
    path_of,
    row_of,
    script_of,
    spelled,
    streamed,
)

CRITERION = "tools"


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
    question: dict[str, Any] = {
        "prompt": [BOS] * length,
        "options": {"temperature": 0.0},
        "sequence_len": length + room,
    }
    plain = probe.attempt("generation.stream", **question, script={"steps": list(b"abcde")})
    if not isinstance(plain, list):
        return  # a context that cannot be filled without a tool either is the business of another criterion
    got = streamed(probe, script_of([path]), **question)
    expect_equal(
        len(got[0]),
        len(plain[0]["tokens"]),
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
    examples=8,
    cases=[
        {"spelling": [PYTHON_START, *b"1+1", PYTHON_END], "after": [PYTHON_END]},
        {"spelling": [PYTHON_START, *b"7", PYTHON_END], "after": [ord("5"), PYTHON_END]},
    ],
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


@law(
    examples=10,
    cases=[
        {"lead": [97], "drawn": call("11*11", "121"), "under": [ASSISTANT_END], "after": [56, 57]},
        {"lead": [97], "drawn": call("11*11", "121"), "under": [PYTHON_START], "after": [56, 57]},
        {"lead": [97], "drawn": call("11*11", "121"), "under": [], "after": [56, 57]},
    ],
    lead=plain_texts,
    drawn=calls(),
    under=st.lists(st.sampled_from([ASSISTANT_END, BOS, PYTHON_START, PYTHON_END, ord("7")]), max_size=3),
    # Digits: a block that was opened meanwhile would have a result.
    after=st.lists(st.integers(49, 57), min_size=2, max_size=4),
)
def test_what_is_said_under_forced_tokens_does_not_count(
    probe: Probe, lead: list[int], drawn: Call, under: list[int], after: list[int]
) -> None:
    """While a result is forced, the model may say what it likes: it ends no row, opens and closes no block.

    Without `under` it says just what is forced, as one that has learned from such texts. Kills: a terminal
    token that is heeded before the waiting tokens are, an expression that collects what was never in the row,
    a token that counts as sampled because the model would have said it.
    """
    # The closing token at the end sees whether a block was opened meanwhile.
    path = path_of([lead, drawn, [*after, PYTHON_END], after])
    path.says = [
        said if sampled else [*under, *([] if under else [token])][place % max(1, len(under))]
        for place, (said, sampled, token) in enumerate(zip(path.says, path.masks, path.tokens, strict=True))
    ]
    options = {"temperature": 0.0, "max_tokens": len(path.tokens)}
    columns, masks = streamed(probe, script_of([path]), options)
    said = spelled(under) if under else "the same"
    what = f"the row whose model says {said} while tokens are forced"
    expect_path(columns, 0, path, what)
    expect_masks(masks, 0, path, what)


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
