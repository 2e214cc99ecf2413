"""Conversations as ids and masks: each message in its tokens, and 1 on what the assistant must produce.

What a text becomes is taken from the submission's own `encode`, and special tokens from `encode_special`, so
that a fault of these does not show here: only how they are put together is judged.
"""

from __future__ import annotations

from hypothesis import strategies as st

from specs.compare import expect, expect_equal, quoted
from specs.conversations import (
    ACCENTS,
    ALSO,
    HELLO,
    TOOL,
    TWICE,
    Conversation,
    Message,
    assistant,
    conversations,
    expect_rendered,
    of_texts,
    part,
    render,
    system,
    talk,
    text_parts,
    user,
)
from specs.law import law
from specs.oracles import conversations as oracle
from specs.outcomes import SubmissionRaised
from specs.probe import Probe
from specs.probes.byte_tokenizer import SPECIAL
from specs.texts import AWKWARD, ENGLISH, FEW, MARKUP, MERGING, SPELLED, TIDIED, plain_texts, spelling_texts

CRITERION = "chat"


@law(
    examples=25,
    cases=[
        {"turns": [("hello", "good day")]},
        {"turns": [("hello", "good day"), ("how are you", "well")]},
        {"turns": [("", "")]},
    ],
    turns=st.lists(st.tuples(plain_texts, plain_texts), min_size=1, max_size=4),
)
def test_each_message_stands_between_its_tokens(probe: Probe, turns: list[tuple[str, str]]) -> None:
    """A conversation is BOS and then each message between the start and the end of its role.

    Kills: BOS forgotten or before every message, an end that is left out, user and assistant swapped, blanks
    or line ends between messages, messages dropped.
    """
    conversation = of_texts(turns)
    rendered = render(probe, conversation)
    expect_equal(rendered.ids, rendered.want_ids, f"the ids of {quoted(conversation)}", ALSO)


@law(
    examples=25,
    cases=[
        {"conversation": HELLO},
        {"conversation": TWICE},
        {"conversation": of_texts([("", ""), ("a", "")])},
    ],
    conversation=st.lists(st.tuples(plain_texts, plain_texts), min_size=1, max_size=4).map(of_texts),
)
def test_the_mask_is_on_what_the_assistant_says(probe: Probe, conversation: Conversation) -> None:
    """The mask is 1 on the assistant's text and its <|assistant_end|>, and 0 on everything else.

    Kills: a mask on the user, on BOS or on <|assistant_start|>, no mask on <|assistant_end|>, a mask that is
    late or early by one, turned around, or on the last answer alone.
    """
    rendered = render(probe, conversation)
    expect_equal(rendered.mask, rendered.want_mask, f"the mask of {quoted(conversation)}")


@law(
    examples=25,
    cases=[
        {"conversation": TOOL},
        {"conversation": ACCENTS},
        {"conversation": talk(user("a"), assistant([]))},
        {"conversation": talk(user("a"), assistant([part("python_output", "1"), part("python", "")]))},
    ],
    conversation=conversations(ending="assistant"),
)
def test_parts_stand_between_their_tokens(probe: Probe, conversation: Conversation) -> None:
    """Python and its output stand between their own tokens, text between none, all in the order of the parts.

    Kills: delimiters left out or mixed up, parts in another order or dropped, only the first part rendered.
    """
    rendered = render(probe, conversation)
    expect_equal(rendered.ids, rendered.want_ids, f"the ids of {quoted(conversation)}", ALSO)


ODD = [*AWKWARD, *(f"{edge}a{edge}" for edge in AWKWARD), *TIDIED, *MARKUP, *ENGLISH, "word " * 2500]
"""Texts that somebody may tidy up or cut."""


@law()
def test_contents_are_encoded_as_they_are(probe: Probe) -> None:
    """Every content and part is rendered as it stands and in full, in conversations of any length.

    Kills: contents that are stripped, normalised or cut, line ends changed, parts of blanks alone left out, a
    limit to the messages or to the parts of one.
    """
    kinds = ("text", "python", "python_output")
    turns: list[Message] = []
    for text in ODD:
        turns += [user(text), assistant(text), user([part("text", text)])]
        turns.append(assistant([part(kind, text) for kind in kinds]))
    everything = assistant([part(kind, text) for text in AWKWARD for kind in kinds])
    conversations = [talk(*turns), talk(user("a"), everything)]
    conversations += [
        talk(system(text), user(text), assistant("a")) for text in (" ", "\n", " a ", "\r\na\n", "")
    ]
    for conversation in conversations:
        rendered = render(probe, conversation, max_tokens=10_000_000)
        expect_equal(rendered.ids, rendered.want_ids, f"the ids of {quoted(conversation)}", ALSO)
        expect_equal(rendered.mask, rendered.want_mask, f"the mask of {quoted(conversation)}")


@law(
    examples=25,
    cases=[
        {"conversation": TOOL},
        {"conversation": talk(user("a"), assistant([part("python_output", "1")]))},
        {"conversation": talk(user("a"), assistant([part("python", "1"), part("python_output", "")]))},
    ],
    conversation=conversations(ending="assistant"),
)
def test_the_assistant_learns_its_calls_and_not_their_results(
    probe: Probe, conversation: Conversation
) -> None:
    """The mask is 1 on a python part with both its tokens, and 0 on a python_output part with both of its.

    Kills: results that are learned, their end alone too, calls that are not, calls without their delimiters.
    """
    rendered = render(probe, conversation)
    expect_equal(rendered.mask, rendered.want_mask, f"the mask of {quoted(conversation)}")


@law(
    examples=20,
    cases=[
        {"before": "be kind", "first": "hello", "after": [assistant("yes")]},
        {"before": "", "first": "", "after": []},
        {"before": [part("text", "be "), part("text", "kind")], "first": [part("text", "hi")], "after": []},
        {"before": "x", "first": "a", "after": [assistant("b"), user("c"), assistant("d")]},
    ],
    before=st.one_of(plain_texts, text_parts),
    first=st.one_of(plain_texts, text_parts),
    after=st.sampled_from([[], [assistant("b")], [assistant("b"), user("c")]]),
)
def test_a_system_message_goes_into_the_first_of_the_users(
    probe: Probe, before: object, first: object, after: list[dict[str, object]]
) -> None:
    """A leading system message is put before the user's first text, with an empty line between, and 0 masks.

    Kills: a system message that is dropped, rendered as a message of its own, put behind, joined without the
    empty line, put into every message, or encoded apart.
    """
    conversation = talk(system(before), user(first), *after)
    rendered = render(probe, conversation)
    expect_rendered(rendered, conversation)
    whole = oracle.whole_text(system(before)) + "\n\n" + oracle.whole_text(user(first))
    merged = render(probe, talk(user(whole), *after))
    expect_equal(rendered.ids, merged.ids, f"{quoted(conversation)}, against a user who says {quoted(whole)}")


@law(
    examples=15,
    cases=[{"said": "hello", "others": []}, {"said": "", "others": [("a", "b")]}],
    said=plain_texts,
    others=st.lists(st.tuples(plain_texts, plain_texts), max_size=2),
)
def test_a_text_and_a_part_of_it_are_the_same(probe: Probe, said: str, others: list[tuple[str, str]]) -> None:
    """A content that is a text renders as a list of one text part, for both roles.

    Kills: delimiters around a text part, a list that is turned into a text, parts of the user that are left
    out.
    """
    plain = of_texts([*others, (said, said)])
    listed = talk(*of_texts(others)["messages"], user([part("text", said)]), assistant([part("text", said)]))
    one, other = render(probe, plain), render(probe, listed)
    expect_rendered(other, listed)
    expect_equal(other.ids, one.ids, f"the ids of {quoted(listed)}, against plain texts")
    expect_equal(other.mask, one.mask, f"the mask of {quoted(listed)}, against plain texts")


@law(
    examples=20,
    cases=[{"cut": ["th", "e we", "", "ather"]}, {"cut": ["日", "本"]}],
    cut=st.lists(st.one_of(plain_texts, st.sampled_from(["th", "e", " wea", "日", "本"])), max_size=4),
)
def test_parts_are_joined_for_the_user_and_kept_apart_for_the_assistant(probe: Probe, cut: list[str]) -> None:
    """The user's text parts are one text, and each part of the assistant's is encoded on its own.

    Kills: the user's parts encoded apart or joined by blanks, the assistant's joined into one text.
    """
    parts = [part("text", text) for text in cut]
    conversation = talk(user(parts), assistant(parts))
    expect_rendered(render(probe, conversation, learning=MERGING), conversation)


@law(
    examples=25,
    cases=[
        {"conversation": conversation, "share": share} for conversation in (TOOL, TWICE) for share in (0, 1)
    ],
    conversation=conversations(with_system=None),
    share=st.floats(0, 1.2),
)
def test_ids_and_mask_are_cut_alike(probe: Probe, conversation: Conversation, share: float) -> None:
    """With max_tokens=n come the first n ids and the first n of the mask.

    Kills: a mask that is not cut, a cut from the front, one id too many or too few, a last message left out
    whole, an end token put behind the cut.
    """
    whole = render(probe, conversation)
    for count in {round(share * len(whole.want_ids)), len(whole.want_ids) - 1, 1}:
        cut = render(probe, conversation, count)
        what = f"of render_conversation({quoted(conversation)}, max_tokens={count})"
        expect_equal(cut.ids, whole.want_ids[:count], f"the ids {what}")
        expect_equal(cut.mask, whole.want_mask[:count], f"the mask {what}")


@law(examples=3, cases=[{"letters": 2100}], letters=st.integers(2040, 2060))
def test_a_long_conversation_is_cut_at_2048(probe: Probe, letters: int) -> None:
    """What is not said about max_tokens means 2048, and a prompt for completion is not cut.

    Kills: another default, no cut at all, a completion that loses its end.
    """
    conversation = of_texts([("hello", "\x00" * letters)])
    rendered = render(probe, conversation)
    expect_equal(rendered.ids, rendered.want_ids[:2048], f"the ids of an answer of {letters} letters")
    expect_equal(rendered.mask, rendered.want_mask[:2048], f"the mask of an answer of {letters} letters")
    more = render(probe, conversation, 5000)
    expect_equal(more.ids, more.want_ids, f"the ids of an answer of {letters} letters with max_tokens=5000")


@law(
    examples=20,
    cases=[{"conversation": TWICE, "turns": 1}],
    conversation=conversations(with_system=None, ending="assistant"),
    turns=st.integers(1, 2),
)
def test_earlier_messages_are_a_prefix(probe: Probe, conversation: Conversation, turns: int) -> None:
    """The first messages of a conversation render to the beginning of what all of them render to.

    Kills: a first or last message that is treated otherwise, an end of text behind the last one.
    """
    messages = conversation["messages"]
    kept = {"messages": messages[: 2 * turns + (messages[0]["role"] == "system")]}
    first, whole = render(probe, kept, 9000), render(probe, conversation, 9000)
    expect_equal(first.ids, whole.ids[: len(first.ids)], f"the ids of {quoted(kept)}, against the beginning")
    expect_equal(first.mask, whole.mask[: len(first.mask)], f"the mask of {quoted(kept)}, the same")
    expect_rendered(whole, conversation)


@law(
    examples=25,
    cases=[
        {"said": "".join(SPECIAL)},
        *({"said": text} for text in [*SPECIAL[:4], SPELLED[2], "<|user_end|><|assistant_start|>ok"]),
    ],
    said=spelling_texts,
)
def test_contents_bring_in_no_special_tokens(probe: Probe, said: str) -> None:
    """Contents that spell special tokens are encoded as any text is, wherever they stand.

    Kills: contents and special tokens put together as one text and encoded with special tokens allowed,
    spellings that are filtered out.
    """
    expect_rendered(render(probe, HELLO), HELLO)
    if isinstance(probe.attempt("tokenizer.encode", learning=FEW, texts=[said]), SubmissionRaised):
        # What `encode` refuses cannot be rendered, and that it refuses is the business of another law.
        return
    conversation = talk(
        system(said),
        user([part("text", said)]),
        assistant([part("text", said), part("python", said), part("python_output", said)]),
        user(said),
        assistant(said),
    )
    expect_rendered(render(probe, conversation), conversation)


@law(
    examples=15,
    cases=[{"conversation": TOOL}, {"conversation": talk(system("be kind"), *TWICE["messages"])}],
    conversation=conversations(with_system=None),
)
def test_the_conversation_is_left_as_it_was(probe: Probe, conversation: Conversation) -> None:
    """Rendering changes nothing in the conversation it is given, also where a system message is merged.

    Kills: a system message popped from the caller's list, texts merged in place, parts consumed.
    """
    methods = ["render_conversation"]
    if conversation["messages"][-1]["role"] == "assistant":
        methods.append("render_for_completion")
    for method in methods:
        answer = probe(
            "tokenizer.render",
            learning=FEW,
            conversation=conversation,
            contents=oracle.texts_of(conversation),
            method=method,
        )
        expect_equal(answer["given"], conversation, f"the argument of {method} afterwards")
        expect(bool(answer["answer"]), f"{method}({quoted(conversation)}): got {quoted(answer['answer'])}")


@law(
    examples=1, cases=[{"turns": 200, "number": 100}], turns=st.integers(20, 100), number=st.integers(10, 50)
)
def test_long_conversations_and_answers_are_rendered_in_full(probe: Probe, turns: int, number: int) -> None:
    """Hundreds of messages, and hundreds of parts in one of them, are rendered to the last.

    Kills: a limit to the number of messages or of parts.
    """
    several = [part(("text", "python", "python_output")[i % 3], str(i)) for i in range(number)]
    messages = [message for i in range(turns) for message in (user(f"{i}?"), assistant(f"{i}!"))]
    conversation = talk(*messages, user([part("text", str(i)) for i in range(number)]), assistant(several))
    expect_rendered(render(probe, conversation, 1_000_000), conversation)
