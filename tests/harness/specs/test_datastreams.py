"""The checker of token streams: it takes the right stream and rejects every corrupted one; and its oracle."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from specs import datastreams
from specs.level1 import data, data_ranks, data_resume, data_streaming
from specs.oracles import stream
from specs.outcomes import LawBroken, SubmissionRaised
from specs.probes.word_tokenizer import ORDINARY, WordTokenizer

SETUP = datastreams.setup(["the one", "", "ab", "two..."], (2, 3))
NUMBER = 5

Answer = dict[str, list[Any]]


def good(setup: datastreams.Setup = SETUP, number: int = NUMBER, first: int = 0) -> Answer:
    return {name: list(value) for name, value in datastreams.wanted(setup, number, first).items()}


def flat(change: Callable[[np.ndarray], np.ndarray]) -> Answer:
    """Return the stream with the ids of all inputs, one behind the other, changed."""
    answer = good()
    ids = change(np.stack(answer["inputs"]).ravel())
    return {**answer, "inputs": list(ids.reshape(NUMBER, 2, 3))}


def test_the_right_stream_is_accepted() -> None:
    datastreams.expect_batches(good(), SETUP, NUMBER, "the stream")
    datastreams.expect_batches(good(first=3), SETUP, NUMBER, "the stream", first=3)


@pytest.mark.parametrize(
    ("name", "corrupt"),
    [
        ("targets not shifted", lambda: {**good(), "targets": good()["inputs"]}),
        (
            "targets shifted by two",
            lambda: {**good(), "targets": [np.roll(b, -1) for b in good()["targets"]]},
        ),
        ("one token changed", lambda: flat(lambda ids: np.where(np.arange(ids.size) == 29, 1, ids))),
        ("one token lost", lambda: flat(lambda ids: np.delete(np.append(ids, 0), 12))),
        ("one token twice", lambda: flat(lambda ids: np.insert(ids, 12, ids[12])[:-1])),
        ("batches in another order", lambda: {name: good()[name][::-1] for name in good()}),
        ("the second batch again", lambda: good(first=1)),
        ("one batch short", lambda: {name: good()[name][:-1] for name in good()}),
        ("rows and columns swapped", lambda: {name: [b.T for b in good()[name]] for name in good()}),
        ("all in one row", lambda: {name: [b.ravel() for b in good()[name]] for name in good()}),
        ("lists", lambda: {name: [b.tolist() for b in good()[name]] for name in good()}),
        ("zeros", lambda: {name: [0 * b for b in good()[name]] for name in good()}),
        ("no bos", lambda: good({**SETUP, "bos": 0})),
        ("another rank's", lambda: good({**SETUP, "rank": 1, "world_size": 2})),
    ],
)
def test_a_corrupted_stream_is_rejected(name: str, corrupt: Callable[[], Answer]) -> None:
    with pytest.raises(LawBroken):
        datastreams.expect_batches(corrupt(), SETUP, NUMBER, name)


def test_the_message_names_the_place_and_the_epoch() -> None:
    wrong = flat(lambda ids: np.where(np.arange(ids.size) == 10, 1, ids))
    with pytest.raises(LawBroken) as broken:
        datastreams.expect_batches(wrong, SETUP, NUMBER, "the stream")
    message = str(broken.value)
    assert "inputs differ first in batch 1, row 1, column 1, which is id 10 of the stream: got 1," in message
    assert f"An epoch has {sum(map(len, datastreams.encoded(SETUP)))} ids, in documents of [" in message


class Scripted:
    """A probe that answers what a test tells it."""

    device, dtype = "cpu", "float32"

    def __init__(self, answer: Callable[..., Any]) -> None:
        self.answer = answer

    def __call__(self, name: str, /, **arguments: Any) -> Any:
        return self.answer(name, **arguments)

    attempt = __call__

    def renew(self) -> None:
        """Go on."""


def form(name: str, **changes: Any) -> list[dict[str, Any]]:
    """Return the forms of a right batch of 2 rows of 3, one entry of the inputs or targets changed."""
    usual = {"shape": [2, 3], "contiguous": True, "device": "cpu"}
    batch = {"inputs": {**usual, "dtype": "int32"}, "targets": {**usual, "dtype": "int64"}, "state": "dict"}
    return [{**batch, name: {**batch[name], **changes}}] if changes else [batch]  # type: ignore[dict-item]  # of a part


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("inputs", {"dtype": "int64"}),
        ("targets", {"dtype": "int32"}),
        ("inputs", {"shape": [3, 2]}),
        ("targets", {"contiguous": False}),
        ("inputs", {"device": "meta"}),
    ],
)
def test_a_wrong_form_is_rejected(name: str, changes: dict[str, Any]) -> None:
    law = data.test_batches_have_the_contracts_form.law.replay  # type: ignore[attr-defined]  # set by @law
    law(Scripted(lambda *_, **__: form("inputs")), documents=["a"], size=(2, 3))
    with pytest.raises(LawBroken):
        law(Scripted(lambda *_, **__: form(name, **changes)), documents=["a"], size=(2, 3))


@pytest.mark.parametrize("overlap", [0, 1, 2])
def test_ranks_that_overlap_or_leave_something_out_are_rejected(overlap: int) -> None:
    """Two ranks of which the second reads its share, the first one's, or everything."""
    law = data_ranks.test_all_ranks_read_every_document_once_an_epoch.law.replay  # type: ignore[attr-defined]  # set by @law

    def answer(_: str, *, setup: datastreams.Setup, number: int, stride: list[int]) -> list[Answer]:
        del stride
        others: list[dict[str, int]] = [{"rank": 1}, {"rank": 0}, {"rank": 0, "world_size": 1}]
        return [good({**setup, "rank": 0}, number), good({**setup, **others[overlap]}, number)]

    if overlap == 0:
        law(Scripted(answer), number=7, world_size=2)
    else:
        with pytest.raises(LawBroken, match="read document"):
            law(Scripted(answer), number=7, world_size=2)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("none", {}),
        ("changed later", {"at_the_end": ['{"at": 6}'] * 6}),
        ("changed by going on", {"given": '{"at": 9}'}),
        ("no dict", {"said": ["[1]"] * 6, "at_the_end": ["[1]"] * 6, "given": "[1]"}),
    ],
)
def test_states_that_change_are_rejected(name: str, change: dict[str, Any]) -> None:
    law = data_resume.test_a_state_stays_as_it_was.law.replay  # type: ignore[attr-defined]  # set by @law
    said = [json.dumps({"at": number}) for number in range(6)]
    answer = {"said": said, "at_the_end": said, "given": said[-1], **change}
    if name == "none":
        law(Scripted(lambda *_, **__: answer), documents=["a"], size=(1, 1))
    else:
        with pytest.raises(LawBroken):
            law(Scripted(lambda *_, **__: answer), documents=["a"], size=(1, 1))


def test_a_state_that_json_cannot_hold_breaks_the_law_and_other_exceptions_pass_through() -> None:
    law = data_resume.test_a_state_stays_as_it_was.law.replay  # type: ignore[attr-defined]  # set by @law
    for types, message, kind in (
        (["TypeError"], "Object of type Tensor is not JSON serializable", LawBroken),
        (["TypeError"], "unsupported operand", SubmissionRaised),
    ):
        raised = SubmissionRaised(types, message)
        with pytest.raises(kind):
            law(Scripted(lambda *_, raised=raised, **__: raised), documents=["a"], size=(1, 1))


@pytest.mark.parametrize(("read", "holds"), [(6, True), (70, True), (71, False), (3000, False), (5, False)])
def test_reading_too_far_or_nothing_is_rejected(read: int, holds: bool) -> None:
    # "the q" is two tokens, so with <|bos|> six texts hold the 17 ids of the batch and its last target.
    law = data_streaming.test_texts_are_read_as_they_are_needed.law.replay  # type: ignore[attr-defined]  # set by @law
    probe = Scripted(lambda *_, **__: [read])
    if holds:
        law(probe, lengths=[5], size=(2, 8))
    else:
        with pytest.raises(LawBroken):
            law(probe, lengths=[5], size=(2, 8))


def test_the_oracle_by_hand() -> None:
    inputs, targets = stream.batches([[9, 1, 2], [9], [9, 3]], 2, 2, 2)
    assert inputs.tolist() == [[[9, 1], [2, 9]], [[9, 3], [9, 1]]]
    assert targets.tolist() == [[[1, 2], [9, 9]], [[3, 9], [1, 2]]]
    inputs, _ = stream.batches([[9, 1, 2], [9], [9, 3]], 1, 3, 1, rank=0, world_size=2, first=1)
    assert inputs.tolist() == [[[9, 3, 9]]]
    # The first id of rank 0, its second document, and what lies between them.
    assert stream.texts_needed([3, 1, 2], 3) == 1
    assert stream.texts_needed([3, 1, 2], 4, rank=0, world_size=2) == 3
    assert stream.documents_of(b"a\r\nb \n \n\n c") == ["a\nb ", " c"]
    assert stream.parts_of(list("abcde"), 2) == (["a", "c", "e"], ["b", "d"])


def test_the_tokenizer_of_the_probes() -> None:
    for bos in datastreams.BOS_IDS:
        tokenizer = WordTokenizer(bos)
        for text in ("", "the <|bos|> é🙂...", "abab\n\n"):
            ids = tokenizer.encode_one(text)
            assert tokenizer.decode(ids) == text == "".join(tokenizer.decode_stream(ids))
            lengths = tokenizer.get_token_bytes()
            assert sum(lengths[one] for one in ids) == len(text.encode())
            assert not set(ids) & set(range(bos, bos + 9))
            assert tokenizer.encode([text], prepend="<|bos|>") == [[bos, *ids]]
            assert tokenizer.encode(text, prepend=bos, append="<|bos|>") == [bos, *ids, bos]
    with pytest.raises(ValueError, match=f"bos is 7, want 0 or at least {ORDINARY}"):
        WordTokenizer(7)
    with pytest.raises(TypeError, match="takes a str or a list of str, got tuple"):
        WordTokenizer().encode(("a",))  # type: ignore[arg-type]  # the error is what is tested
