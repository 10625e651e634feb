"""A wallet: one Ed25519 key, its index among the ledger's signers, and a sequence counter of its own.

The ledger takes 64 transactions of one signer in flight, in any order (RFC 4303). The wallet hands out
sequences so that none of those under way can fall out of that window, and `align` sets the counter from what
the ledger says after a restart or when another process used the same key.
"""

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.reads.accounts import SignerReply, window_sign_input
from client import transactions
from client.errors import ClientError, WindowFull
from client.transactions import Signed
from config.keys import load_key, require_pin
from ledger.enrolment import proof_input
from ledger.limits import WINDOW
from ledger.rows import Role
from ledger.schema import Payload
from primitives.signatures import public_key_of, sign

VALID_S = 600  # for how long a transaction may be included; far below the ledger's horizon

Clock = Callable[[], float]


class Wallet:
    """Signs for one key on one chain. Not for several threads at once."""

    def __init__(
        self,
        private_key: Ed25519PrivateKey,
        genesis_hash: bytes,
        *,
        signer: int | None = None,
        highest: int = 0,
        valid_s: int = VALID_S,
        clock: Clock = time.time,
    ) -> None:
        self.private_key = private_key
        self.public_key = public_key_of(private_key)
        self.genesis_hash = genesis_hash
        self._signer = signer
        self._highest = highest  # the highest sequence known to be used
        self._next = highest + 1
        self._under_way: set[int] = set()
        self._valid_s = valid_s
        self._clock = clock
        self.version: int | None = (
            None  # of the protocol, which the chain followed when the wallet was aligned
        )

    @classmethod
    def from_keystore(cls, path: Path, passphrase: bytes, genesis_hash: bytes, **options: Any) -> "Wallet":
        """The wallet of an encrypted PKCS#8 keystore. Raises KeyFileError, also if it is pinned to another
        chain."""
        require_pin(path, genesis_hash)
        return cls(load_key(path, passphrase), genesis_hash, **options)

    @property
    def signer(self) -> int:
        """The index of the key on the ledger. Raises ClientError until `align` or the constructor set it."""
        if self._signer is None:
            raise ClientError(
                f"key {self.public_key.hex()}: its signer index is not known yet: align the wallet"
            )
        return self._signer

    @property
    def aligned(self) -> bool:
        return self._signer is not None

    def ask(self, asked_ms: int) -> bytes:
        """The signature under the question for this key's own window."""
        return sign(self.private_key, window_sign_input(self.genesis_hash, self.public_key, asked_ms))

    def align(self, reply: SignerReply) -> None:
        """Take index and window from the ledger; the counter never goes back."""
        if reply.public_key != self.public_key:
            raise ClientError(
                f"signer {reply.signer} has the key {reply.public_key.hex()}, not this wallet's"
            )
        if reply.highest is None or reply.bitmap is None:
            raise ClientError(f"signer {reply.signer}: its window is told to its own key alone: ask signed")
        self._signer = reply.signer
        self._highest = max(self._highest, reply.highest)
        self._next = max(self._next, reply.highest + 1)
        highest, bitmap = reply.highest, reply.bitmap
        used = {highest - back for back in range(WINDOW) if bitmap >> back & 1}
        self._under_way = {
            sequence for sequence in self._under_way if sequence not in used and sequence > highest - WINDOW
        }

    def take_sequence(self) -> int:
        """The next sequence. Raises WindowFull while one under way would fall out of the ledger's window."""
        sequence = self._next
        if sequence > self._highest + WINDOW or (
            self._under_way and sequence - min(self._under_way) >= WINDOW
        ):
            raise WindowFull(
                f"signer {self._signer}: {len(self._under_way)} transactions are under way, at most {WINDOW}"
            )
        self._next += 1
        self._under_way.add(sequence)
        return sequence

    def settled(self, sequence: int) -> None:
        """Hear that a transaction with this sequence is in a block."""
        self._under_way.discard(sequence)
        self._highest = max(self._highest, sequence)

    def dropped(self, sequence: int) -> None:
        """Hear that a transaction with this sequence never got to a block; the last one handed out is given
        again."""
        self._under_way.discard(sequence)
        if sequence == self._next - 1:
            self._next = sequence

    def sign(
        self, kind: str, payload: Payload, *, sequence: int | None = None, valid_until: int | None = None
    ) -> Signed:
        """A signed transaction of this wallet alone; sequence and expiry are chosen unless given."""
        return sign_together([self], kind, payload, sequence=sequence, valid_until=valid_until)

    def build(self, kind: str, /, **fields: Any) -> Signed:
        """As `sign`, from the payload's fields. Raises BadPayload."""
        return self.sign(kind, transactions.payload(transactions.kind_named(kind, self.version), **fields))

    def prove(self, role: Role, *about: str | bytes) -> bytes:
        """The proof of possession with which this key is enrolled; `about` as `ledger.enrolment` says."""
        return sign(self.private_key, proof_input(self.genesis_hash, role, about, self.public_key))

    def expiry(self) -> int:
        """A `valid_until` for a transaction signed now, in seconds."""
        return int(self._clock()) + self._valid_s


def sign_together(
    wallets: Sequence[Wallet],
    kind: str,
    payload: Payload,
    *,
    sequence: int | None = None,
    valid_until: int | None = None,
) -> Signed:
    """One transaction signed by several keys, as officers of one institution may; the least index gives the
    sequence. Raises BadPayload if a key stands twice."""
    ordered = sorted(wallets, key=lambda wallet: wallet.signer)
    for one, other in pairwise(ordered):
        if one.signer == other.signer:
            raise transactions.BadPayload(f"{kind}: signer {one.signer}: its key is given twice")
    first = ordered[0]
    unsigned = transactions.build(
        kind,
        signers=[wallet.signer for wallet in ordered],
        sequence=first.take_sequence() if sequence is None else sequence,
        valid_until=first.expiry() if valid_until is None else valid_until,
        payload=payload,
    )
    return unsigned.signed(
        [unsigned.signature(wallet.genesis_hash, wallet.private_key) for wallet in ordered]
    )
