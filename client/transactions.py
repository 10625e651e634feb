"""Building and signing transactions of every kind, from the ledger's own registry of kinds.

A kind that the ledger gains can be built at once: its payload's Struct says what it takes. Binary fields may
be given as bytes or as lower-case hex; batches take packed rows, as `transfer_rows` makes them.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from stdnum import isin

from api.objects import FieldFault, from_params, to_object
from api.reads.proposals import ProposalView
from config.pki import root_fault
from ledger.codes import Refused
from ledger.kind import Kind
from ledger.kinds import BY_NAME, DECLARED
from ledger.kinds.institution_update import InstitutionUpdate
from ledger.limits import PAYLOAD_BYTES_MAX
from ledger.proposals import act_hash
from ledger.release import newest
from ledger.schema import Payload
from ledger.terms.family import Variant
from ledger.transactions import assemble, decode_payload, encode_body, sign_input, transaction_id
from ledger.versions import rules
from ledger.words import words_of
from primitives.codec import CodecError, builtins, unpack
from primitives.signatures import sign

ROW = struct.Struct("<IIQ")
HOLDING_ROW = struct.Struct("<II")


class BadPayload(ValueError):
    """A payload that its kind does not allow; the text names the field, the value and the rule."""


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A body that waits for its signatures; `signers` ascend."""

    kind: str
    signers: tuple[int, ...]
    sequence: int
    valid_until: int
    body: bytes

    @property
    def id(self) -> bytes:
        return transaction_id(self.body)

    def signature(self, genesis_hash: bytes, private_key: Ed25519PrivateKey) -> bytes:
        """The signature of one signer, valid on the chain of that genesis alone."""
        return sign(private_key, sign_input(genesis_hash, self.body))

    def signed(self, signatures: Sequence[bytes]) -> "Signed":
        """The transaction with its signatures, in the order of the signers."""
        if len(signatures) != len(self.signers):
            raise ValueError(f"{len(signatures)} signatures for {len(self.signers)} signers")
        return Signed(
            self.kind, self.signers, self.sequence, self.valid_until, self.id, assemble(self.body, signatures)
        )


@dataclass(frozen=True, slots=True)
class Signed:
    """A transaction ready to be sent, as often as it takes: the same bytes have one effect."""

    kind: str
    signers: tuple[int, ...]
    sequence: int
    valid_until: int
    id: bytes
    raw: bytes


def kind_named(name: str, version: int | None = None) -> Kind:
    """The kind of that name as a version of the protocol has it, if it has; else the newest that this
    software knows, and the chain says whether it takes it. Raises BadPayload with the known names."""
    kind = None if version is None or version > newest() else rules(version).by_name.get(name)
    if kind is None:
        kind = BY_NAME.get(name)
    if kind is None:
        raise BadPayload(f"kind: {name}: must be one of {', '.join(sorted(BY_NAME))}")
    return kind


def payload(kind: str | Kind, /, **fields: Any) -> Payload:
    """The payload of a kind, or of the newest of that name, from Python values. Raises BadPayload."""
    definition = kind_named(kind) if isinstance(kind, str) else kind
    return _checked(definition, {name: as_object(value) for name, value in fields.items()})


def payload_from_object(kind: str | Kind, value: object) -> Payload:
    """The payload of a kind, or of the newest of that name, from a JSON object. Raises BadPayload."""
    return _checked(kind_named(kind) if isinstance(kind, str) else kind, value)


def build(
    kind_name: str, *, signers: Sequence[int], sequence: int, valid_until: int, payload: Payload
) -> Unsigned:
    """The body of a transaction; `signers` are indices, the least of which gives its sequence."""
    kind = kind_named(kind_name)
    if type(payload) is not kind.payload:
        named = [known for known in DECLARED if known.name == kind_name and known.payload is type(payload)]
        if not named:
            raise BadPayload(f"payload: {type(payload).__name__}: {kind_name} takes {kind.payload.__name__}")
        kind = named[-1]
    ascending = tuple(sorted(set(signers)))
    body = encode_body(kind, ascending, sequence, valid_until, payload)
    return Unsigned(kind_name, ascending, sequence, valid_until, body)


def act_of(proposal: ProposalView) -> Payload:
    """The act of a proposal that was read, out of its bytes. Raises BadPayload if this software does not know
    such an act: then nobody can say what he would sign."""
    for kind in reversed(DECLARED):
        if (kind.number, kind.name) == (proposal.kind, proposal.act):
            try:
                return unpack(proposal.payload, kind.payload, PAYLOAD_BYTES_MAX)
            except CodecError:
                continue  # of an older or newer version
    raise BadPayload(f"proposal {proposal.proposal}: this software cannot read its act {proposal.act}")


def meant(proposal: ProposalView) -> dict[str, Any]:
    """What approve, reject and withdraw name of a proposal that was read: its index, and the hash of the act
    that was shown. A hash that a gateway gives instead would be another's word for what is signed."""
    return {"proposal": proposal.proposal, "act": act_hash(proposal.kind, proposal.payload)}


def transfer_rows(rows: Iterable[tuple[int, int, int]]) -> bytes:
    """The rows of a transfer_batch: (from holding, to holding, amount)."""
    return b"".join(ROW.pack(*row) for row in rows)


def offer_rows(rows: Iterable[tuple[int, int, int]]) -> bytes:
    """The rows of an offer_take: (securities holding, cash holding, units)."""
    return b"".join(ROW.pack(*row) for row in rows)


def holding_rows(rows: Iterable[tuple[int, int]]) -> bytes:
    """The rows of a holding_open: (account, instrument)."""
    return b"".join(HOLDING_ROW.pack(*row) for row in rows)


def _checked(kind: Kind, value: object) -> Payload:
    """The payload, by the same check that the ledger makes on decoding, and the ISIN's check digit."""
    try:
        read = from_params(value, kind.payload)
        checked: Payload = decode_payload(kind, tuple(builtins(read)))
    except FieldFault as fault:
        raise BadPayload(f"{kind.name}: {fault}") from fault
    except Refused as refused:
        said = words_of(refused)
        raise BadPayload(f"{kind.name}: {said.field}: {said.rule}") from refused
    code = getattr(checked, "isin", None)
    if isinstance(code, str) and not isin.is_valid(code):
        raise BadPayload(f"{kind.name}: isin: {code}: is not an ISIN with a right check digit")
    if isinstance(checked, InstitutionUpdate):
        # The ledger holds bytes: only whoever signs can see that no node will trust them.
        for number, root in enumerate(checked.ca_roots):
            wrong = root_fault(root.der)
            if wrong is not None:
                raise BadPayload(f"{kind.name}: ca_roots[{number}].der: {wrong}")
    return checked


def as_object(value: Any) -> Any:
    """A payload's value in the form that JSON has for it: bytes in hex, sequences as lists."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, IntEnum):
        return int(value)
    if isinstance(value, tuple | list):
        return [as_object(item) for item in value]
    if isinstance(value, dict):
        return {name: as_object(item) for name, item in value.items()}
    if isinstance(value, Variant):
        return to_object(value)
    if isinstance(value, Payload):
        return {name: as_object(getattr(value, name)) for name in value.__struct_fields__}
    return value
