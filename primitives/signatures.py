"""Ed25519: signing through `cryptography`, one verifier for the whole network under ZIP-215 rules.

Libraries disagree about crafted signatures (small-order and non-canonical points); one disagreement between
validators is a fork. So all verification goes through `verify`, keys are enrolled only if `enrolment_fault`
finds nothing odd about them, and a node that fails `self_test` does not start (ZIP-215; RFC 8032 5.1).
"""

from enum import IntEnum

import ed25519_zebra
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from primitives.zip215 import D, P, small_order_y, vectors

PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64

_SMALL_ORDER_Y = frozenset(small_order_y())


def sign(private_key: Ed25519PrivateKey, message: bytes) -> bytes:
    """The signature, 64 bytes, deterministic (RFC 8032 section 5.1.6)."""
    return private_key.sign(message)


def public_key_of(private_key: Ed25519PrivateKey) -> bytes:
    """The public key, 32 bytes."""
    return private_key.public_key().public_bytes_raw()


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` is valid under ZIP-215. Never raises; wrong lengths are simply not valid."""
    if len(public_key) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    valid: bool = ed25519_zebra.ed_verify(signature, message, public_key)
    return valid


class KeyFault(IntEnum):
    """Why a public key may not be enrolled. The numbers are protocol: refusals quote them."""

    LENGTH = 1
    NOT_CANONICAL = 2
    SMALL_ORDER = 3
    NOT_ON_CURVE = 4

    @property
    def rule(self) -> str:
        """The fault in words."""
        return _KEY_RULES[self]


_KEY_RULES = {
    KeyFault.LENGTH: f"public key must be {PUBLIC_KEY_BYTES} bytes",
    KeyFault.NOT_CANONICAL: "public key is not canonical: y is not below the field's prime",
    KeyFault.SMALL_ORDER: "public key is of small order",
    KeyFault.NOT_ON_CURVE: "public key is not a point of the curve",
}


def enrolment_fault(public_key: bytes) -> KeyFault | None:
    """Why `public_key` may not be enrolled, or None if it may: wrong length, non-canonical, not on the
    curve, or of small order."""
    if len(public_key) != PUBLIC_KEY_BYTES:
        return KeyFault.LENGTH
    number = int.from_bytes(public_key, "little")
    y = number & (2**255 - 1)
    if y >= P:
        return KeyFault.NOT_CANONICAL
    if y in _SMALL_ORDER_Y:  # with either sign: where x is zero, a set sign bit is not canonical either
        return KeyFault.SMALL_ORDER
    # x^2 = u / v, which is a square when u * v is one: v is never zero, since -1 / d is no square.
    y_squared = y * y % P
    if _jacobi((y_squared - 1) * (D * y_squared + 1) % P, P) != 1:
        return KeyFault.NOT_ON_CURVE
    return None


def _jacobi(a: int, n: int) -> int:
    """The Jacobi symbol (a/n) for odd n > 0; for a prime n it says whether a is a square. Several times as
    fast as a power modulo n, so that a batch of thousands of new keys does not hold a block up."""
    symbol = 1
    while a:
        twos = (a & -a).bit_length() - 1
        a >>= twos
        if twos & 1 and n & 7 in (3, 5):
            symbol = -symbol
        if a & n & 2:  # both are 3 modulo 4
            symbol = -symbol
        a, n = n % a, a
    return symbol if n == 1 else 0


def self_test() -> str | None:
    """The first crafted signature on which `verify` differs from ZIP-215, or None if it never does.

    A node runs this at start: a verifier that differs would vote against its peers on a block that an
    attacker chooses. Takes about 10 ms.
    """
    for vector in vectors():
        if verify(vector.public_key, vector.message, vector.signature) != vector.valid:
            wanted = "accepts" if vector.valid else "refuses"
            return f"the signature verifier is not ZIP-215, which {wanted}: {vector.name}"
    return None
