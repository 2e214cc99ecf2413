"""Generation of the size that it has in use: long prompts, many rows, large vocabularies and limits.

The engine's model is a stand-in that follows a script and has one layer, as in `specs.level3.generation`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from specs import draws
from specs.compare import as_numbers, expect, expect_equal
from specs.law import law
from specs.level3.sampling_sizes import expect_every_rank
from specs.probe import Probe
from specs.strategies import config, seeds
from specs.streams import BOS, SIZE, TEXT_IDS, expect_batch, expect_said, full_columns

CRITERION = "sampling"

LENGTHS = [
    *(size + beside for size in (8, 16, 32, 64, 100, 128, 256) for beside in (-1, 0, 1)),
    *(192, 200, 320, 384, 500, 512, 513, 1000, 1024, 1025),
]
"""Where a prompt that is cut into pieces, or a window, ends; and one beside each."""


@law(examples=1, seed=seeds)
def test_a_prompt_of_any_length_is_read_once(probe: Probe, seed: int) -> None:
    """A prompt of any length reaches the model once and in order, also one of 64, of 100 or of 1,024 ids.

    Kills: a prompt run in pieces of which one is left out, run twice or cut, where its length is a whole
    number of pieces or is not; all but the end of a long prompt forgotten.
    """
    ids = np.random.default_rng(seed).integers(0, 256, max(LENGTHS)).tolist()
    for length in LENGTHS:
        (got,) = probe(
            "generation.stream",
            prompt=ids[:length],
            script={"choices": 1, "ids": TEXT_IDS},
            options={"max_tokens": 2, "temperature": 0.0},
            sequence_len=length + 2,
        )
        columns = full_columns(got, 1)
        expect_equal(len(columns), 2, f"the number of columns behind a prompt of {length} ids")
        expect_said(columns, ids[:length], 1)


@law(
    examples=2,
    cases=[{"num_samples": 20, "seed": 0}, {"num_samples": 140, "seed": 0}],
    num_samples=st.sampled_from([9, 17, 33, 65]),
    seed=seeds,
)
def test_each_of_many_rows_is_its_own(probe: Probe, num_samples: int, seed: int) -> None:
    """Each of many rows goes on from the prompt and from its own tokens, and no row is another once more.

    In generate and in generate_batch, which agree. Kills: rows in groups that begin with the same seed, rows
    beyond some number left out, repeated, or given another row's past.
    """
    # 100^7 texts are equally likely: two of 140 rows agree with a probability below 1e-9.
    got = probe(
        "streams.both_ways",
        prompt=[BOS, 65],
        script={"choices": 100, "ids": TEXT_IDS},
        options={"num_samples": num_samples, "max_tokens": 7, "seed": seed},
        sequence_len=16,
        in_order=False,
    )
    columns = full_columns(got["stream"], num_samples)
    expect_equal(len(columns), 7, "the number of columns with max_tokens=7")
    expect_said(columns, [BOS, 65], 100)
    expect_no_row_twice(columns)
    expect_batch(got, num_samples, [BOS, 65], f"{num_samples} rows")


@law(examples=1, seed=seeds)
def test_no_row_of_hundreds_is_another_once_more(probe: Probe, seed: int) -> None:
    """Of 600 rows no two are equal, in generate and in generate_batch, which agree.

    Kills: rows in groups of up to 512 that begin with the same seed.
    """
    # 250^6 texts are equally likely: two of 600 rows agree with a probability below 1e-9.
    logits = np.full(SIZE, -1e4)
    logits[:250] = 0.0
    got = probe(
        "streams.both_ways",
        prompt=[BOS],
        script={"logits": logits},
        options={"num_samples": 600, "max_tokens": 6, "seed": seed},
        sequence_len=16,
        in_order=True,
    )
    columns = full_columns(got["stream"], 600)
    expect_equal(len(columns), 6, "the number of columns with max_tokens=6")
    expect_no_row_twice(columns)
    expect_batch(got, 600, [BOS], "600 rows")


def expect_no_row_twice(columns: list[list[int]]) -> None:
    """Require the rows of a stream to differ."""
    first: dict[tuple[int, ...], int] = {}
    for i, row in enumerate(zip(*columns, strict=True)):
        before = first.setdefault(row, i)
        expect(before == i, f"row {i} of {len(columns[0])} has the {len(row)} tokens of row {before}")


SHIFT = 70_000
"""Beyond what sixteen bits hold, and beyond the whole numbers of half precision."""


@law(examples=2, seed=seeds, num_samples=st.sampled_from([1, 2]), temperature=st.sampled_from([0.0, 1.0]))
def test_ids_of_a_large_vocabulary_are_ids_like_others(
    probe: Probe, seed: int, num_samples: int, temperature: float
) -> None:
    """Ids of tens of thousands are read in a prompt, sampled, shown and fed to the model as they are.

    Kills: ids that pass through sixteen bits, signed or not, or through half precision.
    """
    prompt = [SHIFT + BOS, *np.random.default_rng(seed).integers(250, SHIFT, 5).tolist(), 40_001, 65_537]
    (got,) = probe(
        "generation.stream",
        prompt=prompt,
        script={"choices": 4, "ids": SHIFT},
        options={"num_samples": num_samples, "max_tokens": 8, "temperature": temperature, "seed": seed},
        shift=SHIFT,
    )
    columns = full_columns(got, num_samples)
    expect_equal(len(columns), 8, "the number of columns with max_tokens=8")
    expect_said(columns, prompt, 4, SHIFT)


TEXTS = 3000
"""Tokens of a vocabulary whose logits are nearly alike."""


@law(
    examples=1,
    cases=[{"seed": 0, "top_k": 1500}, {"seed": 0, "top_k": None}],
    seed=seeds,
    top_k=st.sampled_from([TEXTS, 2900, TEXTS - 1, TEXTS + 1, 10 * TEXTS]),
)
def test_a_top_k_of_thousands_holds_wherever_tokens_are_drawn(
    probe: Probe, seed: int, top_k: int | None
) -> None:
    """With a top_k of thousands the engine and GPT.generate draw from all of these, and from no others.

    From all tokens without one. Kills: a limit of its own below the one that was asked for, or where none
    was, in one of the ways alone.
    """
    heights = np.random.default_rng(seed).permutation(np.linspace(0, 0.2, TEXTS))
    limit = {} if top_k is None else {"top_k": top_k}
    logits = np.full(SIZE + TEXTS, -1e4)
    logits[:TEXTS] = heights
    (got,) = probe(
        "generation.stream",
        prompt=[BOS],
        script={"logits": logits},
        options={"num_samples": 20, "max_tokens": 6, "seed": seed, **limit},
        shift=TEXTS,
    )
    ids = [token for column in full_columns(got, 20) for token in column]
    expect_equal(len(ids), 120, "the number of tokens in 6 columns of 20 rows")
    expect_every_rank(ids, heights, top_k, "the engine")

    # The same after every text, because the last token alone decides and all tokens look alike.
    shape = config(n_head=1, head_dim=2, vocab_size=TEXTS, sequence_len=64)
    weights = draws.model(shape, seed)
    for name in weights:
        if name.endswith("c_proj.weight"):
            weights[name][:] = 0.0
    weights["transformer.wte.weight"][:] = 1.0
    weights["lm_head.weight"][:, 0] = heights
    weights["lm_head.weight"][:, 1] = 0.0
    options: list[dict[str, Any]] = [{"max_tokens": 40, "seed": seed + i, **limit} for i in range(3)]
    slow = probe("generation.slow", config=shape, weights=weights, prompt=[3], options=options)
    if not np.allclose(as_numbers(slow["logits"], "the logits after the prompt"), heights, atol=1e-3):
        return  # a model that computes otherwise is the business of another criterion
    ids = [token for text in slow["tokens"] for token in text]
    expect_equal(len(ids), 120, "the number of tokens in 3 texts of 40")
    expect_every_rank(ids, heights, top_k, "GPT.generate")
