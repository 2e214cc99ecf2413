"""What an encoder may keep between calls: whatever it does, every call is answered as if it were the first.

The answers that are wanted come from tokenizers of which each was asked for one text.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from specs.compare import expect, expect_equal, quoted
from specs.law import law
from specs.learning import expect_kept
from specs.probe import Probe
from specs.texts import FEW, SPECIAL_COUNT, SPECIAL_PLACES

CRITERION = "encoding"

LONG = "the other weather in the theatre is as it was, again and again and again; "

NEAR = [
    "",
    "a",
    "ab",
    "ba",
    "ad",
    "bc",
    "5",
    "A",
    "é",
    "e\u0301",
    "<|bos|>",
    "abc",
    LONG + "one",
    LONG + "two",
    LONG + "ONE",
    LONG + "one ",
    "one " + LONG,
    "two " + LONG,
    LONG * 40 + "x" + LONG * 40,
    LONG * 40 + "y" + LONG * 40,
]
"""Texts that somebody could take for one another: of one length, sum, beginning, end or middle."""

places = st.integers(0, len(NEAR) - 1)
ends = st.sampled_from([None, None, 0, 5, "<|bos|>", "<|user_end|>"])
calls = st.fixed_dictionaries(
    {
        "texts": st.one_of(places, st.lists(places, max_size=3)),
        "prepend": ends,
        "append": ends,
        "num_threads": st.sampled_from([8, 8, 1]),
    }
)
wrong = st.sampled_from(
    [
        {"wrong": None},
        {"wrong": ["a", 5]},
        {"wrong": "ab", "prepend": "nobody"},
        {"wrong": ["ab"], "prepend": "<|bos|>", "append": "nobody"},
    ]
)


def call(texts: int | list[int], prepend: int | str | None = None, append: int | str | None = None) -> Any:
    """Return a call as the strategy draws it."""
    return {"texts": texts, "prepend": prepend, "append": append, "num_threads": 8}


A, AB, ABC, ONE, TWO = (NEAR.index(text) for text in ("a", "ab", "abc", LONG + "one", LONG + "two"))


@law(
    examples=12,
    cases=[
        {"drawn": [call(AB), call(AB)]},
        {"drawn": [call(AB, "<|bos|>"), call(AB), call(AB, append=5), call(AB, 5), call(AB, 0)]},
        {"drawn": [call([AB], "<|bos|>"), call([AB]), call(AB), call([AB, AB], append=5), call([AB, AB])]},
        {"drawn": [call(place) for place in range(len(NEAR))]},
        {"drawn": [call([place]) for place in reversed(range(len(NEAR)))]},
        {"drawn": [call([ONE, TWO]), call([TWO, ONE]), call(ONE), call(TWO)]},
        {"drawn": [call(A), call([ABC, A]), call([A, ABC]), call([A, A]), call([]), call([A])]},
        {"drawn": [{"wrong": ["ab"], "prepend": "<|bos|>", "append": "nobody"}, call(AB), call([AB])]},
    ],
    drawn=st.lists(st.one_of(calls, calls, calls, wrong), min_size=2, max_size=8),
)
def test_no_call_changes_a_later_one(probe: Probe, drawn: list[dict[str, Any]]) -> None:
    """A text becomes the same ids whatever was encoded before it: other texts, other ends, lists, mistakes.

    Kills: ids kept by the text without its ends, by its beginning, its length or its hash; ids that are kept
    and lengthened; a list kept by its joined texts; what an error left behind.
    """
    size, first = probe("tokenizer.first_answers", learning=FEW, texts=NEAR)
    given = [{**each, **texts_of(each)} for each in drawn]
    got = probe("tokenizer.answers_in_turn", learning=FEW, calls=given)
    for number, (each, answer) in enumerate(zip(drawn, got, strict=True)):
        if "wrong" in each:
            continue
        before, after = (ids_of_end(each[name], size) for name in ("prepend", "append"))
        places = each["texts"]
        several = [places] if isinstance(places, int) else places
        want = [[*before, *first[place], *after] for place in several]
        said = ", ".join(f"{name}={each[name]!r}" for name in ("prepend", "append"))
        what = f"encode({quoted(texts_of(each)['texts'])}, {said}) as call {number + 1} of {len(drawn)}"
        expect_equal(
            answer,
            want[0] if isinstance(places, int) else want,
            f"{what}, against a tokenizer that was asked for nothing else",
        )


def texts_of(each: dict[str, Any]) -> dict[str, Any]:
    """Return the texts of a call in place of their numbers."""
    if "wrong" in each:
        return {}
    places = each["texts"]
    return {"texts": NEAR[places] if isinstance(places, int) else [NEAR[place] for place in places]}


def ids_of_end(end: int | str | None, size: int) -> list[int]:
    """Return the ids that `prepend` or `append` stands for."""
    if end is None:
        return []
    return [size - SPECIAL_COUNT + SPECIAL_PLACES[end] if isinstance(end, str) else end]


@law(
    examples=4,
    cases=[
        {"drawn": ["hello", "hello"], "options": {}},
        {"drawn": ["", ""], "options": {}},
        {"drawn": ["hello", "the", "hello"], "options": {"prepend": "<|bos|>"}},
    ],
    drawn=st.lists(st.sampled_from(["hello", "the", ""]), min_size=2, max_size=5),
    options=st.sampled_from([{}, {"append": 5}, {"prepend": 0, "num_threads": 1}]),
)
def test_lists_of_one_answer_are_apart(probe: Probe, drawn: list[str], options: dict[str, Any]) -> None:
    """Whoever changes the ids of one text of a list changes those of no other, also where texts are equal.

    Kills: equal texts encoded once and given the same list, one list for all empty texts.
    """
    before, after = probe("tokenizer.first_of_list_changed", learning=FEW, texts=drawn, options=options)
    expect_equal(after, before, f"the other lists of encode({drawn!r}), after its first list was lengthened")
    expect_equal(len(after), len(drawn) - 1, f"the number of other lists of encode({drawn!r})")


@law(examples=1, cases=[{"number": 3000}], number=st.integers(100, 2000))
def test_many_texts_stay_apart(probe: Probe, number: int) -> None:
    """Thousands of texts, one behind the other, again and in a list, become the ids that they became first.

    Kills: a store of a fixed size that mixes up what it holds when it is full, a rest of a long list lost.
    """
    texts = [f"text {place} of the other {place * 7919 % number}" for place in range(number)]
    answer = probe("tokenizer.twice", learning=FEW, texts=texts)
    expect_equal(answer["listed"], number, f"the number of lists of ids for a list of {number:,} texts")
    for place in answer["differ"]:
        expect_equal(
            answer["again"][str(place)],
            answer["first"][str(place)],
            f"encode({texts[place]!r}) after {number:,} other texts, against its first answer",
        )
    for place in answer["lost"]:
        expect_equal(answer["decoded"][str(place)], texts[place], f"decode(encode({texts[place]!r}))")


@law()
def test_answers_stay_as_they_came(probe: Probe) -> None:
    """What a tokenizer has answered stays as it is, whatever it is asked for afterwards.

    Kills: one list that is filled anew for each answer.
    """
    calls: list[dict[str, Any]] = [
        {"method": "encode", "arguments": [given], "options": options}
        for given in ("hello", "", "the weather", ["a", "the"], ["hello", "", "a"])
        for options in ({}, {"prepend": "<|bos|>", "append": 5})
    ]
    calls += [
        {"method": "get_token_bytes", "arguments": []},
        {"method": "get_special_tokens", "arguments": []},
    ]
    expect_kept(probe("tokenizer.kept_answers", learning=FEW, calls=[*calls, *reversed(calls)]), calls)
    answers = probe("tokenizer.encode", learning=FEW, texts=["hello", "the weather"])
    expect(all(answers), f"encode of 'hello' and of 'the weather': got {quoted(answers)}, want ids")
