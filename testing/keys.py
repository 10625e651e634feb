"""Keys by name: the same name has the same key in every test and in every part of the kit."""

from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from primitives.signatures import public_key_of


def key(name: str) -> Ed25519PrivateKey:
    """The private key of this name."""
    return Ed25519PrivateKey.from_private_bytes(sha256(name.encode()).digest())


def public(name: str) -> bytes:
    """The public key of this name, 32 bytes."""
    return public_key_of(key(name))
