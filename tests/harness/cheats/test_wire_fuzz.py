"""Whatever bytes come, the judge says what they are: no crash, no hang, no memory beyond a bound."""

from __future__ import annotations

import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.sandbox import frames, wire

from .wire_fuzz import FRAME_BYTES, judged, lying, mutated, payload, pieces, read_all, stream

FUZZ = settings(max_examples=300, deadline=None, database=None)
ALLOCATED = 40
"""Bytes that may be allocated for each byte of a payload, while it is read: "[]," makes a list of 56."""
ALWAYS = 64 << 10
"""Bytes that may be allocated whatever the payload: messages, and what Python keeps for itself."""

chances = st.randoms(use_true_random=False)


@FUZZ
@given(st.binary(max_size=600))
def test_any_bytes_are_judged(data: bytes) -> None:
    assert judged(data) in ("no payload", "no answer", "raised", "value")


@FUZZ
@given(chances)
def test_mutated_and_lying_payloads_are_judged(chance: random.Random) -> None:
    for make in (mutated, lying):
        assert judged(make(chance)) in ("no payload", "no answer", "raised", "value")


@FUZZ
@given(chances)
def test_a_stream_ends_in_payloads_or_in_a_refusal(chance: random.Random) -> None:
    sent = [payload(chance) for _ in range(chance.randrange(6))]
    data = stream(chance, sent)
    came, refused = read_all(pieces(chance, data))
    assert refused or came <= len(data) // 4


@FUZZ
@given(chances)
def test_what_is_cut_anywhere_comes_out_whole(chance: random.Random) -> None:
    sent = [payload(chance) for _ in range(4)]
    reader, came = frames.FrameReader(FRAME_BYTES), []
    for piece in pieces(chance, b"".join(map(frames.frame, sent))):
        reader.feed(piece)
        while (one := reader.next()) is not None:
            came.append(one)
    assert came == sent


@FUZZ
@given(chances)
def test_reading_allocates_no_more_than_a_multiple_of_the_payload(chance: random.Random) -> None:
    data = payload(chance)
    judged(data)  # what is made once for all
    tracemalloc.start()
    try:
        judged(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= ALLOCATED * len(data) + ALWAYS, f"{peak} bytes for a payload of {len(data)}"


@pytest.mark.parametrize("claimed", [FRAME_BYTES + 1, 2**31, 2**32 - 1])
def test_a_claim_alone_allocates_nothing(claimed: int) -> None:
    reader = frames.FrameReader(FRAME_BYTES)
    reader.feed(claimed.to_bytes(4, "big"))
    tracemalloc.start()
    try:
        with pytest.raises(wire.WireError):
            reader.next()
        assert tracemalloc.get_traced_memory()[1] < ALWAYS
    finally:
        tracemalloc.stop()
