"""Transactions as bytes: the body that is signed, the signatures beside it, and the two hashes.

tx = encode([body, signatures]), body = encode([version, kind, signers, sequence, valid_until, *payload]).
`signers` is the one signer's index, or a list of several; the payload's fields stand in the body itself, so
that a single transfer takes at most 100 bytes. `signatures` is one byte string, 64 bytes for each signer, in
the order of the signers.

`version` says by which version of the protocol the rest is read, so bytes mean the same for ever. Blocks of
a later version still take them, as long as that version has the very same kind (`ledger.admission`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Annotated, Any

import msgspec
from msgspec import Meta, inspect

from ledger import alphabet, schema
from ledger.codes import Code, Refused
from ledger.kind import Kind
from ledger.limits import SIGNERS_MAX, TRANSACTION_BYTES_MAX
from ledger.release import FIRST, newest
from ledger.versions import rules
from primitives.codec import CodecError, builtins, convert, decode, encode
from primitives.hashing import TX, TX_FULL, tagged_hash
from primitives.signatures import SIGNATURE_BYTES

_ENVELOPE_FIELDS = 5


class Envelope(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The head of every body."""

    version: schema.U16
    kind: schema.U16
    signers: schema.Index | Annotated[tuple[schema.Index, ...], Meta(min_length=2, max_length=SIGNERS_MAX)]
    sequence: schema.Sequence
    valid_until: schema.Seconds


@dataclass(frozen=True, slots=True)
class Transaction:
    """A decoded transaction; `body` and `raw` are its bytes as they were sent.

    `valid_until` is in seconds of header time. `id` is the hash of the body, `full_hash` that of `raw`.
    """

    version: int
    definition: Kind
    signers: tuple[int, ...]
    sequence: int
    valid_until: int
    payload: Any
    body: bytes
    signatures: tuple[bytes, ...]
    raw: bytes
    id: bytes
    full_hash: bytes

    @property
    def kind(self) -> int:
        return self.definition.number


def encode_body(
    kind: Kind, signers: Sequence[int], sequence: int, valid_until: int, payload: schema.Payload
) -> bytes:
    """The bytes that are hashed and signed; in the version that brought the kind, so that every block that
    takes the kind takes them."""
    who = signers[0] if len(signers) == 1 else list(signers)
    return encode([kind.since, kind.number, who, sequence, valid_until, *builtins(payload)])


def sign_input(genesis_hash: bytes, body: bytes) -> bytes:
    """What a signer signs: the tag, the chain's identity, the body."""
    return TX + genesis_hash + body


def assemble(body: bytes, signatures: Sequence[bytes]) -> bytes:
    """The transaction's full bytes."""
    return encode([body, b"".join(signatures)])


def transaction_id(body: bytes) -> bytes:
    """The id that any holder of the body can compute, 32 bytes."""
    return tagged_hash(TX, body)


def first_signer(raw: bytes) -> int | None:
    """Whom `raw` names as its first signer, if it is a transaction at all: a look at its first bytes, for
    whoever lets signers take turns before anything is decoded."""
    at = {0xC4: 3, 0xC5: 4, 0xC6: 6}.get(raw[1] if len(raw) > 1 else 0)  # the pair, the head of the body
    if at is None:
        return None
    at += 1  # the head of the body's list
    found = None
    for position in range(3):  # version, kind, signers
        head = raw[at] if at < len(raw) else 0xC0
        if position == 2 and 0x90 < head <= 0x9F:
            at += 1
            head = raw[at] if at < len(raw) else 0xC0
        width = 0 if head <= 0x7F else {0xCC: 1, 0xCD: 2, 0xCE: 4}.get(head)
        if width is None or at + 1 + width > len(raw):
            return None
        found = int.from_bytes(raw[at + 1 : at + 1 + width], "big") if width else head
        at += 1 + width
    return found


def decode_transaction(raw: bytes) -> Transaction:
    """The transaction encoded by `raw`. Raises Refused(malformed, unknown_version, unknown_kind or
    limit_exceeded); neither signatures nor state are looked at."""
    if len(raw) > TRANSACTION_BYTES_MAX:
        raise Refused(Code.LIMIT_EXCEEDED, "transaction", len(raw), TRANSACTION_BYTES_MAX)
    try:
        body, signatures = _halves(decode(raw, TRANSACTION_BYTES_MAX))
        values = decode(body, TRANSACTION_BYTES_MAX)
        if type(values) is not tuple or len(values) < _ENVELOPE_FIELDS:
            raise CodecError(f"body must be an array of at least {_ENVELOPE_FIELDS}")
        envelope = convert(values[:_ENVELOPE_FIELDS], Envelope)
    except CodecError as error:
        raise Refused(Code.MALFORMED, "transaction", raw[:16], str(error)) from error
    if not FIRST <= envelope.version <= newest():
        raise Refused(Code.UNKNOWN_VERSION, "envelope.version", envelope.version, FIRST, newest())
    definition = rules(envelope.version).kinds.get(envelope.kind)
    if definition is None:
        raise Refused(Code.UNKNOWN_KIND, "kind", envelope.kind)
    payload = decode_payload(definition, values[_ENVELOPE_FIELDS:])
    signers = envelope.signers if isinstance(envelope.signers, tuple) else (envelope.signers,)
    for position, (first, second) in enumerate(pairwise(signers), start=1):
        if first >= second:
            raise Refused(Code.MALFORMED, "signers[]", second, position)
    if len(signatures) != SIGNATURE_BYTES * len(signers):
        raise Refused(Code.MALFORMED, "signatures", len(signatures), SIGNATURE_BYTES)
    return Transaction(
        envelope.version,
        definition,
        signers,
        envelope.sequence,
        envelope.valid_until,
        payload,
        body,
        tuple(
            signatures[start : start + SIGNATURE_BYTES]
            for start in range(0, len(signatures), SIGNATURE_BYTES)
        ),
        raw,
        transaction_id(body),
        tagged_hash(TX_FULL, raw),
    )


def id_and_kind(raw: bytes) -> tuple[bytes, str]:
    """The id and the name of the kind of a transaction known to be good, for a third of its decoding."""
    body, _ = decode(raw, TRANSACTION_BYTES_MAX)
    version, kind = decode(body, TRANSACTION_BYTES_MAX)[:2]
    return transaction_id(body), rules(version).kinds[kind].name


def decode_payload(definition: Kind, values: tuple[Any, ...]) -> Any:
    """The payload of a kind from its plain values. Raises Refused(malformed) naming the field."""
    wanted = len(definition.payload.__struct_fields__)
    if len(values) != wanted:
        raise Refused(Code.MALFORMED, "body", len(values), definition.name, wanted)
    try:
        payload = convert(values, definition.payload)
    except CodecError as error:
        field, colon, rule = str(error).partition(": ")
        if not colon:
            field, rule = "payload", str(error)
        raise Refused(Code.MALFORMED, "payload", definition.name, field, rule) from error
    if _has_texts(definition.payload):
        _check_texts(payload)
    return payload


@cache
def _has_texts(payload: type[schema.Payload]) -> bool:
    return alphabet.has_texts(inspect.type_info(payload))


def _check_texts(payload: schema.Payload) -> None:
    for field in payload.__struct_fields__:
        for text in alphabet.texts_in(getattr(payload, field)):
            fault = alphabet.fault(text)
            if fault is not None:
                raise Refused(Code.MALFORMED, "payload", text, field, fault)


def _halves(value: Any) -> tuple[bytes, bytes]:
    if type(value) is not tuple or len(value) != 2 or any(type(half) is not bytes for half in value):
        raise CodecError("must be [body, signatures], both bytes")
    return value
