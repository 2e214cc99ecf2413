"""Text to token ids and back, and conversations to the token ids that a chat model is trained on.

Byte-level byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909): the first 256 ids are the bytes, so
that any text has an encoding, and every later one joins two earlier ones. The package `rustbpe` learns the
joins, `tiktoken` applies them. Nine special tokens come after all of these. Text never produces them, also
when it spells one out: only `encode_special` and the chat rendering do.
"""

from __future__ import annotations

import base64
import codecs
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import rustbpe
import tiktoken

SPECIAL_TOKENS = [
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
"""In the order of their ids."""

MIN_VOCAB_SIZE = 256 + len(SPECIAL_TOKENS)
FILE_NAME = "tokenizer.json"

# What stands around each kind of part of an assistant's message, and whether the assistant must produce it.
PART_FORMS: dict[str, tuple[list[str], list[str], int]] = {
    "text": ([], [], 1),
    "python": (["<|python_start|>"], ["<|python_end|>"], 1),
    "python_output": (["<|output_start|>"], ["<|output_end|>"], 0),
}

Conversation = Mapping[str, Any]
Message = Mapping[str, Any]


class RustBPETokenizer:
    """A byte-level BPE tokenizer with nine special tokens.

    `pattern` is the regular expression that cuts text into the pieces inside which bytes are joined, and
    `mergeable` holds the bytes of every ordinary token in the order of the ids.
    """

    def __init__(self, pattern: str, mergeable: Sequence[bytes]) -> None:
        self.pattern = pattern
        self.mergeable = list(mergeable)
        self.special = {text: len(mergeable) + i for i, text in enumerate(SPECIAL_TOKENS)}
        self.encoding = tiktoken.Encoding(
            name="nanochat",
            pat_str=pattern,
            mergeable_ranks={token: rank for rank, token in enumerate(mergeable)},
            special_tokens=self.special,
        )

    # Making one -----------------------------------------------------------------------------------------

    @classmethod
    def train_from_iterator(cls, texts: Iterable[str], vocab_size: int) -> RustBPETokenizer:
        """Return a tokenizer learned from `texts`, of at most `vocab_size` tokens, special ones included.

        It has fewer where the texts do not hold enough different pairs to join.
        Raises ValueError if `vocab_size` leaves no room for the 256 bytes and the special tokens.
        """
        if vocab_size < MIN_VOCAB_SIZE:
            raise ValueError(
                f"vocab_size is {vocab_size} and must be at least {MIN_VOCAB_SIZE}: "
                f"256 bytes and {len(SPECIAL_TOKENS)} special tokens"
            )
        trainer = rustbpe.Tokenizer()
        trainer.train_from_iterator(iter(texts), vocab_size - len(SPECIAL_TOKENS))
        by_rank = sorted(trainer.get_mergeable_ranks(), key=lambda token_and_rank: token_and_rank[1])
        return cls(trainer.get_pattern(), [bytes(token) for token, _ in by_rank])

    @classmethod
    def from_directory(cls, directory: str | Path) -> RustBPETokenizer:
        """Return the tokenizer that `save` wrote into `directory`."""
        stored = json.loads((Path(directory) / FILE_NAME).read_text(encoding="utf-8"))
        return cls(stored["pattern"], [base64.b64decode(token) for token in stored["mergeable"]])

    def save(self, directory: str | Path) -> None:
        """Write the tokenizer into `directory`, which is made if it does not exist.

        JSON and not pickle, so that a tokenizer from somebody else can be loaded without running their code.
        """
        stored = {
            "pattern": self.pattern,
            "mergeable": [base64.b64encode(token).decode("ascii") for token in self.mergeable],
        }
        Path(directory).mkdir(parents=True, exist_ok=True)
        (Path(directory) / FILE_NAME).write_text(json.dumps(stored), encoding="utf-8")

    # Its tokens -----------------------------------------------------------------------------------------

    def get_vocab_size(self) -> int:
        """Return the number of tokens, special ones included; ids go from 0 to one less."""
        return len(self.mergeable) + len(self.special)

    def get_special_tokens(self) -> list[str]:
        """Return the texts of the special tokens, in the order of their ids."""
        return list(self.special)

    def id_to_token(self, token_id: int) -> str:
        """Return the text of one token; bytes that are no text alone become U+FFFD."""
        return self.decode([token_id])

    def encode_special(self, token: str) -> int:
        """Return the id of a special token; ValueError if there is none of this text."""
        if token not in self.special:
            raise ValueError(f"{token!r} is not a special token; these are: {', '.join(self.special)}")
        return self.special[token]

    def get_bos_token_id(self) -> int:
        """Return the id of the token that begins every document and conversation."""
        return self.encode_special("<|bos|>")

    def get_token_bytes(self) -> list[int]:
        """Return the number of bytes of text that each token stands for, by id; 0 for special tokens.

        With them a loss per token becomes one per byte, which does not depend on the vocabulary.
        """
        return [len(token) for token in self.mergeable] + [0] * len(self.special)

    # Text to ids and back -------------------------------------------------------------------------------

    @overload
    def encode(
        self,
        text: str,
        prepend: int | str | None = None,
        append: int | str | None = None,
        num_threads: int = 8,
    ) -> list[int]: ...

    @overload
    def encode(
        self,
        text: list[str],
        prepend: int | str | None = None,
        append: int | str | None = None,
        num_threads: int = 8,
    ) -> list[list[int]]: ...

    def encode(
        self,
        text: str | list[str],
        prepend: int | str | None = None,
        append: int | str | None = None,
        num_threads: int = 8,
    ) -> list[int] | list[list[int]]:
        """Return the ids of a text, or of each text of a list, with a token in front and behind if asked for.

        `prepend` and `append` are an id or the text of a special token. `num_threads` is for lists only, and
        the result does not depend on it. Raises TypeError if `text` is neither a string nor a list of them.
        """
        front, behind = self._edge(prepend), self._edge(append)
        if isinstance(text, str):
            return front + self.encoding.encode_ordinary(text) + behind
        if isinstance(text, list) and all(isinstance(each, str) for each in text):
            batch = self.encoding.encode_ordinary_batch(text, num_threads=num_threads)
            return [front + ids + behind for ids in batch]
        raise TypeError(f"encode takes a str or a list of str, got {type(text).__name__}")

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of `ids`; bytes that are no valid UTF-8 become U+FFFD.

        Raises ValueError for an id that the tokenizer does not have.
        """
        for token_id in ids:
            if not 0 <= token_id < self.get_vocab_size():
                raise ValueError(f"token id {token_id} is not in the vocabulary of {self.get_vocab_size()}")
        return self.encoding.decode(ids)

    def decode_stream(self, ids: Iterable[int]) -> Iterator[str]:
        """Yield the text of `ids` piece by piece as they come in, every character as soon as it is whole.

        A token may end within a character: its bytes then wait for those of the next. Raises KeyError or
        OverflowError for an id that the tokenizer does not have.
        """
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        for token_id in ids:
            yield decoder.decode(self.encoding.decode_single_token_bytes(token_id))
        yield decoder.decode(b"", final=True)

    def _edge(self, token: int | str | None) -> list[int]:
        """Return the ids to put at one end of a text: none or one."""
        if token is None:
            return []
        return [self.encode_special(token) if isinstance(token, str) else token]

    # Conversations --------------------------------------------------------------------------------------

    def render_conversation(
        self, conversation: Conversation, max_tokens: int = 2048
    ) -> tuple[list[int], list[int]]:
        """Return (ids, mask) of a conversation, both cut to the first `max_tokens`.

        The mask is 1 on the tokens that the assistant must produce (its text, its python calls with both
        delimiters, the end of its message) and 0 on all others. Raises ValueError if the messages do not
        alternate between user and assistant, user first, after at most one system message.
        """
        ids, mask = self._render(_checked_messages(conversation))
        return ids[:max_tokens], mask[:max_tokens]

    def render_for_completion(self, conversation: Conversation) -> list[int]:
        """Return the ids up to where the assistant writes its last message, which is left out.

        They are not cut: the end is what the completion starts from. Raises ValueError as
        `render_conversation` does, and if the last message is not the assistant's.
        """
        messages = _checked_messages(conversation)
        if messages[-1]["role"] != "assistant":
            raise ValueError("the last message is the user's; give one of the assistant's to be completed")
        ids, _ = self._render(messages[:-1])
        return [*ids, self.encode_special("<|assistant_start|>")]

    def _render(self, messages: Sequence[Message]) -> tuple[list[int], list[int]]:
        """Return (ids, mask) of messages without a system message."""
        ids = [self.get_bos_token_id()]
        mask = [0]

        def add(text: str, before: Sequence[str], after: Sequence[str], supervised: int) -> None:
            special_before = [self.encode_special(token) for token in before]
            special_after = [self.encode_special(token) for token in after]
            added = [*special_before, *self.encode(text), *special_after]
            ids.extend(added)
            mask.extend([supervised] * len(added))

        for message in messages:
            if message["role"] == "user":
                add(_plain_text(message), ["<|user_start|>"], ["<|user_end|>"], 0)
                continue
            add("", ["<|assistant_start|>"], [], 0)
            for part in _parts(message):
                add(part["text"], *PART_FORMS[part["type"]])
            add("", [], ["<|assistant_end|>"], 1)
        return ids, mask


def _checked_messages(conversation: Conversation) -> list[Message]:
    """Return the messages, a leading system message merged into the first of the user's.

    The caller's conversation is left as it is. Raises ValueError if the roles are not in order.
    """
    messages = list(conversation["messages"])
    roles = [message["role"] for message in messages]
    if roles[:1] == ["system"]:
        roles = roles[1:]
    wanted = [("user", "assistant")[i % 2] for i in range(len(roles))]
    if not roles or roles != wanted:
        raise ValueError(
            f"the roles of a conversation are user, assistant, user, ... after at most one system message; "
            f"got {[message['role'] for message in messages]}"
        )
    if messages[0]["role"] == "system":
        system, user = messages[0], messages[1]
        merged = {"role": "user", "content": _plain_text(system) + "\n\n" + _plain_text(user)}
        messages = [merged, *messages[2:]]
    return messages


def _parts(message: Message) -> list[Mapping[str, str]]:
    """Return the content of a message as a list of parts; ValueError if it is not one of the two forms."""
    content = message["content"]
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list):
        raise ValueError(f"content is a str or a list of parts, got {type(content).__name__}")
    for part in content:
        if part["type"] not in PART_FORMS:
            raise ValueError(f"a part is of type {', '.join(PART_FORMS)}; got {part['type']!r}")
    return content


def _plain_text(message: Message) -> str:
    """Return the text of a message that only text may be in: the user's or the system's."""
    for part in _parts(message):
        if part["type"] != "text":
            raise ValueError(f"only the assistant has {part['type']} parts, not the {message['role']}")
    return "".join(part["text"] for part in _parts(message))
