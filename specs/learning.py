"""What the laws about training ask a submission, and how they follow what it learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from specs.compare import broken, expect, quoted
from specs.oracles import bytepairs
from specs.probe import Probe
from specs.texts import FIRST_LEARNED, LEAST, Learning


def learn(probe: Probe, texts: Sequence[str], vocab_size: int, form: str = "list") -> list[bytes]:
    """Train on `texts` and return the bytes of the learned tokens; LawBroken if an id has none."""
    answer = probe("tokenizer.learned", texts=list(texts), vocab_size=vocab_size, form=form)
    expect_size(answer["size"], vocab_size)
    return all_bytes(answer["tokens"], FIRST_LEARNED)


def expect_size(size: Any, vocab_size: int) -> None:
    """Require a vocabulary to hold all bytes and the special tokens, and to be no larger than asked for."""
    if type(size) is not int or not LEAST <= size <= vocab_size:
        broken(
            f"get_vocab_size() after training with vocab_size={vocab_size}: got {quoted(size)}, want an int "
            f"from {LEAST}, the bytes and the special tokens, to {vocab_size}"
        )


def all_bytes(tokens: Sequence[bytes | None], first: int) -> list[bytes]:
    """Return the bytes of ids from `first` on; LawBroken if `decode` shows none for one of them."""
    found = []
    for token, data in enumerate(tokens, first):
        if data is None and token in NO_TEXT:
            data = bytes([token])
        expect(
            bool(data),
            f"id {token} has no bytes: decode gives no text for it, whatever bytes stand before and behind it",
        )
        found.append(data or b"")
    return found


NO_TEXT = {0xC0, 0xC1, *range(0xF5, 0x100)}
"""Bytes that stand in no UTF-8, so that no text shows them."""


def ids_of(learned: Sequence[bytes]) -> dict[bytes, int]:
    """Return the id of every token, the first one where two have the same bytes."""
    ids = {bytes([value]): value for value in range(FIRST_LEARNED)}
    for token, data in enumerate(learned, FIRST_LEARNED):
        ids.setdefault(data, token)
    return ids


def vocabulary(probe: Probe, learning: Learning) -> tuple[int, list[bytes]]:
    """Return the number of ids, and the bytes of each that is not special."""
    answer = probe("tokenizer.vocabulary", learning=learning)
    return answer["size"], all_bytes(answer["tokens"], 0)


def expect_most_frequent(texts: Sequence[str], learned: Sequence[bytes], vocab_size: int) -> None:
    """Require every learned token to join a most frequent pair, and learning to go on as far as it can."""
    wrong, left = bytepairs.follow(texts, learned)
    if wrong is not None:
        want = f"one of {quoted(list(wrong.allowed))}, whose parts do {wrong.best} times"
        if not wrong.best:
            want = "nothing: no two tokens stand side by side any more"
        broken(
            f"the learned token {wrong.step} (id {FIRST_LEARNED + wrong.step}) of {quoted(list(texts))} is "
            f"{learned[wrong.step]!r}, whose parts stand side by side {wrong.count} times then; want {want}. "
            f"Learned before it: {quoted(list(learned[: wrong.step]))}."
        )
    size = LEAST + len(learned)
    expect(
        size == vocab_size or not left,
        f"training on {quoted(list(texts))} with vocab_size={vocab_size} ended at {size} ids, "
        f"but there are tokens left that stand side by side: want {vocab_size}",
    )
