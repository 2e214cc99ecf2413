"""Text to ids and back, and the special tokens: nothing is lost, and text stays text.

Nothing here depends on what was learned, so that a fault of training does not show.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from specs.compare import broken, expect, expect_equal, expect_raised, quoted
from specs.imports import expect_import_without_traces
from specs.law import law
from specs.learning import CONVERSATION, expect_no_traces, known, vocabulary
from specs.order import another_process
from specs.probe import Probe
from specs.probes.byte_tokenizer import SPECIAL
from specs.texts import (
    AWKWARD,
    BLOCKS,
    BYTES,
    EDGES,
    ENGLISH,
    FEW,
    MERGING,
    MIXED,
    PARTS_OF_SPECIAL,
    SPECIAL_COUNT,
    SPELLED,
    SYNTAX,
    TIDIED,
    Learning,
    learnings,
    plain_texts,
    spelling_texts,
    texts,
)

CRITERION = "encoding"


@law(
    examples=60,
    cases=[
        *({"learning": learning, "text": text} for learning in (MERGING, BYTES) for text in MIXED),
        *({"learning": MERGING, "text": text} for text in [*ENGLISH, "".join(AWKWARD), " ".join(AWKWARD)]),
        *({"learning": FEW, "text": text} for text in TIDIED),
        {"learning": MERGING, "text": "a" * 3000 + " " * 3000 + "\n" * 300},
    ],
    learning=learnings,
    text=plain_texts,
)
def test_decoding_gives_the_text_back(probe: Probe, learning: Learning, text: str) -> None:
    """decode(encode(text)) is the text, whatever is in it: blanks, controls, marks, any script.

    Kills: text that is stripped, lower-cased, normalised or cut, line ends changed, blanks put in front or
    taken away before punctuation, what other tokenizers write for a blank or a byte read as one, characters
    beyond ASCII or beyond 16 bits lost, unknown characters replaced.
    """
    answer = probe("tokenizer.round_trip", learning=learning, texts=[text])
    expect_ids(answer["ids"][0], answer["size"], f"encode({quoted(text)})")
    expect_equal(answer["decoded"][0], text, f"decode(encode({quoted(text)})), of {quoted(answer['ids'][0])}")
    expect_equal(answer["again"][0], answer["ids"][0], f"encode({quoted(text)}) once more")


@law(examples=2, cases=[{"learning": learning} for learning in (MERGING, FEW)], learning=learnings)
def test_every_kind_of_character_comes_back(probe: Probe, learning: Learning) -> None:
    """Some thousand characters, assigned or not, come back one by one and side by side.

    Kills: characters that are dropped, replaced or composed because they are no letters or not assigned.
    """
    blocks = ["".join(map(chr, range(*block))) for block in BLOCKS]
    texts = [*blocks, *("".join(f"a{character}" for character in block) for block in blocks)]
    answer = probe("tokenizer.round_trip", learning=learning, texts=texts)
    for text, got in zip(texts, answer["decoded"], strict=True):
        lost = next((each for each in text if each not in got), None) if isinstance(got, str) else None
        named = "" if lost is None else f"; U+{ord(lost):04X} is lost"
        expect(got == text, f"decode(encode({quoted(text)})): got {quoted(got)}, want the text{named}")


@law(examples=1, learning=learnings)
def test_a_text_may_begin_and_end_with_anything(probe: Probe, learning: Learning) -> None:
    """Whatever stands at the beginning or the end of a text, or is all of it, comes back, also from a list.

    Kills: blanks or zero bytes taken off an end of a text, a mark in front taken for one of the byte order.
    """
    texts = [text for edge in EDGES for text in (edge, f"{edge}a{edge}")]
    answer = probe("tokenizer.round_trip", learning=learning, texts=texts)
    listed = probe("tokenizer.encode_batch", learning=learning, texts=texts)
    expect_equal(len(listed), len(texts), "the number of lists of ids for a list of texts")
    for text, ids, decoded, others in zip(texts, answer["ids"], answer["decoded"], listed, strict=True):
        if decoded != text:
            broken(f"decode(encode({text!r})), of {quoted(ids)}: got {quoted(decoded)}, want the text")
        if others != ids:
            broken(
                f"encode of a list with {text!r}: got {quoted(others)}, want {quoted(ids)} as from it alone"
            )


LONG_WORD = "weathers "
"""Nine characters: no round number of characters ends between two words."""


@law(examples=1, cases=[{"number": number} for number in (200, 2000, 30_000)], number=st.integers(100, 3000))
def test_a_long_text_is_encoded_as_a_short_one(probe: Probe, number: int) -> None:
    """In a text of hundreds of thousands of characters every word becomes what it becomes in a short text.

    Kills: a limit to the length of a text, long texts cut into parts in the middle of words.
    """
    asked = [3, 4, number]
    answer = probe("tokenizer.long_text", learning=MERGING, word=LONG_WORD, numbers=asked)
    three, four, got = (each.tolist() for each in answer["ids"])
    # What one word more adds, which must stand in front of the ends that two texts share.
    size = len(four) - len(three)
    same = next(
        (i for i, (one, other) in enumerate(zip(three, four, strict=False)) if one != other), len(three)
    )
    want = four[:same] + four[same : same + size] * (number - 3) + three[same:]
    what = f"encode({LONG_WORD!r} * {number})"
    expect_equal(len(got), len(want), f"the number of ids of {what}, from those of 3 and 4 times the word")
    place = next((i for i, (one, other) in enumerate(zip(got, want, strict=True)) if one != other), None)
    if place is not None:
        broken(
            f"{what}: id {place} of {len(want)} is {got[place]}, want {want[place]} as in a short text; "
            f"around it got {got[max(0, place - 3) : place + 4]}, want {want[max(0, place - 3) : place + 4]}"
        )
    expect(answer["decoded"][2], f"decode({what}) is not the text")


@law(
    examples=40,
    cases=[
        *({"learning": MERGING, "text": text} for text in [*SPECIAL, *PARTS_OF_SPECIAL, *SPELLED]),
        {"learning": BYTES, "text": "".join(SPECIAL)},
        {"learning": FEW, "text": "a<|assistant_end|>b<|bos|"},
    ],
    learning=learnings,
    text=spelling_texts,
)
def test_text_that_spells_a_special_token_stays_text(probe: Probe, learning: Learning, text: str) -> None:
    """Text that spells a special token, whole or in part, becomes ordinary ids and comes back as it was.

    Kills: special tokens recognised in text, an exception for them, text around them lost or escaped, also
    where texts are encoded as a list.
    """
    answer = probe("tokenizer.round_trip", learning=learning, texts=[text])
    batch = probe("tokenizer.encode_batch", learning=learning, texts=[text, text + "!"])
    for ids in (answer["ids"][0], *batch):
        expect_ids(ids, answer["size"], f"encode({quoted(text)})")
    expect_equal(answer["decoded"][0], text, f"decode(encode({quoted(text)})), of {quoted(answer['ids'][0])}")
    expect_equal(batch[0], answer["ids"][0], f"encode of a list with {quoted(text)}, against encode of it")


def expect_ids(ids: Any, size: int, what: str) -> None:
    """Require ids of ordinary tokens."""
    expect(isinstance(ids, list), f"{what}: got {quoted(ids)}, want a list of ids")
    stray = next((i for i in ids if type(i) is not int or not 0 <= i < size - SPECIAL_COUNT), None)
    if stray is not None:
        kind = "the id of a special token" if stray in range(size - SPECIAL_COUNT, size) else "no id of text"
        broken(f"{what} holds {quoted(stray)}, {kind}: want ids from 0 to {size - SPECIAL_COUNT - 1}")


@law(examples=6, learning=learnings)
def test_the_special_tokens_are_the_last_nine_ids(probe: Probe, learning: Learning) -> None:
    """The nine special tokens have the last nine ids, in the order of the contract, and go both ways.

    Kills: another order, ids in front of the learned ones, a missing or an additional one, a BOS that is
    another token, texts that do not come back from ids.
    """
    answer = probe("tokenizer.names", learning=learning)
    first = answer["size"] - SPECIAL_COUNT
    want = {text: first + place for place, text in enumerate(SPECIAL)}
    expect_equal(answer["special tokens"], sorted(SPECIAL), "get_special_tokens(), sorted")
    expect_equal(answer["ids"], want, f"encode_special of each, with {answer['size']} ids")
    expect_equal(answer["bos"], first, "get_bos_token_id()")
    expect_equal(answer["texts"][first:], SPECIAL, "id_to_token of the last nine ids")
    lists = [[i] for i in want.values()]
    (whole, *single) = probe("tokenizer.decode", learning=learning, lists=[list(want.values()), *lists])
    expect_equal(single, SPECIAL, "decode of each of the last nine ids alone")
    expect_equal(whole, "".join(SPECIAL), "decode of the last nine ids together")


@law(
    examples=8,
    cases=[{"token": token} for token in ("", "bos", "<|bos|> ", "<|BOS|>", "<|endoftext|>", "a")],
    token=st.one_of(st.sampled_from(PARTS_OF_SPECIAL), st.text(max_size=4), st.sampled_from(AWKWARD)),
)
def test_no_other_text_is_a_special_token(probe: Probe, token: str) -> None:
    """encode_special, prepend and append raise for a text that is no special token, and the rest goes on.

    Kills: None, -1 or BOS for an unknown name, ordinary ids in its place, a name that is ignored.
    """
    outcome = probe.attempt("tokenizer.encode_special", learning=FEW, token=token)
    expect_raised(outcome, f"encode_special({token!r})")
    for end in ("prepend", "append"):
        for text in ("hi", ["hi", "ho"]):
            outcome = probe.attempt("tokenizer.encode", learning=FEW, texts=[text], options={end: token})
            expect_raised(outcome, f"encode({text!r}, {end}={token!r})")
    expect_still_encodes(probe)


def expect_still_encodes(probe: Probe) -> None:
    """Require a tokenizer to be usable, after an error for example."""
    answer = probe("tokenizer.round_trip", learning=FEW, texts=["café"])
    expect_equal(answer["decoded"], ["café"], "decode(encode('café')) after an error")


ends = st.one_of(st.none(), st.sampled_from(SPECIAL), st.sampled_from([0, 1, 97, 255]), st.just("last id"))


@law(
    examples=40,
    cases=[
        {"learning": FEW, "text": "hello", "prepend": "<|bos|>", "append": None},
        {"learning": FEW, "text": "hello", "prepend": None, "append": "<|assistant_end|>"},
        {"learning": FEW, "text": "", "prepend": "<|bos|>", "append": "<|bos|>"},
        {"learning": FEW, "text": "hello", "prepend": 0, "append": 0},
        {"learning": FEW, "text": "a", "prepend": 97, "append": 97},
        {"learning": FEW, "text": "<|bos|>", "prepend": "last id", "append": "<|user_end|>"},
    ],
    learning=learnings,
    text=texts,
    prepend=ends,
    append=ends,
)
def test_a_token_is_put_at_each_end(
    probe: Probe, learning: Learning, text: str, prepend: int | str | None, append: int | str | None
) -> None:
    """encode(text, prepend, append) is the ids of the text with one id in front and one behind.

    Kills: BOS not prepended, prepended and appended swapped, id 0 taken for none, a name not looked up, a
    token that is added for an empty text only or not for it, or not where the text has it already.
    """
    options, before, after = ends_of(probe, learning, prepend, append)
    (got,) = probe("tokenizer.encode", learning=learning, texts=[text], options=options)
    (plain,) = probe("tokenizer.encode", learning=learning, texts=[text])
    expect_equal(got, [*before, *plain, *after], f"encode({quoted(text)}, {said(options)})")


@law(
    examples=30,
    cases=[
        {"learning": FEW, "drawn": ["hello", "you"], "prepend": "<|bos|>", "append": None},
        {"learning": FEW, "drawn": ["hello", "", "you"], "prepend": None, "append": "<|user_end|>"},
        {"learning": FEW, "drawn": ["", ""], "prepend": 0, "append": 0},
        {"learning": FEW, "drawn": ["a", "b"], "prepend": 97, "append": 98},
        {"learning": FEW, "drawn": [], "prepend": "<|bos|>", "append": "<|bos|>"},
    ],
    learning=learnings,
    drawn=st.lists(texts, max_size=5),
    prepend=ends,
    append=ends,
)
def test_a_token_is_put_at_each_end_of_every_text_of_a_list(
    probe: Probe, learning: Learning, drawn: list[str], prepend: int | str | None, append: int | str | None
) -> None:
    """In a list every text gets the tokens at its ends, each once.

    Kills: BOS not prepended in a list, at the first text only, before the whole list, twice for equal texts.
    """
    options, before, after = ends_of(probe, learning, prepend, append)
    got = probe("tokenizer.encode_batch", learning=learning, texts=drawn, options=options)
    plain = probe("tokenizer.encode", learning=learning, texts=drawn)
    want = [[*before, *ids, *after] for ids in plain]
    expect_equal(got, want, f"encode({quoted(drawn)}, {said(options)})")


def ends_of(
    probe: Probe, learning: Learning, prepend: int | str | None, append: int | str | None
) -> tuple[dict[str, int | str], list[int], list[int]]:
    """Return the options of a call, and the ids that they must put in front and behind."""
    size = probe("tokenizer.size", learning=learning)
    options: dict[str, int | str] = {}
    ids: dict[str, list[int]] = {"prepend": [], "append": []}
    for name, end in (("prepend", prepend), ("append", append)):
        if end is not None:
            given = options[name] = size - 1 if end == "last id" else end
            ids[name] = [size - SPECIAL_COUNT + SPECIAL.index(given) if isinstance(given, str) else given]
    return options, ids["prepend"], ids["append"]


def said(options: dict[str, int | str]) -> str:
    """Return options as they are written in a call."""
    return ", ".join(f"{name}={value!r}" for name, value in options.items()) or "no more"


@law(
    examples=20,
    cases=[
        {"learning": MERGING, "drawn": [], "num_threads": 8},
        {"learning": MERGING, "drawn": [""], "num_threads": 1},
        {"learning": MERGING, "drawn": ["a", "a", "b", "", "a"], "num_threads": 2},
        {
            "learning": MERGING,
            "drawn": [f"{n} is {'longer ' * (40 - n)}" for n in range(40)],
            "num_threads": 3,
        },
    ],
    learning=learnings,
    drawn=st.lists(texts, max_size=12),
    num_threads=st.sampled_from([1, 2, 3, 8]),
)
def test_a_list_is_encoded_text_by_text(
    probe: Probe, learning: Learning, drawn: list[str], num_threads: int
) -> None:
    """A list gives a list of what each of its texts gives, in order, with any number of threads.

    Kills: results in the order in which threads finish, texts lost in the cut between threads, an exception
    for an empty list, a result without its outer list, equal texts that share one list of ids.
    """
    options = {"num_threads": num_threads}
    got = probe("tokenizer.encode_batch", learning=learning, texts=drawn, options=options)
    want = probe("tokenizer.encode", learning=learning, texts=drawn)
    expect_equal(got, want, f"encode({quoted(drawn)}, num_threads={num_threads}), against one text at a time")


@law(
    examples=12,
    cases=[
        {"value": value}
        for value in (None, 5, 1.5, b"hi", [1], ["a", None], [b"a"], ["a", 5], {"a": "b"}, [["a", 5]], True)
    ],
    value=st.one_of(st.binary(max_size=3), st.integers(), st.lists(st.integers(), min_size=1, max_size=3)),
)
def test_what_is_no_text_is_refused(probe: Probe, value: Any) -> None:
    """encode raises for anything but a str or a list of str, and goes on encoding afterwards.

    A list of lists of texts is neither refused nor asked for: an encode that calls itself for each element of
    a list takes it. Kills: bytes or numbers turned into text, None taken for an empty text, a list that is
    encoded up to what is wrong with it.
    """
    outcome = probe.attempt("tokenizer.encode_batch", learning=FEW, texts=value)
    expect_raised(outcome, f"encode({value!r})")
    expect_still_encodes(probe)


@law()
def test_nothing_is_nothing(probe: Probe) -> None:
    """An empty text has no ids, an empty list no lists of them, and no ids are an empty text.

    Kills: an id for an empty text, an exception for it, None.
    """
    for learning in (MERGING, BYTES):
        answer = probe("tokenizer.encode", learning=learning, texts=["", "a", ""])
        expect_equal([answer[0], answer[2]], [[], []], "encode('')")
        expect(bool(answer[1]), "encode('a'): got no ids, want at least one")
        expect_equal(probe("tokenizer.encode_batch", learning=learning, texts=[]), [], "encode([])")
        batch = probe("tokenizer.encode_batch", learning=learning, texts=["", ""])
        expect_equal(batch, [[], []], "encode(['', ''])")
        expect_equal(probe("tokenizer.decode", learning=learning, lists=[[]]), [""], "decode([])")


@law(
    examples=40,
    cases=[
        {"learning": BYTES, "places": [0xF0, 0x9F, 0x99, 0x82], "special": []},
        {"learning": BYTES, "places": [0xF0, 0x9F, 0x41], "special": [(1, 0)]},
        {"learning": MERGING, "places": [0xFF, 0xC3, 0xA9, 0xED, 0xA0, 0x80], "special": [(2, 4), (9, 8)]},
    ],
    learning=learnings,
    places=st.lists(st.integers(0, 10_000), max_size=12),
    special=st.lists(st.tuples(st.integers(0, 12), st.integers(0, SPECIAL_COUNT - 1)), max_size=3),
)
def test_any_ids_are_decoded_by_their_bytes(
    probe: Probe, learning: Learning, places: list[int], special: list[tuple[int, int]]
) -> None:
    """decode puts the bytes of all ids together, special tokens by their text, and then makes text of them.

    What is no UTF-8 becomes U+FFFD. Kills: ids decoded one at a time, bytes that are dropped or raise,
    special tokens left out.
    """
    size, tokens = vocabulary(probe, learning)
    usable = known(tokens)
    ids = [usable[place % len(usable)] for place in places]
    for place, which in special:
        ids.insert(place, len(tokens) + which)
    everything = [*(data or b"" for data in tokens), *(text.encode() for text in SPECIAL)]
    expect_equal(len(everything), size, "the number of ids")
    data = b"".join(everything[i] for i in ids)
    (got,) = probe("tokenizer.decode", learning=learning, lists=[ids])
    expect_equal(got, data.decode("utf-8", "replace"), f"decode({ids}), whose bytes are {quoted(data)}")


@law(examples=1, cases=[{"times": 40_000}, {"times": 3000}], times=st.integers(500, 5000))
def test_many_ids_are_decoded_together(probe: Probe, times: int) -> None:
    """A hundred thousand ids are decoded to their end, and no character is lost wherever it lies.

    Kills: ids decoded in blocks, at whose ends characters fall apart, a limit to their number.
    """
    # Three bytes, each an id: no round number of ids ends with a character.
    ids = list("日".encode())
    got = probe("tokenizer.decoded_length", learning=BYTES, ids=ids, times=times)
    what = f"decode({ids} * {times})"
    expect_equal(got["once"], "日", f"decode({ids})")
    expect_equal(got["others"], "", f"what {what} has beside the character")
    expect_equal(got["characters"], times, f"the characters of {what}")


@law(
    examples=15,
    cases=[{"off": off, "at": 0} for off in (0, 1, 1000, -1, -9, -256)] + [{"off": -1, "at": 2}],
    off=st.one_of(st.integers(0, 2**31), st.integers(-(2**31), -1)),
    at=st.integers(0, 3),
)
def test_ids_outside_the_vocabulary_are_refused(probe: Probe, off: int, at: int) -> None:
    """decode raises for an id below 0 or from get_vocab_size() on, wherever it stands.

    Kills: negative ids counted from the end, unknown ids left out or replaced, an upper end off by one.
    """
    size = probe("tokenizer.size", learning=FEW)
    ids = [97, 98, 99]
    ids.insert(at, off if off < 0 else size + off)
    expect_raised(
        probe.attempt("tokenizer.decode", learning=FEW, lists=[ids]), f"decode({ids}), with {size} ids"
    )
    expect_still_encodes(probe)


@law()
def test_lists_that_were_given_stay_as_they_are(probe: Probe) -> None:
    """encode and decode leave the lists alone that they are given.

    Kills: texts sorted or tidied in place, a BOS taken off the caller's ids, ids lengthened.
    """
    size = probe("tokenizer.size", learning=FEW)
    bos = size - SPECIAL_COUNT
    for ids in ([bos, 97, 98, bos + 4], [97], [bos], []):
        given = probe("tokenizer.left_alone", learning=FEW, method="decode", argument=ids, options={})
        expect_equal(given, ids, f"the list of ids that decode({ids}) was given, afterwards")
    drawn = ["the weather", "a", "", "b", "a", " A\t", "\nc\r\n", "e\u0301", "<|bos|>"]
    both: list[dict[str, int | str]] = [{}, {"prepend": "<|bos|>", "append": 5}]
    for options in both:
        given = probe("tokenizer.left_alone", learning=FEW, method="encode", argument=drawn, options=options)
        expect_equal(
            given, drawn, f"the list of texts that encode({drawn}, {said(options)}) was given, afterwards"
        )


@law(examples=3, learning=learnings)
def test_each_id_has_its_text(probe: Probe, learning: Learning) -> None:
    """id_to_token gives the text of one id, U+FFFD for bytes that are none alone.

    Kills: bytes or their repr in place of text, ids off by one, an exception for a part of a character.
    """
    size, tokens = vocabulary(probe, learning)
    answer = probe("tokenizer.names", learning=learning)
    want = [*(token and token.decode("utf-8", "replace") for token in tokens), *SPECIAL]
    expect_equal(len(want), size, "the number of ids")
    usable = [i for i, text in enumerate(want) if text is not None]
    expect_equal([answer["texts"][i] for i in usable], [want[i] for i in usable], "id_to_token of every id")


SHARED: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("encode", ["hello the weather"], {}),
    ("encode", [""], {}),
    ("encode", ["hello"], {"prepend": "<|bos|>", "append": 5}),
    ("encode", [["hello", "hello", "the", ""]], {}),
    ("encode", [["hello", "hello"]], {"prepend": "<|bos|>"}),
    ("get_special_tokens", [], {}),
]


@law()
def test_lists_are_fresh(probe: Probe) -> None:
    """Whoever changes a list that was returned changes no later answer.

    Kills: results kept in a cache and handed out again, the tokenizer's own list given away.
    """
    for method, arguments, options in SHARED:
        before, after = probe(
            "tokenizer.changed_answers", learning=FEW, method=method, arguments=arguments, options=options
        )
        expect_equal(
            after,
            before,
            f"{method}{tuple(arguments)} {options or ''}, after the list that it gave before was emptied",
        )
    (answer,) = probe("tokenizer.encode_batch", learning=FEW, texts=["hello", "hello"])[:1]
    expect(bool(answer), "encode(['hello', 'hello']): got no ids for hello")


@law(
    examples=6,
    cases=[
        {"learning": MERGING, "drawn": [*MIXED, *SPELLED[:1]], "ids": [0, 255, 256, 300]},
        {"learning": BYTES, "drawn": ["a"], "ids": [0xC3, 0xA9]},
        {"learning": SYNTAX, "drawn": SYNTAX["texts"], "ids": list(range(256, 351))},
    ],
    learning=learnings,
    drawn=st.lists(texts, min_size=1, max_size=3),
    ids=st.lists(st.integers(0, 264), max_size=6),
)
def test_a_saved_tokenizer_comes_back(
    probe: Probe, learning: Learning, drawn: list[str], ids: list[int]
) -> None:
    """A tokenizer that was saved, moved and loaded answers everything as before.

    Kills: tokens saved as text, which loses bytes, an order that is lost, special tokens or a pattern that is
    not saved, a folder that is not made, an earlier file that stays, plain pickle, a path kept from saving, a
    tokenizer kept from an earlier loading, tokens lost that look like a comment or a blank.
    """
    answer = probe(
        "tokenizer.saved",
        learning=learning,
        texts=[*drawn, "the weather is naïve"],
        lists=[ids],
        conversation=CONVERSATION,
        earlier=FEW if learning["vocab_size"] != FEW["vocab_size"] else MERGING,
    )
    for when, where in (
        ("there", "where another one was saved and loaded before"),
        ("after", "after a move"),
    ):
        for what, want in answer["before"].items():
            expect_equal(
                answer[when][what], want, f"{what} of the tokenizer loaded {where}, against the saved"
            )
    for name, ends in answer["files"].items():
        pickled = ends["begins"][:1] == b"\x80" and ends["ends"] == b"."
        expect(
            not pickled, f"{name} is a pickle, which runs code when it is loaded: want a format that does not"
        )


@law(examples=8, drawn=st.lists(texts, min_size=1, max_size=4))
def test_two_tokenizers_do_not_meet(probe: Probe, drawn: list[str]) -> None:
    """Two tokenizers in one process each answer as alone.

    Kills: tokens, caches or special ids kept in the class or the module.
    """
    drawn = [*drawn, "the weather, 日本"]
    answer = probe("tokenizer.together", one=MERGING, other=BYTES, texts=drawn)
    expect_equal(answer["in turn"], answer["alone"], f"encode of {quoted(drawn)} by two tokenizers in turn")
    for row in answer["decoded"]:
        expect_equal(row[0], row[1], "decode(encode(text)) by two tokenizers in turn")
    expect_equal([row[0] for row in answer["decoded"]], drawn, "decode(encode(text)) by two tokenizers")


@law()
def test_importing_the_tokenizer_changes_nothing(probe: Probe) -> None:
    """Importing the module starts nothing, writes nothing, and changes no setting that others share.

    Kills: a seed, the number of threads, a precision or warning filters set while the module is imported, a
    folder made for a cache.
    """
    expect_import_without_traces(probe, "nanochat.tokenizer")


@law()
def test_encoding_leaves_no_traces(probe: Probe) -> None:
    """Encoding, decoding, saving and loading change no setting that others share.

    Kills: a seed, a number of threads or warning filters that are set for good.
    """
    expect_no_traces(probe, ["encoding", "decoding", "saving"])


@law(
    examples=2,
    cases=[{"learning": MERGING, "drawn": [*MIXED, *SPELLED[:1]]}],
    learning=learnings,
    drawn=st.lists(texts, min_size=1, max_size=3),
)
def test_another_process_reads_a_saved_tokenizer(probe: Probe, learning: Learning, drawn: list[str]) -> None:
    """A tokenizer that was saved can be loaded by another process, which has nothing but the files.

    Kills: files that are written when the process ends, a file that says where in memory the rest is.
    """
    given: dict[str, Any] = {"texts": drawn, "lists": [[0, 255, 256]], "conversation": CONVERSATION}
    want = probe("tokenizer.asked", learning=learning, **given)
    files = probe("tokenizer.written", learning=learning)
    with another_process(probe):
        got = probe("tokenizer.read", files=files, **given)
    for what, answer in want.items():
        expect_equal(got[what], answer, f"{what} of the tokenizer in another process, against the saved")
