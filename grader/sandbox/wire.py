"""Plain values to bytes and back, without running anything that the bytes might ask for.

Plain values are None, bool, int, float, str, bytes, NumPy arrays of the listed dtypes, and lists, tuples and
dicts of these. Scalars are of exactly these types. A container of a subclass, such as a named tuple, crosses
as the plain one, by what it really holds and not by what its own methods say. A payload is

    4 bytes   length of the header, big-endian
    header    JSON: the structure alone, no text and no data
    blobs     every text, every byte string, every array, one after another, in the header's order

where a node of the header is null, true, false, a number, or one of

    ["i", n]            an int beyond 64 bits: n bytes, signed, little-endian
    ["f"]               a float that is not finite: 8 bytes, little-endian
    ["s", n] ["b", n]   a str (UTF-8, lone surrogates as they are) or bytes: n bytes
    ["l", node, ...] ["t", node, ...]   a list, a tuple
    ["d", key, value, key, value, ...]  a dict
    ["a", dtype, d0, d1, ...]           an array of that shape, C order, little-endian

Blobs have no offsets: each begins where the one before it ends, and the last must end with the payload. So
they cannot overlap, and nothing can claim more bytes than came.
"""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import numpy as np

FRAME_BYTES = 64 << 20
"""Largest payload, in bytes."""
ANSWER_BYTES = 16 << 20
"""Largest payload of an answer. Those of correct programs were seen to take up to 3 MiB; the judge holds it
several times over while it reads and compares it, and asks for hundreds when it looks for a smaller input.
"""
DEPTH = 32
"""How deep containers may nest."""
NODES = 1 << 18
"""How many values, those inside containers included, one payload may hold."""

DTYPES: dict[str, np.dtype[Any]] = {
    name: np.dtype(name).newbyteorder("<")
    for name in ("bool", "int8", "int16", "int32", "int64", "uint8", "float16", "float32", "float64")
}
_DTYPE_NAMES = {np.dtype(name): name for name in DTYPES}

# Header bytes a value can need: a 20-digit number or a tag with its length, and separators.
_HEADER_BYTES = 8 << 20
_MAX_DIMENSIONS = 32
_HEADER_LENGTH = struct.Struct(">I")
_FLOAT = struct.Struct("<d")
_INT64 = range(-(2**63), 2**63)
# More keys than this with one hash do not happen by chance; they make a dict quadratic on purpose.
_EQUAL_HASHES = 64


class WireError(ValueError):
    """A value that cannot cross the wire, or bytes that are no payload."""


def encode(value: Any, frame_bytes: int = FRAME_BYTES) -> bytes:
    """Return the payload of `value`; raise `WireError` naming the place of what is not plain."""
    writer = _Writer(frame_bytes)
    header = json.dumps(writer.node(value), separators=(",", ":"), allow_nan=False).encode("ascii")
    if len(header) > _HEADER_BYTES:
        raise WireError(f"the structure of the value takes {len(header)} bytes, more than {_HEADER_BYTES}")
    writer.count_bytes(_HEADER_LENGTH.size + len(header))
    return b"".join([_HEADER_LENGTH.pack(len(header)), header, *writer.blobs])


def decode(payload: bytes, frame_bytes: int = FRAME_BYTES) -> Any:
    """Return the value of a payload; arrays are fresh and writable.

    Whatever the bytes are, nothing but `WireError` is raised, and what is allocated stays within a small
    multiple of the payload's own length.
    """
    if len(payload) > frame_bytes:
        raise WireError(f"a payload of {len(payload)} bytes, more than the {frame_bytes} allowed")
    header, blobs = _split(payload)
    reader = _Reader(blobs)
    try:
        value = reader.value(_parse(header), 0)
    except RecursionError as error:
        raise WireError(f"the payload nests deeper than {DEPTH} levels") from error
    reader.finish()
    return value


class _Writer:
    """Turns values into header nodes, and gathers their blobs."""

    def __init__(self, frame_bytes: int) -> None:
        self.blobs: list[bytes] = []
        self._room = self._frame_bytes = frame_bytes
        self._nodes = 0
        # The keys and indices that lead to the value at hand: the place in messages, and the depth.
        self._path: list[Any] = []

    def node(self, value: Any) -> Any:
        self._nodes += 1
        if self._nodes > NODES:
            raise WireError(f"more than {NODES} values in one message; send numbers as one NumPy array")
        kind = type(value)
        if value is None or kind is bool or (kind is int and value in _INT64):
            return value
        if kind is int:
            return self._sized("i", value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True))
        if kind is float:
            return value if math.isfinite(value) else self._blob(["f"], _FLOAT.pack(value))
        if kind is str:
            return self._sized("s", value.encode("utf-8", "surrogatepass"))
        if kind is bytes:
            return self._sized("b", value)
        if kind is np.ndarray:
            return self._array(value)
        # By the type: an object may claim any `__class__`.
        if issubclass(kind, list | tuple | dict):
            return self._container(value)
        raise WireError(f"{self._place()} is a {_full_name(kind)}, not a plain value{_remedy(value)}")

    def _container(self, value: Any) -> list[Any]:
        if len(self._path) >= DEPTH:
            raise WireError(f"{self._place()} nests deeper than {DEPTH} levels")
        kind = type(value)
        if issubclass(kind, dict):
            return self._dict(value)
        plain = list if issubclass(kind, list) else tuple
        node: list[Any] = ["l" if plain is list else "t"]
        for index, item in enumerate(plain.__iter__(value)):
            self._path.append(index)
            node.append(self.node(item))
            self._path.pop()
        return node

    def _dict(self, value: dict[Any, Any]) -> list[Any]:
        node: list[Any] = ["d"]
        for key, item in dict.items(value):
            self._path.append(key)
            node += [self.node(key), self.node(item)]
            self._path.pop()
        _check_hashes(list(dict.keys(value)))
        return node

    def _array(self, value: np.ndarray[Any, Any]) -> list[Any]:
        name = _DTYPE_NAMES.get(value.dtype)
        if name is None:
            raise WireError(
                f"{self._place()} is an array of {value.dtype!r}; an array must be one of {', '.join(DTYPES)}"
            )
        if value.ndim > _MAX_DIMENSIONS:
            raise WireError(f"{self._place()} has {value.ndim} dimensions, more than {_MAX_DIMENSIONS}")
        self._check_room(value.nbytes)  # before the copy is made
        return self._blob(["a", name, *value.shape], value.astype(DTYPES[name], copy=False).tobytes())

    def _sized(self, tag: str, blob: bytes) -> list[Any]:
        return self._blob([tag, len(blob)], blob)

    def _blob(self, node: list[Any], blob: bytes) -> list[Any]:
        self.count_bytes(len(blob))
        self.blobs.append(blob)
        return node

    def count_bytes(self, number: int) -> None:
        self._check_room(number)
        self._room -= number

    def _check_room(self, number: int) -> None:
        if number > self._room:
            raise WireError(f"{self._place()} makes the message larger than {self._frame_bytes} bytes")

    def _place(self) -> str:
        return "value" + "".join(f"[{_short(key)}]" for key in self._path)


class _Reader:
    """Turns header nodes into values, and takes their blobs one after another."""

    def __init__(self, blobs: memoryview) -> None:
        self._blobs = blobs
        self._at = 0
        self._nodes = 0

    def value(self, node: Any, depth: int) -> Any:
        self._nodes += 1
        if self._nodes > NODES:
            raise WireError(f"more than {NODES} values in one payload")
        if node is None or type(node) is bool or type(node) is float:
            return node
        if type(node) is int:
            if node not in _INT64:
                raise WireError("a number in the header does not fit into 64 bits")
            return node
        if type(node) is not list or not node or type(node[0]) is not str:
            raise WireError(f"a header node that is no value: {_short(node)}")
        tag, items = node[0], node[1:]
        if tag in ("l", "t", "d"):
            if depth >= DEPTH:
                raise WireError(f"the payload nests deeper than {DEPTH} levels")
            values = [self.value(item, depth + 1) for item in items]
            return values if tag == "l" else tuple(values) if tag == "t" else _dict(values)
        if tag == "a":
            return self._array(items)
        return self._scalar(tag, items)

    def _scalar(self, tag: str, items: list[Any]) -> Any:
        if tag == "f" and not items:
            return _FLOAT.unpack(self._take(_FLOAT.size))[0]
        if tag not in ("i", "s", "b") or len(items) != 1:
            raise WireError(f"a header node that is no value: tag {_short(tag)} with {len(items)} fields")
        blob = bytes(self._take(_size(items[0])))
        if tag == "i":
            return int.from_bytes(blob, "little", signed=True)
        if tag == "b":
            return blob
        try:
            return blob.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise WireError(f"a text that is not UTF-8: {error}") from error

    def _array(self, items: list[Any]) -> np.ndarray[Any, Any]:
        if not items or type(items[0]) is not str or items[0] not in DTYPES:
            raise WireError(f"an array of unknown dtype {_short(items[0] if items else None)}")
        dtype, shape = DTYPES[items[0]], [_size(size) for size in items[1:]]
        if len(shape) > _MAX_DIMENSIONS:
            raise WireError(f"an array of {len(shape)} dimensions, more than {_MAX_DIMENSIONS}")
        blob = self._take(math.prod(shape) * dtype.itemsize)
        if dtype == np.bool_ and np.frombuffer(blob, np.uint8).max(initial=0) > 1:
            raise WireError("an array of bool holds a byte that is neither 0 nor 1")
        try:
            array = np.empty(shape, dtype.newbyteorder("="))
        except ValueError as error:  # an empty array whose other sizes NumPy cannot hold
            raise WireError(f"an array of shape {_short(shape)}: {error}") from error
        if array.size:
            array[...] = np.frombuffer(blob, dtype).reshape(shape)
        return array

    def _take(self, number: int) -> memoryview:
        left = len(self._blobs) - self._at
        if number > left:
            raise WireError(f"the header claims {_short(number)} bytes where {left} are left")
        self._at += number
        return self._blobs[self._at - number : self._at]

    def finish(self) -> None:
        if self._at != len(self._blobs):
            raise WireError(f"{len(self._blobs) - self._at} bytes that the header does not speak of")


def _split(payload: bytes) -> tuple[bytes, memoryview]:
    if len(payload) < _HEADER_LENGTH.size:
        raise WireError(f"a payload of {len(payload)} bytes has no header")
    length = _HEADER_LENGTH.unpack_from(payload)[0]
    end = _HEADER_LENGTH.size + length
    if length > _HEADER_BYTES or end > len(payload):
        raise WireError(f"a header of {length} bytes in a payload of {len(payload)}")
    return payload[_HEADER_LENGTH.size : end], memoryview(payload)[end:]


def _parse(header: bytes) -> Any:
    # Every JSON value but the first needs a bracket or a comma. Counted first, because "[],[],[]..." would
    # become Python objects of twenty times the bytes before any node of it could be counted.
    if header.count(b"[") + header.count(b"{") + header.count(b",") > 4 * NODES:
        raise WireError(f"more than {NODES} values in one payload")
    try:
        return json.loads(header.decode("ascii"), parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        if isinstance(error, WireError):
            raise
        raise WireError(f"the header is not JSON: {_short(error)}") from error


def _refuse_constant(text: str) -> Any:
    raise WireError(f"the header holds {text}, which is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise WireError("a number in the header is too large for a float")
    return number


def _dict(values: list[Any]) -> dict[Any, Any]:
    if len(values) % 2:
        raise WireError("a dict whose last key has no value")
    keys = values[::2]
    try:
        _check_hashes(keys)
        result = dict(zip(keys, values[1::2], strict=True))
    except TypeError as error:
        raise WireError(f"a dict key that is not hashable: {error}") from error
    if len(result) != len(keys):
        raise WireError("a dict that holds one key twice")
    return result


def _check_hashes(keys: list[Any]) -> None:
    if len(keys) <= _EQUAL_HASHES:
        return
    hashes = sorted(hash(key) for key in keys)
    if any(one == other for one, other in zip(hashes, hashes[_EQUAL_HASHES:], strict=False)):
        raise WireError(f"a dict in which more than {_EQUAL_HASHES} keys share one hash")


def _size(node: Any) -> int:
    if type(node) is not int or not 0 <= node < 2**63:
        raise WireError(f"a size must be an int from 0 to 2**63 - 1, got {_short(node)}")
    return node


def _full_name(kind: type) -> str:
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def _remedy(value: Any) -> str:
    if isinstance(value, np.generic):
        return "; take its .item(), or send an array"
    for plain in (bool, int, float, str, bytes):
        if isinstance(value, plain):
            return f"; only {plain.__name__} itself is, so convert it with {plain.__name__}(...)"
    if hasattr(type(value), "__array__"):
        return "; convert it to a NumPy array"
    return ""


def _short(thing: Any) -> str:
    """Return a repr of at most 60 characters, of a value that may be huge."""
    if type(thing) in (list, tuple, dict):
        return f"a {type(thing).__name__} of {len(thing)}"
    if type(thing) is int and thing not in _INT64:
        return f"an int of {thing.bit_length()} bits"
    text = repr(thing[:60]) if type(thing) in (str, bytes) else repr(thing)
    return text if len(text) <= 60 else text[:57] + "..."
