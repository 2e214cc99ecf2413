"""Bytes: how many each token stands for, and text that comes out of a stream of ids whole.

What ids stand for is worked out from their bytes, not from the submission's `decode` of all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from hypothesis import strategies as st

from specs.compare import broken, expect, expect_equal, expect_raised, quoted
from specs.law import law
from specs.learning import expect_no_traces, ids_of, known, vocabulary
from specs.oracles import streaming
from specs.probe import Probe
from specs.texts import (
    AWKWARD,
    BYTES,
    FEW,
    LEAST,
    MERGING,
    MIXED,
    SPECIAL_COUNT,
    Learning,
    characters,
    learnings,
)

CRITERION = "bytes"

WORDS = [
    "the",
    "weather",
    "café",
    "日本",
    "привет",
    "🙂",
    "👩‍👩‍👧",
    "é",
    "ß",
    "𐐨",
    "a",
    "1234",
    ".",
    "\ufffd",
    "\ufeff",
]

said = st.lists(st.one_of(st.sampled_from(WORDS), st.text(characters, max_size=3)), max_size=6).map("x".join)
"""Texts of characters of one to four bytes, some of them several tokens."""

LONG_TOKENS: Learning = {"texts": ["a" * 1100], "vocab_size": LEAST + 10}
"""Learned tokens of 2, 4, 8 and so on up to 1024 bytes: more than a byte can count."""

STRADDLING: Learning = {"texts": [" “a ”b —c …d" * 50], "vocab_size": LEAST + 2}
"""Learned tokens of a blank and the beginning of a mark of three bytes, by the usual patterns."""

LONG_CHARACTERS = [
    *MIXED,
    "🙂",
    "日",
    "é",
    "🇨🇭",
    "a🙂b",
    "\ufffd",
    "\ufffd\ufffd🙂",
    "x\U0010ffffy",
    "\x00é",
    "\ufeffa",
    "\ufeff",
]


@law(examples=3, cases=[{"learning": LONG_TOKENS}], learning=learnings)
def test_each_tokens_bytes_are_counted(probe: Probe, learning: Learning) -> None:
    """get_token_bytes gives the number of bytes of every id, in the order of the ids.

    Kills: characters counted in place of bytes, the replacement of a part of a character counted, a wrong
    order, ids left out, numbers kept in a byte.
    """
    size, tokens = vocabulary(probe, learning)
    got = probe("tokenizer.token_bytes", learning=learning)
    expect(isinstance(got, list), f"get_token_bytes(): got {quoted(got)}, want a list")
    expect_equal(len(got), size, "the length of get_token_bytes(), against get_vocab_size()")
    for token in known(tokens):
        data = tokens[token] or b""
        expect_equal(got[token], len(data), f"get_token_bytes()[{token}], of the token {data!r}")


@law(examples=3, learning=learnings)
def test_special_tokens_have_no_bytes(probe: Probe, learning: Learning) -> None:
    """Special tokens stand for no text: they count 0 bytes.

    Kills: the length of their names counted, a list without them.
    """
    got = probe("tokenizer.token_bytes", learning=learning)
    size = probe("tokenizer.size", learning=learning)
    expect_equal(got[size - SPECIAL_COUNT :], [0] * SPECIAL_COUNT, "the last nine of get_token_bytes()")
    expect(all(got[: size - SPECIAL_COUNT]), "get_token_bytes() of an ordinary id is 0, want at least 1")


@law(
    examples=25,
    cases=[{"learning": MERGING, "text": " ".join(WORDS)}],
    learning=learnings,
    # No blanks at an end, no upper case, nothing to compose: what `encode` does to these is another law's.
    text=st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join),
)
def test_the_bytes_of_a_texts_tokens_add_up(probe: Probe, learning: Learning, text: str) -> None:
    """The bytes of the tokens of a text add up to the bytes of the text in UTF-8.

    So a loss per byte does not depend on the vocabulary. Kills: characters counted, parts of characters
    counted as three bytes each.
    """
    counts = probe("tokenizer.token_bytes", learning=learning)
    (ids,) = probe("tokenizer.encode", learning=learning, texts=[text])
    expect_equal(
        sum(counts[i] for i in ids),
        len(text.encode()),
        f"the bytes of the {len(ids)} tokens of {quoted(text)}",
    )


@law()
def test_the_list_of_bytes_is_fresh(probe: Probe) -> None:
    """Whoever changes the list of bytes changes no later one.

    Kills: a list that is kept and given away.
    """
    before, after = probe("tokenizer.changed_answers", learning=FEW, method="get_token_bytes")
    expect_equal(after, before, "get_token_bytes(), after the list that it gave before was emptied")
    expect(bool(before), "get_token_bytes() is empty")


@law(
    examples=40,
    cases=[
        *({"learning": learning, "text": text} for learning in (MERGING, BYTES) for text in LONG_CHARACTERS),
        {"learning": FEW, "text": "".join(AWKWARD)},
        {"learning": BYTES, "text": ""},
        *({"learning": STRADDLING, "text": text} for text in (" “a", "x ”b “", " — …“ ")),
    ],
    learning=learnings,
    text=said,
)
def test_every_character_comes_whole_and_at_once(probe: Probe, learning: Learning, text: str) -> None:
    """A character is given when its last id has come in, before the next id is asked for, and never in parts.

    Kills: U+FFFD for a part of a character, text held back until it ends or a blank comes, one id of delay, a
    real U+FFFD taken for a part of a character, whole characters that wait with a part of the next one.
    """
    _, tokens = vocabulary(probe, learning)
    ids = cut(text.encode(), tokens)
    expect_prompt(stream(probe, learning, ids), ids, tokens)


@law(
    examples=30,
    cases=[
        {"learning": BYTES, "head": "🙂", "places": [], "which": [0]},
        {"learning": MERGING, "head": "é", "places": [3], "which": [4, 0]},
    ],
    learning=learnings,
    head=said,
    places=st.lists(st.integers(0, 40), max_size=3),
    which=st.lists(st.integers(0, SPECIAL_COUNT - 1), min_size=1, max_size=3),
)
def test_special_tokens_come_by_their_text(
    probe: Probe, learning: Learning, head: str, places: list[int], which: list[int]
) -> None:
    """In a stream special tokens come by their text, at once, wherever they stand.

    Kills: special tokens left out of a stream, an exception for them, a special token behind a part of a
    character that swallows it.
    """
    _, tokens = vocabulary(probe, learning)
    ids = cut(head.encode(), tokens)
    # Which special token has which id is the business of another law.
    by_id = {i: text.encode() for text, i in probe("tokenizer.special_ids", learning=learning).items()}
    everything = [*tokens, *(by_id.get(len(tokens) + one) for one in range(SPECIAL_COUNT))]
    for place, one in zip([*places, len(ids), len(ids), len(ids)], which, strict=False):
        ids.insert(place, sorted(by_id)[one % len(by_id)])
    expect_prompt(stream(probe, learning, ids), ids, everything)


@law(
    examples=40,
    cases=[
        {"learning": BYTES, "places": [0xF0, 0x9F], "tail": []},
        {"learning": BYTES, "places": [0xC3], "tail": [0xC3]},
        {"learning": BYTES, "places": [0xF0, 0x9F, 0x41, 0xE6, 0x97], "tail": []},
        {"learning": BYTES, "places": [0xFF, 0xC0, 0xED, 0xA0, 0x80, 0xF4, 0x90, 0x80, 0x80], "tail": []},
        {"learning": MERGING, "places": [0xE0, 0x80, 0xF0, 0x8F, 0xF5], "tail": [0xE2, 0x82]},
    ],
    learning=learnings,
    places=st.lists(
        st.one_of(
            st.sampled_from([0xC3, 0xA9, 0xE6, 0x97, 0xA5, 0xF0, 0x9F, 0x99, 0x82, 0x41, 0xFF, 0xED, 0xA0]),
            st.integers(0, 10_000),
        ),
        max_size=10,
    ),
    tail=st.sampled_from([[], [0xF0], [0xF0, 0x9F], [0xF0, 0x9F, 0x99], [0xE6, 0x97], [0xC3]]),
)
def test_what_never_becomes_a_character_is_replaced(
    probe: Probe, learning: Learning, places: list[int], tail: list[int]
) -> None:
    """Any ids come out as decode gives them: what is no UTF-8 or ends too early becomes U+FFFD.

    Kills: an exception for such bytes, an end that is swallowed, bytes that are given before it is known
    whether they become a character.
    """
    size, tokens = vocabulary(probe, learning)
    usable = known(tokens)
    ids = [*(usable[place % len(usable)] for place in places), *tail]
    expect_equal(len(tokens) + SPECIAL_COUNT, size, "the number of ids")
    pieces = stream(probe, learning, ids)
    data = [tokens[i] or b"" for i in ids]
    expect_equal(joined(pieces), b"".join(data).decode("utf-8", "replace"), f"the joined pieces of {ids}")
    expect_nothing_early(pieces, ids, data)


@law(
    examples=12,
    cases=[
        {"learning": BYTES, "text": "a", "times": 3},
        {"learning": BYTES, "text": "日本", "times": 3},
        {"learning": BYTES, "text": "The ships hung in the sky 🙂. ", "times": 400},
    ],
    learning=learnings,
    text=said.filter(bool),
    times=st.sampled_from([3, 3, 100]),
)
def test_a_stream_without_end_is_read_as_it_comes(
    probe: Probe, learning: Learning, text: str, times: int
) -> None:
    """Pieces come while ids still come in, however many there are.

    Kills: ids collected in a list first, pieces only at the end, a limit to the ids, a stream that goes one
    call deeper for each.
    """
    _, tokens = vocabulary(probe, learning)
    ids = cut(text.encode(), tokens)
    characters = times * len(text) + 1
    pieces = probe("tokenizer.endless_stream", learning=learning, ids=ids, characters=characters)
    got = "".join(pieces)
    expect_equal(got, (text * (len(got) // len(text) + 1))[: len(got)], f"the pieces of {ids} over and over")
    expect(len(got) >= characters, f"the pieces of {ids} over and over: got {len(got)} characters")


@law(
    examples=12,
    cases=[{"drawn": ["🙂🙂", "éa", "日"]}, {"drawn": ["🙂", "a"]}],
    drawn=st.lists(said, min_size=2, max_size=3),
)
def test_streams_do_not_meet(probe: Probe, drawn: list[str]) -> None:
    """Several streams of one tokenizer, and one that was left early, do not reach into each other.

    Kills: waiting bytes kept in the tokenizer.
    """
    _, tokens = vocabulary(probe, BYTES)
    lists = [cut(text.encode(), tokens) for text in drawn]
    streams = probe("tokenizer.streams_in_turn", learning=BYTES, lists=lists)
    expect_equal(["".join(pieces) for pieces in streams], drawn, "the joined pieces of streams read in turn")


@law(
    examples=10,
    cases=[{"form": form, "text": text} for form in ("list", "tuple", "iterator") for text in ("", "a🙂")],
    form=st.sampled_from(["list", "tuple", "iterator"]),
    text=said,
)
def test_any_iterable_of_ids_is_taken(probe: Probe, form: str, text: str) -> None:
    """decode_stream takes a list, a tuple or an iterator of ids, and one without ids too.

    Kills: ids taken by index or counted, an exception or an endless wait for none.
    """
    _, tokens = vocabulary(probe, MERGING)
    ids = cut(text.encode(), tokens)
    answer = probe("tokenizer.stream", learning=MERGING, ids=ids, form=form)
    expect_equal(joined(answer["pieces"]), text, f"the joined pieces of {ids} as {form}")


@law(
    examples=10,
    cases=[{"off": off, "before": "a"} for off in (0, 1, -1, -9, 1000)],
    off=st.one_of(st.integers(0, 2**31), st.integers(-(2**31), -1)),
    before=st.sampled_from(["", "a", "🙂"]),
)
def test_a_stream_refuses_ids_outside_the_vocabulary(probe: Probe, off: int, before: str) -> None:
    """A stream raises when it comes to an id below 0 or from get_vocab_size() on.

    Kills: negative ids counted from the end, unknown ids passed over.
    """
    size, tokens = vocabulary(probe, FEW)
    ids = [*cut(before.encode(), tokens), off if off < 0 else size + off]
    outcome = probe.attempt("tokenizer.stream", learning=FEW, ids=ids)
    expect_raised(outcome, f"decode_stream({ids}), with {size} ids")
    answer = stream(probe, FEW, ids[:-1])
    expect_equal(joined(answer), before, "the stream of the ids before it")


@law()
def test_streaming_leaves_no_traces(probe: Probe) -> None:
    """Streaming text and counting bytes change no setting that others share.

    Kills: a seed, handlers for an interruption that stay, warnings switched off for good.
    """
    expect_no_traces(probe, ["a stream", "counting bytes"])


def cut(data: bytes, tokens: Sequence[bytes | None]) -> list[int]:
    """Return ids whose bytes are `data`, at each place the longest token: without the submission's encode."""
    by_bytes = ids_of(tokens)
    longest = max(map(len, by_bytes))
    ids: list[int] = []
    place = 0
    while place < len(data):
        length = next(n for n in range(longest, 0, -1) if data[place : place + n] in by_bytes)
        ids.append(by_bytes[data[place : place + length]])
        place += length
    return ids


def stream(probe: Probe, learning: Learning, ids: list[int]) -> list[list[Any]]:
    """Return the pieces of a stream, each with the number of ids that were taken when it came."""
    answer = probe("tokenizer.stream", learning=learning, ids=ids)
    pieces: list[list[Any]] = answer["pieces"]
    stray = next((piece for _, piece in pieces if not isinstance(piece, str)), None)
    expect(stray is None, f"decode_stream({ids}) gave {quoted(stray)}, want a str")
    expect_equal(answer["taken"], len(ids), "the number of ids that a stream was given, and took")
    return pieces


def joined(pieces: Sequence[Sequence[Any]]) -> str:
    """Return the text of pieces."""
    return "".join(piece for _, piece in pieces)


def given_by(pieces: Sequence[Sequence[Any]], taken: int) -> str:
    """Return what was given before an id beyond the first `taken` was asked for."""
    return "".join(piece for when, piece in pieces if when <= taken)


def expect_prompt(
    pieces: Sequence[Sequence[Any]], ids: Sequence[int], tokens: Sequence[bytes | None]
) -> None:
    """Require every character when its last id has come in, and all of them in the end."""
    data = [tokens[i] or b"" for i in ids]
    expect_nothing_early(pieces, ids, data)
    for taken, so_far in enumerate(accumulate(data), 1):
        want, got = streaming.whole_characters(so_far), given_by(pieces, taken)
        if not streaming.is_whole(so_far):
            # When U+FFFD is given for bytes that are no character is free.
            want, got = want.rstrip("\ufffd"), got.rstrip("\ufffd")
        # At the end all is given, whole or not.
        if taken < len(ids):
            expect_equal(
                got,
                want,
                f"what decode_stream({quoted(list(ids))}) gave after {taken} of {len(ids)} ids, whose bytes "
                f"are {quoted(so_far)}",
            )
    want = b"".join(data).decode("utf-8", "replace")
    expect_equal(joined(pieces), want, f"the joined pieces of decode_stream({quoted(list(ids))})")


def expect_nothing_early(pieces: Sequence[Sequence[Any]], ids: Sequence[int], data: Sequence[bytes]) -> None:
    """Require that nothing was given of bytes that might still have become a character."""
    for taken, so_far in enumerate(accumulate(data), 1):
        # The end of the ids shows that nothing will come of what waits.
        whole = streaming.whole_characters(so_far)
        given = given_by(pieces, taken)
        if taken < len(ids) and not whole.startswith(given):
            broken(
                f"decode_stream({quoted(list(ids))}) gave {given!r} after {taken} of {len(ids)} ids, whose "
                f"bytes are {quoted(so_far)}: want no more than {whole!r} so far"
            )
