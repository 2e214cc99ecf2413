"""Witnesses of bugs in the tokenizer."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from grader.bugs.witnesses.setting import Modules, attempt

WORDS = [
    "low low lower newest newest widest",
    "naïve élève élève",
    "日本 日本語",
    "🙂🙃🙂 aaaa aaaaa",
    "abcabc bcbc",
]
OTHERS = ["the weather, the other theatre", "𐐨𐐩𐐨 привет привет", "Straße\r\n  naïve\tCAFÉ"]
MARKED = ["\x00x\x00", "\ufeffx\ufeff", "\u200bx\u200b"]
CLEAN = "do n't , or do , \u2581x ?"
SPELLED = ["<|bos|>", "a<|user_end|>b", "<|bos", "|><|"]


def _trained(modules: Modules, size: int = 300, texts: Any = WORDS) -> Any:
    """Return a tokenizer."""
    return modules["tokenizer"].RustBPETokenizer.train_from_iterator(texts, size)


def training(modules: Modules) -> Any:
    """Return the size and the ids of some texts after training in several ways."""
    found: list[Any] = []
    ways: list[tuple[Any, int]] = [
        (WORDS, 266),
        (WORDS, 290),
        ([*WORDS, *OTHERS], 330),
        (["ab"] * 3 + ["cd"] * 2, 266),
        (["ab"] * 2 + ["cd"] * 3, 266),
        (["ab" * 200, *["xy"] * 150], 266),
        (["ABAB Abab ABab", "ab"], 270),
        (["x"] * 900 + ["zy"] * 100 + ["yz"] * 300, 266),
        (["  ab  \n", " ab", "\n\n\n"], 290),
        (["zyx"], 1000),
        (["ab"], 265),
        (["ab"], 264),
        (["ab"], 257),
        ([], 280),
    ]
    for texts, size in ways:
        for form in (list, iter):
            found.append(attempt(partial(_sizes, modules, form(texts), size)))
    return found


def _sizes(modules: Modules, texts: Any, size: int) -> Any:
    tokenizer = _trained(modules, size, texts)
    shown = [*WORDS, *OTHERS, "abcabcabcabc", "ababcdcdzyzyxyxy", "ABab", "  ab  \n", "\n\n\n"]
    return [tokenizer.get_vocab_size(), [tokenizer.encode(text) for text in shown]]


def texts(modules: Modules) -> Any:
    """Return ids of texts, alone and in lists, and the texts of these."""
    found = []
    for size in (266, 310):
        tokenizer = _trained(modules, size)
        said = [*WORDS, *OTHERS, *SPELLED, "", " ", "  x  ", "a" * 40, "e\u0301", *MARKED]
        found.append([attempt(partial(tokenizer.encode, text)) for text in said])
        for threads in (1, 3, 8):
            found.append(attempt(partial(tokenizer.encode, said, num_threads=threads)))
        found.append(attempt(partial(tokenizer.encode, [])))
        found.append([attempt(partial(tokenizer.encode, other)) for other in (None, 3, b"hi", [1])])
    return found


def ends(modules: Modules) -> Any:
    """Return ids with tokens at their ends."""
    tokenizer = _trained(modules)
    return [
        attempt(partial(tokenizer.encode, given, **options))
        for given in ("hello", "", "\x00a", ["hello", "", "you"])
        for options in (
            {"prepend": "<|bos|>"},
            {"append": "<|assistant_end|>"},
            {"prepend": 0, "append": 0},
            {"prepend": 5, "append": "<|user_end|>"},
            {"prepend": "<|unknown|>"},
        )
    ]


def names(modules: Modules) -> Any:
    """Return the texts of ids and the ids of special tokens, and what comes of unknown ones."""
    found: list[Any] = []
    for size in (266, 300):
        tokenizer = _trained(modules, size)
        special = tokenizer.get_special_tokens()
        first = [tokenizer.encode_special(text) for text in special]
        if isinstance(special, list):
            special.append("changed")
        again = sorted(tokenizer.get_special_tokens())
        if isinstance(special, list):
            special.remove("changed")
        found.append([sorted(special), first, again, tokenizer.get_bos_token_id()])
        found.append([tokenizer.id_to_token(i) for i in range(tokenizer.get_vocab_size())])
        found.append([attempt(partial(tokenizer.encode_special, text)) for text in ("bos", "", "<|x|>")])
    return found


def decoding(modules: Modules) -> Any:
    """Return texts of ids of all kinds."""
    found = []
    for size in (266, 320):
        tokenizer = _trained(modules, size)
        top = tokenizer.get_vocab_size()
        lists = [
            [0xF0, 0x9F, 0x99, 0x82],
            [0xF0, 0x9F, 0x41],
            [0xC3],
            [0xC3, top - 9, 0xA9],
            [0xFF, 97],
            [top - 1, top - 5],
            [97, top],
            [-1, 97],
            [top + 50],
            [],
            [32, 97, 10],
        ]
        found.append([attempt(partial(tokenizer.decode, ids)) for ids in lists])
        found.append([tokenizer.decode(tokenizer.encode(text)) for text in (*WORDS, "a b", " a", CLEAN)])
    return found


def saving(modules: Modules) -> Any:
    """Return what tokenizers answer that were saved and loaded."""
    found = []
    for size in (266, 320):
        with tempfile.TemporaryDirectory() as folder:
            place = str(Path(folder) / "new" / "one")
            found.append(attempt(partial(_loaded, modules, place, size)))
    return found


def _loaded(modules: Modules, place: str, size: int) -> Any:
    _trained(modules, 280, OTHERS).save(place)
    _trained(modules, size).save(place)
    loaded = modules["tokenizer"].RustBPETokenizer.from_directory(place)
    ids = [loaded.encode(text) for text in (*WORDS, *OTHERS, "don't I'LL 1234")]
    return [loaded.get_vocab_size(), ids, loaded.decode(list(range(97, loaded.get_vocab_size())))]


def _part(kind: str, text: str) -> dict[str, str]:
    return {"type": kind, "text": text}


def _talks() -> Iterator[list[dict[str, Any]]]:
    """Yield the messages of conversations that are in order."""
    system: dict[str, Any] = {"role": "system", "content": "be kind"}
    user: dict[str, Any] = {"role": "user", "content": "hello low"}
    parted = {"role": "user", "content": [_part("text", "new"), _part("text", "est")]}
    plain = {"role": "assistant", "content": "lower"}
    calling = {
        "role": "assistant",
        "content": [
            _part("text", "lo"),
            _part("text", "wer"),
            _part("python", "1+1"),
            _part("python_output", "2"),
            _part("text", "<|bos|>"),
        ],
    }
    yield [user, plain]
    yield [parted, calling, user, plain]
    yield [system, user, calling, parted, plain]
    yield [system, parted]
    yield [user, {"role": "assistant", "content": []}]
    yield [{"role": "user", "content": "x" * 2100}, {"role": "assistant", "content": "y" * 1100}]


def chat(modules: Modules) -> Any:
    """Return conversations as ids and masks, cut and whole, and what became of the messages."""
    found: list[Any] = []
    for size in (266, 310):
        tokenizer = _trained(modules, size)
        for messages in _talks():
            talk = {"messages": messages}
            found.append(attempt(partial(tokenizer.render_conversation, talk)))
            found.append(attempt(partial(tokenizer.render_conversation, talk, max_tokens=5)))
            found.append(attempt(partial(tokenizer.render_for_completion, talk)))
            found.append([repr(message)[:200] for message in messages])
    return [list(each) if isinstance(each, tuple) else each for each in found]


def refused(modules: Modules) -> Any:
    """Return what becomes of conversations that are not in order."""
    user: dict[str, Any] = {"role": "user", "content": "a"}
    assistant: dict[str, Any] = {"role": "assistant", "content": "b"}
    system: dict[str, Any] = {"role": "system", "content": "c"}
    wrong: list[list[dict[str, Any]]] = [
        [],
        [system],
        [assistant],
        [user, user],
        [user, assistant, assistant],
        [user, system, user],
        [assistant, user],
        [system, assistant],
        [user, {"role": "tool", "content": "x"}],
        [user, {"role": "assistant", "content": [_part("image", "x")]}],
        [{"role": "user", "content": [_part("python", "x")]}, assistant],
    ]
    found = []
    for size in (266, 310):
        tokenizer = _trained(modules, size)
        for messages in wrong:
            answer = attempt(partial(tokenizer.render_conversation, {"messages": messages}))
            found.append(list(answer) if isinstance(answer, tuple) else answer)
    return found


def counts(modules: Modules) -> Any:
    """Return how many bytes the ids have, twice."""
    found = []
    for size in (266, 320):
        tokenizer = _trained(modules, size)
        first = tokenizer.get_token_bytes()
        found.append(list(first))
        first.append(7)
        found.append(list(tokenizer.get_token_bytes()))
    return found


def streams(modules: Modules) -> Any:
    """Return the pieces of streams, with how many ids were taken for each."""
    found = []
    for size in (266, 320):
        tokenizer = _trained(modules, size)
        top = tokenizer.get_vocab_size()
        lists = [
            [*"é🙂日a".encode()],
            [0xF0, 0x9F],
            [0xC3, 97, 0xFF, 98],
            [0xF0, top - 9, 97, top - 5],
            [*"\ufffda".encode(), *"\ufffd".encode()],
            [],
            [97, top],
            [97, -1],
        ]
        found.append([attempt(partial(_pieces, tokenizer, ids)) for ids in lists])
        found.append(attempt(partial(_in_turn, tokenizer)))
    return found


def _in_turn(tokenizer: Any) -> list[str]:
    """Return the pieces of two streams, each begun before the other has ended."""
    one, other = tokenizer.decode_stream([0xC3, 0xA9]), tokenizer.decode_stream([0xF0, 0x9F, 0x99, 0x82])
    return [next(one), next(other), *one, *other]


def _pieces(tokenizer: Any, ids: list[int]) -> list[Any]:
    taken: list[int] = []

    def source() -> Iterator[int]:
        for token in ids:
            taken.append(token)
            yield token

    return [[len(taken), piece] for piece in tokenizer.decode_stream(source())]
