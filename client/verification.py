"""Verifies proofs offline, trusting nothing but the genesis or a checkpoint of one's own (`client.trust`).

The validators trusted vouch for headers, a header for the next validators where the set changes, the last
header for the state root, and the state root for the record. Every signature in a proof must be valid. A
proof is of one moment: how old that may be, the caller must say.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from api.limits import PROOF_BYTES_MAX
from api.proofs import PROOF_VERSION, Certified, Receipt, RecordProof, SetChange
from client.trust import TRUSTING_MS, Trust, rests_on
from consensus.encoding import decode_certificate
from consensus.errors import VerificationError
from consensus.messages import Validator, VoteType
from consensus.quorum import validators_fault, validators_hash
from consensus.verification import verify_certificate
from ledger.proofs import ProofError, proven_record
from ledger.state import TABLES
from primitives.codec import CodecError, unpack
from wire.blocks import Header, decode_header

P = TypeVar("P", RecordProof, Receipt)

CLOCK_MS = 600_000  # how far a header may be ahead of the verifier's own clock


class ProofRefused(ValueError):
    """The proof does not prove what it claims. The text names the part and the rule."""


@dataclass(frozen=True, slots=True)
class Vouched:
    """A block that is vouched for, and certifies what is proven: its `certified_height`, `block_id` and
    header time `time_ms`, `age_ms` before the verifier's own; `signers` of its `validators` signed it.
    `rests_on` says in words what was trusted, `checkpoint` is what may be trusted from now on."""

    chain: str
    certified_height: int
    block_id: bytes
    time_ms: int
    age_ms: int
    signers: int
    validators: int
    rests_on: str
    checkpoint: Trust


@dataclass(frozen=True, slots=True)
class VerifiedRecord:
    """Record `record` of table `table` (its `name`, if this software knows it) after the block of `height`,
    whose state has the root `state_root`; `value` is None if there was none: `count` were there."""

    height: int
    state_root: bytes
    table: int
    name: str
    record: int
    count: int
    value: Any  # the document or row, as that version has it
    by: Vouched


def verify_proof(
    proof_bytes: bytes,
    trust: Trust,
    *,
    now_ms: int,
    max_age_ms: int | None,
    least_height: int = 0,
    trusting_ms: int | None = TRUSTING_MS,
) -> VerifiedRecord:
    """What `proof_bytes` proves to one who trusts `trust` at `now_ms`, his own clock's UTC in milliseconds.

    The state proven is at most `max_age_ms` old and at least of `least_height`; the trust itself at most
    `trusting_ms` old. None, said on purpose, asks for neither age. Raises ProofRefused.
    """
    require_fresh(trust, now_ms, trusting_ms)
    proof = opened(proof_bytes, RecordProof, trust)
    header, by = vouched(proof.changes, proof.certified, trust, now_ms)
    require_recent(by.age_ms, max_age_ms, header.executed_height, least_height)
    state = proof.state
    try:
        value = proven_record(state, proof.record, header.state_root)
    except ProofError as error:
        raise ProofRefused(f"state: {error}") from error
    spec = TABLES.get(state.table)
    name = "" if spec is None else spec.name
    return VerifiedRecord(
        header.executed_height, header.state_root, state.table, name, proof.record, state.count, value, by
    )


def opened(encoded: bytes, kind: type[P], trust: Trust) -> P:
    """The proof or receipt of this version, of the chain that is trusted. Raises ProofRefused."""
    try:
        proof = unpack(encoded, kind, PROOF_BYTES_MAX)
    except CodecError as error:
        raise ProofRefused(f"not a {kind.__name__}: {error}") from error
    if proof.version != PROOF_VERSION:
        raise ProofRefused(f"version: {proof.version}, this verifier knows {PROOF_VERSION}")
    if proof.genesis_hash != trust.genesis_hash:
        raise ProofRefused(
            f"genesis_hash: {proof.genesis_hash.hex()}, the genesis given is {trust.genesis_hash.hex()}"
        )
    return proof


def vouched(
    changes: Sequence[SetChange], certified: Certified, trust: Trust, now_ms: int
) -> tuple[Header, Vouched]:
    """The certified header, to which `trust` leads, and by whom it is vouched for. Raises ProofRefused."""
    header, members, signers = led_to(changes, certified, trust)
    age_ms = now_ms - header.time_ms
    if age_ms < -CLOCK_MS:
        raise ProofRefused(f"time_ms: {header.time_ms} is {-age_ms} ms ahead of this verifier's clock")
    checkpoint = Trust(trust.chain, trust.genesis_hash, header.height, header.time_ms, members)
    by = Vouched(
        trust.chain,
        header.height,
        header.hash(),
        header.time_ms,
        age_ms,
        signers,
        len(members),
        rests_on(trust, now_ms),
        checkpoint,
    )
    return header, by


def require_recent(age_ms: int, max_age_ms: int | None, height: int, least_height: int) -> None:
    """Raise ProofRefused if what is proven is older than `max_age_ms` or of a height below `least_height`."""
    if max_age_ms is not None and age_ms > max_age_ms:
        raise ProofRefused(f"time_ms: it is of {age_ms} ms ago, at most {max_age_ms}")
    if height < least_height:
        raise ProofRefused(f"height: {height}, at least {least_height}")


def require_witness(by: Vouched, known: bytes, witness: str) -> None:
    """Raise ProofRefused if what `witness` knows as the block of the certified height is another block."""
    if known != by.block_id:
        raise ProofRefused(
            f"witness: {witness} knows {known.hex()} at height {by.certified_height}, not {by.block_id.hex()}"
        )


def require_fresh(trust: Trust, now_ms: int, trusting_ms: int | None) -> None:
    """Raise ProofRefused if the trust is older than `trusting_ms`."""
    if trusting_ms is not None and now_ms - trust.time_ms > trusting_ms:
        raise ProofRefused(
            f"trust: of height {trust.height} and {_days(now_ms - trust.time_ms)} old, at most"
            f" {_days(trusting_ms)}: keys retired since may have leaked; give a later checkpoint"
        )


def led_to(
    changes: Sequence[SetChange], certified: Certified, trust: Trust
) -> tuple[Header, tuple[Validator, ...], int]:
    """The certified header, the validators that decided it, and how many of them signed. Raises ProofRefused
    unless `trust` leads there over the changes of validators."""
    members, height = trust.validators, trust.height
    for change in changes:
        last = decoded_header(change.last.header)
        if last.height < trust.height:
            continue  # it led to validators that are trusted already
        if last.height < height or (last.height == height and height != trust.height):
            raise ProofRefused(f"changes: height {last.height} does not follow {height}")
        height = last.height
        _verify_decided(last, change.last, members, trust.genesis_hash)
        members = tuple(Validator(key, power) for key, power in change.members)
        fault = validators_fault(members)
        if fault is not None:
            raise ProofRefused(f"changes: {fault}")
        if validators_hash(members) != last.next_validators_hash:
            raise ProofRefused(f"changes: header {height} does not name these as the next validators")
    header = decoded_header(certified.header)
    changed = members is not trust.validators
    if header.height < height or (changed and header.height == height):
        raise ProofRefused(f"certified: height {header.height} does not follow {height}")
    return header, members, _verify_decided(header, certified, members, trust.genesis_hash)


def _days(milliseconds: int) -> str:
    return f"{milliseconds // 86_400_000} days"


def decoded_header(encoded: bytes) -> Header:
    """The header that a proof holds. Raises ProofRefused."""
    try:
        return decode_header(encoded)
    except CodecError as error:
        raise ProofRefused(str(error)) from error


def _verify_decided(
    header: Header, certified: Certified, members: tuple[Validator, ...], chain_hash: bytes
) -> int:
    """How many validators signed the header. Raises ProofRefused unless `members` decided it."""
    where = f"header {header.height}"
    if header.genesis_hash != chain_hash:
        raise ProofRefused(f"{where}: of the genesis {header.genesis_hash.hex()}, not {chain_hash.hex()}")
    if header.validators_hash != validators_hash(members):
        raise ProofRefused(f"{where}: decided by other validators than those that the proof leads to")
    try:
        certificate = decode_certificate(certified.certificate)
        verify_certificate(certificate, members, chain_hash)
    except (CodecError, VerificationError) as error:
        raise ProofRefused(f"{where}: certificate: {error}") from error
    if certificate.type is not VoteType.PRECOMMIT:
        raise ProofRefused(f"{where}: certificate: of prevotes, a commit needs precommits")
    if certificate.value != header.hash() or certificate.height != header.height:
        raise ProofRefused(f"{where}: certificate: of another block")
    return len(certificate.signatures)
