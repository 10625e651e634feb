"""Framing: priorities, chunks, bounds, and what a hostile peer may send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.frames import CHUNK_BYTES, LIMITS, Channel, FrameReceiver, FrameSender, LocalError, PeerError
from wire.limits import FRAME_BYTES_MAX


def _frame(channel: int, number: int, last: int, chunk: bytes) -> bytes:
    body = bytes((channel, last)) + number.to_bytes(4, "big") + chunk
    return len(body).to_bytes(4, "big") + body


@given(
    st.lists(st.tuples(st.sampled_from(Channel), st.binary(max_size=200)), max_size=30),
    st.integers(1, 500),
)
def test_every_message_arrives_whole_and_in_the_order_of_its_channel(
    messages: list[tuple[Channel, bytes]], cut: int
) -> None:
    sender, receiver = FrameSender(), FrameReceiver()
    for channel, message in messages:
        assert sender.push(channel, message)
    stream = b""
    while taken := sender.take():
        stream += taken
    arrived = [
        pair for start in range(0, len(stream), cut) for pair in receiver.feed(stream[start : start + cut])
    ]
    for channel in Channel:
        assert [m for c, m in arrived if c is channel] == [m for c, m in messages if c is channel]
    assert sender.waiting_bytes() == receiver.held_bytes() == 0


def test_a_vote_overtakes_a_block_between_two_frames() -> None:
    sender, receiver = FrameSender(), FrameReceiver()
    block = bytes(range(256)) * 2048
    sender.push(Channel.BLOCKS, block)
    first = sender.take(1)
    sender.push(Channel.VOTES, b"vote")
    assert receiver.feed(first) == []
    assert receiver.feed(sender.take(1)) == [(Channel.VOTES, b"vote")]
    rest = b""
    while taken := sender.take():
        rest += taken
    assert receiver.feed(rest) == [(Channel.BLOCKS, block)]


def test_no_frame_is_larger_than_the_limit() -> None:
    sender = FrameSender()
    sender.push(Channel.BLOCKS, bytes(3 * CHUNK_BYTES + 1))
    sizes = []
    while taken := sender.take(1):
        sizes.append(len(taken))
    assert len(sizes) == 4
    assert max(sizes) <= FRAME_BYTES_MAX


@pytest.mark.parametrize("channel", list(Channel))
def test_a_full_channel_refuses_and_frees_again(channel: Channel) -> None:
    sender = FrameSender()
    limits = LIMITS[channel]
    for _ in range(limits.waiting_messages_max):
        assert sender.push(channel, b"x")
    assert not sender.push(channel, b"x")
    while sender.take():
        pass
    assert sender.push(channel, b"x")


@pytest.mark.parametrize("channel", list(Channel))
def test_bytes_that_wait_are_bounded(channel: Channel) -> None:
    sender = FrameSender()
    limits = LIMITS[channel]
    message = bytes(min(limits.message_bytes_max, limits.waiting_bytes_max))
    for _ in range(limits.waiting_messages_max):
        if not sender.push(channel, message):
            break
    assert sender.waiting_bytes() <= limits.waiting_bytes_max


def test_a_message_above_its_channels_bound_is_our_own_mistake() -> None:
    with pytest.raises(LocalError, match="the limit is"):
        FrameSender().push(Channel.VOTES, bytes(LIMITS[Channel.VOTES].message_bytes_max + 1))


def test_a_message_that_grows_above_its_bound_is_refused_before_it_is_whole() -> None:
    receiver = FrameReceiver()
    limit = LIMITS[Channel.VOTES].message_bytes_max
    receiver.feed(_frame(0, 0, False, bytes(CHUNK_BYTES)))
    with pytest.raises(PeerError, match=f"message above {limit} bytes on VOTES"):
        receiver.feed(_frame(0, 0, False, bytes(CHUNK_BYTES)))
    assert receiver.held_bytes() <= limit + FRAME_BYTES_MAX


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        ((FRAME_BYTES_MAX + 1).to_bytes(4, "big"), "the limit is"),
        (_frame(9, 0, True, b""), "channel 9: there is none"),
        (_frame(0, 1, True, b""), "message 1 on VOTES, expected 0"),
        (_frame(0, 0, 2, b""), "last is 2"),
        (_frame(0, 0, False, b""), "empty chunk"),
        (b"\0\0\0\5\0\1\0\0\0", "frame of 5 bytes"),
        (b"\0\0\0\0", "frame of 0 bytes"),
    ],
)
def test_what_is_not_a_frame_is_the_peers_error(data: bytes, rule: str) -> None:
    with pytest.raises(PeerError, match=rule):
        FrameReceiver().feed(data)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_nothing_but_peer_errors(data: bytes) -> None:
    receiver = FrameReceiver()
    try:
        receiver.feed(data)
    except PeerError:
        return
    assert receiver.held_bytes() <= len(data)
