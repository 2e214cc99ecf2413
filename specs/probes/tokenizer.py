"""Experiments on the submission's tokenizer: training, encoding, streaming, and what is saved of it.

A `Learning` says how a tokenizer comes about: the format in which one is saved is free, so it can only be
trained here. One that was trained is kept for later questions of this process.
"""

from __future__ import annotations

import copy
import functools
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from specs.probes.byte_tokenizer import SPECIAL
from specs.probes.elsewhere import other_hashes
from specs.probes.files import contents, write
from specs.probes.loading import imported
from specs.probes.registry import probe
from specs.probes.shared_settings import changed_by
from specs.probes.traces import usual_defaults


class Learning(TypedDict):
    """How a tokenizer is trained."""

    texts: list[str]
    vocab_size: int


def learn(learning: Learning) -> Any:
    """Return a tokenizer of the submission's that nobody else uses."""
    kind = imported("nanochat.tokenizer").RustBPETokenizer
    return kind.train_from_iterator(list(learning["texts"]), learning["vocab_size"])


def trained(learning: Learning) -> Any:
    """Return a tokenizer of the submission's, the same one for the same learning."""
    kind = imported("nanochat.tokenizer").RustBPETokenizer
    return _trained(kind, tuple(learning["texts"]), learning["vocab_size"])


@functools.lru_cache(maxsize=16)
def _trained(kind: Any, texts: tuple[str, ...], vocab_size: int) -> Any:
    return kind.train_from_iterator(list(texts), vocab_size)


# Training -------------------------------------------------------------------------------------------------


@probe
def learned(texts: list[str], vocab_size: int, form: str = "list") -> dict[str, Any]:
    """Return the number of ids, and the bytes and the text of each learned token."""
    kind = imported("nanochat.tokenizer").RustBPETokenizer
    forms: dict[str, Any] = {"list": list, "tuple": tuple, "iterator": iter}
    given = forms[form](texts)
    tokenizer = kind.train_from_iterator(given, vocab_size)
    size = tokenizer.get_vocab_size()
    ids = range(256, size - len(SPECIAL))
    return {
        "size": size,
        "bytes": bytes_of_all(tokenizer, ids),
        "texts": [alone(tokenizer, i) for i in ids],
    }


@probe
def size(learning: Learning) -> Any:
    """Return the number of ids."""
    return trained(learning).get_vocab_size()


@probe
def vocabulary(learning: Learning, first: int = 256) -> dict[str, Any]:
    """Return the number of ids, and the bytes of every id from `first` on that is not special."""
    kind = imported("nanochat.tokenizer").RustBPETokenizer
    return _vocabulary(kind, tuple(learning["texts"]), learning["vocab_size"], first)


@functools.lru_cache(maxsize=16)
def _vocabulary(kind: Any, texts: tuple[str, ...], vocab_size: int, first: int) -> dict[str, Any]:
    # Kept: several laws ask for the same one again and again. Not by the tokenizer, which need have no hash.
    tokenizer = _trained(kind, texts, vocab_size)
    size = tokenizer.get_vocab_size()
    return {"size": size, "bytes": bytes_of_all(tokenizer, range(first, size - len(SPECIAL)))}


def alone(tokenizer: Any, token: int) -> str | None:
    """Return the text that `decode` makes of one id, None where it raises."""
    try:
        return str(tokenizer.decode([token]))
    except Exception:  # noqa: BLE001  # as in bytes_of
        return None


def bytes_of_all(tokenizer: Any, ids: Iterable[int]) -> list[bytes | None]:
    """Return the bytes of each id, None for one whose bytes no text shows."""
    lone = alone(tokenizer, 0xC3)
    return [bytes_of(tokenizer, token, lone) for token in ids]


def bytes_of(tokenizer: Any, token: int, lone: Any) -> bytes | None:
    """Return the bytes of a token, from texts in which other bytes complete its first and last character.

    None if no such text shows them. What is wrong with `decode` is another law's business: so a letter stands
    at both ends, for one that strips blanks. `lone` is what it makes of a part of a character. Where that is
    not U+FFFD, all answers are looked at: the longest is right if such parts vanish, else the shortest.
    """
    found: list[bytes] = []
    for before in BEFORE:
        for after in AFTER:
            try:
                text = tokenizer.decode([LETTER, *before, token, *after, LETTER])
            except Exception:  # noqa: BLE001  # what cannot be decoded shows nothing
                continue
            if not isinstance(text, str) or "\ufffd" in text:
                continue
            data = text.encode("utf-8", "surrogatepass")
            found.append(data[1 + len(before) : len(data) - len(after) - 1])
            if lone is None or "\ufffd" in lone:
                return found[0]
    return (max if lone == "" else min)(found, key=len, default=None)


LETTER = ord("a")

BEFORE = [[], [0xC3], [0xE1], [0xF1]]
"""Ids of bytes after which 0, 1, 2 or 3 continuation bytes make a character, whatever they are."""

AFTER = [
    [],
    [0x80],
    [0xA0],
    [0x80, 0x80],
    [0xA0, 0x80],
    [0x90, 0x80],
    [0x80, 0x80, 0x80],
    [0x90, 0x80, 0x80],
]
"""Ids of bytes, some of which complete any beginning of a character."""


# Ids ------------------------------------------------------------------------------------------------------


@probe
def encode(learning: Learning, texts: list[Any], options: dict[str, Any] | None = None) -> list[Any]:
    """Return what `encode` makes of each text, one call for each."""
    tokenizer = trained(learning)
    return [tokenizer.encode(text, **(options or {})) for text in texts]


@probe
def encode_batch(learning: Learning, texts: Any, options: dict[str, Any] | None = None) -> Any:
    """Return what `encode` makes of all texts in one call."""
    return trained(learning).encode(texts, **(options or {}))


@probe
def decode(learning: Learning, lists: list[list[int]]) -> list[Any]:
    """Return the text of each list of ids."""
    tokenizer = trained(learning)
    return [tokenizer.decode(ids) for ids in lists]


@probe
def round_trip(learning: Learning, texts: list[str]) -> dict[str, Any]:
    """Return the number of ids, the ids of each text, the texts of those, and the ids of these."""
    tokenizer = trained(learning)
    ids = [tokenizer.encode(text) for text in texts]
    decoded = [tokenizer.decode(each) for each in ids]
    again = [tokenizer.encode(text) for text in decoded]
    return {"size": tokenizer.get_vocab_size(), "ids": ids, "decoded": decoded, "again": again}


@probe
def names(learning: Learning) -> dict[str, Any]:
    """Return what the tokenizer says about its ids and its special tokens."""
    tokenizer = trained(learning)
    size = tokenizer.get_vocab_size()
    special = tokenizer.get_special_tokens()
    return {
        "size": size,
        "special tokens": sorted(special) if isinstance(special, list | tuple | set | frozenset) else special,
        "ids": {text: tokenizer.encode_special(text) for text in SPECIAL},
        "bos": tokenizer.get_bos_token_id(),
        "texts": [tokenizer.id_to_token(i) for i in range(size)],
    }


@probe
def special_ids(learning: Learning) -> dict[str, Any]:
    """Return the id of each special token."""
    tokenizer = trained(learning)
    return {text: tokenizer.encode_special(text) for text in SPECIAL}


@probe
def encode_special(learning: Learning, token: str) -> Any:
    """Return the id of a special token."""
    return trained(learning).encode_special(token)


@probe
def together(one: Learning, other: Learning, texts: list[str]) -> dict[str, Any]:
    """Return what two tokenizers make of texts, asked in turn, and what each makes of them alone."""
    alone = [[learn(each).encode(text) for text in texts] for each in (one, other)]
    pair = [learn(each) for each in (one, other)]
    in_turn = [[tokenizer.encode(text) for tokenizer in pair] for text in texts]
    decoded = [[tokenizer.decode(ids) for tokenizer, ids in zip(pair, row, strict=True)] for row in in_turn]
    return {
        "alone": alone,
        "in turn": [list(each) for each in zip(*in_turn, strict=True)],
        "decoded": decoded,
    }


@probe
def first_answers(learning: Learning, texts: list[str]) -> Any:
    """Return the number of ids, and the ids of each text from a tokenizer that was asked for nothing else."""
    kind = imported("nanochat.tokenizer").RustBPETokenizer
    return copy.deepcopy(_first_answers(kind, tuple(learning["texts"]), learning["vocab_size"], tuple(texts)))


@functools.lru_cache(maxsize=4)
def _first_answers(kind: Any, texts: tuple[str, ...], vocab_size: int, asked: tuple[str, ...]) -> Any:
    # Kept: every example of a law asks for the same.
    made = [kind.train_from_iterator(list(texts), vocab_size) for _ in asked]
    size = kind.train_from_iterator(list(texts), vocab_size).get_vocab_size()
    return [size, [list(each.encode(text)) for each, text in zip(made, asked, strict=True)]]


@probe
def answers_in_turn(learning: Learning, calls: list[dict[str, Any]]) -> list[Any]:
    """Return what one new tokenizer answers to calls of `encode`, one behind the other.

    What is "wrong" in a call is given in place of texts, and None stands for an answer if that raises.
    """
    tokenizer = learn(learning)
    answers: list[Any] = []
    for each in calls:
        options = {name: value for name, value in each.items() if name not in ("texts", "wrong")}
        try:
            answer = tokenizer.encode(each["wrong" if "wrong" in each else "texts"], **options)
        except Exception:
            if "wrong" not in each:
                raise
            answer = None
        # A copy: what is kept may be changed later.
        answers.append(copy.deepcopy(answer))
    return answers


@probe
def left_alone(learning: Learning, method: str, argument: list[Any], options: dict[str, Any]) -> list[Any]:
    """Return a list that was given to a method, as it is afterwards."""
    given = list(argument)
    getattr(trained(learning), method)(given, **options)
    return given


@probe
def decoded_length(learning: Learning, ids: list[int], times: int) -> dict[str, Any]:
    """Return of the text of ids that come so many times its length, and what else it has than their text."""
    text = trained(learning).decode(ids * times)
    once = trained(learning).decode(ids)
    return {"characters": len(text), "once": once, "others": text.replace(once, "")[:20]}


@probe
def first_of_list_changed(learning: Learning, texts: list[str], options: dict[str, Any]) -> list[Any]:
    """Return the lists of ids but the first, before and after that one is changed."""
    answer = learn(learning).encode(texts, **options)
    before = copy.deepcopy(answer[1:])
    if isinstance(answer[0], list):
        answer[0].append(7)
    return [before, answer[1:]]


@probe
def long_text(learning: Learning, word: str, numbers: list[int]) -> dict[str, Any]:
    """Return the ids of a word that comes so many times, each as an array, and whether they decode to it."""
    tokenizer = trained(learning)
    ids = [tokenizer.encode(word * number) for number in numbers]
    return {
        "ids": [np.array(each, dtype="int64") for each in ids],
        "decoded": [
            tokenizer.decode(each) == word * number for each, number in zip(ids, numbers, strict=True)
        ],
    }


@probe
def twice(learning: Learning, texts: list[str]) -> dict[str, Any]:
    """Return which texts become other ids when they come again, alone or in a list, and which are lost."""
    tokenizer = learn(learning)
    first = [list(tokenizer.encode(text)) for text in texts]
    again = [list(tokenizer.encode(text)) for text in texts]
    listed = [list(ids) for ids in tokenizer.encode(texts)]
    if first == again and len(listed) == len(texts):
        again = listed
    decoded = [tokenizer.decode(ids) for ids in first]
    differ = [place for place in range(len(texts)) if first[place] != again[place]][:3]
    lost = [place for place in range(len(texts)) if decoded[place] != texts[place]][:3]
    return {
        "listed": len(listed),
        "differ": differ,
        "first": {str(place): first[place] for place in differ},
        "again": {str(place): again[place] for place in differ},
        "lost": lost,
        "decoded": {str(place): decoded[place] for place in lost},
    }


@probe
def changed_answers(
    learning: Learning, method: str, arguments: list[Any] | None = None, options: dict[str, Any] | None = None
) -> list[Any]:
    """Return the answer of a method, and its answer after the first one was changed by whoever got it."""
    answer = getattr(learn(learning), method)
    first = answer(*(arguments or []), **(options or {}))
    before = copy.deepcopy(first)
    # A set is no list: tiktoken keeps that of its special tokens, and hands it out again.
    inner = first if isinstance(first, list | tuple) else ()
    lists = [each for each in (first, *inner) if isinstance(each, list)]
    contents = [list(each) for each in lists]
    for each in lists:
        each.clear()
    second = copy.deepcopy(answer(*(arguments or []), **(options or {})))
    # Put back: what is shared with other tokenizers must not spoil other laws.
    for each, content in zip(lists, contents, strict=True):
        each.extend(content)
    return [sorted(each) if isinstance(each, set | frozenset) else each for each in (before, second)]


@probe
def kept_answers(learning: Learning, calls: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return what one tokenizer answers to calls, as each answer came and as it is after all of them.

    A call is a "method", its "arguments" and, if need be, "options".
    """
    tokenizer = learn(learning)
    answers, came = [], []
    for each in calls:
        answers.append(getattr(tokenizer, each["method"])(*each["arguments"], **each.get("options", {})))
        came.append(copy.deepcopy(answers[-1]))
    return {"came": [plainly(each) for each in came], "later": [plainly(each) for each in answers]}


def plainly(answer: Any) -> Any:
    """Return an answer with sets in order, and pairs as lists."""
    if isinstance(answer, set | frozenset):
        return sorted(answer)
    return list(answer) if isinstance(answer, tuple) else answer


# Saving ---------------------------------------------------------------------------------------------------


@probe
def saved(
    learning: Learning, texts: list[str], lists: list[list[int]], conversation: Any, earlier: Learning
) -> dict[str, Any]:
    """Return what a tokenizer answers, also when it was saved, loaded, moved and loaded again, and the files.

    It is saved over `earlier`, which was loaded by then, into a folder in a folder that does not exist.
    """
    kind = imported("nanochat.tokenizer").RustBPETokenizer
    folder = Path(tempfile.mkdtemp())
    try:
        place = folder / "new" / "folder"
        learn(earlier).save(str(place))
        kind.from_directory(str(place))
        learn(learning).save(str(place))
        learn(earlier).save(str(folder / "elsewhere"))
        # There, and then where it was moved to.
        there = _answers(kind.from_directory(str(place)), texts, lists, conversation)
        place.parent.rename(folder / "moved")
        place = folder / "moved" / "folder"
        loaded = kind.from_directory(str(place))
        return {
            "files": {
                str(file.relative_to(place)): _ends(file) for file in place.rglob("*") if file.is_file()
            },
            "before": _answers(learn(learning), texts, lists, conversation),
            "there": there,
            "after": _answers(loaded, texts, lists, conversation),
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@probe
def written(learning: Learning) -> dict[str, bytes]:
    """Save a tokenizer and return the contents of each file by its path."""
    with tempfile.TemporaryDirectory() as name:
        learn(learning).save(str(Path(name) / "saved"))
        return contents(Path(name) / "saved")


@probe
def read(
    files: dict[str, bytes], texts: list[str], lists: list[list[int]], conversation: Any
) -> dict[str, Any]:
    """Return what a tokenizer answers that is loaded from such files, which another process has written."""
    with tempfile.TemporaryDirectory() as name, other_hashes():
        write(files, Path(name) / "saved")
        loaded = imported("nanochat.tokenizer").RustBPETokenizer.from_directory(str(Path(name) / "saved"))
        return _answers(loaded, texts, lists, conversation)


@probe
def asked(learning: Learning, texts: list[str], lists: list[list[int]], conversation: Any) -> dict[str, Any]:
    """Return what a tokenizer answers that was not saved."""
    return _answers(learn(learning), texts, lists, conversation)


def _ends(file: Path) -> dict[str, bytes]:
    """Return the first bytes of a file and its last one: enough to know a pickle."""
    content = file.read_bytes()
    return {"begins": content[:2], "ends": content[-1:]}


def _answers(tokenizer: Any, texts: list[str], lists: list[list[int]], conversation: Any) -> dict[str, Any]:
    # One who is asked may change it, which is another law's business.
    conversation = copy.deepcopy(conversation)
    asked: dict[str, Callable[[], Any]] = {
        "get_vocab_size": tokenizer.get_vocab_size,
        "get_bos_token_id": tokenizer.get_bos_token_id,
        "encode": lambda: [tokenizer.encode(text) for text in texts],
        "decode": lambda: [tokenizer.decode(ids) for ids in lists],
        "get_token_bytes": lambda: tokenizer.get_token_bytes(),
        "encode_special": lambda: [tokenizer.encode_special(text) for text in SPECIAL],
        "render_conversation": lambda: list(tokenizer.render_conversation(conversation)),
    }
    return {what: _answer(ask) for what, ask in asked.items()}


def _answer(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except Exception as error:  # noqa: BLE001  # that one raises is the business of other laws
        return f"raised {type(error).__name__}"


# Traces ---------------------------------------------------------------------------------------------------


@probe
def traces(learning: Learning, texts: list[str], conversation: Any, use: str) -> list[str]:
    """Return what of the process's shared settings one use of a tokenizer changes."""
    tokenizer = learn(learning)
    ids = [tokenizer.encode(text) for text in texts]
    uses: dict[str, Callable[[], Any]] = {
        "training": lambda: learn(learning),
        "encoding": lambda: [tokenizer.encode(texts, prepend="<|bos|>"), *map(tokenizer.encode, texts)],
        "decoding": lambda: [tokenizer.decode(each) for each in ids],
        "saving": lambda: _saved_and_loaded(tokenizer),
        "rendering": lambda: tokenizer.render_conversation(conversation),
        "a prompt": lambda: tokenizer.render_for_completion(conversation),
        "a stream": lambda: [list(tokenizer.decode_stream(each)) for each in ids],
        "counting bytes": tokenizer.get_token_bytes,
    }
    with usual_defaults():
        return changed_by(uses[use])


def _saved_and_loaded(tokenizer: Any) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save(folder)
        return type(tokenizer).from_directory(folder)


# Bytes and streams ----------------------------------------------------------------------------------------


@probe
def token_bytes(learning: Learning) -> Any:
    """Return the number of bytes of every id, as the tokenizer counts them."""
    return trained(learning).get_token_bytes()


@probe
def stream(learning: Learning, ids: list[int], form: str = "iterator") -> dict[str, Any]:
    """Return the pieces of a stream, each with the number of ids that were taken when it came."""
    taken = 0

    def source() -> Iterator[int]:
        nonlocal taken
        for token in ids:
            taken += 1
            yield token

    given: Any = source() if form == "iterator" else {"list": list, "tuple": tuple}[form](ids)
    pieces = [[taken, piece] for piece in trained(learning).decode_stream(given)]
    return {"pieces": pieces, "taken": taken}


@probe
def endless_stream(learning: Learning, ids: list[int], characters: int) -> list[str]:
    """Return the pieces of a stream of `ids` over and over, until there are so many characters."""

    def source() -> Iterator[int]:
        for _ in range(ROUNDS):
            yield from ids
        raise EndlessStream(f"{ROUNDS * len(ids):,} ids were taken before {characters} characters came")

    pieces: list[str] = []
    missing = characters
    for piece in trained(learning).decode_stream(source()):
        pieces.append(piece)
        missing -= len(piece)
        if missing <= 0:
            break
    return pieces


ROUNDS = 1000
"""How often an endless stream comes again before it counts as read to its end."""


class EndlessStream(Exception):
    """Somebody wanted the end of a stream that has none."""


@probe
def streams_in_turn(learning: Learning, lists: list[list[int]]) -> list[list[str]]:
    """Return the pieces of several streams of one tokenizer that are read in turn, after one left early."""
    tokenizer = trained(learning)
    left = tokenizer.decode_stream(lists[0])
    next(iter(left), None)
    streams = [iter(tokenizer.decode_stream(ids)) for ids in lists]
    pieces: list[list[str]] = [[] for _ in lists]
    open_ones = set(range(len(streams)))
    while open_ones:
        for i in sorted(open_ones):
            try:
                pieces[i].append(next(streams[i]))
            except StopIteration:
                open_ones.remove(i)
    return pieces


# Conversations --------------------------------------------------------------------------------------------


@probe
def render(
    learning: Learning,
    conversation: Any,
    contents: list[str],
    max_tokens: int | None = None,
    method: str = "render_conversation",
) -> dict[str, Any]:
    """Return a rendered conversation, the ids of its texts and of the special tokens, and the argument."""
    tokenizer = trained(learning)
    given = copy.deepcopy(conversation)
    options = {} if max_tokens is None else {"max_tokens": max_tokens}
    answer = getattr(tokenizer, method)(given, **options)
    return {
        "answer": list(answer) if isinstance(answer, tuple) else answer,
        "encoded": {text: tokenizer.encode(text) for text in contents},
        "special": {text: tokenizer.encode_special(text) for text in SPECIAL},
        "bos": tokenizer.get_bos_token_id(),
        "given": given,
    }
