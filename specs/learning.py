"""What the laws about training ask a submission, and how they follow what it learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from specs.compare import broken, expect, quoted
from specs.oracles import bytepairs
from specs.oracles.bytepairs import Shown
from specs.probe import Probe
from specs.texts import FEW, FIRST_LEARNED, LEAST, Learning


def learn(probe: Probe, texts: Sequence[str], vocab_size: int, form: str = "list") -> list[Shown]:
    """Train on `texts` and return the learned tokens."""
    answer = probe("tokenizer.learned", texts=list(texts), vocab_size=vocab_size, form=form)
    expect_size(answer["size"], vocab_size)
    return [
        data if data else text if isinstance(text, str) else b""
        for data, text in zip(answer["bytes"], answer["texts"], strict=True)
    ]


def expect_size(size: Any, vocab_size: int) -> None:
    """Require a vocabulary to hold all bytes and the special tokens, and to be no larger than asked for."""
    if type(size) is not int or not LEAST <= size <= vocab_size:
        broken(
            f"get_vocab_size() after training with vocab_size={vocab_size}: got {quoted(size)}, want an int "
            f"from {LEAST}, the bytes and the special tokens, to {vocab_size}"
        )


def ids_of(tokens: Sequence[bytes | None]) -> dict[bytes, int]:
    """Return the id of every token, the first one where two have the same bytes."""
    return {data: token for token, data in reversed(list(enumerate(tokens))) if data is not None}


def vocabulary(probe: Probe, learning: Learning) -> tuple[int, list[bytes | None]]:
    """Return the number of ids, and the bytes of each that is not special.

    None for one whose bytes `decode` does not show in any text: what is wrong then is another law's business.
    """
    answer = probe("tokenizer.vocabulary", learning=learning)
    # The contract says which these are.
    single = [bytes([value]) for value in range(FIRST_LEARNED)]
    return answer["size"], [*single, *(data or None for data in answer["bytes"])]


def known(tokens: Sequence[bytes | None]) -> list[int]:
    """Return the ids whose bytes are known."""
    return [token for token, data in enumerate(tokens) if data is not None]


def expect_most_frequent(texts: Sequence[str], learned: Sequence[Shown], vocab_size: int) -> None:
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


CONVERSATION = {
    "messages": [
        {"role": "system", "content": "brief"},
        {"role": "user", "content": "naïve?"},
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "日本"}, {"type": "python", "text": "1+1"}],
        },
    ]
}


def expect_no_traces(probe: Probe, uses: Sequence[str]) -> None:
    """Require uses of a tokenizer to change no setting that others share."""
    for use in uses:
        asked = {"learning": FEW, "texts": ["the weather", "🙂é"], "conversation": CONVERSATION}
        for changed in probe("tokenizer.traces", **asked, use=use):
            broken(f"{use} changed {changed}")


def expect_kept(answer: dict[str, list[Any]], calls: Sequence[dict[str, Any]]) -> None:
    """Require what `tokenizer.kept_answers` saw to be later what it was when it came."""
    for number, (came, later) in enumerate(zip(answer["came"], answer["later"], strict=True)):
        named = calls[number]["method"] if number < len(calls) else "a method"
        if came != later:
            broken(
                f"what {named} gave as answer {number + 1} was {quoted(came)}, and is {quoted(later)} after "
                f"{len(answer['came']) - number - 1} more calls: want it to stay as it came"
            )
