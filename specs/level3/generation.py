"""Generation: what the engine makes of a model, row by row and token by token.

The model is a stand-in that follows a script and has one layer, the tokenizer is the specification's own,
and no tool is called; so bugs of attention, caches, tokenizers and tools do not show here. The last laws run
a real GPT of one layer with as many key/value heads as query heads.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from specs import draws, tolerances
from specs.chance import expect_distribution, expect_independent, expect_share
from specs.compare import (
    as_numbers,
    broken,
    expect,
    expect_equal,
    expect_raised,
    quoted,
)
from specs.law import law
from specs.oracles import engine, sampling
from specs.oracles.engine import Path
from specs.probe import Probe
from specs.probes import scripts
from specs.probes.byte_tokenizer import ByteTokenizer
from specs.strategies import config, seeds

CRITERION = "sampling"

TOKENIZER = ByteTokenizer()
SIZE = TOKENIZER.get_vocab_size()
BOS = TOKENIZER.get_bos_token_id()
ASSISTANT_END = TOKENIZER.encode_special("<|assistant_end|>")
TERMINALS = (ASSISTANT_END, BOS)
TEXT_IDS = 251
"""The hashed script names ids below this: bytes, neither special nor terminal."""

prompts = st.lists(st.integers(0, 255), max_size=9).map(lambda ids: [BOS, *ids])
row_counts = st.sampled_from([1, 2, 3, 5])


@law(examples=6, prompt=prompts, num_samples=row_counts, temperature=st.sampled_from([0.0, 1.0]), seed=seeds)
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
        [len(row) for row in batch["tokens"]],
        [len(prompt) + max_tokens] * num_samples,
        f"the lengths of generate_batch's rows, prompt of {len(prompt)}, max_tokens={max_tokens}",
    )


@law(
    examples=12,
    cases=[
        {"sequence_len": 16, "length": 15, "num_samples": 1},
        {"sequence_len": 16, "length": 1, "num_samples": 2},
        {"sequence_len": 16, "length": 16, "num_samples": 1},
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


@law(
    examples=15,
    cases=[
        {"sequence_len": 30, "length": 12, "over": 1, "call": "stream", "limit": None},
        {"sequence_len": 30, "length": 30, "over": 1, "call": "stream", "limit": None},
        {"sequence_len": 30, "length": 30, "over": 7, "call": "stream", "limit": 0},
    ],
    sequence_len=st.integers(20, 60),
    length=st.integers(1, 100),
    over=st.integers(1, 50),
    call=st.sampled_from(["stream", "batch"]),
    limit=st.sampled_from([None, 0]),
)
def test_a_request_that_cannot_fit_says_by_how_much(
    probe: Probe, sequence_len: int, length: int, over: int, call: str, limit: int | None
) -> None:
    """A prompt and max_tokens beyond the context are a ValueError that names the number of tokens too many.

    Kills: positions beyond the context, a prompt that is cut silently, fewer tokens than asked for, a
    limit that is off by one, an error that does not help.
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
        script={"choices": 3, "ids": TEXT_IDS},
        options=options,
        sequence_len=sequence_len,
    )
    raised = expect_raised(outcome, what, "ValueError")
    expect(
        str(over) in re.findall(r"\d+", raised.message.replace(",", "")),
        f"{what}: the message is {quoted(raised.message)}, want the number of tokens too many, {over}, in it",
    )


@law(
    examples=4,
    cases=[{"prompt": [], "options": {"max_tokens": 3}, "call": call} for call in ("stream", "batch")],
    prompt=prompts,
    options=st.sampled_from(
        [{"num_samples": 0, "max_tokens": 3}, {"num_samples": -1, "max_tokens": 3}, {"max_tokens": -1}]
    ),
    call=st.sampled_from(["stream", "batch"]),
)
def test_a_request_that_makes_no_sense_is_refused(
    probe: Probe, prompt: list[int], options: dict[str, Any], call: str
) -> None:
    """An empty prompt, no rows at all and a negative max_tokens are a ValueError.

    Kills: a crash far away, an empty answer, a stream without end.
    """
    outcome = probe.attempt(
        f"generation.{call}", prompt=prompt, script={"choices": 3, "ids": TEXT_IDS}, options=options
    )
    expect_raised(outcome, f"a prompt of {len(prompt)} tokens with {options}", "ValueError")


@law(examples=4, prompt=prompts, num_samples=row_counts, seed=seeds)
def test_an_engine_survives_a_refused_request(
    probe: Probe, prompt: list[int], num_samples: int, seed: int
) -> None:
    """After a request that was refused, the engine answers the next one as a new engine does.

    Kills: a state that an error leaves half made.
    """
    got = probe(
        "generation.after_a_refusal",
        prompt=prompt,
        script={"choices": 4, "ids": TEXT_IDS},
        options={"num_samples": num_samples, "max_tokens": 6, "seed": seed},
    )
    expect_equal(got["after"]["tokens"], got["fresh"]["tokens"], "the columns after a refused request")


@law(examples=4, prompt=prompts, num_samples=row_counts, seed=seeds)
def test_the_engine_needs_only_what_the_contract_names(
    probe: Probe, prompt: list[int], num_samples: int, seed: int
) -> None:
    """Any model with config, get_device and forward will do, and any tokenizer with the five methods named.

    Kills: parameters, attributes or methods used that another model or tokenizer does not have.
    """
    got = probe(
        "generation.bare",
        prompt=prompt,
        script={"choices": 4, "ids": TEXT_IDS},
        options={"num_samples": num_samples, "max_tokens": 6, "seed": seed},
    )
    expect_equal(got["bare"]["tokens"], got["full"]["tokens"], "the columns with a model that has no more")


@st.composite
def texts_that_end(draw: st.DrawFn) -> tuple[list[list[int]], int]:
    """Draw texts that begin differently, each with a terminal or as long as the limit; and the limit."""
    limit = draw(st.integers(3, 12))
    texts = []
    for first in range(draw(st.integers(1, 4))):
        # A text of length 0 is a terminal at once; one is enough.
        length = draw(st.integers(min(first, 1), limit))
        body = [ord("a") + first, *draw(st.lists(st.integers(48, 57), min_size=limit, max_size=limit))][
            :length
        ]
        texts.append(body if length == limit else [*body, draw(st.sampled_from(TERMINALS))])
    return texts, limit


@law(examples=20, drawn=texts_that_end(), num_samples=st.sampled_from([1, 2, 6]), prompt=prompts, seed=seeds)
def test_each_row_ends_at_its_own_terminal(
    probe: Probe, drawn: tuple[list[list[int]], int], num_samples: int, prompt: list[int], seed: int
) -> None:
    """A row ends at <|assistant_end|> or BOS, the others go on, and the stream ends with the longest row.

    The terminal token has mask 1 where the row ends; while others go on the row repeats it with mask 0.
    Kills: all rows stopped by the first that ends, the first row alone deciding, BOS or
    <|assistant_end|> not heeded, columns after every row has ended.
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


@law(examples=8, length=st.integers(1, 5), num_samples=row_counts, terminal=st.sampled_from(TERMINALS))
def test_no_work_after_the_last_column(probe: Probe, length: int, num_samples: int, terminal: int) -> None:
    """After the last column the model is not run any more: all rows have ended, or max_tokens is reached.

    Kills: rows that have ended computed to the bitter end, a pass whose logits nobody reads.
    """
    text = [*range(48, 48 + length - 1), terminal]
    for max_tokens in (length, 50):
        (got,) = probe(
            "generation.stream",
            prompt=[BOS],
            script=following([text]),
            options={"num_samples": num_samples, "max_tokens": max_tokens, "temperature": 0.0},
        )
        expect_equal(len(got["tokens"]), length, f"the number of columns with max_tokens={max_tokens}")
        expect_equal(
            got["calls"],
            got["calls_at_last_column"],
            f"passes through the model in all, against those before the last column, max_tokens={max_tokens}",
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
    for name in ("tokens", "masks"):
        expect(
            isinstance(got[name], list) and len(got[name]) == num_samples,
            f"generate_batch returned {quoted(got[name])} as {name}, want {num_samples} lists",
        )
    for i, (row, masks) in enumerate(zip(got["tokens"], got["masks"], strict=True)):
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


@law(seed=seeds, examples=1)
def test_each_row_draws_its_own_first_token(probe: Probe, seed: int) -> None:
    """The first tokens of n rows are n independent draws from what the model says after the prompt.

    Kills: one token sampled after the prompt and given to every row.
    """
    logits = np.full(SIZE, -1e4)
    logits[[60, 70, 80, 90]] = [0.0, 0.5, 1.0, 1.5]
    (got,) = probe(
        "generation.stream",
        prompt=[BOS, 65],
        script={"logits": logits},
        options={"num_samples": 600, "max_tokens": 1, "seed": seed},
    )
    (column,) = full_columns(got, 600)
    wanted = sampling.probabilities(logits.tolist(), 1.0)
    expect_distribution(column, wanted, "the first tokens of 600 rows")
    expect_independent(
        {
            "the first tokens of neighbouring rows": (column[0::2], column[1::2]),
            "the first tokens of rows 300 apart": (column[:300], column[300:]),
        },
        wanted,
    )


@law(
    examples=15,
    prompt=prompts,
    num_samples=st.sampled_from([1, 2, 4]),
    choices=st.sampled_from([1, 2, 4]),
    temperature=st.sampled_from([0.0, 1.0]),
    max_tokens=st.integers(1, 24),
    seed=seeds,
)
def test_the_model_sees_each_rows_text_once_and_in_order(
    probe: Probe,
    prompt: list[int],
    num_samples: int,
    choices: int,
    temperature: float,
    max_tokens: int,
    seed: int,
) -> None:
    """Each token of a row comes from what the model says after the prompt and that row's tokens so far.

    What the stand-in model says hangs on every token it has seen and on their order. Kills: a token fed
    twice or never, the prompt without its last token, one row's token or cache given to another, rows
    that follow the first row, a prompt that does not reach every row.
    """
    (got,) = probe(
        "generation.stream",
        prompt=prompt,
        script={"choices": choices, "ids": TEXT_IDS},
        options={
            "num_samples": num_samples,
            "max_tokens": max_tokens,
            "temperature": temperature,
            "seed": seed,
        },
    )
    columns = full_columns(got, num_samples)
    for i in range(num_samples):
        text = list(prompt)
        for step, column in enumerate(columns):
            said = scripts.hashed(text, choices, TEXT_IDS)
            expect(
                column[i] in said,
                f"token {step} of row {i} is {column[i]}; after {quoted(text)} the model says {said}",
            )
            text.append(column[i])


SETTINGS: list[dict[str, Any]] = [
    {"temperature": 0.5},
    {"temperature": 2.0, "top_k": 4},
    {"top_k": 3},
]


@law(seed=seeds, examples=1)
def test_temperature_and_top_k_hold_at_every_step(probe: Probe, seed: int) -> None:
    """The first token and all later ones are drawn with the temperature and the top-k that were asked for.

    Kills: defaults at the first or at the later steps, temperature or top-k dropped on the way.
    """
    logits = np.full(SIZE, -1e4)
    ids = np.random.default_rng(seed).permutation(np.arange(40, 50))
    logits[ids] = np.arange(10) * 0.5
    for options in SETTINGS:
        (got,) = probe(
            "generation.stream",
            prompt=[BOS, 65],
            script={"logits": logits},
            options={"num_samples": 400, "max_tokens": 3, "seed": seed, **options},
        )
        columns = full_columns(got, 400)
        expect_equal(len(columns), 3, "the number of columns with max_tokens=3")
        wanted = sampling.probabilities(
            logits.tolist(), options.get("temperature", 1.0), options.get("top_k")
        )
        expect_distribution(columns[0], wanted, f"the first tokens of 400 rows with {options}")
        later = [token for column in columns[1:] for token in column]
        expect_distribution(later, wanted, f"tokens 1 and 2 of 400 rows with {options}")


@law(seed=seeds, examples=1)
def test_steps_and_rows_are_independent(probe: Probe, seed: int) -> None:
    """Where the model always says the same, tokens of one row and of neighbouring rows are independent.

    Kills: a generator seeded again at every step, later tokens shared by the rows.
    """
    logits = np.full(SIZE, -1e4)
    logits[48:53] = [0.0, 0.2, 0.4, 0.6, 0.8]
    (got,) = probe(
        "generation.stream",
        prompt=[BOS],
        script={"logits": logits},
        options={"num_samples": 300, "max_tokens": 6, "seed": seed},
    )
    columns = full_columns(got, 300)
    expect_equal(len(columns), 6, "the number of columns with max_tokens=6")
    early = [token for column in columns[0::2] for token in column]
    late = [token for column in columns[1::2] for token in column]
    everything = [token for column in columns for token in column]
    expect_independent(
        {
            "a token and the next of its row": (early, late),
            "tokens of neighbouring rows": (everything[0::2], everything[1::2]),
        },
        sampling.probabilities(logits.tolist(), 1.0),
    )


@law(
    examples=8,
    prompt=prompts,
    seed=seeds,
    other=st.integers(1, 1000),
    temperature=st.sampled_from([0.7, 1.0]),
    top_k=st.sampled_from([None, 20]),
)
def test_the_seed_decides_the_text(
    probe: Probe, prompt: list[int], seed: int, other: int, temperature: float, top_k: int | None
) -> None:
    """The same seed gives the same rows, also on an engine that has been used; another seed gives others.

    Kills: a seed that is ignored, a generator that outlives its call, anything else that one call leaves
    behind for the next.
    """
    logits = np.full(SIZE, -1e4)
    logits[40:60] = 0.0
    options = {"num_samples": 4, "max_tokens": 16, "temperature": temperature, "top_k": top_k}
    answers = [
        [
            each["tokens"]
            for each in probe(
                "generation.stream",
                prompt=prompt,
                script={"logits": logits},
                options={**options, "seed": s},
                times=2,
            )
        ]
        for s in (seed, seed + other)
    ]
    for (first, second), s in zip(answers, (seed, seed + other), strict=True):
        expect_equal(second, first, f"the columns of a second call with seed {s}")
    expect(
        answers[0][0] != answers[1][0],
        f"seeds {seed} and {seed + other} gave the same {len(answers[0][0])} columns of 4 tokens",
    )


@law(
    examples=6,
    cases=[
        {
            "both": ([BOS, 1, 2, 3], [BOS, 7]),
            "samples": (samples, samples),
            "lengths": (8, 8),
            "schedule": [0, 1, 1, 0, 0, 1],
            "seed": 0,
        }
        for samples in (1, 2)
    ],
    both=st.tuples(prompts, prompts),
    samples=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    lengths=st.tuples(st.integers(1, 10), st.integers(1, 10)),
    schedule=st.lists(st.integers(0, 1), max_size=16),
    seed=seeds,
)
def test_two_streams_of_one_engine_do_not_meet(
    probe: Probe,
    both: tuple[list[int], list[int]],
    samples: tuple[int, int],
    lengths: tuple[int, int],
    schedule: list[int],
    seed: int,
) -> None:
    """Two streams of one engine that take turns yield what each yields alone.

    Kills: a cache, a generator or the rows' states kept in the engine.
    """
    got = probe(
        "generation.interleaved",
        prompts=list(both),
        script={"choices": 4, "ids": TEXT_IDS},
        options=[{"num_samples": samples[i], "max_tokens": lengths[i], "seed": seed + i} for i in range(2)],
        schedule=schedule,
    )
    for i in range(2):
        expect_equal(
            got["together"][i]["tokens"],
            got["alone"][i]["tokens"],
            f"the columns of stream {i} of two that took turns in the order {schedule}",
        )


@law(examples=6, prompt=prompts, after=st.integers(0, 8), num_samples=row_counts, seed=seeds)
def test_a_stream_left_early_leaves_the_engine_as_new(
    probe: Probe, prompt: list[int], after: int, num_samples: int, seed: int
) -> None:
    """After a stream was dropped half-way, the next one yields what a new engine yields.

    Kills: state that is only cleared when a stream runs to its end.
    """
    got = probe(
        "generation.abandoned",
        prompt=prompt,
        script={"choices": 4, "ids": TEXT_IDS},
        options={"num_samples": num_samples, "max_tokens": 10, "seed": seed},
        after=after,
    )
    expect_equal(
        got["after"]["tokens"],
        got["fresh"]["tokens"],
        f"the columns after a stream left after {after} columns",
    )


@law(
    examples=15,
    cases=[
        {"padding": 100, "temperature": 0.0, "top_k": None, "num_samples": 1, "seed": 0},
        {"padding": 1, "temperature": 1.0, "top_k": 3, "num_samples": 2, "seed": 0},
    ],
    padding=st.sampled_from([1, 2, 28, 100]),
    temperature=st.sampled_from([0.0, 0.5, 1.0]),
    top_k=st.sampled_from([None, 1, 2, 3, 1000]),
    num_samples=row_counts,
    seed=seeds,
)
def test_an_id_that_no_token_has_is_never_sampled(
    probe: Probe, padding: int, temperature: float, top_k: int | None, num_samples: int, seed: int
) -> None:
    """Rows of a padded vocabulary are never sampled and take no place among the top-k, at any step.

    The tokenizer's last id is sampled like others. Kills: padded rows masked at the first step only, at
    temperature 0 only, after the top-k cut, not at all, or one row too few or too many.
    """
    logits = np.full(SIZE + padding, -1e4)
    ids = np.random.default_rng(seed).permutation([48, 49, 50, 51, SIZE - 1])
    logits[ids] = [0.4, 0.3, 0.2, 0.1, 0.0]
    logits[SIZE:] = 50.0
    (got,) = probe(
        "generation.stream",
        prompt=[BOS],
        script={"logits": logits},
        options={
            "num_samples": num_samples,
            "max_tokens": 50,
            "temperature": temperature,
            "top_k": top_k,
            "seed": seed,
        },
        padding=padding,
    )
    tokens = [token for column in full_columns(got, num_samples) for token in column]
    beyond = next((token for token in tokens if token >= SIZE), None)
    expect(beyond is None, f"token {beyond} was sampled; the tokenizer has the ids 0 to {SIZE - 1}")
    places = 1 if temperature == 0 else min(5, top_k or 5)
    # 50 draws at least; the least likely of 5 has a chance above 0.12 at temperature 0.5.
    wanted = {int(i) for i in ids[:places]}
    expect(
        set(tokens) <= wanted,
        f"the ids {sorted(set(tokens))} were sampled at temperature {temperature} with top_k={top_k}; the "
        f"{places} largest of the tokenizer's own are {sorted(wanted)}",
    )
    if places <= 3:
        expect_equal(sorted(set(tokens)), sorted(wanted), f"the ids sampled with top_k={top_k}")


@law(
    examples=6,
    prompt=prompts,
    num_samples=row_counts,
    temperature=st.sampled_from([0.0, 1.0]),
    training=st.booleans(),
    seed=seeds,
)
def test_generating_leaves_no_traces(
    probe: Probe, prompt: list[int], num_samples: int, temperature: float, training: bool, seed: int
) -> None:
    """Generating changes neither prompt nor model nor anybody's random generator, and needs no gradients.

    Kills: the prompt extended in place, the global generator seeded, the model left in another mode, an
    autograd graph that grows with the text.
    """
    changed = probe(
        "generation.traces",
        prompt=prompt,
        script={"choices": 3, "ids": TEXT_IDS},
        options={"num_samples": num_samples, "max_tokens": 5, "temperature": temperature, "seed": seed},
        training=training,
    )
    for what, is_changed in changed.items():
        expect(not is_changed, f"generating changed {what}")


@law(
    examples=6,
    length=st.integers(1, 12),
    n_head=st.sampled_from([1, 2]),
    num_samples=st.sampled_from([1, 3]),
    seed=seeds,
)
def test_greedy_text_is_the_models_own(
    probe: Probe, length: int, n_head: int, num_samples: int, seed: int
) -> None:
    """At temperature 0 the engine and GPT.generate continue a text with the model's most likely tokens.

    The oracle is the submission's own model, run on the text so far; places where two tokens are about
    equally likely are passed over. Kills: an engine that does not fit a real model, logits of the wrong
    position, generation that forgets the prompt or what it has just said.
    """
    shape = config(n_layer=1, n_head=n_head, vocab_size=SIZE, sequence_len=32)
    weights = draws.model(shape, seed)
    # No special token is ever the most likely one: its logit is 0 and the largest of the others is not.
    weights["lm_head.weight"][256:] = 0.0
    prompt = [int(i) for i in np.random.default_rng(seed).integers(0, 256, 5)]
    got = probe(
        "generation.greedy",
        config=shape,
        weights=weights,
        prompt=prompt,
        length=length,
        num_samples=num_samples,
    )
    columns = full_columns({"tokens": got["engine"], "masks": got["engine"]}, num_samples)
    expect_equal(len(columns), length, "the number of columns of the engine")
    first = [column[0] for column in columns]
    for column in columns:
        expect_equal(column, [column[0]] * num_samples, "one column at temperature 0, equal prompts")
    expect_equal(len(got["generate"]), length, "the number of tokens of GPT.generate")
    expect_most_likely(got["generate"], [got["generate_logits"]], "GPT.generate")
    expect_most_likely(first, [got["engine_logits"], got["engine_logits_cached"]], "the engine")


@law(seed=seeds, examples=1)
def test_the_slow_way_samples_as_it_is_told(probe: Probe, seed: int) -> None:
    """GPT.generate draws max_tokens tokens by temperature, top_k and seed, and changes nothing else.

    Its model says the same after every text, so that all tokens of a text are draws from one
    distribution. Kills: temperature or top-k dropped or misapplied, a seed ignored, one token too many
    or too few, the global generator used.
    """
    shape = config(n_layer=1, n_head=2, vocab_size=12, sequence_len=256)
    weights = draws.model(shape, seed)
    for name in weights:
        if name.endswith("c_proj.weight"):
            weights[name][:] = 0.0  # so that the last token alone decides, and all tokens look alike
    weights["transformer.wte.weight"][:] = 1.0
    weights["lm_head.weight"][:] = 0.0
    # Five tokens tie for the third place.
    ladder = np.array([5.5, 5.0, 4.5, 4.5, 4.5, 4.5, 4.5, 3.0, 2.5, 2.0, 1.5, 1.0])
    weights["lm_head.weight"][:, 0] = np.random.default_rng(seed).permutation(ladder)
    options: list[dict[str, Any]] = [
        {"max_tokens": 60, "seed": seed},
        {"max_tokens": 60, "seed": seed},
        {"max_tokens": 60, "seed": seed + 1},
        {"max_tokens": 150, "temperature": 0.4, "seed": seed},
        {"max_tokens": 120, "temperature": 3.0, "top_k": 2, "seed": seed},
        {"max_tokens": 120, "temperature": 3.0, "top_k": 8, "seed": seed},
        {"max_tokens": 150, "top_k": 3, "seed": seed},
        {"max_tokens": 10, "temperature": 2.0, "top_k": 1},
        {"max_tokens": 10, "temperature": 0.0, "top_k": 5},
        {"max_tokens": 0},
    ]
    got = probe("generation.slow", config=shape, weights=weights, prompt=[3], options=options)
    logits = as_numbers(got["logits"], "the logits after the prompt")
    for each, text in zip(options, got["tokens"], strict=True):
        length = each["max_tokens"]
        expect_equal(len(text), length, f"the number of tokens of GPT.generate with {each}")
        if each.get("temperature") == 0.0 or each.get("top_k") == 1:
            expect_equal(text, [int(logits.argmax())] * length, f"the tokens of GPT.generate with {each}")
        elif each.get("top_k") == 3:
            above = np.argsort(-logits)[:2].tolist()
            weight = np.exp(logits[above]).sum()
            expect_share(
                sum(token in above for token in text),
                length,
                float(weight / (weight + np.exp(np.sort(logits)[-3]))),
                f"the two largest logits, by GPT.generate with {each} where five tie for the third place",
            )
        elif length:
            wanted = sampling.probabilities(logits.tolist(), each.get("temperature", 1.0), each.get("top_k"))
            expect_distribution(text, wanted, f"{length} tokens of GPT.generate with {each}")
    first, again, other = got["tokens"][:3]
    expect_equal(again, first, f"the tokens of GPT.generate with seed {seed}, a second time")
    expect(other != first, f"GPT.generate gave the same 60 tokens with seeds {seed} and {seed + 1}")
    expect(got["nothing_else_changed"], "GPT.generate changed its prompt or a random generator not its own")


def following(texts: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Return the script of a model that says one of `texts`, each as likely as the others."""
    paths = [Path().sample(list(text)) for text in texts]
    return {"paths": [(path.tokens, path.says) for path in paths]}


def full_columns(stream: Any, num_samples: int) -> list[list[int]]:
    """Return the token columns of a stream whose columns and masks all hold `num_samples` integers."""
    for name in ("tokens", "masks"):
        for step, column in enumerate(stream[name]):
            expect(
                isinstance(column, list)
                and len(column) == num_samples
                and all(type(entry) is int for entry in column),
                f"the {name} of column {step} are {quoted(column)}, want a list of {num_samples} integers",
            )
    columns: list[list[int]] = stream["tokens"]
    return columns


def one_of(row: list[int], texts: Sequence[Sequence[int]], what: str) -> Sequence[int]:
    """Return the one of `texts` that `row` is, terminals left out; LawBroken if it is none."""
    wanted = {tuple(token for token in text if token not in TERMINALS): text for text in texts}
    if tuple(row) not in wanted:
        broken(f"{what} is {quoted(row)}, want one of {quoted([list(text) for text in wanted])}")
    return wanted[tuple(row)]


def expect_most_likely(tokens: list[int], candidates: list[NDArray[Any] | None], what: str) -> None:
    """Require each token to have the largest logit, by one of the `candidates` for the logits."""
    messages = []
    for candidate in candidates:
        if candidate is None:
            continue
        logits = as_numbers(candidate, "the logits")
        bound = 4 * tolerances.FLOAT32.bound(logits)
        behind = logits.max(axis=1) - logits[np.arange(len(tokens)), tokens]
        wrong = np.flatnonzero(~(behind <= bound))
        if not len(wrong):
            return
        step = int(wrong[0])
        messages.append(
            f"token {step} of {what} at temperature 0 is {tokens[step]}, the most likely one after the text "
            f"so far is {int(logits[step].argmax())}; {len(wrong)} of {len(tokens)} tokens are wrong"
        )
    broken(messages[0])
