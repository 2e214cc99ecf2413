"""Experiments on the submission's fine-tuning batches, with tokenizers that are right at sight."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

from specs.probes.byte_tokenizer import ByteTokenizer
from specs.probes.loading import imported
from specs.probes.registry import probe
from specs.probes.setting import torch_device
from specs.probes.signatures import called
from specs.probes.traces import moved_random_states, random_states
from specs.probes.values import dtype_name, values

Conversation = dict[str, Any]
Row = tuple[list[int], list[int]]


class ScriptedRenderer:
    """Renders conversation number n, whose user says n, as the ids and the mask given for it."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows
        self.asked: list[int] = []

    def render_conversation(self, conversation: Conversation, max_tokens: int = 2048) -> Row:
        """Return the ids and the mask, cut after `max_tokens`."""
        number = int(conversation["messages"][0]["content"])
        self.asked.append(number)
        ids, mask = self.rows[number]
        return list(ids[:max_tokens]), list(mask[:max_tokens])


class ChatTokenizer(ByteTokenizer):
    """Bytes, a few longer pieces, and conversations rendered as the contract says."""

    def render_conversation(self, conversation: Conversation, max_tokens: int = 2048) -> Row:
        """Return the ids of a conversation and its mask, cut after `max_tokens`."""
        ids, mask = [self.get_bos_token_id()], [0]

        def add(tokens: list[int], is_supervised: bool) -> None:
            ids.extend(tokens)
            mask.extend([int(is_supervised)] * len(tokens))

        special = self.encode_special
        for message in conversation["messages"]:
            content = message["content"]
            if message["role"] == "user":
                text = self.encode_one(content)
                add([special("<|user_start|>"), *text, special("<|user_end|>")], False)
                continue
            add([special("<|assistant_start|>")], False)
            for part in [{"type": "text", "text": content}] if isinstance(content, str) else content:
                text = self.encode_one(part["text"])
                if part["type"] == "text":
                    add(text, True)
                elif part["type"] == "python":
                    add([special("<|python_start|>"), *text, special("<|python_end|>")], True)
                else:
                    add([special("<|output_start|>"), *text, special("<|output_end|>")], False)
            add([special("<|assistant_end|>")], True)
        return ids[:max_tokens], mask[:max_tokens]


class Read:
    """Conversations that are given out one at a time and counted."""

    def __init__(self, conversations: list[Conversation]) -> None:
        self.conversations = conversations
        self.taken = 0

    def __iter__(self) -> Iterator[Conversation]:
        for conversation in self.conversations:
            self.taken += 1
            yield conversation


class Passing:
    """Conversations that nobody keeps: each is made when it is asked for.

    With `refills`, a dict whose batch has been given is filled anew for a later conversation.
    """

    def __init__(self, count: int, refills: bool) -> None:
        self.count = count
        self.refills = refills
        self.given = 0
        self.out: list[Conversation] = []
        self.free: list[Conversation] = []

    def __iter__(self) -> Iterator[Conversation]:
        while self.given < self.count:
            (conversation,) = numbered(self.given + 1)[self.given :]
            self.given += 1
            if self.refills:
                old = self.free.pop() if self.free else {}
                old.update(conversation)
                conversation = old
                self.out.append(old)
            yield conversation
            del conversation

    def batches(self, made: Iterator[Any]) -> Iterator[Any]:
        """Give out batches of these conversations and note that they have been given."""
        for batch in made:
            done = len(batch[0])
            self.free += self.out[:done]
            del self.out[:done]
            yield batch


def numbered(count: int) -> list[Conversation]:
    """Return conversations for a ScriptedRenderer."""
    return [
        {"messages": [{"role": "user", "content": str(n)}, {"role": "assistant", "content": "so"}]}
        for n in range(count)
    ]


def plain_batches(batches: Any, device: torch.device) -> list[dict[str, Any]]:
    """Return batches with what can be seen of their tensors."""
    # All of them before any is looked at: training keeps several at a time.
    kept = [(batch, len(batch)) for batch in batches]
    return [
        {
            "inputs": values(batch[0], "the inputs"),
            "targets": values(batch[1], "the targets"),
            "dtypes": [dtype_name(batch[0]), dtype_name(batch[1])],
            "on_device": all(part.device.type == device.type for part in batch[:2]),
        }
        for batch, _ in kept
    ]


@probe
def scripted(
    rows: list[Row],
    batch_size: int,
    max_tokens: int | None = None,
    form: str = "list",
    named: bool | None = None,
) -> dict[str, Any]:
    """Return all batches of conversations that render as `rows`, and what making them changed.

    `form` is what the conversations come as: "list", "iterator", or, kept by nobody, "passing" or "refilled".
    `named` says whether all arguments are given by name or all in their order; None is usual.
    """
    sft_batches = imported("nanochat.sft").sft_batches
    conversations = numbered(len(rows))
    before, states = copy.deepcopy(conversations), moved_random_states()
    renderer = ScriptedRenderer(rows)
    options = {} if max_tokens is None else {"max_tokens": max_tokens}
    passing = Passing(len(rows), form == "refilled")
    given: Any = conversations if form == "list" else iter(Read(conversations))
    if form in ("passing", "refilled"):
        given = iter(passing)
    arguments = {"conversations": given, "tokenizer": renderer, "batch_size": batch_size}
    if named is None:
        made = sft_batches(*arguments.values(), device=torch_device(), **options)
    else:
        made = called(partial(sft_batches, device=torch_device()), arguments | options, named)
    batches = plain_batches(passing.batches(made), torch_device())
    return {
        "batches": batches,
        "asked": renderer.asked,
        "conversations_changed": conversations != before,
        "random_states_changed": random_states() != states,
    }


@probe
def forms(rows: list[Row], batch_size: int, device: str | None) -> list[list[dict[str, Any]]]:
    """Return dtype, shape and device of inputs and targets of each batch; None names no device."""
    sft_batches = imported("nanochat.sft").sft_batches
    more = {} if device is None else {"device": device}
    return [
        [
            {"dtype": dtype_name(part), "shape": list(part.shape), "device": part.device.type}
            for part in batch[:2]
        ]
        for batch in sft_batches(numbered(len(rows)), ScriptedRenderer(rows), batch_size, **more)
    ]


@probe
def real(conversations: list[Conversation], batch_size: int, max_tokens: int = 2048) -> dict[str, Any]:
    """Return all batches of conversations that the ChatTokenizer renders, and whether they are as before."""
    sft_batches = imported("nanochat.sft").sft_batches
    given = copy.deepcopy(conversations)
    batches = plain_batches(
        sft_batches(given, ChatTokenizer(), batch_size, max_tokens, device=torch_device()), torch_device()
    )
    return {"batches": batches, "conversations_changed": given != conversations}


@probe
def rendered(conversation: Conversation) -> list[int]:
    """Return the ids that the ChatTokenizer renders; no submission has a part in it."""
    return ChatTokenizer().render_conversation(conversation)[0]


@probe
def taken(rows: list[Row], batch_size: int, batches: int) -> list[int]:
    """Return how many conversations have been read after each of the first batches."""
    conversations = Read(numbered(len(rows)))
    made = iter(
        imported("nanochat.sft").sft_batches(
            conversations, ScriptedRenderer(rows), batch_size, device=torch_device()
        )
    )
    counts = [conversations.taken]
    for _ in range(batches):
        next(made)
        counts.append(conversations.taken)
    return counts


@probe
def first_batch(batch_size: int, conversations: int) -> int:
    """Return the number of batches for a batch size that may be none; raises what the submission raises."""
    rows: list[Row] = [([1, 2, 3], [0, 0, 1])] * conversations
    return len(
        list(
            imported("nanochat.sft").sft_batches(numbered(conversations), ScriptedRenderer(rows), batch_size)
        )
    )
