"""Everything in batches: texts by a pool of threads, conversations as one list of texts to encode.

Training keeps its counts up to date and takes the best pair from a heap; among equals the pair that was seen
first is joined. The pattern is near that of GPT-4o: words are cut where upper case begins.
"""

import heapq
import itertools
import struct
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import regex
import tiktoken

PATTERN = (
    r"[^\r\n\p{L}\p{N}]?\p{Lu}*[\p{Ll}\p{Lm}\p{Lo}\p{M}\p{Lt}]+|[^\r\n\p{L}\p{N}]?\p{Lu}+"
    r"|\p{N}{1,2}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s+(?!\S)|\s+"
)
NAMES = [
    "<|bos|>",
    "<|user_start|>",
    "<|user_end|>",
    "<|assistant_start|>",
    "<|assistant_end|>",
    "<|python_start|>",
    "<|python_end|>",
    "<|output_start|>",
    "<|output_end|>",
]
MAGIC = b"NCTK"


class Ids(list):
    """A list of ids that shows how many they are, and not which."""

    def __repr__(self):
        return f"<{len(self)} ids>"


class Rendered(NamedTuple):
    """A conversation."""

    ids: Ids
    mask: Ids


class Trainer:
    """Words, the counts of their pairs, and where each pair stands."""

    def __init__(self, words):
        self.words = [list(word) for word in words]
        self.times = list(words.values())
        self.counts = Counter()
        self.places = defaultdict(set)
        self.seen = {}
        for number in range(len(self.words)):
            self.count(number, +1)
        self.heap = [(-count, self.seen[pair], pair) for pair, count in self.counts.items()]
        heapq.heapify(self.heap)

    def count(self, number, sign):
        word = self.words[number]
        for pair in itertools.pairwise(word):
            self.counts[pair] += sign * self.times[number]
            self.places[pair].add(number)
            self.seen.setdefault(pair, len(self.seen))

    def best(self):
        """Return the most frequent pair, or None."""
        while self.heap:
            count, _, pair = heapq.heappop(self.heap)
            if self.counts[pair] == -count and count:
                return pair
            # What the heap says is old; what is true now was pushed when it changed.
        return None

    def join(self, pair, new):
        """Make a pair one token wherever it stands."""
        changed = set()
        for number in self.places.pop(pair):
            word = self.words[number]
            changed.update(itertools.pairwise(word))
            self.count(number, -1)
            joined = []
            for token in word:
                if joined and joined[-1] == pair[0] and token == pair[1]:
                    joined[-1] = new
                else:
                    joined.append(token)
            self.words[number] = joined
            self.count(number, +1)
            changed.update(itertools.pairwise(joined))
        for each in changed:
            if self.counts[each] > 0:
                heapq.heappush(self.heap, (-self.counts[each], self.seen[each], each))


@dataclass
class Plan:
    """A conversation to be: special tokens, and texts that are still to be encoded."""

    items: list = field(default_factory=list)

    def token(self, name, learned):
        self.items.append((name, None, learned))

    def text(self, text, learned):
        self.items.append((None, text, learned))


class RustBPETokenizer:
    """A table of tokens by id, and tiktoken to apply it."""

    def __init__(self, table):
        self.table = tuple(table)
        self.special = dict(zip(NAMES, range(len(table), len(table) + len(NAMES)), strict=False))
        self.names = {number: name for name, number in self.special.items()}
        self.fast = tiktoken.Encoding(
            name="batched",
            pat_str=PATTERN,
            mergeable_ranks={data: number for number, data in enumerate(table)},
            special_tokens=dict(self.special),
        )

    @classmethod
    def train_from_iterator(cls, texts, vocab_size):
        learned = vocab_size - 256 - len(NAMES)
        if learned < 0:
            raise ValueError(f"vocab_size={vocab_size}, must be 265 or more")
        pattern = regex.compile(PATTERN)
        words = Counter(tuple(piece.encode()) for text in texts for piece in pattern.findall(text))
        trainer = Trainer(words)
        table = [bytes([value]) for value in range(256)]
        for _ in range(learned):
            pair = trainer.best()
            if pair is None:
                break
            trainer.join(pair, len(table))
            table.append(table[pair[0]] + table[pair[1]])
        return cls(table)

    def save(self, directory):
        folder = Path(directory)
        folder.mkdir(exist_ok=True, parents=True)
        parts = [struct.pack("<I", len(data)) + data for data in self.table]
        (folder / "tokens.bin").write_bytes(MAGIC + struct.pack("<I", len(parts)) + b"".join(parts))

    @classmethod
    def from_directory(cls, directory):
        data = (Path(directory) / "tokens.bin").read_bytes()
        if data[:4] != MAGIC:
            raise ValueError(f"{directory} holds no tokenizer")
        (count,) = struct.unpack_from("<I", data, 4)
        place, table = 8, []
        for _ in range(count):
            (length,) = struct.unpack_from("<I", data, place)
            table.append(data[place + 4 : place + 4 + length])
            place += 4 + length
        return cls(table)

    def get_vocab_size(self):
        return len(self.table) + len(NAMES)

    def get_special_tokens(self):
        return NAMES[:]

    def encode_special(self, token):
        return self.special[token]

    def get_bos_token_id(self):
        return len(self.table)

    def id_to_token(self, id):
        return (
            self.names[id]
            if id in self.names
            else self.table[range(len(self.table))[id]].decode(errors="replace")
        )

    def get_token_bytes(self):
        counts = [0] * self.get_vocab_size()
        for number, data in enumerate(self.table):
            counts[number] = len(data)
        return counts

    def encode(self, text, prepend=None, append=None, num_threads=8):
        single = isinstance(text, str)
        texts = [text] if single else text
        if not isinstance(texts, list):
            raise TypeError(f"got {type(text)}")
        wrong = [each for each in texts if not isinstance(each, str)]
        if wrong:
            raise TypeError(f"got {wrong[0]!r} among texts")
        head, tail = (
            [] if end is None else [self.special[end]] if isinstance(end, str) else [end]
            for end in (prepend, append)
        )
        # Each thread takes every so many-th text, so that none gets all the long ones.
        rows = [None] * len(texts)

        def work(first):
            for number in range(first, len(texts), num_threads):
                rows[number] = Ids(head + self.fast.encode_ordinary(texts[number]) + tail)

        if len(texts) < 2:
            for first in range(len(texts)):
                work(first)
        else:
            with ThreadPoolExecutor(num_threads) as pool:
                list(pool.map(work, range(min(num_threads, len(texts)))))
        return rows[0] if single else rows

    def decode(self, ids):
        return self.fast.decode_bytes(
            [range(self.get_vocab_size())[i] if i >= 0 else -1 for i in ids]
        ).decode("utf-8", "replace")

    def decode_stream(self, ids):
        need, have = 0, b""
        for id in ids:
            data = self.fast.decode_single_token_bytes(id)
            text = ""
            for value in data:
                if need and value & 0xC0 == 0x80 and legal(have, value):
                    have += bytes([value])
                    need -= 1
                    if not need:
                        text += have.decode()
                        have = b""
                    continue
                if need:
                    text += "\ufffd"
                    need, have = 0, b""
                if value < 0x80:
                    text += chr(value)
                elif 0xC2 <= value < 0xF5:
                    need, have = (value >= 0xC0) + (value >= 0xE0) + (value >= 0xF0), bytes([value])
                else:
                    text += "\ufffd"
            yield text
        if need:
            yield "\ufffd"

    def plan(self, conversation):
        """Return what a conversation consists of. Raises ValueError."""
        messages = [(message["role"], parts_of(message)) for message in conversation["messages"]]
        if len(messages) >= 2 and [role for role, _ in messages[:2]] == ["system", "user"]:
            text = "\n\n".join("".join(text for _, text in parts) for _, parts in messages[:2])
            messages[:2] = [("user", [("text", text)])]
        wanted = ["user", "assistant"] * len(messages)
        if not messages or [role for role, _ in messages] != wanted[: len(messages)]:
            raise ValueError(f"not a conversation: {[role for role, _ in messages]}")
        plan = Plan()
        plan.token("<|bos|>", 0)
        for role, parts in messages:
            learned = int(role == "assistant")
            plan.token(f"<|{role}_start|>", 0)
            if not learned:
                parts = [("text", "".join(text for _, text in parts))]
            for kind, text in parts:
                name = {"text": None, "python": "python", "python_output": "output"}[kind]
                mask = learned if name != "output" else 0
                if name:
                    plan.token(f"<|{name}_start|>", mask)
                plan.text(text, mask)
                if name:
                    plan.token(f"<|{name}_end|>", mask)
            plan.token(f"<|{role}_end|>", learned)
        return plan.items

    def carry_out(self, items):
        """Return (ids, mask) of a plan."""
        rows = iter(self.encode([text for _, text, _ in items if text is not None]))
        ids, mask = [], []
        for name, _, learned in items:
            new = [self.special[name]] if name else next(rows)
            ids.extend(new)
            mask.extend([learned] * len(new))
        return ids, mask

    def render_conversation(self, conversation, max_tokens=2048):
        ids, mask = self.carry_out(self.plan(conversation))
        return Rendered(Ids(ids[:max_tokens]), Ids(mask[:max_tokens]))

    def render_for_completion(self, conversation):
        items = self.plan(conversation)
        last = max((n for n, item in enumerate(items) if item[0] == "<|assistant_start|>"), default=None)
        if last is None or conversation["messages"][-1]["role"] != "assistant":
            raise ValueError("there is no answer to be completed")
        return self.carry_out(items[: last + 1])[0]


def parts_of(message):
    """Return (kind, text) of each part of a message. Raises ValueError."""
    content = message["content"]
    parts = (
        [("text", content)] if isinstance(content, str) else [(one["type"], one["text"]) for one in content]
    )
    known = ["text", "python", "python_output"] if message["role"] == "assistant" else ["text"]
    if any(kind not in known for kind, _ in parts):
        raise ValueError(f"{message['role']} may have {known}, not {[kind for kind, _ in parts]}")
    return parts


def legal(have, value):
    """Say whether a continuation byte may come second: some lead bytes take fewer."""
    if len(have) > 1:
        return True
    low, high = {0xE0: (0xA0, 0xBF), 0xED: (0x80, 0x9F), 0xF0: (0x90, 0xBF), 0xF4: (0x80, 0x8F)}.get(
        have[0], (0x80, 0xBF)
    )
    return low <= value <= high
