"""The wire: plain values come back as they were, and no bytes whatever do more than a `WireError`."""

from __future__ import annotations

import json
import math
import struct
import time
import tracemalloc
from collections import OrderedDict, defaultdict
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from grader.sandbox.frames import FrameReader, frame
from grader.sandbox.wire import DEPTH, DTYPES, NODES, WireError, decode, encode

TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates included
HASHABLE: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.binary(),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=4,
)
ARRAYS = hnp.arrays(
    st.sampled_from(list(DTYPES)), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    HASHABLE | ARRAYS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(HASHABLE, inner, max_size=4)
    ),
    max_leaves=20,
)


# Numbers of equal hash: Python's hash of an int is its remainder by 2**61 - 1.
COLLIDING = b"".join((k * (2**61 - 1)).to_bytes(9, "little") for k in range(100))


def same(one: Any, other: Any) -> bool:
    """Say whether two plain values are the same in type and bits, NaN and the sign of zero included."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return struct.pack("<d", one) == struct.pack("<d", other)
    if isinstance(one, np.ndarray):
        return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return same(list(one), list(other)) and same(list(one.values()), list(other.values()))
    return bool(one == other)


def payload_of(header: Any, blobs: bytes = b"") -> bytes:
    """Return a payload with a header that the encoder would not write."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack(">I", len(text)) + text + blobs


@given(VALUES)
@settings(max_examples=200, deadline=None)
def test_a_plain_value_comes_back_as_it_was(value: Any) -> None:
    assert same(decode(encode(value)), value)


@pytest.mark.parametrize(
    "value",
    [
        2**63,
        -(2**63) - 1,
        10**5000,
        [1, -(2**63), 2**63 - 1],
        [1, 2**63],
        (1, -(2**63) - 1),
        [1, True, 1.0],
        -0.0,
        struct.unpack("<d", bytes.fromhex("010000000000f8ff"))[0],  # a NaN with sign and payload
        "\ud800\udc00",  # two lone surrogates, not the one character that JSON would make of them
        {math.nan: 1, True: 2, (1, ("a", None)): 3},
        np.zeros((0, 5, 2**40), np.float16),
        np.array(True),
        np.arange(12).reshape(3, 4).T,
        np.arange(12)[::-2],
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_rare_value_comes_back_as_it_was(value: Any) -> None:
    assert same(decode(encode(value)), value)


def test_an_array_comes_back_fresh_and_writable() -> None:
    sent = np.arange(5.0)
    sent.setflags(write=False)
    received = decode(encode([sent, sent]))
    received[0][0] = 7
    assert received[1][0] == 0
    assert received[0].flags.aligned
    assert received[0].flags.owndata


class Text(str):
    """A text that is not quite one."""


class Array(np.ndarray):
    """An array that is not quite one."""


class Pair(NamedTuple):
    """A tuple with names."""

    ids: list[int]
    mask: list[int]


class Lying(list):
    """A list that shows other values than it holds."""

    def __iter__(self) -> Any:
        return iter([7])

    def __len__(self) -> int:
        return 9


class LyingDict(dict):
    """A dict that shows other values than it holds."""

    def items(self) -> Any:
        return [(7, 7)]

    keys = values = __iter__ = items


class Claiming:
    """Claims to be a list."""

    @property
    def __class__(self) -> type:
        return list


def test_a_container_of_a_subclass_crosses_as_the_plain_one() -> None:
    value = {"a": Pair([1], Lying([0])), "b": OrderedDict(c=LyingDict(d=defaultdict(int, e=2)))}
    got = decode(encode(value))
    assert got == {"a": ([1], [0]), "b": {"c": {"d": {"e": 2}}}}
    assert [type(each) for each in (got["a"], got["a"][1], got["b"], got["b"]["c"])] == [
        tuple,
        list,
        dict,
        dict,
    ]


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ({"a": [0, Text("x")]}, r"value\['a'\]\[1\] is a .*Text, not a plain value; .*str\(\.\.\.\)"),
        ({Text("x"): 1}, "Text, not a plain value"),
        (np.float64(1), r"numpy\.float64.*\.item\(\)"),
        (np.int64(1), r"numpy\.int64.*\.item\(\)"),
        (np.zeros(1).view(Array), "Array"),
        (np.zeros(1, "complex64"), "complex64"),
        (np.zeros(1, ">f4"), ">f4"),
        (np.zeros(1, "uint16"), "uint16"),
        (np.zeros(1, object), "dtype"),
        (np.zeros(1, "f4,f4"), "dtype"),
        (np.array(["a"]), "U1"),
        (1j, "complex"),
        ({1, 2}, "set"),
        (object(), "object"),
        (Claiming(), "Claiming, not a plain value"),
        (int, "type"),
        (bytearray(1), "bytearray"),
        ([None] * NODES, "send numbers as one NumPy array"),
        ([7] * NODES, "send numbers as one NumPy array"),
        ([[7] * 1000] * (NODES // 1000), "send numbers as one NumPy array"),
        (bytes(64 << 20), "larger than"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_what_is_not_plain_is_named_with_its_place(value: Any, complaint: str) -> None:
    with pytest.raises(WireError, match=complaint):
        encode(value)


def test_a_torch_tensor_is_not_plain() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(WireError, match=r"torch\.Tensor, not a plain value; convert it to a NumPy array"):
        encode(torch.zeros(1))


def test_nesting_has_a_limit() -> None:
    value: Any = 1
    for _ in range(DEPTH):
        value = [value]
    assert decode(encode(value)) == value
    with pytest.raises(WireError, match="nests deeper"):
        encode([value])
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(WireError, match="nests deeper"):
        encode(loop)


@pytest.mark.parametrize(
    ("payload", "complaint"),
    [
        (b"", "no header"),
        (b"\x00\x00", "no header"),
        (b"\x00\x00\x00\x09[]", "a header of 9 bytes"),
        (b"\xff\xff\xff\xff", "a header of"),
        (payload_of(b""), "not JSON"),
        (payload_of(b"\xff"), "not JSON"),
        (payload_of(b"NaN"), "NaN"),
        (payload_of(b"1e999"), "too large for a float"),
        (payload_of(b"9" * 5000), "not JSON"),
        (payload_of(2**63), "64 bits"),
        (payload_of(["l", 1, 2**63]), "64 bits"),
        (payload_of(["t", -(2**63) - 1]), "64 bits"),
        (payload_of(["l", *[7] * NODES]), "more than"),
        (payload_of(["t", *[["t", *[7] * 1000]] * (NODES // 1000)]), "more than"),
        (payload_of({}), "no value"),
        (payload_of("text"), "no value"),
        (payload_of([]), "no value"),
        (payload_of([["l"]]), "no value"),
        (payload_of(["x", 1]), "no value"),
        (payload_of(["s"]), "no value"),
        (payload_of(["s", 1]), "claims 1 bytes where 0 are left"),
        (payload_of(["s", -1]), "size"),
        (payload_of(["s", True], b"x"), "size"),
        (payload_of(["s", 1.0], b"x"), "size"),
        (payload_of(["s", 1], b"\xff"), "UTF-8"),
        (payload_of(["s", 1], b"xy"), "1 bytes that the header does not speak of"),
        (payload_of(None, b"x"), "does not speak of"),
        (payload_of(["f"], b"1234567"), "claims 8 bytes"),
        (payload_of(["d", 1]), "no value"),
        (payload_of(["d", 1, 2, 1, 2]), "one key twice"),
        (payload_of(["d", 1, 2, True, 2]), "one key twice"),
        (payload_of(["d", ["l"], 2]), "not hashable"),
        (payload_of(["d", ["t", ["l"]], 2]), "not hashable"),
        (payload_of(["d", ["a", "bool", 0], 2]), "not hashable"),
        (payload_of(["a"]), "unknown dtype"),
        (payload_of(["a", "object", 1], bytes(8)), "unknown dtype"),
        (payload_of(["a", ["float32"], 1], bytes(8)), "unknown dtype"),
        (payload_of(["a", "float32", 2], bytes(4)), "claims 8 bytes where 4 are left"),
        (payload_of(["a", "float32", 2**62, 2**62], bytes(4)), "claims"),
        (payload_of(["a", "float32", 2**62, 0]), "shape"),
        (payload_of(["a", "float32", *[1] * 33], bytes(4)), "33 dimensions"),
        (payload_of(["a", "bool", 2], b"\x01\x02"), "neither 0 nor 1"),
        (payload_of(b"[" * 1_100_000), "more than"),
        (payload_of(b"[" * 100_000), "nests deeper|not JSON"),
        (payload_of(b'["l",' * 40 + b"1" + b"]" * 40), "nests deeper"),
        (payload_of(["d", *[["i", 9], 0] * 100], COLLIDING), "share one hash"),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(value[:30]),
)
def test_what_is_no_payload_is_refused(payload: bytes, complaint: str) -> None:
    with pytest.raises(WireError, match=complaint):
        decode(payload)


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_random_bytes_raise_nothing_else(noise: bytes) -> None:
    for payload in (noise, payload_of(noise), payload_of(["l", None], noise)):
        try_to_decode(payload)


@given(VALUES, st.data())
@settings(max_examples=200, deadline=None)
def test_a_damaged_payload_raises_nothing_else(value: Any, data: st.DataObject) -> None:
    payload = bytearray(encode(value))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(payload) - 1))
        kind = data.draw(st.sampled_from(["change", "insert", "delete", "digit"]))
        if kind == "change":
            payload[at] = data.draw(st.integers(0, 255))
        elif kind == "digit":
            payload[at] = data.draw(st.sampled_from(b"0123456789-.eE[],"))
        elif kind == "insert":
            payload[at:at] = data.draw(st.binary(min_size=1, max_size=8))
        elif len(payload) > 1:
            del payload[at : at + data.draw(st.integers(1, 8))]
        payload = payload or bytearray(1)
    try_to_decode(bytes(payload))


def try_to_decode(payload: bytes) -> None:
    try:
        value = decode(payload)
    except WireError:
        return
    assert same(decode(encode(value)), value)


@pytest.mark.parametrize(
    "payload",
    [
        payload_of(["a", "float64", 2**40]),
        payload_of(["a", "bool", *[2**20] * 30]),
        payload_of(["b", 2**62]),
        payload_of(["l", *[["a", "float64", 2**30, 0]] * 1000, ["b", 1]]),
        payload_of(b"[" + b"[]," * 2_500_000 + b"[]]"),
        payload_of(b'{"":' * 1_500_000),
        payload_of(b'["d"' + b",1,1" * 120_000 + b"]"),
    ],
    ids=["float64", "bool", "bytes", "empty arrays", "empty lists", "objects", "one key"],
)
def test_a_claim_costs_neither_memory_nor_time(payload: bytes) -> None:
    began = time.monotonic()
    tracemalloc.start()
    try:
        with pytest.raises(WireError):
            decode(payload)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
    assert time.monotonic() - began < 20  # seconds; quadratic work would take minutes


@given(st.lists(st.binary(max_size=50), max_size=5), st.data())
@settings(max_examples=50, deadline=None)
def test_frames_come_out_whole_however_they_are_cut(payloads: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(map(frame, payloads))
    reader, received = FrameReader(), []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        reader.feed(stream[:cut])
        stream = stream[cut:]
        while (payload := reader.next()) is not None:
            received.append(payload)
    assert received == payloads


def test_a_frame_that_claims_too_much_is_refused_before_it_comes() -> None:
    reader = FrameReader(frame_bytes=100)
    reader.feed(struct.pack(">I", 101))
    with pytest.raises(WireError, match="101 bytes, more than the 100"):
        reader.next()
