"""What a validator signs, and that it never signs two things for one step.

`storage.signer` decides and makes the decision durable, then the key (`node.ports.Signing`) is asked. Refused
by its own memory, or left alone by its key, the validator stays silent in that step.
"""

from dataclasses import replace
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from consensus.messages import Proposal, Vote, VoteType
from consensus.verification import sign_bytes
from node.ports import Signing
from primitives.signatures import public_key_of, sign
from storage.signer import SignedState

STEP_PROPOSAL = 1
STEPS = {VoteType.PREVOTE: 2, VoteType.PRECOMMIT: 3}


class SigningStore(Protocol):
    """The part of storage.signer.SignerStore that signing needs."""

    def claim(self, height: int, round_number: int, step: int, sign_bytes: bytes) -> None: ...

    def last(self) -> SignedState | None: ...


class KeyInMemory:
    """A `Signing` whose key this process holds."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public_key = public_key_of(key)

    def sign(self, message: bytes) -> bytes:
        return sign(self._key, message)


class Signer:
    """One validator's voice. Each signature is one durable write before it; call it off the event loop."""

    def __init__(self, key: Signing, store: SigningStore, genesis_hash: bytes) -> None:
        self._key = key
        self._store = store
        self._genesis_hash = genesis_hash
        self.public_key = key.public_key

    def sign_proposal(self, proposal: Proposal) -> Proposal:
        """The proposal with its signature. Raises DoubleSignRefused, SigningFailed, StorageError."""
        return replace(proposal, signature=self._signed(proposal, STEP_PROPOSAL))

    def sign_vote(self, vote: Vote) -> Vote:
        """The vote with its signature. Raises DoubleSignRefused, SigningFailed, StorageError."""
        return replace(vote, signature=self._signed(vote, STEPS[vote.type]))

    def last(self) -> tuple[int, int, int]:
        """The height, round and step of the last signature; zeros before the first."""
        last = self._store.last()
        return (0, 0, 0) if last is None else (last.height, last.round, last.step)

    def _signed(self, said: Proposal | Vote, step: int) -> bytes:
        message = sign_bytes(said, self._genesis_hash)
        self._store.claim(said.height, said.round, step, message)
        return self._key.sign(message)
