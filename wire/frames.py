"""Frames on a socket, sans-IO: messages go in and bytes come out, bytes go in and messages come out.

A frame is ten bytes and a chunk of a message, at most FRAME_BYTES_MAX in all: the length of what follows
(u32), the channel (u8), 1 if the chunk is its message's last and else 0 (u8), the message's number (u32), big
endian. Nothing in it is encoded: what a message says is checked once, where it is read. A message longer than
a frame is sent in chunks; between any two frames the sender starts again at the channel of the highest
priority, so a vote never waits for a block. Messages of one channel arrive in order and whole. Every channel
bounds the size of a message, the number of messages that wait, and their bytes, so neither a slow nor a
hostile peer grows memory.

What a peer does wrong raises PeerError; what we do wrong raises LocalError.
"""

from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct

from wire.limits import BLOCK_BYTES_CAP, FRAME_BYTES_MAX

HEAD = Struct(">IBBI")  # length of the rest, channel, last, message number
LENGTH_BYTES = 4
CHUNK_BYTES = FRAME_BYTES_MAX - HEAD.size
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
        length = HEAD.size - LENGTH_BYTES + len(chunk)
        head = HEAD.pack(length, channel, last, self._numbers[channel])
        if last:
            self._queues[channel].popleft()
            self._bytes[channel] -= len(message)
            self._offsets[channel] = 0
            self._numbers[channel] = (self._numbers[channel] + 1) % MESSAGE_NUMBERS
        else:
            self._offsets[channel] = offset + len(chunk)
        return head + chunk


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
            if not HEAD.size - LENGTH_BYTES <= length <= FRAME_BYTES_MAX - LENGTH_BYTES:
                raise PeerError(f"frame of {length} bytes, the limit is {FRAME_BYTES_MAX - LENGTH_BYTES}")
            end = start + LENGTH_BYTES + length
            if len(buffer) < end:
                break
            _, channel, last, number = HEAD.unpack_from(buffer, start)
            message = self._take(channel, last, number, bytes(buffer[start + HEAD.size : end]))
            if message is not None:
                messages.append(message)
            start = end
        del buffer[:start]
        return messages

    def held_bytes(self) -> int:
        """The bytes of frames and messages not yet whole."""
        return len(self._buffer) + sum(len(partial) for partial in self._partial.values())

    def _take(
        self, number_of_channel: int, last: int, number: int, chunk: bytes
    ) -> tuple[Channel, bytes] | None:
        channel = self._checked(number_of_channel, last, number, chunk)
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

    def _checked(self, place: int, last: int, number: int, chunk: bytes) -> Channel:
        if place >= len(Channel):
            raise PeerError(f"frame on channel {place}: there is none")
        channel = Channel(place)
        if number != self._numbers[channel]:
            raise PeerError(f"frame of message {number} on {channel.name}, expected {self._numbers[channel]}")
        if last > 1:
            raise PeerError(f"frame whose last is {last}, must be 0 or 1")
        if not chunk and not last:
            raise PeerError("empty chunk that is not the last")
        return channel
