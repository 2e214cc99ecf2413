"""Fine-tuning batches with the submission's own tokenizer: rows are what it renders, as of any other."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from specs.compare import expect_equal
from specs.law import law
from specs.level2.finetuning import expect_rows
from specs.own_parts import rendered_by_its_tokenizer
from specs.probe import Probe

CRITERION = "finetuning"

TEXTS = ["how many letters are there in a word of some letters", "there are many, and some are there twice"]
SHORT: dict[str, Any] = {
    "messages": [{"role": "user", "content": "how many"}, {"role": "assistant", "content": "some"}]
}
LONG: dict[str, Any] = {
    "messages": [
        {"role": "user", "content": " a word of letters "},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "there are "},
                {"type": "python", "text": "1+1"},
                {"type": "python_output", "text": "2"},
                {"type": "text", "text": " many"},
            ],
        },
        {"role": "user", "content": "and?"},
        {"role": "assistant", "content": "twice some letters"},
    ]
}


@law(
    examples=3,
    cases=[{"max_tokens": 2048, "batch_size": 2}, {"max_tokens": 12, "batch_size": 3}],
    max_tokens=st.integers(2, 40),
    batch_size=st.integers(1, 3),
)
def test_the_own_tokenizers_rows_are_taken_as_they_are(
    probe: Probe, max_tokens: int, batch_size: int
) -> None:
    """With the submission's own tokenizer rows are what it renders, shifted by one, also where it cuts them.

    Kills: a way of its own for the own tokenizer, an end of the answer written over what was cut.
    """
    conversations = [SHORT, LONG, SHORT, LONG, LONG]
    rows = rendered_by_its_tokenizer(probe, TEXTS, conversations, max_tokens)
    if rows is None:
        return
    got = probe(
        "own_parts.batches",
        texts=TEXTS,
        conversations=conversations,
        batch_size=batch_size,
        max_tokens=max_tokens,
    )
    expect_equal(len(got), -(-len(rows) // batch_size), "the batches of the own tokenizer's rows")
    expect_rows({"batches": got}, rows, batch_size, max_tokens)
