"""The bytes of messages, evidence and inputs: what crosses the wire, stands in blocks and in the log.

Each is a msgpack array whose first item is the number of its kind. Decoding is strict: sizes are bounded, and
what this module would not have written is refused with CodecError.
"""

from collections.abc import Callable
from typing import Annotated, Any

from msgspec import Meta

from consensus.events import (
    BlockBuilt,
    BlockChecked,
    CertificateReceived,
    HeightStarted,
    Input,
    ProposalReceived,
    TimeoutFired,
    TimeoutStep,
    Timing,
    VoteReceived,
    WorkAvailable,
)
from consensus.limits import EVIDENCE_BYTES_MAX, INPUT_BYTES_MAX, MESSAGE_BYTES_MAX, VALIDATORS_MAX
from consensus.messages import (
    Certificate,
    Evidence,
    Proposal,
    ProposalEquivocation,
    Validator,
    Vote,
    VoteEquivocation,
    VoteType,
)
from consensus.quorum import validators_fault
from primitives.codec import CodecError, convert, decode, encode

ConsensusMessage = Proposal | Vote | Certificate

Height = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Round = Annotated[int, Meta(ge=0, le=2**31 - 1)]
PolRound = Annotated[int, Meta(ge=-1, le=2**31 - 1)]
Index = Annotated[int, Meta(ge=0, lt=VALIDATORS_MAX)]
Duration = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Power = Annotated[int, Meta(ge=1, le=2**53)]
Value = Annotated[bytes, Meta(min_length=32, max_length=32)]
Signature = Annotated[bytes, Meta(min_length=64, max_length=64)]
Signatures = Annotated[tuple[tuple[Index, Signature], ...], Meta(min_length=1, max_length=VALIDATORS_MAX)]
Members = Annotated[tuple[tuple[Value, Power], ...], Meta(min_length=1, max_length=VALIDATORS_MAX)]

# The number of each kind; numbers are never given a new meaning.
PROPOSAL, VOTE, CERTIFICATE, VOTE_EQUIVOCATION, PROPOSAL_EQUIVOCATION = 1, 2, 3, 4, 5
HEIGHT_STARTED, WORK_AVAILABLE, PROPOSAL_RECEIVED, VOTE_RECEIVED = 16, 17, 18, 19
CERTIFICATE_RECEIVED, TIMEOUT_FIRED, BLOCK_BUILT, BLOCK_CHECKED = 20, 21, 22, 23

Plain = tuple[Any, ...]


def encode_message(message: ConsensusMessage) -> bytes:
    """The bytes of a proposal, vote or certificate."""
    return encode(_plain(message))


def decode_message(data: bytes) -> ConsensusMessage:
    """The message encoded by `data`. Raises CodecError."""
    message = _read(data, MESSAGE_BYTES_MAX)
    if not isinstance(message, Proposal | Vote | Certificate):
        raise CodecError(f"{type(message).__name__} is not a message of consensus")
    return message


def encode_certificate(certificate: Certificate) -> bytes:
    """The bytes under which a commit certificate is stored beside its block."""
    return encode(_plain(certificate))


def decode_certificate(data: bytes) -> Certificate:
    """The certificate encoded by `data`. Raises CodecError."""
    certificate = _read(data, MESSAGE_BYTES_MAX)
    if not isinstance(certificate, Certificate):
        raise CodecError(f"{type(certificate).__name__} is not a certificate")
    return certificate


def encode_evidence(evidence: Evidence) -> bytes:
    """The bytes of evidence, as blocks carry them."""
    return encode(_plain(evidence))


def decode_evidence(data: bytes) -> Evidence:
    """The evidence encoded by `data`. Raises CodecError."""
    evidence = _read(data, EVIDENCE_BYTES_MAX)
    if not isinstance(evidence, VoteEquivocation | ProposalEquivocation):
        raise CodecError(f"{type(evidence).__name__} is not evidence")
    return evidence


def encode_input(input: Input) -> bytes:
    """The bytes of an input, as the write-ahead log keeps them."""
    return encode(_plain(input))


def decode_input(data: bytes) -> Input:
    """The input encoded by `data`. Raises CodecError."""
    input = _read(data, INPUT_BYTES_MAX)
    if isinstance(input, Proposal | Vote | Certificate | VoteEquivocation | ProposalEquivocation):
        raise CodecError(f"{type(input).__name__} is not an input of the engine")
    return input


def _plain(said: ConsensusMessage | Evidence | Input) -> Plain:
    match said:
        case Proposal():
            return (PROPOSAL, *_proposal_fields(said))
        case Vote():
            return (VOTE, *_vote_fields(said))
        case Certificate():
            return (CERTIFICATE, *_certificate_fields(said))
        case VoteEquivocation():
            return (VOTE_EQUIVOCATION, _vote_fields(said.first), _vote_fields(said.second))
        case ProposalEquivocation():
            return (PROPOSAL_EQUIVOCATION, _proposal_fields(said.first), _proposal_fields(said.second))
        case HeightStarted():
            members = tuple((member.public_key, member.power) for member in said.validators)
            return (HEIGHT_STARTED, said.height, members, said.me, _timing_fields(said.timing), said.work)
        case WorkAvailable():
            return (WORK_AVAILABLE, said.height)
        case ProposalReceived():
            return (PROPOSAL_RECEIVED, _proposal_fields(said.proposal), said.timely)
        case VoteReceived():
            return (VOTE_RECEIVED, _vote_fields(said.vote))
        case CertificateReceived():
            return (CERTIFICATE_RECEIVED, _certificate_fields(said.certificate), said.with_block)
        case TimeoutFired():
            return (TIMEOUT_FIRED, int(said.step), said.height, said.round)
        case BlockBuilt():
            return (BLOCK_BUILT, said.height, said.round, said.value)
        case BlockChecked():
            return (BLOCK_CHECKED, said.height, said.value, said.valid)


def _read(data: bytes, size_max: int) -> ConsensusMessage | Evidence | Input:
    plain = decode(data, size_max)
    if not isinstance(plain, tuple) or not plain or type(plain[0]) is not int:
        raise CodecError("must be an array that begins with the number of its kind")
    reader = _READERS.get(plain[0])
    if reader is None:
        raise CodecError(f"kind {plain[0]} is not known")
    return reader(plain[1:])


# --- the fields of each kind: how they are written, their schema, how they are read -----------------------

_ProposalFields = tuple[Height, Round, Value, PolRound, Index, Signature]
_VoteFields = tuple[VoteType, Height, Round, Value | None, Index, Signature]
_CertificateFields = tuple[VoteType, Height, Round, Value, Signatures]
_TimingFields = tuple[Duration, Duration, Duration, Duration, Duration, Duration, Duration, Duration]


def _proposal_fields(said: Proposal) -> Plain:
    return (said.height, said.round, said.value, said.pol_round, said.proposer, said.signature)


def _vote_fields(said: Vote) -> Plain:
    return (int(said.type), said.height, said.round, said.value, said.validator, said.signature)


def _certificate_fields(said: Certificate) -> Plain:
    return (int(said.type), said.height, said.round, said.value, said.signatures)


def _timing_fields(said: Timing) -> Plain:
    return (
        said.propose_ms,
        said.propose_delta_ms,
        said.prevote_ms,
        said.prevote_delta_ms,
        said.precommit_ms,
        said.precommit_delta_ms,
        said.resend_ms,
        said.idle_ms,
    )


def _fields(plain: Plain, schema: Any) -> Any:
    """The plain fields checked against a tuple schema; mypy does not follow such schemas."""
    return convert(plain, schema)


def _read_vote_equivocation(fields: Plain) -> VoteEquivocation:
    first, second = _fields(fields, tuple[_VoteFields, _VoteFields])
    return VoteEquivocation(Vote(*first), Vote(*second))


def _read_proposal_equivocation(fields: Plain) -> ProposalEquivocation:
    first, second = _fields(fields, tuple[_ProposalFields, _ProposalFields])
    return ProposalEquivocation(Proposal(*first), Proposal(*second))


def _read_height_started(fields: Plain) -> HeightStarted:
    schema = tuple[Height, Members, Index | None, _TimingFields, bool]
    height, members, me, timing, work = _fields(fields, schema)
    validators = tuple(Validator(key, power) for key, power in members)
    fault = validators_fault(validators)
    if fault is not None:
        raise CodecError(fault)
    return HeightStarted(height, validators, me, Timing(*timing), work)


def _read_proposal_received(fields: Plain) -> ProposalReceived:
    proposal, timely = _fields(fields, tuple[_ProposalFields, bool])
    return ProposalReceived(Proposal(*proposal), timely)


def _read_certificate_received(fields: Plain) -> CertificateReceived:
    certificate, with_block = _fields(fields, tuple[_CertificateFields, bool])
    return CertificateReceived(Certificate(*certificate), with_block)


_READERS: dict[int, Callable[[Plain], ConsensusMessage | Evidence | Input]] = {
    PROPOSAL: lambda fields: Proposal(*_fields(fields, _ProposalFields)),
    VOTE: lambda fields: Vote(*_fields(fields, _VoteFields)),
    CERTIFICATE: lambda fields: Certificate(*_fields(fields, _CertificateFields)),
    VOTE_EQUIVOCATION: _read_vote_equivocation,
    PROPOSAL_EQUIVOCATION: _read_proposal_equivocation,
    HEIGHT_STARTED: _read_height_started,
    WORK_AVAILABLE: lambda fields: WorkAvailable(*_fields(fields, tuple[Height])),
    PROPOSAL_RECEIVED: _read_proposal_received,
    VOTE_RECEIVED: lambda fields: VoteReceived(Vote(*_fields(fields, tuple[_VoteFields])[0])),
    CERTIFICATE_RECEIVED: _read_certificate_received,
    TIMEOUT_FIRED: lambda fields: TimeoutFired(*_fields(fields, tuple[TimeoutStep, Height, Round])),
    BLOCK_BUILT: lambda fields: BlockBuilt(*_fields(fields, tuple[Height, Round, Value])),
    BLOCK_CHECKED: lambda fields: BlockChecked(*_fields(fields, tuple[Height, Value, bool])),
}
