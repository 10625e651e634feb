"""Peer messages: exact schemas, channels, fixtures pinned by hash."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.messages import Certificate, Proposal, Vote, VoteType
from primitives.codec import encode
from wire.frames import Channel, PeerError
from wire.messages import (
    CertificateMessage,
    Hello,
    Message,
    ProposalMessage,
    Reception,
    Status,
    SyncRequest,
    SyncResponse,
    Transactions,
    VoteMessage,
    certificate_message,
    certificate_of,
    decode_message,
    encode_message,
    proposal_message,
    proposal_of,
    vote_message,
    vote_of,
)

VALUE = bytes(range(32))
SIGNATURE = bytes(range(64))
MESSAGES: list[Message] = [
    Hello(1, VALUE, "mof-1", 7, 1),
    Status(7, 2, 1),
    VoteMessage(1, 7, 0, None, 3, SIGNATURE),
    VoteMessage(2, 7, 0, VALUE, 3, SIGNATURE),
    ProposalMessage(7, 0, VALUE, -1, 1, SIGNATURE, b"block"),
    CertificateMessage(2, 7, 0, VALUE, ((0, SIGNATURE), (2, SIGNATURE))),
    Transactions((b"one", b"two")),
    SyncRequest(1, 64),
    SyncResponse(1, ((b"block", b"certificate"),)),
    SyncResponse(9, ()),
    Reception(""),
    Reception("the name is in use twice"),
]


def _headed(head: bytes, attached: bytes = b"") -> bytes:
    return len(head).to_bytes(4, "big") + head + attached


@pytest.mark.parametrize(
    ("sizes", "attached", "rule"),
    [
        ((3, 3), b"onetwos", "1 bytes after"),
        ((3, 4), b"onetwo", "size of what is attached"),
        ((3, -1), b"one", "size of what is attached"),
        ((3, b"two"), b"one", "size of what is attached"),
        (((3,), 3), b"onetwo", "transactions"),
        (6, b"onetwo", "transactions"),
    ],
)
def test_what_is_attached_is_exactly_what_the_head_says(sizes: object, attached: bytes, rule: str) -> None:
    with pytest.raises(PeerError, match=rule):
        decode_message(Channel.TRANSACTIONS, _headed(encode((6, sizes)), attached))


def test_a_head_cut_short_is_the_peers_error() -> None:
    data = encode_message(MESSAGES[1])[1]
    for end in range(len(data)):
        with pytest.raises(PeerError):
            decode_message(Channel.VOTES, data[:end])


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_survives_the_wire(message: Message) -> None:
    assert decode_message(*encode_message(message)) == message


def test_the_bytes_of_every_message_are_pinned() -> None:
    joined = b"".join(encode_message(message)[1] for message in MESSAGES)
    assert sha256(joined).hexdigest() == "89e54348e4c543935ccadf018c02eb223adc3349b3bd05da035490087f09d9cb"


def test_consensus_values_survive_translation() -> None:
    vote = Vote(VoteType.PRECOMMIT, 5, 1, None, 2, SIGNATURE)
    proposal = Proposal(5, 1, VALUE, 0, 2, SIGNATURE)
    certificate = Certificate(VoteType.PREVOTE, 5, 1, VALUE, ((1, SIGNATURE),))
    assert vote_of(vote_message(vote)) == vote
    assert proposal_of(proposal_message(proposal, b"")) == proposal
    assert certificate_of(certificate_message(certificate)) == certificate


@pytest.mark.parametrize(
    ("channel", "fields", "rule"),
    [
        (Channel.VOTES, (), "begins with its number"),
        (Channel.VOTES, 3, "begins with its number"),
        (Channel.VOTES, (99,), "99: there is none"),
        (Channel.BLOCKS, (2, 7, 2, 1), "belongs on VOTES"),
        (Channel.VOTES, (2, 7, 2), "not a message"),
        (Channel.VOTES, (2, 7, 2, 1, 1), "not a message"),
        (Channel.VOTES, (2, -1, 2, 1), "height"),
        (Channel.VOTES, (3, 3, 7, 0, None, 3, SIGNATURE), "type"),
        (Channel.VOTES, (3, 1, 7, 0, b"short", 3, SIGNATURE), "value"),
        (Channel.VOTES, (3, 1, 7, 0, None, 256, SIGNATURE), "validator"),
        (Channel.VOTES, (3, 1, 7, 0, None, 3, b""), "signature"),
        (Channel.VOTES, (5, 2, 7, 0, VALUE, ()), "signatures"),
        (Channel.VOTES, (7, 0, 1), "first"),
        (Channel.VOTES, (7, 1, 65), "count"),
        (Channel.TRANSACTIONS, (6, ()), "transactions"),
    ],
)
def test_a_message_off_its_schema_is_the_peers_error(channel: Channel, fields: object, rule: str) -> None:
    with pytest.raises(PeerError, match=rule):
        decode_message(channel, _headed(encode(fields)))


@given(st.sampled_from(Channel), st.binary(max_size=200))
def test_arbitrary_bytes_raise_nothing_but_peer_errors(channel: Channel, data: bytes) -> None:
    try:
        decode_message(channel, data)
    except PeerError:
        return
