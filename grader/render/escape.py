"""What students wrote, made harmless for each kind of file that it is written into.

Names, messages and counterexamples come from submissions. HTML is escaped where it is made.
"""

from __future__ import annotations

import re

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001  # spreadsheets read these, too
_COMMAND = re.compile(r"::|##(?=\[)")


def visible(text: str) -> str:
    """Return text with what could steer a terminal written as an escape; lines and tabs stay."""
    return "".join(one if one.isprintable() or one in "\n\t" else ascii(one)[1:-1] for one in text)


def csv_cell(text: str) -> str:
    """Return text that no spreadsheet runs as a formula."""
    shown = visible(text)
    return f"'{shown}" if shown.lstrip(" ").startswith(FORMULA) else shown


def xml_text(text: str) -> str:
    """Return text without the characters that XML 1.0 cannot hold, not even escaped."""
    return "".join(one if allowed_in_xml(ord(one)) else "\N{REPLACEMENT CHARACTER}" for one in visible(text))


def allowed_in_xml(code: int) -> bool:
    """Say whether a character may stand in XML 1.0."""
    return code in (0x9, 0xA, 0xD) or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000


def log_text(text: str) -> str:
    """Return text in which the log of a CI service sees no command (`::error::`, `##[group]`)."""
    return _COMMAND.sub(lambda found: " ".join(found[0]), visible(text))
