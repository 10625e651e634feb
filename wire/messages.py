"""What nodes say to each other. One message is encode([number, *fields]); each kind has its channel.

A message that is not exactly of its schema, or that comes on another channel than its own, is the peer's
fault (PeerError) and ends the connection. Consensus messages become the plain values of consensus.messages;
their signatures are not yet verified.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from consensus.limits import VALIDATORS_MAX
from consensus.messages import Certificate, Proposal, Vote, VoteType
from primitives.codec import CodecError, builtins, convert, decode, encode
from wire.frames import LIMITS, Channel, PeerError
from wire.limits import MESSAGE_TRANSACTIONS_MAX, SYNC_BLOCKS_MAX

PROTOCOL_VERSION = 1

Hash = Annotated[bytes, Meta(min_length=32, max_length=32)]
Signature = Annotated[bytes, Meta(min_length=64, max_length=64)]
Height = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Round = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Position = Annotated[int, Meta(ge=0, lt=VALIDATORS_MAX)]
Name = Annotated[str, Meta(min_length=1, max_length=64)]


class Message(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Anything a node may say."""


class Hello(Message, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The first message on a connection, both ways: who speaks, how, of which ledger. `version` is that of
    these messages; `knows` the highest version of the ledger's protocol that the speaker's software knows."""

    version: Height
    genesis_hash: Hash
    name: Name
    height: Height
    knows: Height


class Status(Message, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Where the node stands: its last committed height, the round it is in, the first height it keeps."""

    height: Height
    round: Round
    base: Height


class VoteMessage(Message, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A vote; `type` as in VoteType."""

    type: Annotated[int, Meta(ge=1, le=2)]
    height: Height
    round: Round
    value: Hash | None
    validator: Position
    signature: Signature


class ProposalMessage(Message, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A proposal with the bytes of its block."""

    height: Height
    round: Round
    value: Hash
    pol_round: Annotated[int, Meta(ge=-1, le=2**31 - 1)]
    proposer: Position
    signature: Signature
    block: bytes


class CertificateMessage(Message, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A polka or a commit certificate."""

    type: Annotated[int, Meta(ge=1, le=2)]
    height: Height
    round: Round
    value: Hash
    signatures: Annotated[
        tuple[tuple[Position, Signature], ...], Meta(min_length=1, max_length=VALIDATORS_MAX)
    ]


class Transactions(Message, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Transactions that a client gave to the speaker, as raw bytes."""

    transactions: Annotated[tuple[bytes, ...], Meta(min_length=1, max_length=MESSAGE_TRANSACTIONS_MAX)]


class SyncRequest(Message, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A wish for `count` decided blocks from height `first` on; the answer may hold fewer."""

    first: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    count: Annotated[int, Meta(ge=1, le=SYNC_BLOCKS_MAX)]


class SyncResponse(Message, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Decided blocks from height `first` on, each with its commit certificate as encoded bytes."""

    first: Height
    blocks: Annotated[tuple[tuple[bytes, bytes], ...], Meta(max_length=SYNC_BLOCKS_MAX)]


# One table: the number of each kind on the wire, and its channel.
KINDS: tuple[tuple[int, type[Message], Channel], ...] = (
    (1, Hello, Channel.VOTES),
    (2, Status, Channel.VOTES),
    (3, VoteMessage, Channel.VOTES),
    (4, ProposalMessage, Channel.BLOCKS),
    (5, CertificateMessage, Channel.VOTES),
    (6, Transactions, Channel.TRANSACTIONS),
    (7, SyncRequest, Channel.VOTES),
    (8, SyncResponse, Channel.SYNC),
)
_BY_NUMBER = {number: (schema, channel) for number, schema, channel in KINDS}
_BY_SCHEMA = {schema: (number, channel) for number, schema, channel in KINDS}


def encode_message(message: Message) -> tuple[Channel, bytes]:
    """The channel of `message` and its bytes."""
    number, channel = _BY_SCHEMA[type(message)]
    return channel, encode((number, *builtins(message)))


def decode_message(channel: Channel, data: bytes) -> Message:
    """The message of `data`, which came on `channel`. Raises PeerError."""
    try:
        fields = decode(data, LIMITS[channel].message_bytes_max)
        if type(fields) is not tuple or not fields or type(fields[0]) is not int:
            raise PeerError("not a message: must be an array that begins with its number")
        if fields[0] not in _BY_NUMBER:
            raise PeerError(f"message number {fields[0]}: there is none")
        schema, own_channel = _BY_NUMBER[fields[0]]
        if own_channel is not channel:
            raise PeerError(f"{schema.__name__} on channel {channel.name}, belongs on {own_channel.name}")
        return convert(fields[1:], schema)
    except CodecError as error:
        raise PeerError(f"not a message: {error}") from error


def vote_message(vote: Vote) -> VoteMessage:
    return VoteMessage(int(vote.type), vote.height, vote.round, vote.value, vote.validator, vote.signature)


def vote_of(message: VoteMessage) -> Vote:
    return Vote(
        VoteType(message.type),
        message.height,
        message.round,
        message.value,
        message.validator,
        message.signature,
    )


def proposal_message(proposal: Proposal, block: bytes) -> ProposalMessage:
    return ProposalMessage(
        proposal.height,
        proposal.round,
        proposal.value,
        proposal.pol_round,
        proposal.proposer,
        proposal.signature,
        block,
    )


def proposal_of(message: ProposalMessage) -> Proposal:
    return Proposal(
        message.height,
        message.round,
        message.value,
        message.pol_round,
        message.proposer,
        message.signature,
    )


def certificate_message(certificate: Certificate) -> CertificateMessage:
    return CertificateMessage(
        int(certificate.type),
        certificate.height,
        certificate.round,
        certificate.value,
        certificate.signatures,
    )


def certificate_of(message: CertificateMessage) -> Certificate:
    return Certificate(
        VoteType(message.type), message.height, message.round, message.value, message.signatures
    )
