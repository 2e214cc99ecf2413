"""The oracles of level 1 and what compares with them: right on worked examples, and not fooled by others."""

from __future__ import annotations

import random

import pytest

from specs.learning import expect_most_frequent, expect_size, ids_of
from specs.level1 import bytes as byte_laws
from specs.oracles import bytepairs, conversations, streaming
from specs.outcomes import LawBroken

TEXTS = ["low", "low", "lower", "newest", "newest"]
"""we (newest, newest, lower) is 3 times, lo and ow too; then es, st, ne, ... are 2 times."""


def learned(texts: list[str], count: int) -> list[bytes]:
    """Return what a trainer of its own learns, the greatest of equals first."""
    pieces = [bytepairs.as_bytes(text) for text in texts]
    found = []
    for _ in range(count):
        counts = bytepairs.pair_counts(pieces)
        pair = max(counts, key=lambda each: (counts[each], each))
        found.append(pair[0] + pair[1])
        pieces = [bytepairs.joined(piece, pair) for piece in pieces]
    return found


def test_any_order_of_equal_pairs_is_accepted() -> None:
    for first in (b"we", b"lo", b"ow"):
        assert bytepairs.follow(TEXTS, [first])[0] is None
    assert bytepairs.follow(TEXTS, learned(TEXTS, 8)) == (None, True)


@pytest.mark.parametrize(
    ("tokens", "step", "best"),
    [
        ([b"es"], 0, 3),
        ([b"we", b"wes", b"zz"], 1, 3),
        ([b"low"], 0, 3),
        ([b"xy"], 0, 3),
        (["\ufffd"], 0, 3),
    ],
)
def test_a_wrong_token_is_named(tokens: list[bytes | str], step: int, best: int) -> None:
    wrong, _ = bytepairs.follow(TEXTS, tokens)
    assert wrong is not None
    assert (wrong.step, wrong.best) == (step, best)
    with pytest.raises(LawBroken, match=f"the learned token {step} "):
        expect_most_frequent(TEXTS, tokens, 400)


def test_every_corruption_of_a_training_is_rejected() -> None:
    tokens = learned(["abab", "abc", "abc", "bcbcbc", "cccc"], 5)
    texts = ["abab", "abc", "abc", "bcbcbc", "cccc"]
    expect_most_frequent(texts, tokens, 270)
    for corrupted in (tokens[1:], tokens[::-1], tokens[:4], [*tokens[:4], b"zz"], [tokens[0], *tokens[:4]]):
        with pytest.raises(LawBroken):
            expect_most_frequent(texts, corrupted, 270)


def test_a_token_that_two_pairs_make_is_followed_both_ways() -> None:
    # a|aa and aa|a make the same token; only one of them leads on to what follows.
    assert bytepairs.follow(["aaa", "aaa", "aa"], [b"aa", b"aaa"]) == (None, False)


def test_learning_that_ends_too_early_is_rejected() -> None:
    expect_most_frequent(["ab"], [b"ab"], 300)
    with pytest.raises(LawBroken, match="tokens left that stand side by side"):
        expect_most_frequent(["abc"], [b"ab"], 300)


@pytest.mark.parametrize("size", [264, 301, 300.0, None])
def test_a_wrong_size_is_rejected(size: object) -> None:
    expect_size(300, 300)
    with pytest.raises(LawBroken, match="get_vocab_size"):
        expect_size(size, 300)


def test_the_pair_with_the_smallest_id_is_joined_first() -> None:
    ids = ids_of([*(bytes([value]) for value in range(256)), b"bc", b"ab", b"aa", b"abc"])
    assert bytepairs.encoded("xabcab", ids) == [120, 259, 257]
    assert bytepairs.encoded("aaaaa", ids) == [258, 258, 97]
    assert bytepairs.encoded("abab", ids) == [257, 257]
    assert bytepairs.encoded("", ids) == []


def test_what_waits_is_what_more_bytes_can_complete() -> None:
    def can_go_on(data: bytes) -> int:
        # By trying all that may come: up to three continuation bytes of the ends of their ranges.
        for length in (3, 2, 1):
            tail = data[-length:]
            ends = [b"\x80", b"\x8f", b"\x90", b"\x9f", b"\xa0", b"\xbf"]
            for more in [*ends, *(a + b"\x80" for a in ends), *(a + b"\x80\x80" for a in ends)]:
                try:
                    whole = (tail + more).decode()
                except UnicodeDecodeError:
                    continue
                if len(tail) == length and len(whole) == 1:
                    return length
        return 0

    draw = random.Random(0)
    for _ in range(3000):
        values = [0x41, 0xC2, 0xC3, 0xA9, 0xE0, 0xED, 0xE6, 0x9F, 0xA0, 0x80, 0xF0, 0xF4, 0x90, 0xFF, 0xC0]
        data = bytes(draw.choices(values, k=draw.randint(0, 6)))
        assert streaming.waiting(data) == can_go_on(data), data


def test_whole_characters_leave_out_what_waits() -> None:
    assert streaming.whole_characters("é🙂".encode()[:-1]) == "é"
    assert streaming.whole_characters(b"a\xff\xc3") == "a\ufffd"
    assert streaming.is_whole("é🙂".encode()[:-1])
    assert not streaming.is_whole(b"\xffa")


PIECES = [[1, ""], [2, "é"], [3, "a"]]
IDS = [0xC3, 0xA9, 97]
SINGLE = [bytes([value]) for value in range(256)]


@pytest.mark.parametrize(
    "pieces",
    [
        [[1, "\ufffd"], [2, "é"], [3, "a"]],
        [[1, ""], [2, ""], [3, "éa"]],
        [[3, "é"], [3, "a"]],
        [[2, "é"]],
        [[2, "é"], [3, "a"], [3, "a"]],
        [[1, "é"], [3, "a"]],
        [],
    ],
)
def test_a_stream_that_is_early_late_or_wrong_is_rejected(pieces: list[list[object]]) -> None:
    byte_laws.expect_prompt(PIECES, IDS, SINGLE)
    with pytest.raises(LawBroken):
        byte_laws.expect_prompt(pieces, IDS, SINGLE)


def test_a_conversation_is_what_the_contract_says() -> None:
    special = {name: 1000 + place for place, name in enumerate(["<|bos|>", "<|user_start|>", "<|user_end|>"])}
    special |= {"<|assistant_start|>": 1003, "<|assistant_end|>": 1004, "<|python_start|>": 1005}
    special |= {"<|python_end|>": 1006, "<|output_start|>": 1007, "<|output_end|>": 1008}
    parts = [
        {"type": "python", "text": "p"},
        {"type": "python_output", "text": "o"},
        {"type": "text", "text": "t"},
    ]
    talk = {
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": [{"type": "text", "text": "u"}]},
            {"role": "assistant", "content": parts},
        ]
    }
    messages = conversations.merged(talk)
    ids, mask = conversations.rendered(messages, lambda text: list(text.encode()), special)
    assert ids == [1000, 1001, *b"s\n\nu", 1002, 1003, 1005, *b"p", 1006, 1007, *b"o", 1008, *b"t", 1004]
    assert mask == [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1]
    prompt = conversations.for_completion(messages, lambda text: list(text.encode()), special)
    assert prompt == ids[:8]
    assert conversations.texts_of(talk) == ["s\n\nu", "p", "o", "t"]
