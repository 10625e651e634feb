"""Frames on a socket, sans-IO: messages go in and bytes come out, bytes go in and messages come out.

A frame is its length (u32, big endian) and the strict encoding of [channel, message number, last, chunk],
at most FRAME_BYTES_MAX in all. A message longer than a frame is sent in chunks; between any two frames the
sender starts again at the channel of the highest priority, so a vote never waits for a block. Messages of one
channel arrive in order and whole. Every channel bounds the size of a message, the number of messages that
wait, and their bytes, so neither a slow nor a hostile peer grows memory.

What a peer does wrong raises PeerError; what we do wrong raises LocalError.
"""

from collections import deque
from dataclasses import dataclass
from enum import IntEnum

from primitives.codec import CodecError, decode, encode
from wire.limits import BLOCK_BYTES_CAP, FRAME_BYTES_MAX

LENGTH_BYTES = 4
CHUNK_BYTES = FRAME_BYTES_MAX - 32  # room for the length, the array, the channel, the number, the flag
MESSAGE_NUMBERS = 2**32
TAKE_BYTES = 2 * FRAME_BYTES_MAX  # what is handed to the socket at once: a vote waits for no more


class Channel(IntEnum):
    """What travels apart from the rest, in the order of priority."""

    VOTES = 0  # hello, status, votes, certificates
    BLOCKS = 1  # proposals with their blocks
    SYNC = 2  # blocks of the past and requests for them
    TRANSACTIONS = 3


@dataclass(frozen=True, slots=True)
class ChannelLimits:
    """The bounds of one channel: bytes of one message, and messages and bytes that wait to be sent."""

    message_bytes_max: int
    waiting_messages_max: int
    waiting_bytes_max: int


LIMITS = {
    Channel.VOTES: ChannelLimits(64 * 1024, 4096, 4 * 1024 * 1024),
    Channel.BLOCKS: ChannelLimits(BLOCK_BYTES_CAP + 64 * 1024, 16, 2 * BLOCK_BYTES_CAP),
    Channel.SYNC: ChannelLimits(BLOCK_BYTES_CAP + 256 * 1024, 16, 2 * BLOCK_BYTES_CAP),
    Channel.TRANSACTIONS: ChannelLimits(1024 * 1024, 1024, 8 * 1024 * 1024),
}


class PeerError(Exception):
    """The peer broke the protocol; the connection is closed. The text names the rule."""


class LocalError(Exception):
    """We misused the protocol: a message above its channel's bound, for one."""


class FrameSender:
    """Messages that wait to be sent, by channel, and the frames they become."""

    __slots__ = ("_bytes", "_numbers", "_offsets", "_queues")

    def __init__(self) -> None:
        self._queues: dict[Channel, deque[bytes]] = {channel: deque() for channel in Channel}
        self._bytes = dict.fromkeys(Channel, 0)
        self._offsets = dict.fromkeys(Channel, 0)  # how much of the first message is already sent
        self._numbers = dict.fromkeys(Channel, 0)

    def push(self, channel: Channel, message: bytes) -> bool:
        """Whether the message was queued; False when the channel is full. Raises LocalError when it is
        larger than its channel allows."""
        limits = LIMITS[channel]
        if len(message) > limits.message_bytes_max:
            raise LocalError(
                f"message of {len(message)} bytes on {channel.name}, the limit is {limits.message_bytes_max}"
            )
        queue = self._queues[channel]
        if (
            len(queue) >= limits.waiting_messages_max
            or self._bytes[channel] + len(message) > limits.waiting_bytes_max
        ):
            return False
        queue.append(message)
        self._bytes[channel] += len(message)
        return True

    def waiting_bytes(self) -> int:
        """The bytes of all messages not wholly handed out."""
        return sum(self._bytes.values())

    def take(self, bytes_max: int = TAKE_BYTES) -> bytes:
        """The next frames, whole, up to `bytes_max` (one frame at least); empty when nothing waits."""
        frames: list[bytes] = []
        size = 0
        while size < bytes_max:
            channel = next((channel for channel in Channel if self._queues[channel]), None)
            if channel is None:
                break
            frame = self._frame(channel)
            frames.append(frame)
            size += len(frame)
        return b"".join(frames)

    def _frame(self, channel: Channel) -> bytes:
        message = self._queues[channel][0]
        offset = self._offsets[channel]
        chunk = message[offset : offset + CHUNK_BYTES]
        last = offset + len(chunk) == len(message)
        body = encode((int(channel), self._numbers[channel], last, chunk))
        if last:
            self._queues[channel].popleft()
            self._bytes[channel] -= len(message)
            self._offsets[channel] = 0
            self._numbers[channel] = (self._numbers[channel] + 1) % MESSAGE_NUMBERS
        else:
            self._offsets[channel] = offset + len(chunk)
        return len(body).to_bytes(LENGTH_BYTES, "big") + body


class FrameReceiver:
    """Bytes of a socket put together into messages."""

    __slots__ = ("_buffer", "_numbers", "_partial")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._partial: dict[Channel, bytearray] = {}
        self._numbers = dict.fromkeys(Channel, 0)

    def feed(self, data: bytes | bytearray) -> list[tuple[Channel, bytes]]:
        """The messages that `data` completes, in order. Raises PeerError for a frame or message above its
        bound, an unknown channel, a number out of order, or bytes that are no frame."""
        buffer = self._buffer
        buffer += data
        messages: list[tuple[Channel, bytes]] = []
        start = 0
        while len(buffer) - start >= LENGTH_BYTES:
            length = int.from_bytes(buffer[start : start + LENGTH_BYTES], "big")
            if length > FRAME_BYTES_MAX - LENGTH_BYTES:
                raise PeerError(f"frame of {length} bytes, the limit is {FRAME_BYTES_MAX - LENGTH_BYTES}")
            end = start + LENGTH_BYTES + length
            if len(buffer) < end:
                break
            message = self._take(bytes(buffer[start + LENGTH_BYTES : end]))
            if message is not None:
                messages.append(message)
            start = end
        del buffer[:start]
        return messages

    def held_bytes(self) -> int:
        """The bytes of frames and messages not yet whole."""
        return len(self._buffer) + sum(len(partial) for partial in self._partial.values())

    def _take(self, body: bytes) -> tuple[Channel, bytes] | None:
        channel, last, chunk = self._checked(body)
        partial = self._partial.get(channel)
        size = len(chunk) + (0 if partial is None else len(partial))
        limit = LIMITS[channel].message_bytes_max
        if size > limit:
            raise PeerError(f"message above {limit} bytes on {channel.name}")
        if not last:
            if partial is None:
                partial = self._partial[channel] = bytearray()
            partial += chunk
            return None
        self._numbers[channel] = (self._numbers[channel] + 1) % MESSAGE_NUMBERS
        if partial is None:
            return channel, chunk
        partial += chunk
        del self._partial[channel]
        return channel, bytes(partial)

    def _checked(self, body: bytes) -> tuple[Channel, bool, bytes]:
        try:
            fields = decode(body, FRAME_BYTES_MAX)
        except CodecError as error:
            raise PeerError(f"not a frame: {error}") from error
        if type(fields) is not tuple or len(fields) != 4:
            raise PeerError("not a frame: must be an array of channel, number, last and chunk")
        number, last, chunk = fields[1:]
        if type(fields[0]) is not int or not 0 <= fields[0] < len(Channel):
            raise PeerError(f"frame on channel {fields[0]!r}: there is none")
        channel = Channel(fields[0])
        if type(number) is not int or number != self._numbers[channel]:
            raise PeerError(
                f"frame of message {number!r} on {channel.name}, expected {self._numbers[channel]}"
            )
        if type(last) is not bool or type(chunk) is not bytes:
            raise PeerError("not a frame: last must be a boolean and chunk bytes")
        if not chunk and not last:
            raise PeerError("empty chunk that is not the last")
        return channel, last, chunk
