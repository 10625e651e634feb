"""The validator's key and its memory: signs proposals and votes, never two things for one step.

`SignerStore.sign` decides, signs and records in one durable transaction; here is only what is signed. Asked
for something that contradicts its memory the signer refuses, and the validator stays silent in that step.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from consensus.messages import Proposal, Vote, VoteType
from consensus.verification import sign_bytes
from primitives.signatures import public_key_of, sign
from storage.signer import SignedState

STEP_PROPOSAL = 1
STEPS = {VoteType.PREVOTE: 2, VoteType.PRECOMMIT: 3}


class SigningStore(Protocol):
    """The part of storage.signer.SignerStore that signing needs."""

    def sign(
        self, height: int, round_number: int, step: int, sign_bytes: bytes, sign: Callable[[bytes], bytes]
    ) -> bytes: ...

    def last(self) -> SignedState | None: ...


class Signer:
    """One validator's signing key. Each method is one durable write; call it off the event loop."""

    def __init__(self, key: Ed25519PrivateKey, store: SigningStore, genesis_hash: bytes) -> None:
        self._key = key
        self._store = store
        self._genesis_hash = genesis_hash
        self.public_key = public_key_of(key)

    def sign_proposal(self, proposal: Proposal) -> Proposal:
        """The proposal with its signature. Raises DoubleSignRefused, SignerUninitialised, StorageError."""
        return replace(proposal, signature=self._signed(proposal, STEP_PROPOSAL))

    def sign_vote(self, vote: Vote) -> Vote:
        """The vote with its signature. Raises DoubleSignRefused, SignerUninitialised, StorageError."""
        return replace(vote, signature=self._signed(vote, STEPS[vote.type]))

    def last(self) -> tuple[int, int, int]:
        """The height, round and step of the last signature; zeros before the first."""
        last = self._store.last()
        return (0, 0, 0) if last is None else (last.height, last.round, last.step)

    def _signed(self, said: Proposal | Vote, step: int) -> bytes:
        return self._store.sign(
            said.height,
            said.round,
            step,
            sign_bytes(said, self._genesis_hash),
            lambda message: sign(self._key, message),
        )
