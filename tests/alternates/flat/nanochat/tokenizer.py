"""Short functions around rustbpe and tiktoken, with GPT-2's pattern. tiktoken knows no special tokens."""

import base64
import itertools
from pathlib import Path

import rustbpe
import tiktoken

SPECIAL = {
    name: place
    for place, name in enumerate(
        ["<|bos|>"]
        + [
            f"<|{who}_{edge}|>"
            for who in ("user", "assistant", "python", "output")
            for edge in ("start", "end")
        ]
    )
}
PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""


class RustBPETokenizer:
    """tiktoken for text, and a number for where special tokens begin."""

    def __init__(self, ranks):
        self.ranks = ranks
        self.base = len(ranks)
        self.core = tiktoken.Encoding("flat", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={})

    @classmethod
    def train_from_iterator(cls, texts, vocab_size):
        if vocab_size < 256 + len(SPECIAL):
            raise ValueError(f"a vocabulary of {vocab_size} is too small, 265 is the least")
        trainer = rustbpe.Tokenizer()
        trainer.train_from_iterator(iter(texts), vocab_size - len(SPECIAL), pattern=PATTERN)
        return cls({bytes(token): rank for token, rank in trainer.get_mergeable_ranks()})

    @classmethod
    def from_directory(cls, directory):
        with open(Path(directory) / "ranks.tiktoken", "rb") as file:
            return cls({base64.b64decode(token): int(rank) for token, rank in map(bytes.split, file)})

    def save(self, directory):
        Path(directory).mkdir(parents=True, exist_ok=True)
        with open(Path(directory) / "ranks.tiktoken", "wb") as file:
            file.writelines(
                b"%s %d\n" % (base64.b64encode(token), rank) for token, rank in self.ranks.items()
            )

    def get_vocab_size(self):
        return self.base + len(SPECIAL)

    def get_special_tokens(self):
        return tuple(SPECIAL)

    def encode_special(self, token):
        return self.base + SPECIAL[token]

    def get_bos_token_id(self):
        return self.encode_special("<|bos|>")

    def get_token_bytes(self):
        by_rank = sorted(self.ranks, key=self.ranks.get)
        return [*map(len, by_rank), *itertools.repeat(0, len(SPECIAL))]

    def encode(self, text, prepend=None, append=None, num_threads=8):  # noqa: ARG002  # the contract's
        if isinstance(text, str):
            ids = self.core.encode(text, disallowed_special=())
            return [*self.ends(prepend), *ids, *self.ends(append)]
        if not isinstance(text, list) or not all(isinstance(one, str) for one in text):
            raise TypeError(f"neither a text nor a list of texts: {text!r}")
        return [self.encode(one, prepend, append) for one in text]

    def ends(self, token):
        return () if token is None else (self.encode_special(token) if isinstance(token, str) else token,)

    def raw(self, token):
        """The bytes of one id."""
        if token >= self.base:
            return list(SPECIAL)[token - self.base].encode()
        return self.core.decode_single_token_bytes(token)

    def decode(self, ids):
        return b"".join(map(self.raw, ids)).decode(errors="replace")

    def id_to_token(self, id):
        return self.raw(id).decode(errors="replace")

    def decode_stream(self, ids):
        pending = b""
        for data in map(self.raw, ids):
            pending += data
            # A character has four bytes at most, so three may wait; the longest beginning of one is it.
            length = next(n for n in range(max(len(pending) - 3, 0), len(pending) + 1) if starts(pending[n:]))
            yield pending[:length].decode(errors="replace")
            pending = pending[length:]
        if pending:
            yield pending.decode(errors="replace")

    def pieces(self, conversation):
        """Yield (ids, mask) of what a conversation consists of."""
        yield [self.get_bos_token_id()], 0
        for message in checked(conversation):
            if message["role"] == "user":
                yield self.encode(text_of(message), "<|user_start|>", "<|user_end|>"), 0
            else:
                yield [self.encode_special("<|assistant_start|>")], 0
                content = message["content"]
                for one in [{"type": "text", "text": content}] if isinstance(content, str) else content:
                    yield {
                        "text": lambda text: (self.encode(text), 1),
                        "python": lambda text: (self.encode(text, "<|python_start|>", "<|python_end|>"), 1),
                        "python_output": lambda text: (
                            self.encode(text, "<|output_start|>", "<|output_end|>"),
                            0,
                        ),
                    }[one["type"]](one["text"])
                yield [self.encode_special("<|assistant_end|>")], 1

    def render_conversation(self, conversation, max_tokens=2048):
        rows = [(token, mask) for ids, mask in self.pieces(conversation) for token in ids][:max_tokens]
        return [token for token, _ in rows], [mask for _, mask in rows]

    def render_for_completion(self, conversation):
        checked(conversation)
        if conversation["messages"][-1]["role"] != "assistant":
            raise ValueError("the last message must be the assistant's")
        before = {"messages": conversation["messages"][:-1]}
        ids = [token for ids, _ in self.pieces(before) for token in ids]
        return [*ids, self.encode_special("<|assistant_start|>")]


def starts(tail):
    """Whether bytes are nothing, or the beginning of a character that lacks its end."""
    try:
        tail.decode()
    except UnicodeDecodeError as error:
        return error.start == 0 and error.end == len(tail) and error.reason == "unexpected end of data"
    return not tail


def checked(conversation):
    """The messages without a system message; ValueError unless they are as they should."""
    messages = conversation["messages"]
    for message in messages:
        kinds = (
            {"text"} if isinstance(message["content"], str) else {one["type"] for one in message["content"]}
        )
        if not kinds <= ({"text", "python", "python_output"} if message["role"] == "assistant" else {"text"}):
            raise ValueError(f"{message['role']} with parts {kinds}")
    if len(messages) > 1 and messages[0]["role"] == "system" and messages[1]["role"] == "user":
        both = "\n\n".join(map(text_of, messages[:2]))
        messages = [{"role": "user", "content": both}, *messages[2:]]
    if not messages or any(
        message["role"] != role for message, role in zip(messages, itertools.cycle(("user", "assistant")))
    ):
        raise ValueError(f"messages of {[message['role'] for message in messages]}")
    return messages


def text_of(message):
    """All text of a message that is nothing but text."""
    content = message["content"]
    return content if isinstance(content, str) else "".join(one["text"] for one in content)
