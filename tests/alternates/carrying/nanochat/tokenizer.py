"""Merges as GPT-2 has them: bytes as printable letters, pairs by rank, and nothing that cuts a text.

A text is one piece, encoded over a linked list with a heap. Conversations are read by a state machine. Of
equally frequent pairs the one whose merge is shortest and then least is joined.
"""

import heapq
import itertools
import json
from collections import Counter
from enum import Enum
from pathlib import Path

import numpy as np

TOKENS = """<|bos|>
<|user_start|>
<|user_end|>
<|assistant_start|>
<|assistant_end|>
<|python_start|>
<|python_end|>
<|output_start|>
<|output_end|>""".splitlines()


def letters():
    """Return a printable letter for each byte."""
    plain = {*range(33, 127), *range(161, 173), *range(174, 256)}
    shifted = iter(range(256, 512))
    return [chr(value) if value in plain else chr(next(shifted)) for value in range(256)]


LETTER = letters()
BYTE = {letter: value for value, letter in enumerate(LETTER)}


def spelled(text):
    """Return a text's bytes as letters."""
    return "".join(LETTER[value] for value in text.encode("utf-8"))


def unspelled(word):
    """Return the bytes that letters stand for."""
    return bytes(BYTE[letter] for letter in word)


class Node:
    """One symbol of a text that is being encoded."""

    __slots__ = ("after", "before", "dead", "word")

    def __init__(self, word):
        self.word, self.before, self.after, self.dead = word, None, None, False


class State(Enum):
    """Whose turn it is."""

    START = "start"
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


NEXT = {
    (State.START, "system"): State.SYSTEM,
    (State.START, "user"): State.USER,
    (State.SYSTEM, "user"): State.USER,
    (State.USER, "assistant"): State.ASSISTANT,
    (State.ASSISTANT, "user"): State.USER,
}


class RustBPETokenizer:
    """The merges, and the words that they make."""

    def __init__(self, merges):
        self.merges = [tuple(merge) for merge in merges]
        self.rank = {merge: place for place, merge in enumerate(self.merges)}
        self.words = [*LETTER, *("".join(merge) for merge in self.merges)]
        self.number = {word: place for place, word in reversed(list(enumerate(self.words)))}

    @classmethod
    def train_from_iterator(cls, texts, vocab_size):
        if not vocab_size >= 256 + len(TOKENS):
            raise ValueError(
                f"{vocab_size} ids are not enough for 256 bytes and {len(TOKENS)} special tokens"
            )
        counted = Counter(map(spelled, texts))
        symbols = [list(word) for word in counted]
        weights = list(counted.values())
        merges = []
        for _ in range(vocab_size - 256 - len(TOKENS)):
            pairs = Counter()
            for word, weight in zip(symbols, weights, strict=False):
                for left, right in itertools.pairwise(word):
                    pairs[left, right] += weight
            if not pairs:
                break
            top = max(pairs.values())
            left, right = min(
                (pair for pair, count in pairs.items() if count == top), key=lambda p: (len(p[0] + p[1]), p)
            )
            merges.append((left, right))
            for word in symbols:
                place = 0
                while place < len(word) - 1:
                    if word[place] == left and word[place + 1] == right:
                        word[place : place + 2] = [left + right]
                    place += 1
        return cls(merges)

    @classmethod
    def from_directory(cls, directory):
        with (Path(directory) / "merges.json").open(encoding="utf-8") as file:
            return cls(json.load(file)["merges"])

    def save(self, directory):
        Path(directory).mkdir(parents=True, exist_ok=True)
        with (Path(directory) / "merges.json").open("w", encoding="utf-8") as file:
            json.dump({"merges": self.merges, "special": TOKENS}, file, ensure_ascii=False)

    def get_vocab_size(self):
        return len(self.words) + len(TOKENS)

    def get_special_tokens(self):
        return frozenset(TOKENS)

    def encode_special(self, token):
        if token not in TOKENS:
            raise KeyError(token)
        return len(self.words) + TOKENS.index(token)

    def get_bos_token_id(self):
        return len(self.words)

    def get_token_bytes(self):
        lengths = np.zeros(self.get_vocab_size(), dtype=np.int64)
        lengths[: len(self.words)] = np.fromiter(map(len, self.words), dtype=np.int64)
        return lengths.tolist()

    def encode(self, text, prepend=None, append=None, num_threads=8):  # noqa: ARG002  # the contract's
        match text:
            case str():
                return self.edge(prepend) + self.encode_text(text) + self.edge(append)
            case list():
                if not all(type(one) is str for one in text):
                    raise TypeError("a list must hold texts")
                once = {one: self.encode_text(one) for one in text}
                return [self.edge(prepend) + once[one] + self.edge(append) for one in text]
        raise TypeError(type(text).__name__)

    def edge(self, token):
        if token is None:
            return []
        return [token if isinstance(token, int) else self.encode_special(token)]

    def encode_text(self, text):
        nodes = [Node(letter) for letter in spelled(text)]
        for left, right in itertools.pairwise(nodes):
            left.after, right.before = right, left
        order = {id(node): place for place, node in enumerate(nodes)}
        heap = []

        def offer(left):
            if left is not None and left.after is not None:
                rank = self.rank.get((left.word, left.after.word))
                if rank is not None:
                    heapq.heappush(heap, (rank, order[id(left)], left.word, left.after.word))

        for node in nodes:
            offer(node)
        while heap:
            _, place, left_word, right_word = heapq.heappop(heap)
            left = nodes[place]
            right = left.after
            if left.dead or right is None or (left.word, right.word) != (left_word, right_word):
                continue
            left.word += right.word
            right.dead = True
            left.after = right.after
            if left.after is not None:
                left.after.before = left
            offer(left.before)
            offer(left)
        return [self.number[node.word] for node in nodes if not node.dead]

    def raw(self, token):
        if not 0 <= token < self.get_vocab_size():
            raise LookupError(f"id {token} of {self.get_vocab_size()}")
        if token < len(self.words):
            return unspelled(self.words[token])
        return TOKENS[token - len(self.words)].encode()

    def decode(self, ids):
        data = bytearray()
        for token in ids:
            data += self.raw(token)
        return str(data, "utf-8", "replace")

    def id_to_token(self, id):
        return str(self.raw(id), "utf-8", "replace")

    def decode_stream(self, ids):
        return Stream(self, ids)

    def render(self, messages):
        """Return [(id, mask), ...] of messages, read by a state machine."""
        state, carried = State.START, None
        out = [(self.get_bos_token_id(), 0)]
        for message in messages:
            role = message["role"]
            if (state, role) not in NEXT:
                raise ValueError(f"{role!r} cannot come after {state.value}")
            state = NEXT[state, role]
            if state is State.SYSTEM:
                carried = plain(message)
            elif state is State.USER:
                text = plain(message) if carried is None else carried + "\n\n" + plain(message)
                carried = None
                out += [(token, 0) for token in self.encode(text, "<|user_start|>", "<|user_end|>")]
            else:
                out.append((self.encode_special("<|assistant_start|>"), 0))
                for kind, text in parts(message):
                    out += self.part(kind, text)
                out.append((self.encode_special("<|assistant_end|>"), 1))
        if state in (State.START, State.SYSTEM):
            raise ValueError(f"a conversation ends in the state {state.value}: nobody asks anything")
        return out

    def part(self, kind, text):
        if kind == "text":
            return [(token, 1) for token in self.encode(text)]
        if kind == "python":
            return [(token, 1) for token in self.encode(text, "<|python_start|>", "<|python_end|>")]
        if kind == "python_output":
            return [(token, 0) for token in self.encode(text, "<|output_start|>", "<|output_end|>")]
        raise ValueError(f"a part of type {kind!r}")

    def render_conversation(self, conversation, max_tokens=2048):
        rows = self.render(conversation["messages"])[:max_tokens]
        return [token for token, _ in rows], [mask for _, mask in rows]

    def render_for_completion(self, conversation):
        *before, last = conversation["messages"] or [{"role": "nobody"}]
        self.render([*before, last])
        start = self.encode_special("<|assistant_start|>")
        if last["role"] == "user":
            # Free, and of use: the answer to the last question.
            return [token for token, _ in self.render([*before, last])] + [start]
        return [token for token, _ in self.render(before)] + [start]


class Stream:
    """Text as it comes in; carries the bytes of a character that is not whole."""

    def __init__(self, tokenizer, ids):
        self.tokenizer, self.ids, self.carried, self.over = tokenizer, iter(ids), b"", False

    def __iter__(self):
        return self

    def __next__(self):
        while not self.over:
            try:
                self.carried += self.tokenizer.raw(next(self.ids))
            except StopIteration:
                self.over = True
                text, self.carried = self.carried.decode("utf-8", "replace"), b""
            else:
                text = self.take()
            if text:
                return text
        raise StopIteration

    def take(self):
        """Return what is whole of the carried bytes."""
        text = ""
        while self.carried:
            try:
                text += self.carried.decode()
                self.carried = b""
            except UnicodeDecodeError as error:
                text += self.carried[: error.start].decode()
                self.carried = self.carried[error.start :]
                if error.reason == "unexpected end of data":
                    break
                text += "\ufffd"
                self.carried = self.carried[error.end - error.start :]
        return text


def parts(message):
    """Return (type, text) of each part."""
    content = message["content"]
    if isinstance(content, str):
        return [("text", content)]
    return [(part["type"], part["text"]) for part in content]


def plain(message):
    """Return the text of a message, which may hold nothing else."""
    found = parts(message)
    if any(kind != "text" for kind, _ in found):
        raise ValueError(f"only text may come from {message['role']}")
    return "".join(text for _, text in found)
