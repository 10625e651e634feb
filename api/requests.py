"""Frames on the Unix socket between a node and its gateways: numbered requests, answered in any order.

A frame is a 4-byte big-endian length and that many bytes of strict msgpack. A request carries a number that
its connection does not use twice at a time; the response carries the same number, so that many requests are
under way at once and a slow one holds up no other. A wait may be withdrawn; it ends then without an answer.
Nothing here does I/O.
"""

from enum import IntEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from api.limits import REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX
from primitives.codec import pack, unpack

LENGTH_BYTES = 4
WITHDRAW = "withdraw"  # in place of a read's name: nobody waits for the answer to that number any more

Number = Annotated[int, Meta(ge=0, le=2**32 - 1)]


class FrameError(ValueError):
    """The other side broke the framing: the connection cannot be used any further."""


class BodyKind(IntEnum):
    """What a response's body is."""

    ANSWER = 0  # the reply that api.reads declares for the query
    REFUSED = 1  # a Refusal: the question was understood, and the answer is no
    BUSY = 2  # a Refusal: too much is under way, ask again later


class Request(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One question: `query` is the name of a read (api.reads), `body` the encoding of its Question."""

    number: Number
    query: Annotated[str, Meta(min_length=1, max_length=64)]
    body: bytes


class Response(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The answer to the request of the same number."""

    number: Number
    kind: BodyKind
    body: bytes


class Refusal(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Why not: a ledger code and its name, the field, its value, and the rule that it breaks."""

    code: int
    name: str
    field: str
    value: str
    rule: str


def request_frame(request: Request) -> bytes:
    """The frame of a request. Raises FrameError if it is longer than a node accepts."""
    return _frame(pack(request), REQUEST_BYTES_MAX)


def response_frame(response: Response) -> bytes:
    """The frame of a response. Raises FrameError if it is longer than a gateway accepts."""
    return _frame(pack(response), RESPONSE_BYTES_MAX)


def decode_request(body: bytes) -> Request:
    """The request in a frame's body. Raises CodecError."""
    return unpack(body, Request, REQUEST_BYTES_MAX)


def decode_response(body: bytes) -> Response:
    """The response in a frame's body. Raises CodecError."""
    return unpack(body, Response, RESPONSE_BYTES_MAX)


class FrameReader:
    """Cuts a stream of bytes into frames; holds at most one unfinished frame of `size_max` bytes."""

    __slots__ = ("_buffer", "_size_max")

    def __init__(self, size_max: int) -> None:
        self._buffer = bytearray()
        self._size_max = size_max

    def feed(self, data: bytes) -> list[bytes]:
        """The bodies of the frames that `data` completes. Raises FrameError for a length out of bounds."""
        buffer = self._buffer
        buffer += data
        bodies: list[bytes] = []
        start = 0
        while len(buffer) - start >= LENGTH_BYTES:
            length = int.from_bytes(buffer[start : start + LENGTH_BYTES], "big")
            if not 0 < length <= self._size_max:
                raise FrameError(f"frame of {length} bytes, must be 1 to {self._size_max}")
            end = start + LENGTH_BYTES + length
            if len(buffer) < end:
                break
            bodies.append(bytes(buffer[start + LENGTH_BYTES : end]))
            start = end
        del buffer[:start]
        return bodies


def _frame(body: bytes, size_max: int) -> bytes:
    if len(body) > size_max:
        raise FrameError(f"frame of {len(body)} bytes, at most {size_max}")
    return len(body).to_bytes(LENGTH_BYTES, "big") + body
