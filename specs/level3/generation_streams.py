"""Generation: streams beside each other, large seeds, and what a batch is.

The model is a stand-in that follows a script and has one layer, the tokenizer is the specification's own,
and no tool is called; so bugs of attention, caches, tokenizers and tools do not show here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from specs import draws
from specs.compare import expect, expect_equal
from specs.law import law
from specs.probe import Probe
from specs.strategies import config, seeds
from specs.streams import (
    BOS,
    SIZE,
    TERMINALS,
    TEXT_IDS,
    expect_batch,
    full_columns,
)

CRITERION = "sampling"

STEEP = {"choices": 16, "ids": TEXT_IDS, "fall": 0.5}
"""The script of a model that says one of 16 ids, each less likely than the one before."""


@st.composite
def settings(draw: st.DrawFn) -> dict[str, Any]:
    """Draw options of a stream."""
    return {
        "num_samples": draw(st.sampled_from([1, 2, 3])),
        "max_tokens": draw(st.integers(4, 12)),
        "temperature": draw(st.sampled_from([0.0, 0.5, 1.0, 5.0])),
        "top_k": draw(st.sampled_from([None, 1, 4, 200])),
        "seed": draw(seeds),
    }


A_STREAM = {"num_samples": 1, "max_tokens": 12, "temperature": 1.0, "top_k": None, "seed": 0}


@law(
    examples=3,
    cases=[
        {"options": [{**A_STREAM, **one}, {**A_STREAM, **other}], "seed": 0}
        for one, other in (
            ({"temperature": 0.0}, {"temperature": 5.0}),
            ({"top_k": 1}, {"temperature": 5.0, "top_k": None}),
            ({"num_samples": 2}, {"num_samples": 3}),
            ({"max_tokens": 4}, {"max_tokens": 12}),
            ({"seed": 0}, {"seed": 1}),
        )
    ]
    + [{"options": [{**A_STREAM, "max_tokens": 5, "seed": seed} for seed in range(40)], "seed": 0}],
    options=st.lists(settings(), min_size=2, max_size=5),
    seed=seeds,
)
def test_streams_keep_their_own_settings(probe: Probe, options: list[dict[str, Any]], seed: int) -> None:
    """However many streams of one engine take turns, each goes on with the arguments that it was given.

    Two with other settings, and forty. Kills: temperature, top-k, limit, rows or generator kept in the engine
    from the stream that began last, room for a few streams only.
    """
    random = np.random.default_rng(seed)
    beginnings = [[BOS, *random.integers(0, 256, 2).tolist()] for _ in options]
    # All have begun before one goes on.
    schedule = [*range(len(options)), *random.integers(0, len(options), 3 * len(options)).tolist()]
    got = probe(
        "generation.interleaved", prompts=beginnings, script=STEEP, options=options, schedule=schedule
    )
    for i, each in enumerate(options):
        expect_equal(
            got["together"][i],
            got["alone"][i],
            f"the columns and masks of stream {i} of {len(options)}, with {each}, against those it has alone",
        )


WAYS = ["read", "closed", "dropped"]


@law(
    examples=8,
    cases=[
        {"order": order, "ways": ways, "training": training, "engines": 1}
        for order in ([0, 1], [1, 0])
        for ways in (["read", "read"], ["closed", "dropped"])
        for training in (True, False)
    ],
    order=st.permutations([0, 1, 2]),
    ways=st.lists(st.sampled_from(WAYS), min_size=3, max_size=3),
    training=st.booleans(),
    engines=st.sampled_from([1, 2]),
)
def test_streams_that_overlap_keep_the_models_mode(
    probe: Probe, order: list[int], ways: list[str], training: bool, engines: int
) -> None:
    """When streams that overlapped have ended, in any order and way, the model has the mode it had before.

    Kills: a stream that finds the mode which another one has set, and restores that; a mode that only
    a stream which is read to its end restores.
    """
    changed = probe(
        "streams.modes",
        script={"choices": 3, "ids": TEXT_IDS},
        lengths=[3 + i for i in order],
        ends=list(zip(order, ways, strict=True)),
        training=training,
        engines=engines,
    )
    expect(
        not changed,
        f"streams that ended in the order {order}, {', '.join(ways)}, on {engines} engines left another mode "
        f"(train or eval) in {', '.join(changed)}",
    )


LARGE_SEEDS = (2**32, 10**13 + 37, 1_785_000_000_123_456_789, 2**62 - 2, 2**62 - 1)
"""One is a time in nanoseconds. All differ in their last 32 bits: on a CPU torch looks at no others."""


@law()
def test_a_seed_may_be_large(probe: Probe) -> None:
    """Any seed below 2**62, such as a time in nanoseconds, gives a text of its own, again and again.

    Kills: a seed that is multiplied or added to until no generator takes it, cut to a few digits or made a
    float.
    """
    logits = np.full(SIZE, -1e4)
    logits[40:60] = 0.0
    shape = config(vocab_size=50)
    weights = draws.model(shape, 0)
    texts: list[list[Any]] = [[], [], []]
    for seed in LARGE_SEEDS:
        options = {"num_samples": 3, "max_tokens": 16, "seed": seed}
        got = probe(
            "streams.both_ways",
            prompt=[BOS],
            script={"logits": logits},
            options=options,
            sequence_len=64,
            in_order=False,
        )
        columns = full_columns(got["stream"], 3)
        expect_equal(len(columns), 16, f"the number of columns with the seed {seed}")
        expect_batch(got, 3, [BOS], f"the seed {seed}")
        each = {"max_tokens": 30, "temperature": 5.0, "seed": seed}
        slow = probe("generation.slow", config=shape, weights=weights, prompt=[3], options=[each, each])[
            "tokens"
        ]
        expect_equal(len(slow[0]), 30, f"the number of tokens of GPT.generate with the seed {seed}")
        expect_equal(slow[1], slow[0], f"the tokens of GPT.generate with the seed {seed}, a second time")
        for ways, text in zip(texts, (columns, got["batch"]["tokens"], slow[0]), strict=True):
            expect(text not in ways, f"two of the seeds {LARGE_SEEDS} gave the same text")
            ways.append(text)


GIVEN: dict[str, Any] = {"num_samples": 3, "max_tokens": 30, "temperature": 0.7, "top_k": 50, "seed": 7}
"""None of them is the default."""


@law(
    examples=4,
    cases=[
        {"named": names, "in_order": False, "seed": 0}
        for names in ([], *([name for name in GIVEN if name != left_out] for left_out in GIVEN), list(GIVEN))
    ],
    named=st.lists(st.sampled_from(list(GIVEN)), unique=True),
    in_order=st.booleans(),
    seed=seeds,
)
def test_a_batch_is_what_generate_yields(probe: Probe, named: list[str], in_order: bool, seed: int) -> None:
    """generate_batch returns what generate yields for the same arguments, whichever of these are left out.

    Kills: another default for one of them in generate_batch, one that does not reach `generate`.
    """
    # Spread so that neither a temperature nor a limit of 50 goes unnoticed for long. A terminal is rare.
    logits = np.random.default_rng(seed).normal(0.0, 1.0, SIZE)
    logits[256:] = -1e4
    logits[list(TERMINALS)] = 0.0
    options = {name: GIVEN[name] for name in named}
    got = probe(
        "streams.both_ways",
        prompt=[BOS, 65],
        script={"logits": logits},
        options=options,
        sequence_len=48,
        in_order=in_order,
    )
    expect(bool(got["stream"]["tokens"]), f"generate yielded no column with the arguments {options}")
    expect_batch(got, options.get("num_samples", 1), [BOS, 65], f"the arguments {options}")
