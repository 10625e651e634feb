"""Keys by name: the same name has the same key in every test and in every part of the kit."""

from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.enrolment import proof_input
from ledger.rows import Role
from primitives.signatures import public_key_of, sign

NAMES: dict[bytes, str] = {}  # of the keys whose public halves were asked for


def key(name: str) -> Ed25519PrivateKey:
    """The private key of this name."""
    return Ed25519PrivateKey.from_private_bytes(sha256(name.encode()).digest())


def public(name: str) -> bytes:
    """The public key of this name, 32 bytes."""
    found = public_key_of(key(name))
    NAMES[found] = name
    return found


def prove(genesis_hash: bytes, name: str, role: Role, *about: str | bytes) -> bytes:
    """The proof with which the key of this name enrols."""
    return sign(key(name), proof_input(genesis_hash, role, about, public(name)))
