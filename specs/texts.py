"""Texts, and what tokenizers are trained on: the strategies of level 1."""

from __future__ import annotations

from hypothesis import strategies as st

from specs.probes.byte_tokenizer import SPECIAL

Learning = dict[str, object]
"""How a tokenizer is trained, see `specs.probes.tokenizer.Learning`."""

SPECIAL_COUNT = len(SPECIAL)
SPECIAL_PLACES = {text: place for place, text in enumerate(SPECIAL)}
"""Which of the last ids each special token has."""
FIRST_LEARNED = 256
LEAST = FIRST_LEARNED + SPECIAL_COUNT
"""The smallest vocabulary: all bytes and the special tokens."""

ENGLISH = [
    "The ships hung in the sky in much the same way that bricks don't.",
    "the theatre, the weather, the other brother; in the end there were 1234567 of them.",
    "It wasn't her's, they'll say, and we've said so 10 times, 100 times, 1000 times.",
    "aaaa aaaaaaa      \n\n\n\ttabs\tand   spaces  \r\n",
]

MIXED = [
    "naïve café, née Ångström: straße, Straße, déjà vu, élève, élève, café",
    "日本語の日本、日本語と日本人。今日は日曜日です。",
    "привет, привет и пока; приветливый человек",
    "🙂🙂🙂 👩‍👩‍👧 🙃🙂 🇨🇭🇨🇭 𐐨𐐩𐐨𐐩 𐑀𐑁𐑀𐑁",
    "שלום שלום عربى عربى हिन्दी हिन्दी ไทย ไทย",
]

SPELLED = [
    "".join(SPECIAL) * 3,
    " ".join(SPECIAL) * 3,
    "<|bos|><|bos|> <|user_start|>hi<|user_end|> <| |> bos",
]

MERGING: Learning = {"texts": [*ENGLISH, *MIXED, *SPELLED], "vocab_size": 600}
"""Learned tokens of one byte and many, parts of characters, whole words, parts of special tokens."""

FEW: Learning = {"texts": [*MIXED, *ENGLISH], "vocab_size": 300}
"""A few learned tokens: nearly every character beyond ASCII is several tokens."""

BYTES: Learning = {"texts": ENGLISH, "vocab_size": LEAST + 1}
"""One learned token: nearly every byte is a token. Not none, which only laws about training ask for."""

SYNTAX: Learning = {
    "texts": [
        "## Title\n### Sub\n## More\n#include <a.h>\n# # #\n" * 3,
        "// //// -- --- ;; %% :: ,, == \\\\ \\n \\t {} [] () <> \"\" '' `` || && !! ?? ** ~~ ^^ @@ $$ ++ .."
        * 3,
        "\t\t\t \r\n\r\n\n\n    \x00\x00 \x1b\x1b \x7f\x7f \u00a0\u00a0 \u2028\u2028 \ufeff\ufeff" * 3,
    ],
    "vocab_size": 360,
}
"""Learned tokens that mean something where tables of tokens are written: marks, blanks, controls."""

learnings = st.sampled_from([MERGING, FEW, BYTES])

AWKWARD = [
    "",
    " ",
    "  ",
    "\n",
    "\r\n",
    "\t",
    "\x00",
    "\x7f",
    "\u00a0",
    "\u200b",
    "\u2028",
    "\ufeff",
    "\ufffd",
    "\U0010ffff",
    "e\u0301",
    "é",
    "ﬁ",
    "İ",
    "ß",
    "Å",
    "가",
    "क्षि",
    "👩‍👩‍👧",
    "🇨🇭",
    "日本",
    "𐐨",
    "aaaa",
    "don't",
    "I'LL",
    "'s",
    "1234567",
    "3.14",
    "snake_case",
    "camelCase",
    "https://a.b/c?d=e&f",
    "<html>",
    "\\n",
    "\x1b[0m",
    "%s{0}",
    " the",
    "The",
    "the ",
]
"""Pieces of text at which tokenizers have failed: blanks, controls, marks, digits, long characters."""

TIDIED = [
    "a , b . c ? d ! e ; f : g ( h ) [ i ] { j }",
    "do n't it 's we 've they 're I 'm we 'll he 'd ' x ' \" y \"",
    "Ġthe Ċ ▁the ##ing low</w> lo@@ w <0x0A> <unk> [UNK]",
    "&amp; &lt;b&gt; &#233; %20 \\u00e9 \\x41 =C3=A9",
    "\u201cq\u201d \u2018q\u2019 \u2026 \u2013 \u2014 \u2212 \u00d7 \u00bd \u2122 \u338f",
    "x  y   z\ta\u2003b\u3000c\u00add",
    "\uff21\uff42\uff11 \uff71 \ufe64 \u2075 \u2085 \u2167 \u017f \u212a",
]
"""What decoders tidy up, how other tokenizers write blanks and bytes, and forms that are made alike."""

BLOCKS = [
    (0x0000, 0x0500),
    (0x0600, 0x0620),
    (0x0E00, 0x0E60),
    (0x1680, 0x1690),
    (0x1800, 0x1820),
    (0x1E00, 0x1F00),
    (0x2000, 0x2200),
    (0x2E80, 0x3050),
    (0xAC00, 0xAC10),
    (0xD7F0, 0xD800),
    (0xE000, 0xE010),
    (0xF900, 0xFB10),
    (0xFDD0, 0xFE30),
    (0xFEFF, 0x10010),
    *((plane * 0x10000 - 4, plane * 0x10000 + 4) for plane in range(2, 17)),
    (0x1F1E6, 0x1F200),
    (0x1F3FB, 0x1F400),
    (0xE0000, 0xE0080),
    (0x10FFF0, 0x110000),
]
"""Code points at which something is special, from the first up to the second.

Controls, blanks, marks, forms that are normalised, what is no character at all, ends of planes.
"""

EDGES = [
    *AWKWARD[1:],
    *(chr(code) for first, behind in BLOCKS for code in range(first, behind) if not chr(code).isprintable()),
]
"""What somebody may take off the end of a text: blanks, controls, marks, what is not assigned."""

PARTS_OF_SPECIAL = [
    "<|",
    "|>",
    "<|bos",
    "bos|>",
    "<|bos|",
    "|bos|>",
    "<|user_",
    "start|>",
    "<|<|bos|>|>",
    "<| bos |>",
    "<|BOS|>",
    "<|unknown|>",
    "<|endoftext|>",
    "<s>",
]
"""What looks like a special token, and a part of one."""

MARKUP = [
    "# a comment",
    "= a heading =",
    "---",
    "***",
    "> quoted",
    "- a list",
    "a hy-",
    "\\begin{a}",
    "<!-- a -->",
]
"""Lines that mean something to who reads text of one kind or another."""

characters = st.characters(exclude_categories=["Cs"])

pieces = st.one_of(
    st.sampled_from(AWKWARD),
    st.sampled_from(["the", " the", "weather", "привет", "日本", "café", "🙂", " ", "a", "."]),
    st.text(characters, max_size=4),
)

plain_texts = st.lists(pieces, max_size=6).map("".join)
"""Any text, but hardly one that spells a special token."""

written_texts = st.lists(
    st.sampled_from(
        [*(piece for piece in AWKWARD if piece.isprintable() or piece.isspace()), " and", "\n\n", "A"]
    ),
    max_size=8,
).map("".join)
"""Text of characters that somebody writes: two engines may take what is not assigned for different things."""

spelling_texts = st.lists(
    st.one_of(pieces, st.sampled_from(SPECIAL), st.sampled_from(PARTS_OF_SPECIAL)), min_size=1, max_size=6
).map("".join)
"""Text in which special tokens are spelled, whole and in part."""

texts = st.one_of(plain_texts, spelling_texts)

LETTERS = {
    "two letters": "ab",
    "a few letters": "abcdx",
    "letters of one to four bytes": "aéя日𐐨",
    "letters that share bytes": "éèêяюэ日本𐐨𐐩",
}
"""None is upper case, so that no pattern may cut a run of them."""


@st.composite
def words(draw: st.DrawFn, *, max_words: int = 10, max_length: int = 10) -> list[str]:
    """Draw texts that are one piece each: runs of letters, some of them several times."""
    alphabet = draw(st.sampled_from(list(LETTERS.values())))
    word = st.text(st.sampled_from(alphabet), max_size=max_length)
    drawn = draw(st.lists(st.tuples(word, st.sampled_from([1, 1, 1, 2, 5])), min_size=1, max_size=max_words))
    return draw(st.permutations([word for word, times in drawn for _ in range(times)]))
