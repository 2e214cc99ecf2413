"""What has become of bytes that come in piece by piece: whole characters, and what may still become one."""

from __future__ import annotations


def waiting(data: bytes) -> int:
    """Return how many bytes at the end of `data` may still become a character, 0 to 3."""
    for length in (3, 2, 1):
        tail = data[-length:]
        if len(tail) == length and may_become_character(tail):
            return length
    return 0


def may_become_character(tail: bytes) -> bool:
    """Say whether bytes are the beginning of a character, and no whole one."""
    return any(is_text(tail + end) for end in ENDS) and not is_text(tail)


ENDS = [bytes([first]) + bytes([0x80]) * rest for first in (0x80, 0x90, 0xA0) for rest in range(3)]
"""Endings, one of which makes a character of any bytes that may become one: E0 and F0 take fewer."""


def is_text(data: bytes) -> bool:
    """Say whether bytes are UTF-8 and exactly one character."""
    try:
        return len(data.decode()) == 1
    except UnicodeDecodeError:
        return False


def whole_characters(data: bytes) -> str:
    """Return the text of all bytes but those that may still become a character."""
    return data[: len(data) - waiting(data)].decode(errors="replace")


def is_whole(data: bytes) -> bool:
    """Say whether bytes are text, but for what may still become a character at their end."""
    try:
        data[: len(data) - waiting(data)].decode()
    except UnicodeDecodeError:
        return False
    return True
