"""What nodes say to each other. Each kind of message has its number and its channel.

A message is a head, `u32be(length)` and encode([number, *fields]), and after it what is attached: the bytes
of blocks, certificates and transactions, one after the other, for which the head has only their sizes. So
they are looked at where they are opened, not on the way.

A message that is not exactly of its schema, or that comes on another channel than its own, is the peer's
fault (PeerError) and ends the connection. Consensus messages become the plain values of consensus.messages;
their signatures are not yet verified.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from consensus.limits import VALIDATORS_MAX
from consensus.messages import Certificate, Proposal, Vote, VoteType
from primitives.codec import CodecError, builtins, convert, decode, encode
from wire.frames import LIMITS, Channel, PeerError
from wire.limits import MESSAGE_TRANSACTIONS_MAX, REASON_CHARACTERS_MAX, SYNC_BLOCKS_MAX

PROTOCOL_VERSION = 1
HEAD_BYTES = 4

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


class Reception(Message, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The second message on a connection, both ways: an empty `reason` welcomes the other side, any other
    says why it is refused. Only when both have welcomed each other does the connection count."""

    reason: Annotated[str, Meta(max_length=REASON_CHARACTERS_MAX)]


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
    (9, Reception, Channel.VOTES),
)
_BY_NUMBER = {number: (schema, channel) for number, schema, channel in KINDS}
_BY_SCHEMA = {schema: (number, channel) for number, schema, channel in KINDS}


# The one field of a kind whose bytes are attached.
_ATTACHED: dict[type[Message], int] = {
    schema: schema.__struct_fields__.index(field)
    for schema, field in (
        (ProposalMessage, "block"),
        (Transactions, "transactions"),
        (SyncResponse, "blocks"),
    )
}


def encode_message(message: Message) -> tuple[Channel, bytes]:
    """The channel of `message` and its bytes."""
    number, channel = _BY_SCHEMA[type(message)]
    fields = list(builtins(message))
    attached: list[bytes] = []
    position = _ATTACHED.get(type(message))
    if position is not None:
        fields[position] = _detach(fields[position], attached)
    head = encode((number, *fields))
    return channel, b"".join((len(head).to_bytes(HEAD_BYTES, "big"), head, *attached))


def decode_message(channel: Channel, data: bytes) -> Message:
    """The message of `data`, which came on `channel`. Raises PeerError."""
    end = HEAD_BYTES + int.from_bytes(data[:HEAD_BYTES], "big")
    if len(data) < end:
        raise PeerError("not a message: its head is cut short")
    try:
        fields = decode(data[HEAD_BYTES:end], LIMITS[channel].message_bytes_max)
        if type(fields) is not tuple or not fields or type(fields[0]) is not int:
            raise PeerError("not a message: must be an array that begins with its number")
        if fields[0] not in _BY_NUMBER:
            raise PeerError(f"message number {fields[0]}: there is none")
        schema, own_channel = _BY_NUMBER[fields[0]]
        if own_channel is not channel:
            raise PeerError(f"{schema.__name__} on channel {channel.name}, belongs on {own_channel.name}")
        said = list(fields[1:])
        position = _ATTACHED.get(schema)
        if position is not None and position < len(said):
            said[position], end = _attach(said[position], data, end)
        if end != len(data):
            raise PeerError(f"{len(data) - end} bytes after the message")
        return convert(tuple(said), schema)
    except CodecError as error:
        raise PeerError(f"not a message: {error}") from error


def _detach(value: Any, attached: list[bytes]) -> Any:
    """The sizes that stand in the head for `value`, whose bytes go to `attached`."""
    if isinstance(value, bytes):
        attached.append(value)
        return len(value)
    return tuple(_detach(item, attached) for item in value)


def _attach(sizes: Any, data: bytes, at: int) -> tuple[Any, int]:
    """What `sizes` stand for, and where it ends in `data`."""
    if type(sizes) is tuple:
        items = []
        for size in sizes:
            item, at = _attach(size, data, at)
            items.append(item)
        return tuple(items), at
    if type(sizes) is not int or not 0 <= sizes <= len(data) - at:
        raise PeerError(f"not a message: {sizes!r} is not the size of what is attached")
    return data[at : at + sizes], at + sizes


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
