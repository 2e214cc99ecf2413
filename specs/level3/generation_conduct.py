"""Generation: what goes on around the columns: the model's weights and errors, and what waits meanwhile.

The model is a stand-in that follows a script, but where it learns; no tool is called.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from specs import draws
from specs.compare import expect, expect_at_most, expect_equal, quoted
from specs.law import law
from specs.order import expect_any_order
from specs.probe import Probe
from specs.strategies import config, seeds
from specs.streams import BOS, SIZE, TERMINALS, TEXT_IDS, prompts, row_counts

CRITERION = "sampling"

WAYS = ["copy_", "data", "load_state_dict"]


@law(
    examples=1,
    cases=[{"way": way, "num_samples": 1, "temperature": 0.0, "seed": 0} for way in WAYS],
    way=st.sampled_from(WAYS),
    num_samples=st.sampled_from([1, 3]),
    temperature=st.sampled_from([0.0, 1.0]),
    seed=seeds,
)
def test_an_engine_asks_the_model_it_was_given(
    probe: Probe, way: str, num_samples: int, temperature: float, seed: int
) -> None:
    """An engine made before its model learned says what one says that is made afterwards.

    Kills: a copy of the model, or of its weights, made with the engine or with its first stream; answers
    remembered by their prompt.
    """
    shape = config(n_layer=1, n_head=2, vocab_size=SIZE, sequence_len=32)
    weights, later = draws.model(shape, seed), draws.weights(shape, seed + 1, probe.dtype)
    for each in (weights, later):
        each["lm_head.weight"][256:] = 0.0  # no terminal is ever the most likely one
    options = {"num_samples": num_samples, "max_tokens": 12, "temperature": temperature, "seed": seed}
    got = probe(
        "generation_conduct.learned_since",
        config=shape,
        weights=weights,
        later={name: later[name] for name in later if name not in ("cos", "sin")},
        prompt=[BOS, 65, 66],
        options=options,
        way=way,
    )
    expect(
        got["fresh"]["tokens"] != got["before"]["tokens"],
        f"two models with other weights gave the same columns: {quoted(got['before']['tokens'])}",
    )
    expect_equal(
        got["after"]["tokens"],
        got["fresh"]["tokens"],
        f"the columns of an engine made before its model's parameters changed by {way}, against a new one's",
    )
    what = f"the tokens of GPT.generate after the parameters changed by {way}, against those of a new model"
    expect_equal(got["slow"][0], got["slow"][1], what)


@law(
    examples=3,
    cases=[{"breaks_at": 3, "num_samples": 1, "temperature": 0.0, "seed": 0}],
    breaks_at=st.integers(0, 6),
    num_samples=row_counts,
    temperature=st.sampled_from([0.0, 1.0]),
    seed=seeds,
)
def test_an_error_of_the_model_is_no_end(
    probe: Probe, breaks_at: int, num_samples: int, temperature: float, seed: int
) -> None:
    """Where a pass of the model raises, the stream or the batch raises too, and the engine goes on serving.

    Kills: an error that is logged and ends a stream as if it were complete; one that leaves something behind.
    """
    options = {"num_samples": num_samples, "max_tokens": 8, "temperature": temperature, "seed": seed}
    got = probe(
        "generation_conduct.broken_pass",
        prompt=[BOS, 65],
        script={"choices": 4, "ids": TEXT_IDS},
        options=options,
        breaks_at=breaks_at,
    )
    for way in ("stream", "batch"):
        what = f"how a {way} of 8 columns ends whose model raises in pass {breaks_at}, as its length or that"
        expect_equal(got[way], "raised", what)
    expect_equal(len(got["fresh"]["tokens"]), 8, "the number of columns with max_tokens=8")
    expect_equal(got["after"]["tokens"], got["fresh"]["tokens"], "the columns after passes that raised")


@law(examples=1, cases=[{"order": [0, 1]}, {"order": [1, 0]}], order=st.permutations([0, 1]))
def test_a_stream_that_waits_changes_no_setting(probe: Probe, order: list[int]) -> None:
    """While streams wait for their next column the settings that all share are as before, and so they stay.

    The number of threads, default dtype and device, warning filters, signals and random states; only whether
    gradients are enabled is free meanwhile. Kills: threads limited from the first column to the last, a
    setting that one stream finds as another has left it, and restores so.
    """
    shape = config(vocab_size=SIZE)
    got = probe(
        "generation_conduct.waiting",
        prompt=[BOS, 65],
        script={"choices": 4, "ids": TEXT_IDS},
        options={"num_samples": 2, "max_tokens": 4},
        order=order,
        config=shape,
        weights=draws.model(shape, 0),
    )
    for what, changed in got.items():
        expect(not changed, f"generating by {what} changed {'; '.join(changed)}")


@law(
    examples=1,
    cases=[{"way": way} for way in ("closed", "dropped", "unread and closed")],
    way=st.sampled_from(["unread and dropped"]),
)
def test_streams_that_are_left_leave_nothing_running(probe: Probe, way: str) -> None:
    """Streams that are closed or dropped before their end leave no thread, process or open file behind.

    Kills: a thread that makes columns ahead and waits for ever for a reader who has gone.
    """
    script = {"choices": 4, "ids": TEXT_IDS}
    got = probe("generation_conduct.left_running", prompt=[BOS, 65], script=script, way=way, times=4)
    for what, (before, after) in got.items():
        expect_at_most(after, before, f"{what} after 4 more streams {way}")


REQUESTS: list[dict[str, Any]] = [
    {"prompt": [BOS], "options": {"max_tokens": 6}},
    {"prompt": [BOS], "options": {"max_tokens": 6, "seed": 0}},
    {"prompt": [BOS], "options": {"max_tokens": 6, "temperature": 0.0}},
    {"prompt": [BOS], "options": {"max_tokens": 6, "temperature": 5.0, "num_samples": 3}},
    {"prompt": [BOS], "options": {"max_tokens": 6, "top_k": 1, "num_samples": 2}},
    {"prompt": [BOS, BOS], "options": {"max_tokens": 6}},
    {"prompt": [BOS, 65, TERMINALS[0]], "options": {"max_tokens": 6, "num_samples": 2}},
    {"prompt": [BOS] * 3, "options": {}},
    {"prompt": [BOS], "options": {"max_tokens": 0}},
    {"prompt": [BOS], "options": {"max_tokens": 500}},
    {"prompt": [BOS] * 40, "options": {}},
    {"prompt": [BOS, 65], "options": {"max_tokens": 9}, "read": 2},
    {"prompt": [BOS, 65], "options": {"max_tokens": 9, "seed": 2**40}, "read": 0},
    {"prompt": [BOS, 65], "options": {"max_tokens": 9}},
    {"prompt": [65, BOS], "options": {"max_tokens": 9}},
    {"prompt": [BOS], "options": {"max_tokens": 6}},
]


@law(examples=1, prompt=prompts, seed=seeds)
def test_requests_may_come_in_any_order(probe: Probe, prompt: list[int], seed: int) -> None:
    """What an engine yields does not hang on what it was asked before, refused and dropped streams included.

    Kills: prompts, options, limits or random numbers that one request leaves for the next.
    """
    more = [
        {"prompt": prompt, "options": {"max_tokens": 9, "seed": seed, "num_samples": rows}}
        for rows in (1, 4, 2)
    ]
    calls = [*REQUESTS[:8], *more, *REQUESTS[8:]]
    script = {"choices": 16, "ids": TEXT_IDS, "fall": 0.5}
    # What raises here is told as it is; below it is one of many answers.
    probe("generation.stream", script=script, **REQUESTS[0])

    def ask(some: list[dict[str, Any]]) -> list[Any]:
        answers: list[Any] = probe("generation_conduct.requests", script=script, calls=some, sequence_len=20)
        return answers

    answers = expect_any_order(probe, ask, calls, lambda call: f"the columns for {call}")
    expect(isinstance(answers[0], dict), f"the first request had no columns: {quoted(answers[0])}")
    expect_equal(len(answers[0]["tokens"]), 6, "the number of columns with max_tokens=6")


@law(examples=1, seed=seeds)
def test_no_step_draws_with_the_noise_of_another(probe: Probe, seed: int) -> None:
    """Where all tokens are equally likely, no stretch of a long text is an earlier one once more.

    By the engine, by GPT.generate, and by sample_next_token asked again and again. Kills: noise for a fixed
    number of steps, after which it begins anew; a counter of steps of a few bits.
    """
    room = 530  # as much as an engine may be asked that runs all of the text again for each token
    logits = np.full(SIZE, -1e4)
    logits[:250] = 0.0
    options = {"max_tokens": room, "seed": seed}
    (got,) = probe(
        "generation.stream", prompt=[BOS], script={"logits": logits}, options=options, sequence_len=room + 1
    )
    expect_no_repetition([column[0] for column in got["tokens"]], room, "the engine")

    # The same after every text, because the last token alone decides and all tokens look alike.
    shape = config(n_head=1, head_dim=2, vocab_size=250, sequence_len=400)
    weights = {name: np.zeros_like(each) for name, each in draws.weights(shape, 0).items()}
    weights["transformer.wte.weight"][:] = 1.0
    (text,) = probe(
        "generation.slow", config=shape, weights=weights, prompt=[3], options=[{**options, "max_tokens": 290}]
    )["tokens"]
    expect_no_repetition(text, 290, "GPT.generate")

    drawn = probe("sampling.draw", logits=np.zeros((1, 250), np.float32), seed=seed, calls=1100)
    expect_no_repetition([int(each.reshape(-1)[0]) for each in drawn], 1100, "sample_next_token")


def expect_no_repetition(ids: list[int], count: int, what: str) -> None:
    """Require `count` draws from 250 equal tokens of which no 18 or more are as others at one distance."""
    expect_equal(len(ids), count, f"the number of tokens by {what}")
    found = np.array(ids)
    for distance in range(1, count - 17):
        same = int((found[distance:] == found[:-distance]).sum())
        # Half of 18 pairs agree with a probability below 1e-16.
        expect(
            same <= (count - distance) // 2,
            f"{same} of {count - distance} tokens by {what} are those of {distance} steps before, where 250 "
            f"are equally likely",
        )
