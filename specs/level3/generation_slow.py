"""`GPT.generate`, the slow way, where there is much to choose from, and after other texts and parameters.

The model has one layer and as many key/value heads as query heads, so that bugs of caches and of grouped
attention do not show here.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from hypothesis import strategies as st

from specs import draws
from specs.chance import expect_share
from specs.compare import expect, expect_equal
from specs.law import law
from specs.order import expect_any_order
from specs.probe import Probe
from specs.strategies import config, seeds
from specs.streams import SIZE

CRITERION = "sampling"


@law(
    examples=1,
    cases=[{"seed": 0, "vocab_size": 20, "beyond": 30}],
    seed=seeds,
    vocab_size=st.sampled_from([2000, 3000]),
    beyond=st.sampled_from([1, 2000]),
)
def test_the_slow_way_knows_no_limit_of_its_own(
    probe: Probe, seed: int, vocab_size: int, beyond: int
) -> None:
    """GPT.generate without top_k, or with one of the whole vocabulary or more, draws from all ids.

    Kills: a limit where none was asked for, one beyond the vocabulary that is an error.
    """
    shape = config(n_layer=1, n_head=2, vocab_size=vocab_size, sequence_len=48)
    weights = draws.model(shape, seed)
    for name in weights:
        if name.endswith("c_proj.weight"):
            weights[name][:] = 0.0  # so that every text has the same next token
    weights["transformer.wte.weight"][:] = 1.0
    weights["lm_head.weight"][:] = 0.0
    # No two alike, and the last hardly less likely than the first.
    weights["lm_head.weight"][:, 0] = np.linspace(0.0, -0.1, vocab_size)
    options: list[dict[str, Any]] = [
        {"max_tokens": 40, "seed": seed, **more}
        for more in ({}, {"top_k": None}, {"top_k": vocab_size}, {"top_k": vocab_size + beyond})
    ]
    got = probe("generation.slow", config=shape, weights=weights, prompt=[3], options=options)
    likely = np.exp(15 * np.tanh(np.linspace(0.0, -0.1, vocab_size) / 15))
    half = vocab_size // 2
    for each, text in zip(options, got["tokens"], strict=True):
        what = f"GPT.generate with {each}, of a vocabulary of {vocab_size}"
        expect_equal(len(text), 40, f"the number of tokens of {what}")
        expect(all(0 <= token < vocab_size for token in text), f"{what} gave an id that is none")
        share = float(likely[half:].sum() / likely.sum())
        expect_share(sum(token >= half for token in text), 40, share, f"the less likely half, by {what}")


@law(examples=1, seed=seeds)
def test_texts_do_not_hang_on_what_was_written_before(probe: Probe, seed: int) -> None:
    """A text is written by the parameters as they are, whatever the model wrote before, or with which others.

    By the slow way and by the engine. Kills: keys and values, logits or texts that are kept for the next
    text with the same beginning, also where the parameters have changed since.
    """
    shape = config(n_layer=1, n_head=2, vocab_size=SIZE, sequence_len=24)
    weights = [draws.model(shape, seed + i) for i in range(2)]
    for each in weights:
        each["lm_head.weight"][256:] = 0.0  # no special token is likely
    prompt = [int(i) for i in np.random.default_rng(seed).integers(0, 256, 8)]
    asked: list[dict[str, Any]] = [
        {"prompt": prompt, "options": {"max_tokens": 4, "temperature": 0.0}},
        {"prompt": prompt[:5], "options": {"max_tokens": 8, "temperature": 0.0}},
        {"prompt": [*prompt, 65, 66], "options": {"max_tokens": 6, "temperature": 0.5, "seed": seed}},
        {"prompt": prompt[:1], "options": {"max_tokens": 6, "temperature": 2.0, "top_k": 9, "seed": seed}},
    ]
    calls = [
        {**each, "weights": number, "way": way}
        for number in range(2)
        for each in asked
        for way in ("slow", "engine")
    ]
    # What raises here is told as it is; below it is one of many answers.
    probe("generation.slow", config=shape, weights=weights[0], prompt=prompt, options=[asked[0]["options"]])
    random.Random(seed).shuffle(calls)
    written = expect_any_order(
        probe,
        lambda chosen: probe(
            "generation_slow.one_after_another", config=shape, weights=weights, calls=chosen
        ),
        calls,
        lambda call: f"{call['way']} {call['prompt']} {call['options']} with parameters {call['weights']}",
    )
    for call, text in zip(calls, written, strict=True):
        if call["way"] == "slow":
            expect(isinstance(text, list), f"GPT.generate of {call['prompt']} with {call['options']} raised")
            expect_equal(len(text), call["options"]["max_tokens"], "the number of tokens of GPT.generate")
