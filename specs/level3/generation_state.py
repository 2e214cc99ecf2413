"""Generation: what an engine keeps, leaves behind and asks for.

The model is a stand-in that follows a script and has one layer, the tokenizer is the specification's own,
and no tool is called; so bugs of attention, caches, tokenizers and tools do not show here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from specs.compare import expect, expect_equal
from specs.law import law
from specs.probe import Probe
from specs.strategies import seeds
from specs.streams import (
    BOS,
    SIZE,
    TERMINALS,
    TEXT_IDS,
    full_columns,
    prompts,
    row_counts,
)

CRITERION = "sampling"


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


@law(
    examples=8,
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


@law(examples=2, prompt=prompts, seed=seeds)
def test_options_of_generate_have_their_order(probe: Probe, prompt: list[int], seed: int) -> None:
    """Given by their order, options are num_samples, max_tokens, temperature, top_k and seed.

    Kills: parameters that changed places. Taking some by their names alone is free.
    """
    options = [("num_samples", 3), ("max_tokens", 8), ("temperature", 0.5), ("top_k", 2), ("seed", seed)]
    got = probe(
        "generation.in_order", prompt=prompt, script={"choices": 4, "ids": TEXT_IDS}, options=dict(options)
    )
    expect_equal(len(full_columns(got["named"], 3)), 8, "the number of columns, max_tokens=8")
    expect_equal(got["in order"], got["named"], "what comes of options in their order, against by name")


@law(examples=8, prompt=prompts, num_samples=row_counts, ends=st.booleans(), seed=seeds)
def test_columns_stay_as_they_came(
    probe: Probe, prompt: list[int], num_samples: int, ends: bool, seed: int
) -> None:
    """What generate yielded stays as it is: whoever collects the columns has them all, each its own.

    Half of the time rows end at different columns, so that the masks differ, too. Kills: one list that is
    filled anew for each column, or one of masks.
    """
    script: dict[str, Any] = {"choices": 4, "ids": TEXT_IDS}
    if ends:
        logits = np.full(SIZE, -1e4)
        logits[[48, 49, 50, BOS]] = 0.0
        script = {"logits": logits}
    got = probe(
        "generation.kept",
        prompt=prompt,
        script=script,
        options={"num_samples": 6 if ends else num_samples, "max_tokens": 6, "seed": seed},
    )
    if not ends:
        expect_equal(len(full_columns(got["came"], num_samples)), 6, "the number of columns, max_tokens=6")
    for name in ("tokens", "masks"):
        expect_equal(got["is"][name], got["came"][name], f"the {name} collected, against those that came")


@law(
    examples=4,
    cases=[{"num_samples": 6, "max_tokens": 24, "seed": 0}],
    num_samples=st.sampled_from([2, 3, 6]),
    max_tokens=st.integers(2, 24),
    seed=seeds,
)
def test_an_ended_row_stays_ended(probe: Probe, num_samples: int, max_tokens: int, seed: int) -> None:
    """A row that has ended repeats its own terminal with mask 0, whatever the model says after it.

    The model knows no end: at each step it says either terminal or a digit, each as likely.
    Kills: a terminal that is sampled again and counted as the row's, a row that takes the other terminal or
    comes back to life, a mask that hangs on the token and not on the row.
    """
    logits = np.full(SIZE, -1e4)
    logits[list(TERMINALS)] = 0.0
    logits[48:58] = -np.log(2.0)
    (got,) = probe(
        "generation.stream",
        prompt=[BOS],
        script={"logits": logits},
        options={"num_samples": num_samples, "max_tokens": max_tokens, "seed": seed},
    )
    columns = full_columns(got, num_samples)
    for i in range(num_samples):
        tokens = [column[i] for column in columns]
        end = next((step for step, token in enumerate(tokens) if token in TERMINALS), len(tokens))
        rest = len(tokens[end + 1 :])
        expect_equal(tokens[end + 1 :], tokens[end : end + 1] * rest, f"row {i} after its end, step {end},")
        masks = [column[i] for column in got["masks"]]
        expect_equal(masks, [1] * (len(tokens) - rest) + [0] * rest, f"the masks of row {i}, {tokens},")
