"""Prompts for an answer, and conversations that are none."""

from __future__ import annotations

from hypothesis import strategies as st

from specs.compare import expect_equal, expect_raised, quoted
from specs.conversations import (
    ALSO,
    HELLO,
    TOOL,
    TWICE,
    Conversation,
    Message,
    assistant,
    complete,
    conversations,
    expect_rendered,
    of_texts,
    part,
    render,
    system,
    talk,
    user,
)
from specs.law import law
from specs.probe import Probe
from specs.texts import FEW, plain_texts

CRITERION = "chat"


@law(
    examples=25,
    cases=[
        {"conversation": HELLO},
        {"conversation": TWICE},
        {"conversation": TOOL},
        {"conversation": talk(system("be kind"), *HELLO["messages"])},
    ],
    conversation=conversations(with_system=None, ending="assistant"),
)
def test_a_prompt_ends_where_the_answer_begins(probe: Probe, conversation: Conversation) -> None:
    """render_for_completion is all but the last message, and then <|assistant_start|>.

    Kills: an answer that stays in the prompt, a start that is missing or comes twice, an end of the answer
    behind it, earlier answers left out too.
    """
    got, want = complete(probe, conversation)
    expect_equal(got, want, f"render_for_completion({quoted(conversation)})", ALSO)


@law(
    examples=15,
    cases=[{"conversation": TWICE, "answer": "good"}],
    conversation=conversations(with_system=None, ending="assistant"),
    answer=plain_texts,
)
def test_a_prompt_and_its_answer_are_the_conversation(
    probe: Probe, conversation: Conversation, answer: str
) -> None:
    """The prompt, the ids of an answer and <|assistant_end|> are what the whole conversation renders to.

    So what is trained on is what is asked for later. Kills: prompts that are built by other rules.
    """
    whole = {"messages": [*conversation["messages"][:-1], assistant(answer)]}
    rendered = render(probe, whole, 9000)
    prompt, _ = complete(probe, whole)
    (ids,) = probe("tokenizer.encode", learning=FEW, texts=[answer])
    expect_equal(
        [*prompt, *ids, *rendered.want_ids[-1:]],
        rendered.ids,
        f"prompt, answer and end of {quoted(whole)}, against render_conversation",
    )


@law(examples=3, cases=[{"letters": 4000}], letters=st.integers(2030, 2050))
def test_a_prompt_is_never_cut(probe: Probe, letters: int) -> None:
    """A prompt for completion keeps its end, however long it is.

    Kills: max_tokens of the rendering used for prompts.
    """
    conversation = talk(user("\x00" * letters), assistant("good day"))
    got, want = complete(probe, conversation)
    expect_equal(got, want, f"render_for_completion after {letters} letters of the user's")


WRONG_ROLES: list[list[Message]] = [
    [],
    [system("a")],
    [assistant("a")],
    [user("a"), user("b")],
    [user("a"), assistant("b"), assistant("c")],
    [user("a"), assistant("b"), user("c"), user("d")],
    [assistant("a"), user("b")],
    [system("a"), assistant("b")],
    [system("a"), system("b"), user("c")],
    [user("a"), system("b")],
    [user("a"), system("b"), assistant("c")],
    [user("a"), assistant("b"), system("c")],
    [system("a"), user("b"), assistant("c"), system("d"), user("e")],
    [{"role": "tool", "content": "a"}],
    [user("a"), {"role": "bot", "content": "b"}],
    [user("a"), {"role": "", "content": "b"}],
    [{"role": "User", "content": "a"}],
    [system("a"), user("b"), user("c"), assistant("d")],
]


@law()
def test_roles_out_of_order_are_refused(probe: Probe) -> None:
    """No messages, roles that do not alternate, a system message alone or later on: each is a ValueError.

    Kills: a check of the first message alone, an IndexError or KeyError in its place, roles taken by their
    place and not by their name.
    """
    for messages in WRONG_ROLES:
        roles = [message["role"] for message in messages]
        expect_refused(probe, {"messages": messages}, f"a conversation of the roles {roles}")
    # Wrong also without the last message, which need not be looked at.
    expect_refused_prompt(probe, [])
    expect_refused_prompt(probe, [assistant("a")])
    expect_refused_prompt(probe, [user("a"), user("b"), assistant("c")])
    expect_refused_prompt(probe, [system("a"), assistant("b")])
    expect_refused_prompt(probe, [system("a"), system("b"), user("c"), assistant("d")])


@law(
    examples=12,
    drawn=conversations(with_system=None, ending="assistant"),
    place=st.integers(0, 10),
    how=st.sampled_from(["doubled", "left out", "renamed"]),
)
def test_one_wrong_message_anywhere_is_refused(
    probe: Probe, drawn: Conversation, place: int, how: str
) -> None:
    """A conversation with one message doubled, left out or of an unknown role is a ValueError.

    Kills: a check that looks at some of the messages.
    """
    messages = list(drawn["messages"])
    place %= len(messages)
    if how == "doubled":
        messages.insert(place, messages[place])
    elif how == "renamed":
        messages[place] = {**messages[place], "role": "narrator"}
    elif place < len(messages) - 1 and messages[place]["role"] != "system":
        del messages[place]
    else:
        # Without its last or its system message it is in order; with one more it is not.
        messages.append(messages[-1])
    expect_refused(probe, {"messages": messages}, f"roles {[message['role'] for message in messages]}")


UNKNOWN = ["image", "", "tool", "python_outputs", "TEXT"]
FORBIDDEN = [
    *(("assistant", kind) for kind in UNKNOWN),
    *((role, kind) for role in ("user", "system") for kind in [*UNKNOWN, "python", "python_output"]),
]
"""Who may not have which parts."""


@law(
    examples=15,
    cases=[
        {"forbidden": ("assistant", "image"), "before": 1},
        {"forbidden": ("user", "python"), "before": 1},
    ],
    forbidden=st.sampled_from(FORBIDDEN),
    before=st.integers(0, 2),
)
def test_parts_that_may_not_be_are_refused(probe: Probe, forbidden: tuple[str, str], before: int) -> None:
    """An unknown type of part is a ValueError, and so is anything but text from the user or the system.

    Kills: unknown parts skipped or rendered as text, a KeyError, only the first part looked at.
    """
    role, kind = forbidden
    content = [*[part("text", "a")] * before, part(kind, "b")]
    messages = {
        "assistant": [user("a"), assistant(content)],
        "user": [user(content), assistant("a")],
        "system": [system(content), user("a"), assistant("b")],
    }
    expect_refused(probe, {"messages": messages[role]}, f"a part of type {kind!r} of the {role}'s")
    # The last message is left out of a prompt, and need not be looked at.
    last = {"assistant": [user("c"), assistant("d")], "user": [], "system": []}
    expect_refused_prompt(probe, [*messages[role], *last[role]])


def expect_refused(probe: Probe, conversation: Conversation, what: str) -> None:
    """Require a ValueError, also where it would be cut off, and that the tokenizer goes on rendering."""
    for options in ({}, {"max_tokens": 3}):
        outcome = probe.attempt(
            "tokenizer.render", conversation=conversation, learning=FEW, contents=[], **options
        )
        expect_raised(outcome, f"render_conversation with {what}, {options or 'in full'}", "ValueError")
    expect_rendered(render(probe, HELLO), HELLO)


def expect_refused_prompt(probe: Probe, messages: list[Message]) -> None:
    """Require a ValueError for a prompt."""
    outcome = probe.attempt(
        "tokenizer.render",
        learning=FEW,
        contents=[],
        conversation={"messages": messages},
        method="render_for_completion",
    )
    roles = [message["role"] for message in messages]
    expect_raised(outcome, f"render_for_completion of the roles {roles}", "ValueError")


@law(examples=15, ask=plain_texts, tail=st.booleans())
def test_a_conversation_may_end_with_the_user(probe: Probe, ask: str, tail: bool) -> None:
    """A conversation that ends with the user's message renders up to its end.

    Kills: an even number of messages demanded, an answer's beginning added, the last question dropped.
    """
    conversation = talk(*(of_texts([("hi", "hello")])["messages"] if tail else []), user(ask))
    expect_rendered(render(probe, conversation), conversation)
