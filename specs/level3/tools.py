"""Tool use: what the engine forces into a row when the model calls the calculator.

A stand-in model follows a path: it says what the path says, and at places where the engine must force a
token it says "X". After a text that is not on the path it says "?". Temperature is 0 where one row is
enough, and what is compared ends before the text does, so that bugs of sampling do not show here.
"""

from __future__ import annotations

from hypothesis import strategies as st

from specs.compare import expect, expect_equal, quoted
from specs.law import law
from specs.oracles.engine import Path
from specs.probe import Probe
from specs.strategies import seeds
from specs.tool_draws import calls, plain_texts, segments
from specs.toolcalls import (
    ASSISTANT_END,
    BOS,
    PYTHON_END,
    PYTHON_START,
    REST,
    TOKENIZER,
    Call,
    Segment,
    batch,
    call,
    columns_of,
    expect_masks,
    expect_path,
    generate,
    path_of,
    script_of,
    spelled,
)

CRITERION = "tools"


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


@law(examples=2, lead=plain_texts, num_samples=st.sampled_from([1, 2]))
def test_what_comes_of_a_call_is_plain_numbers(probe: Probe, lead: list[int], num_samples: int) -> None:
    """Tokens that are forced are ids of type int like others, and the masks beside them the numbers 0 and 1.

    Kills: masks that are True and False, ids that come out of an array.
    """
    path = path_of([lead, call("5+3", "8"), lead])
    got = probe(
        "generation.forms",
        prompt=[BOS],
        script=script_of([path]),
        options={"num_samples": num_samples, "max_tokens": len(path.tokens), "temperature": 0.0},
    )
    expect_equal(got["a column"], ["list"], "the types of columns and masks")
    expect_equal(got["a token"], ["int"], "the types of the tokens in a column")
    expect_equal(got["a mask's entry"], ["0", "1"], "the entries of the masks where a call is answered")


# Turned by others, the last id would be one that the row samples: whether it can come is sampling's business.
TURNS = [0, 1, 5, 6, 7]


@law(examples=3, cases=[{"turns": [0, 5]}], turns=st.lists(st.sampled_from(TURNS), min_size=2, max_size=3))
def test_each_engine_heeds_its_own_tokenizer(probe: Probe, turns: list[int]) -> None:
    """An engine asks its own tokenizer for the special tokens: another engine may have others.

    Kills: ids of special tokens that are written down, or kept in the class from the first engine on.
    """
    path = path_of([call("40+2", "42"), list(b"ab")])
    for turn in turns:
        tokens, says = (turned(ids, turn) for ids in (path.tokens, path.says))
        (got,) = probe(
            "generation.stream",
            prompt=turned([BOS], turn),
            script={"paths": [([*tokens, *REST], [*says, *REST])]},
            options={"temperature": 0.0, "max_tokens": len(tokens)},
            turn=turn,
        )
        what = f"the row of an engine whose special ids are turned by {turn}, after others by {turns}"
        expect_equal([column[0] for column in columns_of(got["tokens"], 1)], tokens, what)


def turned(ids: list[int], turn: int) -> list[int]:
    """Return ids with the special ones turned around by `turn` places."""
    first, count = BOS, TOKENIZER.get_vocab_size() - BOS
    return [token if token < first else first + (token - first + turn) % count for token in ids]


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
        # What no result came of, and what would complete it or be an expression of its own.
        *(
            {"drawn": [Call(tuple(failing), None), list(more), [PYTHON_END], list(b"12")]}
            for failing, more in ((b"1+", b"2"), (b"(1+2", b")"), (b"1/0", b".5"), (b"", b"7"), (b"x", b"1"))
        ),
        {"drawn": [call("1+1", "2"), list(b"+1"), [PYTHON_END], list(b"12")]},
    ],
    drawn=st.lists(st.one_of(plain_texts, st.just([PYTHON_END]), st.just(Call((), None))), max_size=5),
)
def test_only_a_closed_block_with_content_counts(probe: Probe, drawn: list[Segment]) -> None:
    """An end without a beginning, an empty block and a block that stays open force nothing.

    Kills: text outside of a block calculated, a block that is closed twice calculated twice, a block that
    stays open because it has no result, an exception for an end without a beginning.
    """
    path = path_of(drawn)
    columns, masks = generate(probe, [path])
    expect_path(columns, 0, path, "the row")
    expect_masks(masks, 0, path, "the row")


@law(
    examples=4,
    cases=[
        {"earlier": call("6*7", "42"), "text": list(b"1"), "drawn": call("1+1", "2")},
        {"earlier": call("1+", None), "text": list(b"1"), "drawn": call("1+1", "2")},
    ],
    earlier=calls(),
    text=plain_texts,
    drawn=calls(),
)
def test_a_call_of_the_prompt_is_over(probe: Probe, earlier: Call, text: list[int], drawn: Call) -> None:
    """A call that the prompt holds from its beginning to its end opens no block and leaves none open.

    Kills: a prompt that is searched for tool tokens, a call of an earlier turn that is made again.
    """
    path = path_of([text, [PYTHON_END], drawn, text])
    prompt = [BOS, *path_of([earlier]).tokens, ASSISTANT_END]
    columns, masks = generate(probe, [path], prompt=prompt)
    what = f"the row after the prompt {spelled(prompt)}"
    expect_path(columns, 0, path, what)
    expect_masks(masks, 0, path, what)


@law(
    examples=25,
    cases=[
        {"drawn": [call("1+1", "2"), call("2+2", "4")]},
        {"drawn": [call("1/0", None), call("2+2", "4")]},
        # The same once more, at once and later on, and another with the same result.
        {"drawn": [*[call("1+1", "2")] * 3, list(b"12"), call("1+1", "2"), call("4-2", "2")]},
        {"drawn": [*[call("1/0", None)] * 2, call("1+1", "2"), call("1/0", None), call("1+1", "2")]},
        {"drawn": [call("7/2", "3.5"), list(b"12 "), call("foo", None), call("10/4", "2.5"), list(b"1")]},
        # A block of 199 tokens.
        {"drawn": [call("+".join(["1234"] * 40), "49360", as_bytes=True), call("1+1", "2")]},
    ],
    drawn=st.lists(segments, min_size=2, max_size=5),
)
def test_every_call_of_a_row_is_served(probe: Probe, drawn: list[Segment]) -> None:
    """Each call of a row gets its own result, also after other calls, after failing ones and after text.

    Kills: an expression that is not cleared, a first call that shuts out later ones, a failing call that
    leaves something behind, a call that is skipped because it was made before.
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
