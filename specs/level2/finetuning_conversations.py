"""Fine-tuning batches of conversations as people write them, with calls of the calculator.

The tokenizer is the specification's own, which renders as the contract says.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from specs.compare import expect, expect_equal
from specs.law import law
from specs.probe import Probe
from specs.strategies import seeds

CRITERION = "finetuning"

FIRST_SPECIAL = 264
"""Ids of the ByteTokenizer: 256 bytes and 8 longer pieces, then the nine special tokens in their order."""
(
    BOS,
    USER_START,
    USER_END,
    ASSISTANT_START,
    ASSISTANT_END,
    PYTHON_START,
    PYTHON_END,
    OUTPUT_START,
    OUTPUT_END,
) = range(FIRST_SPECIAL, FIRST_SPECIAL + 9)

Conversation = dict[str, Any]

parts = st.lists(st.sampled_from(["text", "python", "python_output"]), min_size=1, max_size=4)


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    """Draw a conversation of one to three turns; each part of an answer is written in letters of its own."""
    messages: list[dict[str, Any]] = []
    for turn in range(draw(st.integers(1, 3))):
        messages.append({"role": "user", "content": "u" * (turn + 1)})
        letters = {"text": "t", "python": "p", "python_output": "o"}
        content = [{"type": kind, "text": letters[kind] * (n + 1)} for n, kind in enumerate(draw(parts))]
        messages.append({"role": "assistant", "content": draw(st.sampled_from([content, "ttt"]))})
    return {"messages": messages}


@law(
    examples=12,
    cases=[
        {
            "talk": {
                "messages": [
                    {"role": "user", "content": "uu"},
                    {
                        "role": "assistant",
                        "content": [
                            {"type": "text", "text": "t"},
                            {"type": "python", "text": "pp"},
                            {"type": "python_output", "text": "oo"},
                            {"type": "text", "text": "t"},
                        ],
                    },
                ]
            }
        }
    ],
    talk=conversations(),
)
def test_what_the_assistant_must_produce_is_learned_and_nothing_else(
    probe: Probe, talk: Conversation
) -> None:
    """Learned are the assistant's text, its python calls with both delimiters and its end; nothing else is.

    Kills: tool output that is learned, the user's text learned, calls that are not learned, an inverted mask,
    `<|assistant_start|>` as a target.
    """
    got = probe("finetuning.real", conversations=[talk], batch_size=1)
    targets = [token for token in got["batches"][0]["targets"][0].tolist() if token != -1]
    want: list[int] = []
    for message in talk["messages"]:
        if message["role"] == "assistant":
            content = message["content"]
            whole = [{"type": "text", "text": content}] if isinstance(content, str) else content
            for part in whole:
                text = list(part["text"].encode())
                want += {"text": text, "python": [PYTHON_START, *text, PYTHON_END]}.get(part["type"], [])
            want.append(ASSISTANT_END)
    expect_equal(targets, want, "the tokens that are learned, in order")


@law(examples=10, talk=conversations())
def test_the_end_of_every_answer_is_learned(probe: Probe, talk: Conversation) -> None:
    """`<|assistant_end|>` is a target once for each answer, also for the last: else no answer would ever end.

    Kills: the last token cut off, targets without their end.
    """
    got = probe("finetuning.real", conversations=[talk], batch_size=1)
    targets = got["batches"][0]["targets"][0].tolist()
    answers = sum(message["role"] == "assistant" for message in talk["messages"])
    expect_equal(targets.count(ASSISTANT_END), answers, "the ends among the targets")
    # Behind the last place of a row there may be padding.
    last = len(probe("finetuning.rendered", conversation=talk)) - 2
    expect_equal(targets[last], ASSISTANT_END, "the last target of a conversation that ends with an answer")


@law(examples=10, talk=conversations())
def test_the_first_token_of_an_answer_is_learned_where_it_begins(probe: Probe, talk: Conversation) -> None:
    """At `<|assistant_start|>` the target is the first token of the answer, unless a tool writes it.

    Kills: the mask of the input used for the target, which loses the first token of each answer and learns
    the first one after it.
    """
    got = probe("finetuning.real", conversations=[talk], batch_size=1)
    (inputs,), (targets,) = (got["batches"][0][name].tolist() for name in ("inputs", "targets"))
    answers = [message["content"] for message in talk["messages"] if message["role"] == "assistant"]
    starts = [place for place, token in enumerate(inputs) if token == ASSISTANT_START]
    expect_equal(len(starts), len(answers), "the answers among the inputs")
    first = {"text": ord("t"), "python": PYTHON_START, "python_output": -1}
    for place, answer in zip(starts, answers, strict=True):
        want = ord("t") if isinstance(answer, str) else first[answer[0]["type"]]
        expect_equal(targets[place], want, f"the target at <|assistant_start|>, place {place}")
    for place, token in enumerate(inputs):
        if token in (USER_END, BOS, USER_START):
            expect_equal(targets[place], -1, f"the target at place {place}, where the user begins or ends")


@law(
    examples=24,
    talks=st.lists(conversations(), min_size=2, max_size=6),
    batch_size=st.integers(1, 6),
    max_tokens=st.sampled_from([5, 9, 14, 2048]),
)
def test_no_token_of_others_is_learned(
    probe: Probe, talks: list[Conversation], batch_size: int, max_tokens: int
) -> None:
    """In no batch is a target a token of the user, of a tool, of BOS, or of padding, however rows are cut.

    Kills: masks of one row used for another, padding with a token that counts. Something must be learned.
    """
    got = probe("finetuning.real", conversations=talks, batch_size=batch_size, max_tokens=max_tokens)
    others = {ord("u"), ord("o"), BOS, USER_START, USER_END, ASSISTANT_START, OUTPUT_START, OUTPUT_END, 0}
    learned = {int(token) for batch in got["batches"] for token in np.unique(batch["targets"])} - {-1}
    expect_equal(sorted(learned & others), [], "the targets that are tokens of the user, a tool or padding")
    expect(bool(learned) or max_tokens < 2048, "nothing at all is learned")
    expect(not got["conversations_changed"], "making batches changed the conversations")


@law(examples=6, seed=seeds)
def test_long_and_short_conversations_go_together(probe: Probe, seed: int) -> None:
    """In a batch of a long and a short conversation, both have exactly their own tokens learned.

    Kills: rows cut to the shortest or to the first, padding that is learned.
    """
    random = np.random.default_rng(seed)
    lengths = [int(length) for length in random.integers(1, 60, 4)]
    talks = [
        {"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "t" * length}]}
        for length in lengths
    ]
    got = probe("finetuning.real", conversations=talks, batch_size=4)
    targets = got["batches"][0]["targets"]
    expect_equal(
        [int((row != -1).sum()) for row in targets],
        [length + 1 for length in lengths],
        "the targets that count",
    )
