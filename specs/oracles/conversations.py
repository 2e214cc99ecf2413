"""What a conversation must become, from the ids of its texts: the contract's table, written out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Message = Mapping[str, Any]
Conversation = Mapping[str, Any]
Piece = tuple[str, str, int]
"""("special" or "text", what it says, its mask)."""


def merged(conversation: Conversation) -> list[Message]:
    """Return the messages with a leading system message put before the user's first."""
    messages = list(conversation["messages"])
    if messages[0]["role"] != "system":
        return messages
    system, user, *others = messages
    return [{"role": "user", "content": whole_text(system) + "\n\n" + whole_text(user)}, *others]


def whole_text(message: Message) -> str:
    """Return the text of a message of text parts."""
    content = message["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def pieces_of(messages: Sequence[Message]) -> list[Piece]:
    """Return what stands in a rendered conversation, in order."""
    pieces: list[Piece] = [("special", "<|bos|>", 0)]
    for message in messages:
        if message["role"] == "user":
            pieces += [
                ("special", "<|user_start|>", 0),
                ("text", whole_text(message), 0),
                ("special", "<|user_end|>", 0),
            ]
            continue
        pieces.append(("special", "<|assistant_start|>", 0))
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        for part in parts:
            pieces += part_pieces(part)
        pieces.append(("special", "<|assistant_end|>", 1))
    return pieces


def part_pieces(part: Mapping[str, str]) -> list[Piece]:
    """Return what stands for one part of an assistant's message."""
    if part["type"] == "python":
        return [
            ("special", "<|python_start|>", 1),
            ("text", part["text"], 1),
            ("special", "<|python_end|>", 1),
        ]
    if part["type"] == "python_output":
        return [
            ("special", "<|output_start|>", 0),
            ("text", part["text"], 0),
            ("special", "<|output_end|>", 0),
        ]
    return [("text", part["text"], 1)]


def texts_of(conversation: Conversation) -> list[str]:
    """Return every text that is encoded on its own, in order."""
    return [said for kind, said, _ in pieces_of(merged(conversation)) if kind == "text"]


def rendered(
    messages: Sequence[Message], ids_of: Callable[[str], list[int]], special: Mapping[str, int]
) -> tuple[list[int], list[int]]:
    """Return (ids, mask) of messages without a system message, not cut."""
    ids: list[int] = []
    mask: list[int] = []
    for kind, said, supervised in pieces_of(messages):
        added = [special[said]] if kind == "special" else ids_of(said)
        ids += added
        mask += [supervised] * len(added)
    return ids, mask


def for_completion(
    messages: Sequence[Message], ids_of: Callable[[str], list[int]], special: Mapping[str, int]
) -> list[int]:
    """Return the ids that the assistant goes on from when it writes the last of the messages anew."""
    ids, _ = rendered(messages[:-1], ids_of, special)
    return [*ids, special["<|assistant_start|>"]]
