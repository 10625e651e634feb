"""Verifies proofs offline, trusting nothing but the genesis.

The validators of genesis vouch for headers, a header for the next validators where the set changes, the last
header for the state root, and the state root for the row. Every signature that a proof holds must be valid.
"""

from dataclasses import dataclass

from api.limits import PROOF_BYTES_MAX
from api.proofs import PROOF_VERSION, Certified, HoldingProof
from consensus.encoding import decode_certificate
from consensus.errors import VerificationError
from consensus.messages import Validator, VoteType
from consensus.quorum import validators_fault, validators_hash
from consensus.verification import verify_certificate
from ledger.genesis import Genesis, genesis_hash
from ledger.proofs import ProofError, proven_holding
from primitives.codec import CodecError, unpack
from wire.blocks import Header, decode_header


class ProofRefused(ValueError):
    """The proof does not prove what it claims. The text names the part and the rule."""


@dataclass(frozen=True, slots=True)
class VerifiedHolding:
    """One holding after the block of `height`, whose state has the root `state_root`."""

    chain: str
    height: int
    time_ms: int
    state_root: bytes
    holding: int
    account: int
    instrument: int
    balance: int
    locked: int
    flags: int
    signers: int
    validators: int


def verify_proof(proof_bytes: bytes, genesis: Genesis) -> VerifiedHolding:
    """What `proof_bytes` proves on the chain of `genesis`. Raises ProofRefused."""
    try:
        proof = unpack(proof_bytes, HoldingProof, PROOF_BYTES_MAX)
    except CodecError as error:
        raise ProofRefused(f"not a proof: {error}") from error
    if proof.version != PROOF_VERSION:
        raise ProofRefused(f"version: {proof.version}, this verifier knows {PROOF_VERSION}")
    chain_hash = genesis_hash(genesis)
    if proof.genesis_hash != chain_hash:
        raise ProofRefused(
            f"genesis_hash: {proof.genesis_hash.hex()}, the genesis given is {chain_hash.hex()}"
        )
    members = tuple(Validator(node.public_key, node.power) for node in genesis.nodes if node.power > 0)
    height = 0
    for change in proof.changes:
        last = _header(change.last)
        if last.height <= height:
            raise ProofRefused(f"changes: height {last.height} does not follow {height}")
        height = last.height
        _verify_decided(last, change.last, members, chain_hash)
        members = tuple(Validator(key, power) for key, power in change.members)
        fault = validators_fault(members)
        if fault is not None:
            raise ProofRefused(f"changes: {fault}")
        if validators_hash(members) != last.next_validators_hash:
            raise ProofRefused(f"changes: header {height} does not name these as the next validators")
    header = _header(proof.certified)
    if header.height <= height:
        raise ProofRefused(f"certified: height {header.height} does not follow {height}")
    signers = _verify_decided(header, proof.certified, members, chain_hash)
    claim = proof.claim
    if header.executed_height != claim.height:
        raise ProofRefused(f"claim.height: {claim.height}, the header shows height {header.executed_height}")
    try:
        row = proven_holding(proof.state, claim.holding, header.state_root)
    except ProofError as error:
        raise ProofRefused(f"state: {error}") from error
    shown = (row.account, row.instrument, row.balance, row.locked, row.flags)
    claimed = (claim.account, claim.instrument, claim.balance, claim.locked, claim.flags)
    if shown != claimed:
        raise ProofRefused(f"claim: {claimed}, the state shows {shown}")
    return VerifiedHolding(
        genesis.chain,
        claim.height,
        header.time_ms,
        header.state_root,
        claim.holding,
        *shown,
        signers,
        len(members),
    )


def _header(certified: Certified) -> Header:
    try:
        return decode_header(certified.header)
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
