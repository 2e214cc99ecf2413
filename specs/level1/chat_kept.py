"""What rendering keeps between conversations and leaves behind: nothing."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from specs.compare import expect, expect_equal, quoted
from specs.conversations import (
    ACCENTS,
    HELLO,
    TOOL,
    TWICE,
    assistant,
    contents,
    part,
    system,
    talk,
    user,
)
from specs.law import law
from specs.learning import expect_kept, expect_no_traces
from specs.order import expect_any_order
from specs.probe import Probe
from specs.texts import FEW

CRITERION = "chat"

CALLS: list[dict[str, Any]] = [
    {"method": method, "arguments": [conversation], "options": options}
    for conversation in (HELLO, TOOL, TWICE, ACCENTS, talk(system("calm"), user("hi"), assistant("good day")))
    for method, options in (
        ("render_conversation", {}),
        ("render_conversation", {"max_tokens": 3}),
        ("render_conversation", {"max_tokens": 30}),
        ("render_for_completion", {}),
    )
]
CALLS += [
    {"method": method, "arguments": [{"messages": messages}]}
    for method in ("render_conversation", "render_for_completion")
    for messages in (
        [],
        [user("a"), user("b"), assistant("c")],
        [system("left over"), user([part("text", "and"), part("image", "more")]), assistant("d")],
        [user("hi"), assistant([part("python", "1+1"), part("tool", "2")])],
    )
]
CALLS += [{"method": "encode", "arguments": ["hi"], "options": {"prepend": "<|bos|>"}}]
"""Lengths, prompts and mistakes that could stay behind for the next."""


@law()
def test_what_was_rendered_stays(probe: Probe) -> None:
    """The ids and the mask of a conversation stay as they came, however many are rendered after it.

    So conversations can be rendered first and put into batches later. Kills: one list of ids or of marks that
    is filled anew for each conversation.
    """
    calls: list[dict[str, Any]] = [
        {"method": method, "arguments": [conversation], "options": options}
        for conversation in (HELLO, TOOL, TWICE, ACCENTS)
        for method, options in (
            ("render_conversation", {}),
            ("render_conversation", {"max_tokens": 5}),
            ("render_for_completion", {}),
        )
    ]
    answer = probe("tokenizer.kept_answers", learning=FEW, calls=[*calls, *calls])
    expect(all(answer["came"]), f"rendering conversations gave {quoted(answer['came'])}, want ids")
    expect_kept(answer, calls)


@law(examples=2, calls=st.permutations(CALLS))
def test_no_rendering_changes_a_later_one(probe: Probe, calls: list[dict[str, Any]]) -> None:
    """A conversation renders the same whatever was rendered before it: others, shorter, prompts, mistakes.

    Kills: a length, a system message or half a conversation that stays behind for the next.
    """
    answers = expect_any_order(
        probe,
        lambda each: probe("orders.tokenizer", learning=FEW, calls=each),
        calls,
        lambda call: f"{call['method']}({quoted(call['arguments'][0])}, {call.get('options', {})})",
    )
    expect(any(isinstance(each, list) and each for each in answers), "no call was answered with ids")


@law(examples=6, said=contents)
def test_rendered_lists_are_fresh(probe: Probe, said: object) -> None:
    """Rendering again gives the same, whatever was done with the lists that it gave before.

    Kills: lists kept and handed out again, state that is left behind by a conversation.
    """
    conversation = talk(user("hi"), assistant(said))
    for method in ("render_conversation", "render_for_completion"):
        before, after = probe(
            "tokenizer.changed_answers", learning=FEW, method=method, arguments=[conversation]
        )
        expect_equal(after, before, f"{method}({quoted(conversation)}), after its first answer was emptied")


@law()
def test_rendering_leaves_no_traces(probe: Probe) -> None:
    """Rendering a conversation or a prompt changes no setting that others share.

    Kills: a seed, warnings switched off for good.
    """
    expect_no_traces(probe, ["rendering", "a prompt"])
