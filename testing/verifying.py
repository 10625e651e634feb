"""Proofs verified against the genesis alone, whatever their age: time in tests is the chain's own."""

from client.trust import trust_genesis
from client.verification import VerifiedRecord, verify_proof
from ledger.genesis import Genesis


def verify_alone(proof: bytes, genesis: Genesis) -> VerifiedRecord:
    """What the proof proves to one who has nothing but the genesis. Raises ProofRefused."""
    return verify_proof(proof, trust_genesis(genesis), now_ms=2**53, max_age_ms=None, trusting_ms=None)
