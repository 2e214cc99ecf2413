"""Generation: how many columns an engine yields, and where each row ends.

The model is a stand-in that follows a script and has one layer, the tokenizer is the specification's own,
and no tool is called; so bugs of attention, caches, tokenizers and tools do not show here.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from hypothesis import strategies as st

from specs.compare import expect, expect_equal, expect_named, expect_raised, quoted
from specs.law import law
from specs.oracles import engine
from specs.probe import Probe
from specs.strategies import seeds
from specs.streams import (
    BOS,
    SIZE,
    TERMINALS,
    TEXT_IDS,
    TOKENIZER,
    following,
    full_columns,
    full_rows,
    one_of,
    prompts,
    row_counts,
)

CRITERION = "sampling"


@law(examples=8, prompt=prompts, num_samples=row_counts, temperature=st.sampled_from([0.0, 1.0]), seed=seeds)
def test_a_column_is_a_list_of_one_id_a_row(
    probe: Probe, prompt: list[int], num_samples: int, temperature: float, seed: int
) -> None:
    """Each step yields a list of ids and a list of masks, one entry a row, and sampled tokens have mask 1.

    Kills: tensors instead of numbers, one row for all, the two values swapped, masks turned around.
    """
    got = probe(
        "generation.forms",
        prompt=prompt,
        script={"choices": 3, "ids": TEXT_IDS},
        options={"num_samples": num_samples, "max_tokens": 4, "temperature": temperature, "seed": seed},
    )
    expect_equal(got["the length of a column"], [str(num_samples)], "the lengths of columns and masks")
    expect_equal(got["a column"], ["list"], "the types of columns and masks")
    expect_equal(got["a token"], ["int"], "the types of the tokens in a column")
    expect_equal(got["a mask's entry"], ["1"], "the entries of the masks of sampled tokens")


@law(
    examples=15,
    cases=[
        {"prompt": [BOS], "max_tokens": 0, "num_samples": 1, "temperature": 1.0},
        {"prompt": [BOS, 65], "max_tokens": 1, "num_samples": 3, "temperature": 1.0},
    ],
    prompt=prompts,
    max_tokens=st.integers(0, 20),
    num_samples=row_counts,
    temperature=st.sampled_from([0.0, 1.0]),
)
def test_exactly_as_many_tokens_as_asked_for(
    probe: Probe, prompt: list[int], max_tokens: int, num_samples: int, temperature: float
) -> None:
    """Without a terminal token there are exactly max_tokens columns, and none if max_tokens is 0.

    Kills: one column too many or too few, the prompt counted, 0 taken for "no limit".
    """
    options = {"num_samples": num_samples, "max_tokens": max_tokens, "temperature": temperature}
    script = {"choices": 3, "ids": TEXT_IDS}
    (got,) = probe("generation.stream", prompt=prompt, script=script, options=options)
    expect_equal(len(got["tokens"]), max_tokens, f"the number of columns with max_tokens={max_tokens}")
    batch = probe("generation.batch", prompt=prompt, script=script, options=options)
    expect_equal(
        [len(row) for row in full_rows(batch, num_samples)[0]],
        [len(prompt) + max_tokens] * num_samples,
        f"the lengths of generate_batch's rows, prompt of {len(prompt)}, max_tokens={max_tokens}",
    )


@law(
    examples=12,
    cases=[
        {"sequence_len": 16, "length": 15, "num_samples": 1},
        {"sequence_len": 16, "length": 1, "num_samples": 2},
        {"sequence_len": 16, "length": 16, "num_samples": 1},
        {"sequence_len": 300, "length": 2, "num_samples": 1},
    ],
    sequence_len=st.integers(4, 40),
    length=st.integers(1, 40),
    num_samples=row_counts,
)
def test_without_a_limit_the_context_is_filled(
    probe: Probe, sequence_len: int, length: int, num_samples: int
) -> None:
    """With max_tokens=None generation stops when prompt and new tokens fill the context, and not before.

    A request for exactly that many tokens is met as well, and a prompt that fills the context gets none.
    Kills: the prompt not counted, the context missed by one, a limit of its own, a request that just fits
    refused.
    """
    length = min(length, sequence_len)
    room = sequence_len - length
    for max_tokens in (None, room):
        (got,) = probe(
            "generation.stream",
            prompt=[BOS] * length,
            script={"choices": 3, "ids": TEXT_IDS},
            options={"num_samples": num_samples, "max_tokens": max_tokens},
            sequence_len=sequence_len,
        )
        expect_equal(
            len(got["tokens"]),
            room,
            f"the number of columns after a prompt of {length} tokens in a context of {sequence_len}, "
            f"max_tokens={max_tokens}",
        )


@law()
def test_a_long_text_is_not_cut(probe: Probe) -> None:
    """A text of hundreds of tokens comes whole where that many are asked for, or fill the context.

    Kills: a limit of its own beside the context, in generate or in generate_batch alone.
    """
    room = 530  # an engine that runs all of the text again for each token takes seconds; its square grows
    question = {"prompt": [BOS], "script": {"steps": list(b"abc")}, "sequence_len": 1 + room}
    (got,) = probe("generation.stream", **question, options={"max_tokens": None})
    what = f"in a context with room for {room} tokens"
    expect_equal(len(got["tokens"]), room, f"the number of columns {what}")
    batch = probe("generation.batch", **question, options={"max_tokens": room})
    expect_equal(len(full_rows(batch, 1)[0][0]), 1 + room, f"the length of generate_batch's row {what}")


@law(
    examples=15,
    cases=[
        {"sequence_len": 30, "length": 12, "over": 1, "call": "first_column", "limit": None},
        {"sequence_len": 30, "length": 12, "over": 1, "call": "batch", "limit": None},
        {"sequence_len": 30, "length": 30, "over": 1, "call": "first_column", "limit": None},
        {"sequence_len": 30, "length": 30, "over": 7, "call": "first_column", "limit": 0},
    ],
    sequence_len=st.integers(20, 60),
    length=st.integers(1, 100),
    over=st.integers(1, 50),
    call=st.sampled_from(["first_column", "batch"]),
    limit=st.sampled_from([None, 0]),
)
def test_a_request_that_cannot_fit_says_by_how_much(
    probe: Probe, sequence_len: int, length: int, over: int, call: str, limit: int | None
) -> None:
    """A prompt and max_tokens beyond the context are a ValueError that names the number of tokens too many.

    It comes with the call or in place of the first column, also where the rows would end by themselves.
    Kills: positions beyond the context, a prompt that is cut silently, fewer tokens than asked for, a
    limit that is off by one, an error that does not help, or that comes when the context is full.
    """
    options: dict[str, Any] = {"max_tokens": limit}
    if length < sequence_len:
        options["max_tokens"] = sequence_len - length + over
        what = f"a prompt of {length} and max_tokens={options['max_tokens']} in a context of {sequence_len}"
    else:
        length = sequence_len + over
        what = f"a prompt of {length} and max_tokens={limit} in a context of {sequence_len}"
    outcome = probe.attempt(
        f"generation.{call}",
        prompt=[BOS] * length,
        script={"steps": [*b"ab", TERMINALS[0]]},
        options=options,
        sequence_len=sequence_len,
    )
    raised = expect_raised(outcome, what, "ValueError")
    expect_named(raised, [str(over), f"{over:,}"], what)
    expect(
        str(over) in re.findall(r"\d+", raised.message.replace(",", "")),
        f"{what}: the message is {quoted(raised.message)}, want the number of tokens too many, {over}, in it",
    )


NO_TERMINALS = [
    TOKENIZER.encode_special(f"<|{name}|>")
    for name in ("user_start", "user_end", "assistant_start", "output_start", "output_end")
]

ordinary = st.one_of(st.integers(48, 57), st.sampled_from(NO_TERMINALS))
"""Tokens that end no row: digits, and special tokens that mean nothing to the engine."""


@st.composite
def texts_that_end(draw: st.DrawFn) -> tuple[list[list[int]], int]:
    """Draw texts that begin differently, each with a terminal or as long as the limit; and the limit."""
    limit = draw(st.integers(3, 12))
    texts = []
    for first in range(draw(st.integers(1, 4))):
        # A text of length 0 is a terminal at once; one is enough.
        length = draw(st.integers(min(first, 1), limit))
        body = [ord("a") + first, *draw(st.lists(ordinary, min_size=limit, max_size=limit))][:length]
        texts.append(body if length == limit else [*body, draw(st.sampled_from(TERMINALS))])
    return texts, limit


@law(examples=20, drawn=texts_that_end(), num_samples=st.sampled_from([1, 2, 6]), prompt=prompts, seed=seeds)
def test_each_row_ends_at_its_own_terminal(
    probe: Probe, drawn: tuple[list[list[int]], int], num_samples: int, prompt: list[int], seed: int
) -> None:
    """A row ends at <|assistant_end|> or BOS, the others go on, and the stream ends with the longest row.

    The terminal token has mask 1 where the row ends; while others go on the row repeats it with mask 0.
    Kills: all rows stopped by the first that ends, the first row alone deciding, BOS or
    <|assistant_end|> not heeded, another special token heeded, columns after every row has ended.
    """
    texts, limit = drawn
    (got,) = probe(
        "generation.stream",
        prompt=prompt,
        script=following(texts),
        options={"num_samples": num_samples, "max_tokens": limit, "seed": seed},
    )
    columns = full_columns(got, num_samples)
    longest = 0
    for i in range(num_samples):
        row = engine.row(columns, i, TERMINALS)
        text = list(one_of(row, texts, f"row {i} of {num_samples}"))
        longest = max(longest, len(text))
        shown = [column[i] for column in columns]
        rest = max(0, len(columns) - len(text))
        expect_equal(shown, [*text, *text[-1:] * rest], f"row {i} of {num_samples}, up to the last column")
        expect_equal(
            [masks[i] for masks in got["masks"]],
            [1] * len(text) + [0] * rest,
            f"the masks of row {i}, which is {shown}",
        )
    expect_equal(
        len(columns),
        longest,
        f"the number of columns, the longest row's with its terminal, max_tokens={limit}",
    )


@law(examples=20, length=st.integers(1, 5), num_samples=row_counts, terminal=st.sampled_from(TERMINALS))
def test_no_work_after_the_last_column(probe: Probe, length: int, num_samples: int, terminal: int) -> None:
    """After the last column the model is not run any more: all rows have ended, or there is no more room.

    By max_tokens or by the context, with rows that end in that column or would go on. Kills: rows that have
    ended computed to the bitter end, a pass whose logits nobody reads, a limit looked at after the pass.
    """
    text = [*range(48, 48 + length - 1), terminal]
    going_on = [*text[:-1], *b"12"]
    for said, max_tokens, context in (
        (text, length, 64),
        (text, 50, 64),
        (going_on, length, 64),
        (going_on, None, 1 + length),
    ):
        (got,) = probe(
            "generation.stream",
            prompt=[BOS],
            script=following([said]),
            options={"num_samples": num_samples, "max_tokens": max_tokens, "temperature": 0.0},
            sequence_len=context,
        )
        what = f"max_tokens={max_tokens} in a context of {context}, the model says {said}"
        expect_equal(len(got["tokens"]), length, f"the number of columns, {what}")
        expect_equal(
            got["calls"],
            got["calls_at_last_column"],
            f"passes through the model in all, against those before the last column, {what}",
        )


@law(examples=15, drawn=texts_that_end(), num_samples=st.sampled_from([1, 2, 6]), prompt=prompts, seed=seeds)
def test_a_batch_is_prompt_and_text_without_terminals(
    probe: Probe, drawn: tuple[list[list[int]], int], num_samples: int, prompt: list[int], seed: int
) -> None:
    """generate_batch returns, for each row, the prompt with mask 0 and the text with mask 1, no terminal.

    Kills: terminals returned, the prompt left out or counted as sampled, rows that go on after their
    end, rows that share one list, arguments that do not reach `generate`.
    """
    texts, limit = drawn
    options = {"num_samples": num_samples, "max_tokens": limit, "seed": seed}
    got = probe("generation.batch", prompt=prompt, script=following(texts), options=options)
    for i, (row, masks) in enumerate(zip(*full_rows(got, num_samples), strict=True)):
        expect_equal(row[: len(prompt)], prompt, f"the first {len(prompt)} tokens of row {i}, the prompt")
        text = row[len(prompt) :]
        one_of(text, texts, f"row {i} of {num_samples} after the prompt")
        expect_equal(masks, [0] * len(prompt) + [1] * len(text), f"the masks of row {i}")


@law(examples=8, option=st.sampled_from(["temperature", "top_k"]), seed=seeds, num_samples=row_counts)
def test_a_batch_heeds_every_argument(probe: Probe, option: str, seed: int, num_samples: int) -> None:
    """generate_batch heeds temperature, top_k, seed and max_tokens as `generate` does.

    Kills: arguments dropped on the way.
    """
    logits = np.full(SIZE, -1e4)
    logits[48:58] = np.random.default_rng(seed).permutation(10) / 10
    certain = {"temperature": 0.0} if option == "temperature" else {"top_k": 1}
    got = probe(
        "generation.batch",
        prompt=[BOS],
        script={"logits": logits},
        options={"num_samples": num_samples, "max_tokens": 12, **certain},
    )
    expect_equal(
        got["tokens"], [[BOS] + [int(logits.argmax())] * 12] * num_samples, f"generate_batch with {certain}"
    )
    one, again, other = (
        probe(
            "generation.batch",
            prompt=[BOS],
            script={"logits": logits},
            options={"num_samples": 4, "max_tokens": 20, "seed": s},
        )["tokens"]
        for s in (seed, seed, seed + 1)
    )
    expect_equal(again, one, f"generate_batch with seed {seed}, a second time")
    expect(other != one, f"generate_batch gave the same 80 tokens with seeds {seed} and {seed + 1}")
