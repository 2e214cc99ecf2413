"""Conversations to draw, and how the laws about chat ask for them and work out what they must become."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from specs.compare import broken, expect_equal, quoted
from specs.oracles import conversations as oracle
from specs.probe import Probe
from specs.probes.byte_tokenizer import SPECIAL
from specs.texts import FEW, Learning, plain_texts

Conversation = dict[str, Any]
Message = dict[str, Any]


def user(content: Any) -> Message:
    """Return a message of the user's."""
    return {"role": "user", "content": content}


def assistant(content: Any) -> Message:
    """Return a message of the assistant's."""
    return {"role": "assistant", "content": content}


def system(content: Any) -> Message:
    """Return a system message."""
    return {"role": "system", "content": content}


def part(kind: str, text: str) -> dict[str, str]:
    """Return a part of a content: "text", "python" or "python_output"."""
    return {"type": kind, "text": text}


def talk(*messages: Message) -> Conversation:
    """Return a conversation."""
    return {"messages": list(messages)}


def of_texts(turns: list[tuple[str, str]]) -> Conversation:
    """Return a conversation of questions and answers."""
    return talk(*(message for ask, say in turns for message in (user(ask), assistant(say))))


HELLO = of_texts([("hello", "good day")])
TWICE = of_texts([("hello", "good day"), ("how are you", "well, and you?")])
TOOL = talk(
    user("what is 12*12?"),
    assistant(
        [
            part("text", "let me see: "),
            part("python", "12*12"),
            part("python_output", "144"),
            part("text", "it is 144"),
        ]
    ),
)
ACCENTS = talk(user("naïve 日本?"), assistant([part("text", "élève"), part("python", "'é'.count('é')")]))

text_parts = st.lists(plain_texts.map(lambda text: part("text", text)), max_size=3)
kinds = st.sampled_from(["text", "python", "python_output"])
parts = st.lists(st.builds(part, kinds, plain_texts), max_size=5)
plain_contents = st.one_of(plain_texts, text_parts)
"""What the user and the system may say."""

contents = st.one_of(plain_texts, parts)
"""What the assistant may say."""


@st.composite
def conversations(draw: st.DrawFn, *, with_system: bool | None = False, ending: str = "any") -> Conversation:
    """Draw a conversation of one to three turns.

    `with_system` None draws whether there is a system message; `ending` is "assistant", "user" or "any".
    """
    messages = []
    for _ in range(draw(st.integers(1, 3))):
        messages += [user(draw(plain_contents)), assistant(draw(contents))]
    if ending == "user" or (ending == "any" and draw(st.sampled_from([False, False, True]))):
        messages.pop()
    if draw(st.booleans()) if with_system is None else with_system:
        messages.insert(0, system(draw(plain_contents)))
    return {"messages": messages}


@dataclass(frozen=True)
class Rendered:
    """A conversation as the submission rendered it, and as it must be."""

    ids: list[int]
    mask: list[int]
    want_ids: list[int]
    want_mask: list[int]


def render(
    probe: Probe, conversation: Conversation, max_tokens: int | None = None, learning: Learning = FEW
) -> Rendered:
    """Ask for a conversation, and work out what it must be from the ids of its texts, uncut."""
    answer = probe(
        "tokenizer.render",
        learning=learning,
        conversation=conversation,
        contents=oracle.texts_of(conversation),
        max_tokens=max_tokens,
    )
    got = answer["answer"]
    what = f"render_conversation({quoted(conversation)})"
    if not isinstance(got, list) or len(got) != 2 or not all(isinstance(each, list) for each in got):
        broken(f"{what}: got {quoted(got)}, want a pair of lists, ids and mask")
    want_ids, want_mask = oracle.rendered(
        oracle.merged(conversation), answer["encoded"].__getitem__, special_of(answer, got[0])
    )
    # True and 1 are the same mark.
    mask = [int(each) if isinstance(each, bool) else each for each in got[1]]
    return Rendered(got[0], mask, want_ids, want_mask)


def complete(probe: Probe, conversation: Conversation, learning: Learning = FEW) -> tuple[Any, list[int]]:
    """Ask for a conversation to be completed; return what came and what must come."""
    messages = oracle.merged(conversation)
    answer = probe(
        "tokenizer.render",
        learning=learning,
        conversation=conversation,
        contents=oracle.texts_of(conversation),
        method="render_for_completion",
    )
    got = answer["answer"]
    return got, oracle.for_completion(messages, answer["encoded"].__getitem__, special_of(answer, got))


def special_of(answer: dict[str, Any], ids: Any) -> dict[str, int]:
    """Return the ids of the special tokens, as the submission has them: what they are is another law's.

    The two ways to ask for BOS may only differ where one of them is wrong, which is that other law's, too.
    """
    special: dict[str, int] = dict(answer["special"])
    if isinstance(ids, list) and ids[:1] == [answer["bos"]]:
        special["<|bos|>"] = answer["bos"]
    return special


def expect_rendered(rendered: Rendered, conversation: Conversation) -> None:
    """Require ids and mask of a whole conversation."""
    what = f"of render_conversation({quoted(conversation)})"
    expect_equal(rendered.ids, rendered.want_ids, f"the ids {what}", ALSO)
    expect_equal(rendered.mask, rendered.want_mask, f"the mask {what}")


ALSO = f"The special tokens are the last ids, in the order {' '.join(SPECIAL)}."
