"""Makes bytes that a submission might send: random ones, valid frames with faults in them, and lies.

Shared by the tests and by `benchmarks/wire_fuzz.py`. Everything follows from the `random.Random` given.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from grader.sandbox import frames, wire
from grader.sandbox.conclude import conclude
from specs.outcomes import SubmissionDied, SubmissionMemory, SubmissionRaised

FRAME_BYTES = 1 << 16
"""The cap under which the fuzzed frames are read."""
_LENGTH = struct.Struct(">I")
_SIZES = (0, 1, 2, 7, 8, 255, 1 << 16, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, 1 << 64, -1, 10**40)


def value(chance: random.Random, depth: int = 0) -> Any:
    """Return a plain value, of up to four levels."""
    plain: list[Callable[[], Any]] = [
        lambda: None,
        lambda: chance.random() < 0.5,
        lambda: chance.choice([0, -1, 2**63 - 1, -(2**63), 2**200, chance.getrandbits(64)]),
        lambda: chance.choice([0.0, -0.0, float("nan"), float("inf"), chance.random(), 1e308]),
        lambda: "".join(chance.choices("aß\ud800\0\x1b日", k=chance.randrange(6))),
        lambda: chance.randbytes(chance.randrange(9)),
        lambda: np.zeros(
            [chance.randrange(4) for _ in range(chance.randrange(4))], chance.choice(list(wire.DTYPES))
        ),
    ]
    if depth < 4:
        plain += [
            lambda: [value(chance, depth + 1) for _ in range(chance.randrange(4))],
            lambda: tuple(value(chance, depth + 1) for _ in range(chance.randrange(4))),
            lambda: {str(i): value(chance, depth + 1) for i in range(chance.randrange(4))},
        ]
    return chance.choice(plain)()


def reply(chance: random.Random) -> Any:
    """Return something like a reply, with a field missing, doubled or of another type now and then."""
    raised = {
        "types": ["ValueError"],
        "message": "m",
        "traceback": "t",
        "out_of_memory": chance.random() < 0.2,
    }
    if chance.random() < 0.5:
        raised[chance.choice(list(raised))] = value(chance)
    made = {
        "call": chance.choice([1, 1, 1, True, 1.0, "1", 2, value(chance)]),
        chance.choice(["value", "raised", "stopped", "import"]): chance.choice([raised, value(chance)]),
    }
    return chance.choice([made, made, value(chance), {**made, "more": 1}])


def mutated(chance: random.Random) -> bytes:
    """Return a valid payload with up to four bytes changed, taken out, put in, or cut off at the end."""
    payload = bytearray(wire.encode(reply(chance)))
    for _ in range(chance.randrange(5)):
        place = chance.randrange(len(payload) + 1)
        kind = chance.randrange(4)
        if kind == 0 and place < len(payload):
            payload[place] = chance.choice([0, 0xFF, chance.randrange(256), *b'[]",0-e'])
        elif kind == 1:
            del payload[place : place + chance.randrange(1, 5)]
        elif kind == 2:
            payload[place:place] = chance.randbytes(chance.randrange(1, 5))
        else:
            del payload[place:]
    return bytes(payload)


def lying(chance: random.Random) -> bytes:
    """Return a payload whose header is JSON of a likely form, and whose sizes are lies."""

    def node(depth: int) -> Any:
        size = chance.choice([*_SIZES, chance.randrange(64)])
        forms: list[Callable[[], Any]] = [
            lambda: chance.choice([None, True, 0, size, 1e308, "s", {}, {"a": 1}]),
            lambda: [chance.choice("sbif"), size],
            lambda: ["f"],
            lambda: [
                "a",
                chance.choice([*wire.DTYPES, "object", "complex64", 3]),
                *chance.choices(_SIZES, k=chance.randrange(5)),
            ],
            lambda: ["a", "int8", *[1] * chance.choice([1, 32, 33, 64])],
            lambda: [
                chance.choice(["l", "t", "d", "x", ""]),
                *[node(depth + 1) for _ in range(chance.randrange(4))],
            ],
        ]
        return chance.choice(forms[:5] if depth > 40 else forms)()

    made = node(0)
    for _ in range(chance.choice([0, 0, 30, 31, 32, 33, 500])):
        made = ["l", made]
    header = json.dumps(made).encode()
    if chance.random() < 0.1:
        header = chance.choice(
            [b"[" * 3000, b"[]," * 3000, b"NaN", b"1e999", b"9" * 5000, b"\xff", b'"\\ud800"', b""]
        )
    length = chance.choice([len(header)] * 9 + [len(header) - 1, len(header) + 1, 2**32 - 1])
    return _LENGTH.pack(length % 2**32) + header + chance.randbytes(chance.choice([0, 8, 64, 300]))


def payload(chance: random.Random) -> bytes:
    """Return one payload of any of the kinds."""
    kind = chance.randrange(4)
    return (
        chance.randbytes(chance.randrange(200))
        if kind == 0
        else lying(chance)
        if kind == 1
        else mutated(chance)
    )


def stream(chance: random.Random, payloads: list[bytes]) -> bytes:
    """Return the payloads as frames, one of them with a length that is a lie now and then."""
    parts = [frames.frame(one) for one in payloads]
    if parts and chance.random() < 0.3:
        place = chance.randrange(len(parts))
        lie = chance.choice([0, 1, FRAME_BYTES, FRAME_BYTES + 1, 2**31, 2**32 - 1, chance.getrandbits(32)])
        parts[place] = _LENGTH.pack(lie) + parts[place][4:]
    return b"".join(parts)


def pieces(chance: random.Random, data: bytes) -> list[bytes]:
    """Return the stream cut as a pipe may cut it."""
    cuts = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randrange(4)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def judged(payload: bytes) -> str:
    """Read a payload as the judge does and say how it ended; anything unforeseen is raised."""
    try:
        conclude(wire.decode(payload, FRAME_BYTES), 1)
    except wire.WireError:
        return "no payload"
    except SubmissionDied:
        return "no answer"
    except (SubmissionRaised, SubmissionMemory):
        return "raised"
    return "value"


def read_all(data: list[bytes]) -> tuple[int, bool]:
    """Feed a stream to a reader; return how many payloads came, and whether it refused one."""
    reader = frames.FrameReader(FRAME_BYTES)
    came = 0
    for piece in data:
        reader.feed(piece)
        try:
            while (one := reader.next()) is not None:
                assert len(one) <= FRAME_BYTES
                judged(one)
                came += 1
        except wire.WireError:
            return came, True
    return came, False
