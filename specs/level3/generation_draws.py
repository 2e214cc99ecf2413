"""Generation: which tokens an engine draws for each row, at every step.

The model is a stand-in that follows a script and has one layer, the tokenizer is the specification's own,
and no tool is called; so bugs of attention, caches, tokenizers and tools do not show here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from specs.chance import expect_distribution, expect_independent
from specs.compare import expect, expect_equal
from specs.law import law
from specs.oracles import sampling
from specs.probe import Probe
from specs.strategies import seeds
from specs.streams import (
    BOS,
    SIZE,
    TEXT_IDS,
    expect_said,
    full_columns,
    prompts,
    row_counts,
)

CRITERION = "sampling"


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
    columns = full_columns(got, 600)
    expect_equal(len(columns), 1, "the number of columns with max_tokens=1")
    (column,) = columns
    wanted = sampling.probabilities(logits.tolist(), 1.0)
    expect_distribution(column, wanted, "the first tokens of 600 rows")
    expect_independent(
        {
            "the first tokens of neighbouring rows": (column[0::2], column[1::2]),
            "the first tokens of rows 300 apart": (column[:300], column[300:]),
        },
        wanted,
    )


A_TEXT = {"prompt": [BOS], "num_samples": 1, "choices": 4, "temperature": 0.0, "max_tokens": 3, "seed": 0}


@law(
    examples=15,
    cases=[
        A_TEXT,
        # A prompt and a text that are longer than a cache's step, and than any usual window.
        {**A_TEXT, "prompt": [BOS, *range(150)], "num_samples": 2, "max_tokens": 4},
        {**A_TEXT, "max_tokens": 300},
    ],
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
    that follow the first row, a prompt that does not reach every row, a long prompt or text cut off at its
    beginning.
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
        sequence_len=len(prompt) + max_tokens + 4,
    )
    expect_said(full_columns(got, num_samples), prompt, choices)


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
    examples=23,
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
    examples=14,
    cases=[{"token": SIZE - 1, "padding": 0, "num_samples": 2, "top_k": None}],
    token=st.sampled_from([0, 255, 256, SIZE - 1]),
    padding=st.sampled_from([0, 1, 28]),
    num_samples=st.sampled_from([1, 3]),
    top_k=st.sampled_from([None, 1, 1000]),
)
def test_every_id_of_the_tokenizer_may_come(
    probe: Probe, token: int, padding: int, num_samples: int, top_k: int | None
) -> None:
    """The first and the last id of the tokenizer are sampled like others, as the first token and later on.

    Kills: the last id cut off with the padding, in a vocabulary without any, or for the first token alone.
    """
    logits = np.full(SIZE + padding, -1e4)
    logits[token] = 0.0
    (got,) = probe(
        "generation.stream",
        prompt=[BOS],
        script={"logits": logits},
        options={"num_samples": num_samples, "max_tokens": 3, "top_k": top_k},
        padding=padding,
    )
    expect_equal(
        full_columns(got, num_samples),
        [[token] * num_samples] * 3,
        f"the columns where the model always says {token}, with {padding} rows of padding",
    )
