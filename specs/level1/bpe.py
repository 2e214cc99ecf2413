"""Byte pairs: what training learns, and the ids that a piece of text has by it.

The pattern that cuts text into pieces is free, but for runs of letters that are not upper case. So the texts
here are such runs, each a piece of its own, and their tokens can be worked out. How ties are broken is free.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from specs.compare import expect, expect_equal, expect_named, expect_raised, quoted
from specs.law import law
from specs.learning import (
    expect_most_frequent,
    expect_no_traces,
    expect_size,
    ids_of,
    learn,
    vocabulary,
)
from specs.oracles import bytepairs
from specs.order import expect_any_order
from specs.probe import Probe
from specs.texts import (
    ENGLISH,
    FIRST_LEARNED,
    LEAST,
    LETTERS,
    MIXED,
    SPELLED,
    plain_texts,
    words,
    written_texts,
)

CRITERION = "bpe"

CHANGEABLE = [
    "e\u0301",
    "ﬁ",
    "Å",
    "ABC",
    "x\u00a0y",
    "a\r\nb",
    "\u200bzw\u200d",
    "\ufeffé",
    "“q”",
    "\ttab",
    "가",
]
"""What a normal form, a tidied white space or a lower case would change."""

steps = st.integers(0, 30)
"""How many tokens to learn."""


@law(
    examples=25,
    cases=[
        {"texts": ["ab", "ab", "cd"], "count": 1},
        {"texts": ["abab", "abc", "bcbc", "bc"], "count": 4},
        {"texts": ["low", "low", "lower", "newest", "newest", "newest", "widest"], "count": 12},
    ],
    texts=words(),
    count=steps,
)
def test_each_step_joins_a_most_frequent_pair(probe: Probe, texts: list[str], count: int) -> None:
    """Every learned token joins two neighbours that stand side by side most often at that step.

    Kills: the second best pair, the longest, counts that are not brought up to date after a join, texts that
    count once however often they come, a pair that must come twice.
    """
    vocab_size = LEAST + count
    expect_most_frequent(texts, learn(probe, texts, vocab_size), vocab_size)


@law(
    examples=20,
    cases=[
        {"runs": [4], "between": "", "count": 3},
        {"runs": [3, 3, 2], "between": "b", "count": 4},
        {"runs": [5, 2, 7, 3], "between": "b", "count": 8},
    ],
    runs=st.lists(st.integers(1, 12), min_size=1, max_size=8),
    between=st.sampled_from(["", "b", "ab"]),
    count=steps,
)
def test_runs_are_counted_at_every_place(probe: Probe, runs: list[int], between: str, count: int) -> None:
    """In a run of equal letters every place counts, and joins are made from the left: aaaaa is aa aa a.

    Kills: places that overlap counted once or left stale after a join, joins from the right, joins that
    overlap.
    """
    texts = ["a" * run + between for run in runs]
    vocab_size = LEAST + count
    expect_most_frequent(texts, learn(probe, texts, vocab_size), vocab_size)


@law(
    examples=20,
    cases=[{"letters": "éè", "seed": ["éèé", "èè", "é"], "count": 5}],
    letters=st.sampled_from([LETTERS["letters of one to four bytes"], LETTERS["letters that share bytes"]]),
    seed=st.lists(st.text(st.sampled_from("éèêяю日本𐐨𐐩"), max_size=8), min_size=1, max_size=8),
    count=st.integers(1, 40),
)
def test_bytes_are_joined_and_not_characters(probe: Probe, letters: str, seed: list[str], count: int) -> None:
    """Characters of several bytes are learned byte by byte, and parts of them can be tokens.

    Kills: training on characters or code points, other encodings than UTF-8, bytes that are dropped.
    """
    texts = [*seed, letters, letters]
    vocab_size = LEAST + count
    expect_most_frequent(texts, learn(probe, texts, vocab_size), vocab_size)


@law(
    examples=15,
    cases=[{"texts": ["ab"] * 4, "count": 5}, {"texts": ["a"] * 9, "count": 3}, {"texts": [], "count": 2}],
    texts=words(max_length=3),
    count=steps,
)
def test_no_pair_lies_across_two_texts(probe: Probe, texts: list[str], count: int) -> None:
    """The end of a text and the beginning of the next are no neighbours.

    Kills: texts joined into one before they are counted, one letter texts taken for pairs.
    """
    vocab_size = LEAST + count
    learned = learn(probe, texts, vocab_size)
    inside = {text.encode() for text in texts}
    shown = [token for token in learned if isinstance(token, bytes)]
    stray = next((token for token in shown if not any(token in text for text in inside)), None)
    expect(
        stray is None,
        f"training on {quoted(texts)} learned {quoted(stray)}, which stands in none of the texts: "
        f"learned {quoted(learned)}",
    )
    expect_most_frequent(texts, learned, vocab_size)


@law(
    examples=15,
    cases=[
        {"texts": [], "count": 0},
        {"texts": [], "count": 40},
        {"texts": ["", "a"], "count": 1},
        {"texts": ["abcdefgh"], "count": 3},
        {"texts": ["abcdefgh"], "count": 100},
        {"texts": ["ab"], "count": 1},
    ],
    texts=words(max_words=4, max_length=8),
    count=st.one_of(st.integers(0, 12), st.just(200)),
)
def test_the_vocabulary_is_as_large_as_the_texts_allow(probe: Probe, texts: list[str], count: int) -> None:
    """Training gives vocab_size ids, special tokens among them, and fewer only if no pair is left.

    Kills: a vocabulary that is one short or one too large, special tokens on top of vocab_size, learning that
    stops at pairs that come once, ids for tokens that were never learned.
    """
    vocab_size = LEAST + count
    size = probe("tokenizer.learned", texts=texts, vocab_size=vocab_size)["size"]
    expect_size(size, vocab_size)
    # A token that joins all of a text is the last one of it, so short texts can be counted to their end.
    most = len({token for text in texts for token in parts_of(text.encode())})
    expect(
        size <= LEAST + most,
        f"training on {quoted(texts)} gave {size} ids, but only {most} tokens could be learned",
    )
    if size < vocab_size:
        learned = learn(probe, texts, vocab_size)
        expect_most_frequent(texts, learned, vocab_size)


def parts_of(data: bytes) -> set[bytes]:
    """Return every part of some bytes that is longer than one."""
    return {data[i:j] for i in range(len(data)) for j in range(i + 2, len(data) + 1)}


@law(
    examples=10,
    cases=[{"vocab_size": size} for size in (LEAST - 1, 256, 255, 0, -1)],
    vocab_size=st.integers(-10, LEAST - 1),
)
def test_too_small_a_vocabulary_is_refused(probe: Probe, vocab_size: int) -> None:
    """A vocab_size below 265 is a ValueError that names it, and 265 is enough.

    Kills: a check that forgets the special tokens or the bytes, or is off by one; a message from somewhere
    below that leaves open what is wrong.
    """
    outcome = probe.attempt("tokenizer.learned", texts=["abab"], vocab_size=vocab_size)
    what = f"train_from_iterator(['abab'], {vocab_size})"
    raised = expect_raised(outcome, what, "ValueError")
    expect_named(raised, [str(vocab_size)], what)
    expect_equal(learn(probe, ["abab"], LEAST), [], f"what is learned with vocab_size={LEAST}")


@law(examples=15, texts=words(), smaller=st.integers(0, 20), more=st.integers(1, 20))
def test_a_smaller_vocabulary_is_a_prefix(probe: Probe, texts: list[str], smaller: int, more: int) -> None:
    """A smaller vocab_size learns the first of the tokens that a larger one learns.

    Kills: tokens sorted by length or by frequency after training, choices that depend on what is left.
    """
    few = learn(probe, texts, LEAST + smaller)
    many = learn(probe, texts, LEAST + smaller + more)
    expect_equal(
        few,
        many[: len(few)],
        f"the tokens learned from {quoted(texts)} with vocab_size={LEAST + smaller}, against the first with "
        f"{LEAST + smaller + more}",
    )
    expect(
        len(few) == min(smaller, len(many)),
        f"training on {quoted(texts)} learned {len(few)} tokens with room for {smaller}, and {len(many)} "
        f"with room for {smaller + more}",
    )


@law(
    examples=10,
    cases=[{"texts": ["ab", "cd", "ef", "gh", "ij", "kl"] * 2, "count": 4}],
    texts=words(),
    count=st.integers(1, 20),
)
def test_the_same_texts_give_the_same_tokens(probe: Probe, texts: list[str], count: int) -> None:
    """Training is a function of the texts: lists, tuples and iterators of them give the same, every time.

    Kills: an iterator read twice, state kept from an earlier training, ties broken by chance.
    """
    vocab_size = LEAST + count
    expected = learn(probe, texts, vocab_size)
    learn(probe, ["zz", "zyzy"], vocab_size)
    for form in ("iterator", "tuple", "list"):
        expect_equal(
            learn(probe, texts, vocab_size, form),
            expected,
            f"what is learned from {quoted(texts)} as {form}, against a list before it",
        )


@law(
    examples=25,
    cases=[
        {"texts": [*ENGLISH, *MIXED, "ABAB CdCd eFeF", "e\u0301e\u0301"], "count": 150},
        # Alone: beside others they would stand in the texts after they were changed as well.
        *({"texts": [text * 9], "count": 30} for text in CHANGEABLE),
    ],
    texts=st.lists(plain_texts, max_size=4),
    count=st.integers(1, 40),
)
def test_what_is_learned_stands_in_the_texts(probe: Probe, texts: list[str], count: int) -> None:
    """Every learned token is a part of one of the texts, as it stands there.

    Kills: texts that are lower-cased, normalised or stripped for training, blanks or marks put between or
    before them.
    """
    learned = learn(probe, texts, LEAST + count)
    inside = [text.encode() for text in texts]
    for step, token in enumerate(learned):
        expect(
            isinstance(token, str) or any(token in data for data in inside),
            f"the learned token {step} of {quoted(texts)} is {quoted(token)}, which stands in none of them",
        )


@law(examples=4, copies=st.integers(1_000, 3_000), count=st.integers(1, 6))
def test_every_text_counts(probe: Probe, copies: int, count: int) -> None:
    """Also of thousands of texts every one counts, the last as much as the first.

    Kills: training on a sample or on the first buffer, texts deduplicated, long texts cut.
    """
    texts = ["ab"] * copies + ["cd"] * (copies + 1) + ["gh"] * (copies + 2)
    vocab_size = LEAST + count
    learned = learn(probe, texts, vocab_size)
    expect_equal(
        learned[:1], [b"gh"], f"the first token of {copies:,} times ab, one more of cd, two more of gh"
    )
    expect_equal(learned[1:2], [b"cd"][: count - 1], "the second token of these texts")
    (first,) = learn(probe, [*texts, "ef" * (copies + 4)], LEAST + 1)
    expect_equal(first, b"ef", f"the first token of these texts and one of {copies + 4:,} times ef")


@law(examples=2, cases=[{"number": 6000}], number=st.integers(500, 6000))
def test_a_long_text_counts_to_its_end(probe: Probe, number: int) -> None:
    """One text of a hundred thousand characters and more counts to its last word.

    Kills: a limit to the length of a text, or to the number of its words.
    """
    # Two or three times in a word, so that no pair with the blank comes as often. One word counts more if it
    # comes once, and the other because it comes more often: 6 * number against 6 * number + 2.
    text = "xyxyxy " * (2 * number) + "efef " * (3 * number + 1)
    (first,) = learn(probe, [text], LEAST + 1)
    what = f"the first token of one text, {2 * number:,} times xyxyxy and {3 * number + 1:,} times efef"
    expect_equal(first, b"ef", what)


@law(examples=15, count=st.integers(0, 80), mixed=st.booleans())
def test_each_token_joins_two_earlier_ones(probe: Probe, count: int, mixed: bool) -> None:
    """Ids below 256 are the bytes, and each later token is two earlier ones, one behind the other.

    With real text, of which only this is known where the pattern is free. Kills: bytes in another order,
    tokens out of order or with gaps, tokens whose bytes are not what was learned.
    """
    texts = [*ENGLISH, *SPELLED, *(MIXED if mixed else [])]
    answer = probe("tokenizer.vocabulary", learning={"texts": texts, "vocab_size": LEAST + count}, first=0)
    expect_equal(answer["size"], LEAST + count, "get_vocab_size(), where there are pairs enough")
    tokens = answer["bytes"]
    want = [None if value in NO_TEXT else bytes([value]) for value in range(FIRST_LEARNED)]
    expect_equal(tokens[:128], want[:128], "the bytes of the ids below 128")
    shown = [value for value in range(128, FIRST_LEARNED) if tokens[value]]
    expect_equal(
        [tokens[value] for value in shown], [want[value] for value in shown], "the bytes of the ids below 256"
    )
    earlier = {bytes([value]) for value in range(FIRST_LEARNED)}
    for token, data in enumerate(tokens[FIRST_LEARNED:], FIRST_LEARNED):
        if not data:
            # A token whose bytes cannot be seen may be a part of any later one.
            break
        expect(
            bytepairs.is_join(data, earlier),
            f"id {token} is {data!r}, want two tokens with smaller ids, one behind the other",
        )
        earlier.add(data)


NO_TEXT = {0xC0, 0xC1, *range(0xF5, 0x100)}
"""Bytes that stand in no UTF-8, so that no text shows them."""


@law(
    examples=30,
    cases=[
        {"texts": ["aaaa", "aaa"], "others": ["a", "aa", "aaa", "aaaaa", "aaaaaaaaaaa"], "count": 4},
        {"texts": ["abc", "bc", "bc"], "others": ["abc", "bcbc", "abcabc", "zab"], "count": 2},
    ],
    texts=words(),
    others=words(),
    count=st.integers(1, 30),
)
def test_the_earliest_learned_pair_is_joined_first(
    probe: Probe, texts: list[str], others: list[str], count: int
) -> None:
    """A piece is encoded by joining the pair that was learned first, the leftmost first, until none is left.

    Kills: the longest token first, joins from the right, one join too few, ids that are not the ranks.
    """
    learning = {"texts": texts, "vocab_size": LEAST + count}
    _, tokens = vocabulary(probe, learning)
    ids, learned = ids_of(tokens), tokens[FIRST_LEARNED:]
    asked = [*dict.fromkeys([*texts, *others])]
    if None in learned:
        # `decode` hides parts of characters, which is another law's business: letters of one byte are left.
        asked = [text for text in asked if text.isascii()]
    for text, got in zip(asked, probe("tokenizer.encode", learning=learning, texts=asked), strict=True):
        expect_equal(
            got,
            bytepairs.encoded(text, ids),
            f"encode({text!r}) with the learned tokens {quoted(learned)}, numbered from {FIRST_LEARNED}",
        )


@law(
    examples=12,
    cases=[
        {"texts": ENGLISH},
        {"texts": MIXED},
        {"texts": ["a  b", "one\n\ntwo\r\n\r\n", "x = 12;\n    y = 345;\n", "I'LL they'll", "  in", "out  "]},
    ],
    texts=st.lists(written_texts, min_size=1, max_size=4),
)
def test_text_is_cut_for_encoding_as_for_training(probe: Probe, texts: list[str]) -> None:
    """What learned tokens make up to the last is one token when the same texts are encoded.

    After training to the end each piece is one token. So one that is in no longer one is a whole piece, and
    must come in the texts' ids. Kills: another pattern for encoding than for training, texts that are encoded
    line by line or word by word, tidied for one of the two.
    """
    learning = {"texts": texts, "vocab_size": LEAST + MANY}
    _, tokens = vocabulary(probe, learning)
    learned = tokens[FIRST_LEARNED:]
    # What `decode` hides is another law's business.
    if None in learned or len(learned) == MANY:
        return
    shown = [token for token in learned if token is not None]
    longest = [token for token in shown if sum(token in other for other in shown) == 1]
    ids = {token for each in probe("tokenizer.encode", learning=learning, texts=texts) for token in each}
    numbers = ids_of(tokens)
    for token in longest:
        expect(
            numbers[token] in ids,
            f"after training to the end on {quoted(texts)}, no longer token holds {token!r}, so it is a "
            f"whole piece of these texts; but encoding them gives no {numbers[token]}, which is its id",
        )


MANY = 3000
"""More tokens than short texts allow."""


@law(
    examples=15,
    cases=[
        {"text": text} for text in (" ab", "  ", "\n\n", "\t\tab", "    ab", "ab.", "...", "\r\n", "\n  ")
    ],
    text=st.text(alphabet=" \t\n\r.,ab1é", min_size=2, max_size=6),
)
def test_the_ends_of_a_text_count(probe: Probe, text: str) -> None:
    """A text that is one piece becomes one token in the end, also where blanks stand at its ends.

    Whether it is one piece is free, so a tokenizer that saw it amid others is asked: it encodes the text as
    one id. Kills: blanks, empty lines or marks taken off the ends of a text before it is counted, a first or
    last character lost, pieces of blanks left out.
    """
    amid = [f"x{text}y", f"x{text} y", f"x{text}x{text}", f"{text}{text}", f"a{text}\n"]
    learning = {"texts": [*amid, f"x{text}"], "vocab_size": LEAST + MANY}
    (ids,) = probe("tokenizer.encode", learning=learning, texts=[text])
    if len(ids) != 1:
        return
    learned = learn(probe, [text], LEAST + MANY)
    expect(
        text.encode() in learned,
        f"after training to the end on [{text!r}] alone, no token is the whole text, but it is one piece: "
        f"amid others it was learned, and encode({text!r}) gave one id; learned {quoted(learned)}",
    )


TRAININGS: list[dict[str, Any]] = [
    {"texts": ["hello hello hello"], "vocab_size": 268},
    {"texts": ["hello hello hello"], "vocab_size": 266},
    {"texts": ["zzzz " * 50, "zzzz"], "vocab_size": 268, "breaks": 1},
    {"texts": ["the other weather", "the"], "vocab_size": 270},
    {"texts": ["ab ab ab"], "vocab_size": 264},
    {"texts": [], "vocab_size": 268},
    {"texts": ["qqqq " * 50], "vocab_size": 300, "breaks": 0},
    {"texts": ["aaaa aaaa b"], "vocab_size": 267},
]
"""Also ones that are refused or break off."""


@law(examples=1, calls=st.permutations(TRAININGS))
def test_no_training_changes_a_later_one(probe: Probe, calls: list[dict[str, Any]]) -> None:
    """The same texts give the same tokens whatever was trained before, also if that broke off in the middle.

    Kills: texts or counts of an earlier training that are counted again, a trainer that is shared and left
    half full by an error.
    """
    answers = expect_any_order(
        probe,
        lambda each: probe("orders.trainings", calls=each),
        calls,
        lambda call: f"training on {quoted(call['texts'])} with vocab_size={call['vocab_size']}",
    )
    for call, answer in zip(calls, answers, strict=True):
        if call["vocab_size"] >= LEAST and "breaks" not in call:
            expect(isinstance(answer, list), f"training on {quoted(call['texts'])} raised")


@law()
def test_training_leaves_no_traces(probe: Probe) -> None:
    """Training draws from nobody's random generator and changes no setting that others share.

    Kills: texts shuffled by the generator that all share, warnings switched off for good.
    """
    expect_no_traces(probe, ["training"])
