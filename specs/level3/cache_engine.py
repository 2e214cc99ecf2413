"""The KV cache as the engine uses it: what the rows of a stream hold while some of them end.

The stand-in model stores each token otherwise in each layer, as key and as value, and reads all of it back.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from specs.compare import expect_equal
from specs.law import law
from specs.level3.model_passes import expect_the_same_gradients
from specs.oracles import engine
from specs.probe import Probe
from specs.strategies import seeds
from specs.streams import BOS, TERMINALS, following, full_columns, one_of

CRITERION = "cache"


@st.composite
def texts_apart(draw: st.DrawFn) -> list[list[int]]:
    """Draw texts of digits that begin differently and end one after the other, one goes on; in any order."""
    texts = []
    for place in range(draw(st.integers(2, 4))):
        body = draw(st.lists(st.integers(48, 57), min_size=9, max_size=9))
        texts.append([ord("a") + place, *body[: 1 + 2 * place], draw(st.sampled_from(TERMINALS))])
    texts.append([ord("z"), *draw(st.lists(st.integers(48, 57), min_size=12, max_size=12))])
    return texts


@law(
    examples=4,
    cases=[
        {
            "texts": [[97, 48, BOS], [98, 49, 50, 51, BOS], [99, *range(48, 58)]],
            "layers": 2,
            "prompt": 2,
            "seed": 0,
        }
    ],
    texts=texts_apart(),
    layers=st.sampled_from([2, 3]),
    prompt=st.integers(1, 5),
    seed=seeds,
)
def test_rows_that_end_leave_the_others_their_past(
    probe: Probe, texts: list[list[int]], layers: int, prompt: int, seed: int
) -> None:
    """While rows end one after the other, those that go on keep their keys and values, in every layer.

    Kills: rows that have ended taken out of the cache in a part of it alone, or the others put into another
    order; layers that no longer belong together.
    """
    # Which text a row says is drawn with its first token: in forty rows each comes, and they lie mixed.
    count, limit = 40, max(map(len, texts))
    question: dict[str, Any] = {
        "prompt": [BOS, *range(60, 59 + prompt)],
        "script": following(texts),
        "options": {"num_samples": count, "max_tokens": limit, "seed": seed},
    }
    plain = probe.attempt("generation.stream", **question)
    if not isinstance(plain, list) or not goes_on(plain[0], texts, count, limit):
        return  # rows that do not end as they should with one layer are the business of another criterion
    (got,) = probe("generation.stream", **question, layers=layers)
    columns = full_columns(got, count)
    expect_equal(len(columns), limit, "the number of columns, the longest row's")
    for i in range(count):
        one_of(engine.row(columns, i, TERMINALS), texts, f"row {i} of {count}")


def goes_on(stream: Any, texts: list[list[int]], count: int, limit: int) -> bool:
    """Say whether each row of a stream is one of the texts, and the stream as long as the longest."""
    wanted = [text[:-1] if text[-1] in TERMINALS else text for text in texts]
    columns = stream["tokens"]
    return len(columns) == limit and all(engine.row(columns, i, TERMINALS) in wanted for i in range(count))


@law(
    examples=2,
    cases=[{"seed": 0, "length": 5, "before": ["cache"]}, {"seed": 1, "length": 3, "before": ["generate"]}],
    seed=seeds,
    length=st.sampled_from([2, 7]),
    before=st.sampled_from([["cache", "generate"], ["generate", "learning", "cache"]]),
)
def test_a_model_learns_after_it_has_written(probe: Probe, seed: int, length: int, before: list[str]) -> None:
    """Gradients are the same after passes with a cache, or a text that was generated, as at first.

    Kills: tables or masks that are kept from generation, with which nothing can be learned.
    """
    expect_the_same_gradients(probe, seed, 1, length, before, "loss")
