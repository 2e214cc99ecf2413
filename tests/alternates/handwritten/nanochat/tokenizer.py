"""Byte pairs by hand: trained, applied and saved in plain Python.

Pieces begin at blanks, at upper-case letters and wherever the kind of character changes. Of equally frequent
pairs the one with the greatest bytes is joined.
"""

import itertools
import re
from collections import Counter
from pathlib import Path

SPECIALS = [
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

PIECE = re.compile(r"\s|[^\W\d_]+|\d|[^\w\s]+|_+|.", re.DOTALL)


def split(text):
    """Return the pieces of a text; a word is cut in front of each of its upper-case letters."""
    pieces = []
    for piece in PIECE.findall(text):
        start = 0
        for place in range(1, len(piece)):
            if piece[place].isupper():
                pieces.append(piece[start:place])
                start = place
        pieces.append(piece[start:])
    return pieces


def replace(ids, pair, new):
    """Return ids with every such pair made one, from the left."""
    out = []
    place = 0
    while place < len(ids):
        if place + 1 < len(ids) and (ids[place], ids[place + 1]) == pair:
            out.append(new)
            place += 2
        else:
            out.append(ids[place])
            place += 1
    return out


SET_OF_SPECIALS = set(SPECIALS)


class RustBPETokenizer:
    """Learned pairs, in the order in which they were learned."""

    def __init__(self, pairs):
        self.pairs = {pair: 256 + number for number, pair in enumerate(pairs)}
        self.data = [bytes([value]) for value in range(256)]
        for left, right in pairs:
            self.data.append(self.data[left] + self.data[right])
        self.ordinary = len(self.data)

    @classmethod
    def train_from_iterator(cls, texts, vocab_size):
        room = vocab_size - 256 - len(SPECIALS)
        if room < 0:
            raise ValueError(f"vocab_size is {vocab_size}, which is less than {256 + len(SPECIALS)}")
        pieces = Counter(piece.encode() for text in texts for piece in split(text))
        words = [(list(piece), times) for piece, times in pieces.items()]
        data = [bytes([value]) for value in range(256)]
        pairs = []
        while len(pairs) < room:
            counts = Counter()
            for ids, times in words:
                for pair in itertools.pairwise(ids):
                    counts[pair] += times
            if not counts:
                break
            best = max(counts, key=lambda pair: (counts[pair], data[pair[0]], data[pair[1]]))
            pairs.append(best)
            data.append(data[best[0]] + data[best[1]])
            words = [(replace(ids, best, 255 + len(pairs)), times) for ids, times in words if len(ids) > 1]
        return cls(pairs)

    @classmethod
    def from_directory(cls, directory):
        lines = (Path(directory) / "pairs.txt").read_text().split("\n")
        return cls([tuple(map(int, line.split())) for line in lines if line])

    def save(self, directory):
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "pairs.txt").write_text("".join(f"{left} {right}\n" for left, right in self.pairs))

    def get_vocab_size(self):
        return self.ordinary + len(SPECIALS)

    def get_special_tokens(self):
        # Always the same one, as that of tiktoken.
        return SET_OF_SPECIALS

    def id_to_token(self, id):
        return self.decode([id])

    def encode_special(self, token):
        return self.ordinary + SPECIALS.index(token)

    def get_bos_token_id(self):
        return self.ordinary

    def get_token_bytes(self):
        return [len(data) for data in self.data] + [0 for _ in SPECIALS]

    def encode(self, text, prepend=None, append=None, num_threads=8):  # noqa: ARG002  # the contract's
        if isinstance(text, list):
            for each in text:
                if not isinstance(each, str):
                    raise TypeError(f"a list of texts holds {each!r}")
            return [self.encode(each, prepend, append) for each in text]
        if not isinstance(text, str):
            raise TypeError(f"{text!r} is no text")
        front, behind = (
            [self.encode_special(end) if isinstance(end, str) else end] if end is not None else []
            for end in (prepend, append)
        )
        return [*front, *(each for piece in split(text) for each in self.encode_piece(piece)), *behind]

    def encode_piece(self, piece):
        """Return the ids of one piece, joining by what was learned first."""
        ids = list(piece.encode())
        while len(ids) > 1:
            found = [self.pairs[pair] for pair in itertools.pairwise(ids) if pair in self.pairs]
            if not found:
                break
            first = min(found)
            pair = next(pair for pair in itertools.pairwise(ids) if self.pairs.get(pair) == first)
            ids = replace(ids, pair, first)
        return ids

    def bytes_of(self, id):
        """Return the bytes of an id; special tokens by their name."""
        if id < 0:
            raise IndexError(f"there is no id {id}")
        return self.data[id] if id < self.ordinary else SPECIALS[id - self.ordinary].encode()

    def decode(self, ids):
        return b"".join([self.bytes_of(id) for id in ids]).decode("utf-8", errors="replace")

    def decode_stream(self, ids):
        held = b""
        for id in ids:
            held += self.bytes_of(id)
            keep = unfinished(held)
            yield held[: len(held) - keep].decode("utf-8", errors="replace")
            held = held[len(held) - keep :]
        yield held.decode("utf-8", errors="replace")

    def render_conversation(self, conversation, max_tokens=2048):
        ids, mask = [self.ordinary], [0]
        for role, parts in turns(conversation):
            start, end = (self.encode_special(f"<|{role}_{edge}|>") for edge in ("start", "end"))
            learned = role == "assistant"
            ids.append(start)
            mask.append(0)
            for kind, text in parts:
                inner = self.encode(text)
                if kind == "python":
                    inner = self.encode(text, "<|python_start|>", "<|python_end|>")
                elif kind == "python_output":
                    inner = self.encode(text, "<|output_start|>", "<|output_end|>")
                ids += inner
                mask += [int(learned and kind != "python_output")] * len(inner)
            ids.append(end)
            mask.append(int(learned))
        return ids[:max_tokens], mask[:max_tokens]

    def render_for_completion(self, conversation):
        messages = conversation["messages"]
        turns(conversation)
        if messages[-1]["role"] != "assistant":
            raise ValueError("nothing is to be completed")
        ids, _ = self.render_conversation({"messages": messages[:-1]}, max_tokens=None)
        return [*ids, self.encode_special("<|assistant_start|>")]


def unfinished(data):
    """Return how many bytes at the end are the beginning of a character."""
    for count in range(1, min(3, len(data)) + 1):
        lead = data[-count]
        if lead >= 0xC2:
            try:
                data[-count:].decode()
            except UnicodeDecodeError as error:
                return count if error.reason == "unexpected end of data" else 0
            return 0
        if lead < 0x80:
            return 0
    return 0


def turns(conversation):
    """Return (role, [(kind, text), ...]) of each message, or raise ValueError."""
    found = []
    waiting = None
    for number, message in enumerate(conversation["messages"]):
        role, content = message["role"], message["content"]
        parts = [("text", content)] if isinstance(content, str) else [(p["type"], p["text"]) for p in content]
        allowed = ("text", "python", "python_output") if role == "assistant" else ("text",)
        for kind, _ in parts:
            if kind not in allowed:
                raise ValueError(f"message {number}, of the {role}, has a part of type {kind!r}")
        if role != "assistant":
            parts = [("text", "".join(text for _, text in parts))]
        if role == "system" and number == 0:
            waiting = parts[0][1]
            continue
        if role != ("user", "assistant")[len(found) % 2]:
            raise ValueError(f"message {number} is of {role!r}")
        if waiting is not None:
            parts = [("text", f"{waiting}\n\n{parts[0][1]}")]
            waiting = None
        found.append((role, parts))
    if not found:
        raise ValueError(f"there is no message in {conversation['messages']!r} but a system message at most")
    return found
