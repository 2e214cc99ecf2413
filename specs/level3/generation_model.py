"""Generation with a real GPT: the engine, and `GPT.generate`, the slow way.

The model has one layer and as many key/value heads as query heads, so that bugs of caches and of grouped
attention do not show here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from specs import draws, tolerances
from specs.chance import expect_distribution, expect_share
from specs.compare import as_numbers, broken, expect, expect_equal, expect_raised, quoted
from specs.law import law
from specs.oracles import sampling
from specs.outcomes import SubmissionRaised
from specs.probe import Probe
from specs.strategies import config, seeds
from specs.streams import (
    BOS,
    SIZE,
    full_columns,
)

CRITERION = "sampling"


@law(
    examples=6,
    cases=[
        *(
            {
                "prompt_length": size,
                "length": 3,
                "n_head": 1,
                "num_samples": 1,
                "seed": 0,
                "spare": 4,
                "close": False,
            }
            for size in (64, 128, 150, 256)
        ),
        *(
            {
                "prompt_length": size,
                "length": 8,
                "n_head": 2,
                "num_samples": 1,
                "seed": size,
                "spare": 0,
                "close": close,
            }
            for size, close in ((2, False), (3, True), (17, True))
        ),
    ],
    prompt_length=st.sampled_from([1, 5, 16, 32, 65, 100]),
    length=st.integers(1, 12),
    n_head=st.sampled_from([1, 2]),
    num_samples=st.sampled_from([1, 3]),
    seed=seeds,
    spare=st.sampled_from([0, 1, 4]),
    close=st.booleans(),
)
def test_greedy_text_is_the_models_own(
    probe: Probe,
    prompt_length: int,
    length: int,
    n_head: int,
    num_samples: int,
    seed: int,
    spare: int,
    close: bool,
) -> None:
    """At temperature 0 the engine and GPT.generate continue a text with the model's most likely tokens.

    The oracle is the submission's own model, run on the text so far; places where two tokens are about
    equally likely are passed over. The text may fill the context to its end. Where tokens are `close`, the
    most likely one has a neighbour whose logits are a thousandth smaller, which is much in float32.
    Kills: an engine that does not fit a real model, logits of the wrong position, generation that forgets the
    prompt, all but its end, or what it has just said, a text that is cut before the context is full, passes
    in another precision than the model's.
    """
    shape = config(n_layer=1, n_head=n_head, vocab_size=SIZE, sequence_len=prompt_length + length + spare)
    weights = draws.model(shape, seed)
    if close:
        weights["lm_head.weight"][1:256:2] = weights["lm_head.weight"][0:256:2] * np.float32(1.001)
    # No special token is ever the most likely one: its logit is 0 and the largest of the others is not.
    weights["lm_head.weight"][256:] = 0.0
    prompt = [int(i) for i in np.random.default_rng(seed).integers(0, 256, prompt_length)]
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
        {"max_tokens": 240, "temperature": 30.0, "seed": seed},
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
        expect(
            all(type(token) is int for token in text),
            f"GPT.generate with {each} yielded {quoted(text)}, want integers",
        )
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
    expect(
        got["nothing_else_changed"],
        "GPT.generate changed its prompt, a random generator not its own, or the gradients of parameters or "
        "which of them are frozen",
    )


@law(examples=3, cases=[{"length": 5, "over": 1}], length=st.integers(1, 8), over=st.integers(1, 3))
def test_the_slow_way_does_not_stop_short(probe: Probe, length: int, over: int) -> None:
    """Asked for more than the context holds, GPT.generate yields all of it or raises a ValueError.

    Kills: a text that ends where the context does, without a word.
    """
    shape = config(sequence_len=8)
    options = [{"max_tokens": 8 - length, "seed": 0}]
    question = {"config": shape, "weights": draws.model(shape, 0), "prompt": list(range(length))}
    got = probe("generation.slow", **question, options=options)
    expect_equal(len(got["tokens"][0]), 8 - length, "the number of tokens that fill the context")
    options = [{"max_tokens": 8 - length + over, "seed": 0}]
    outcome = probe.attempt("generation.slow", **question, options=options)
    if isinstance(outcome, SubmissionRaised):
        expect_raised(outcome, f"GPT.generate of {over} tokens more than the context holds", "ValueError")
        return
    expect_equal(len(outcome["tokens"][0]), 8 - length + over, f"the number of tokens, {over} too many")


@law(examples=11, cases=[{"token": 0}, {"token": 11}], token=st.integers(0, 11))
def test_the_slow_way_says_every_id(probe: Probe, token: int) -> None:
    """GPT.generate draws the first and the last id of the vocabulary like others.

    Kills: an id kept for padding, a draw that never reaches the last one.
    """
    weights = draws.model(config(vocab_size=12), 0)
    weights["transformer.wte.weight"][:] = 1.0
    for name in weights:
        if name.endswith("c_proj.weight"):
            weights[name][:] = 0.0  # so that every text has the same next token
    weights["lm_head.weight"][:] = 0.0
    weights["lm_head.weight"][token, :] = 10.0
    options: list[dict[str, Any]] = [
        {"max_tokens": 4, "temperature": 0.0},
        {"max_tokens": 4, "temperature": 0.05},
        {"max_tokens": 4, "temperature": 0.05, "top_k": 12},
    ]
    question = {"config": config(vocab_size=12), "weights": weights, "prompt": [3], "options": options}
    got = probe("generation.slow", **question)
    if int(as_numbers(got["logits"], "the logits after the prompt").argmax()) != token:
        return  # a model that computes otherwise is the business of another criterion
    for each, text in zip(options, got["tokens"], strict=True):
        expect_equal(text, [token] * 4, f"the tokens of GPT.generate with {each}, one of them near certain,")


SEEDS = (0, 1, 42, 1042, 10_042, 1_000_042, 2**16, 2**16 + 42, 2**31 - 1)


@law()
def test_each_seed_gives_a_text_of_its_own(probe: Probe) -> None:
    """Seeds from zero to the largest of 31 bits give texts of their own, in both ways to generate.

    Kills: a seed of zero taken for none, a seed that is cut to fewer bits or digits.
    """
    shape = config(vocab_size=50)
    options: list[dict[str, Any]] = [{"max_tokens": 30, "temperature": 5.0, "seed": seed} for seed in SEEDS]
    question = {"config": shape, "weights": draws.model(shape, 0), "prompt": [3], "options": options}
    expect_all_different(probe("generation.slow", **question)["tokens"], "GPT.generate")
    logits = np.full(SIZE, -1e4)
    logits[40:60] = 0.0
    streams = [
        probe("generation.stream", prompt=[BOS], script={"logits": logits}, options=each)[0]["tokens"]
        for each in options
    ]
    expect_all_different(streams, "the engine")


def expect_all_different(texts: list[Any], what: str) -> None:
    """Require the text of each of `SEEDS` to differ from the others."""
    for i, text in enumerate(texts):
        for j in range(i):
            expect(
                text != texts[j],
                f"{what} gave the same {len(text)} tokens with seeds {SEEDS[j]} and {SEEDS[i]}",
            )


@law(examples=2, seed=seeds)
def test_the_slow_way_has_its_arguments_in_order(probe: Probe, seed: int) -> None:
    """GPT.generate that takes its arguments without their names takes them in the contract's order.

    Kills: parameters that changed places. Taking some by their names alone is free.
    """
    shape = config(vocab_size=50)
    options = [("max_tokens", 20), ("temperature", 2.5), ("top_k", 9), ("seed", seed)]
    got = probe(
        "generation.slow_in_order",
        config=shape,
        weights=draws.model(shape, seed),
        prompt=[3],
        options=dict(options),
    )
    expect_equal(len(got["named"]), 20, "the number of tokens of GPT.generate, max_tokens=20")
    expect_equal(got["in order"], got["named"], "what comes of options in their order, against by name")


@law(examples=4, seed=seeds, length=st.integers(4, 8))
def test_two_slow_texts_do_not_meet(probe: Probe, seed: int, length: int) -> None:
    """Two texts that GPT.generate of one model writes in turn are those that it writes one by one.

    Kills: the text so far, the generator, the temperature or the limit kept in the model.
    """
    shape = config(vocab_size=50)
    prompts = [[3, 4], [5]]
    options: list[dict[str, Any]] = [
        {"max_tokens": length, "seed": seed, "temperature": 0.5},
        {"max_tokens": length + 3, "seed": seed + 1, "temperature": 30.0, "top_k": 40},
    ]
    question = {"config": shape, "weights": draws.model(shape, seed)}
    got = probe("generation.slow_in_turn", **question, prompts=prompts, options=options)
    for i, (prompt, each) in enumerate(zip(prompts, options, strict=True)):
        (alone,) = probe("generation.slow", **question, prompt=prompt, options=[each])["tokens"]
        expect_equal(got[i], alone, f"the tokens of text {i} of two that GPT.generate writes in turn")


@law(seed=seeds, examples=2)
def test_what_is_not_said_is_as_the_contract_says(probe: Probe, seed: int) -> None:
    """Without them, temperature is 1, top_k is no limit and seed is 42, in each way to sample.

    What is drawn with a default is what is drawn when it is named, token by token.
    Kills: another default for temperature, top-k, seed or the number of rows, in one of the ways alone.
    """
    named = {"temperature": 1.0, "top_k": None, "seed": 42}
    shape = config(n_layer=1, n_head=2, vocab_size=SIZE, sequence_len=64)
    weights = draws.model(shape, seed)
    options: list[dict[str, Any]] = [{"max_tokens": 40}, {"max_tokens": 40, **named}]
    texts = probe("generation.slow", config=shape, weights=weights, prompt=[3], options=options)["tokens"]
    expect_equal(texts[0], texts[1], f"the tokens of GPT.generate without {named}")

    # Spread so that neither the temperature nor a limit of 200 goes unnoticed for long; none is terminal.
    logits = np.random.default_rng(seed).normal(0.0, 1.0, SIZE)
    logits[256:] = -1e4
    streams = [
        probe("generation.stream", prompt=[BOS, 65], script={"logits": logits}, options=each)[0]
        for each in ({"max_tokens": 40}, {"max_tokens": 40, "num_samples": 1, **named})
    ]
    tokens = [[column[0] for column in full_columns(stream, 1)] for stream in streams]
    expect_equal(tokens[0], tokens[1], f"the tokens of the engine without {named} and num_samples")

    drawn = probe("sampling.draw_plainly", logits=logits[None, :256].astype(np.float32), seed=seed, calls=40)
    expect_equal(drawn["plain"], drawn["named"], "the ids of sample_next_token without temperature and top_k")


def expect_most_likely(tokens: list[int], candidates: list[NDArray[Any] | None], what: str) -> None:
    """Require each token to have the largest logit, by one of the `candidates` for the logits."""
    messages = []
    for candidate in candidates:
        if candidate is None:
            continue
        logits = as_numbers(candidate, "the logits")
        bound = 4 * tolerances.FLOAT32.bound(logits)
        expect(
            logits.ndim == 2 and len(logits) == len(tokens) and all(0 <= t < logits.shape[1] for t in tokens),
            f"{what} gave {quoted(tokens)}, for logits of shape {logits.shape}",
        )
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
