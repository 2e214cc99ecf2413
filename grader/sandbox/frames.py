"""Payloads on a byte stream: each preceded by its length, 4 bytes, big-endian."""

from __future__ import annotations

import os
import struct

from grader.sandbox.wire import FRAME_BYTES, WireError

_LENGTH = struct.Struct(">I")
_READ_BYTES = 1 << 20


def frame(payload: bytes) -> bytes:
    """Return the payload as it goes onto the stream."""
    return _LENGTH.pack(len(payload)) + payload


class FrameReader:
    """Cuts a stream that arrives in pieces into payloads."""

    def __init__(self, frame_bytes: int = FRAME_BYTES) -> None:
        self._frame_bytes = frame_bytes
        self._buffer = bytearray()

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the stream."""
        self._buffer += piece

    def next(self) -> bytes | None:
        """Return the next payload, None while it is incomplete; raise `WireError` when it is too large."""
        if len(self._buffer) < _LENGTH.size:
            return None
        length = _LENGTH.unpack_from(self._buffer)[0]
        if length > self._frame_bytes:
            raise WireError(f"a frame of {length} bytes, more than the {self._frame_bytes} allowed")
        end = _LENGTH.size + length
        if len(self._buffer) < end:
            return None
        payload = bytes(memoryview(self._buffer)[_LENGTH.size : end])
        del self._buffer[:end]
        return payload


def read_frame(descriptor: int, reader: FrameReader) -> bytes | None:
    """Wait for the next payload on a blocking descriptor; None when the stream has ended."""
    while (payload := reader.next()) is None:
        piece = os.read(descriptor, _READ_BYTES)
        if not piece:
            return None
        reader.feed(piece)
    return payload


def write_frame(descriptor: int, payload: bytes) -> None:
    """Write a payload to a blocking descriptor."""
    rest = memoryview(frame(payload))
    while rest:
        rest = rest[os.write(descriptor, rest) :]
