"""Ed25519: signing through `cryptography`, one verifier for the whole network under ZIP-215 rules.

Libraries disagree about crafted signatures (small-order and non-canonical points); one disagreement between
validators is a fork. So all verification goes through `verify`, and keys are enrolled only if
`enrolment_fault` finds nothing odd about them (ZIP-215; RFC 8032 section 5.1).
"""

import ed25519_zebra
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64

_P = 2**255 - 19
_D = -121665 * pow(121666, _P - 2, _P) % _P
# The y coordinates of the eight points whose order divides 8: 0 and 1, -1, and the two of order 8.
_SMALL_ORDER_Y = (
    0,
    1,
    _P - 1,
    int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"),
    int.from_bytes(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little")
    & (2**255 - 1),
)


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


def enrolment_fault(public_key: bytes) -> str | None:
    """Why `public_key` may not be enrolled, or None if it may: wrong length, non-canonical, not on the
    curve, or of small order."""
    if len(public_key) != PUBLIC_KEY_BYTES:
        return f"public key is {len(public_key)} bytes, must be {PUBLIC_KEY_BYTES}"
    number = int.from_bytes(public_key, "little")
    y, sign_bit = number & (2**255 - 1), number >> 255
    if y >= _P:
        return "public key is not canonical: y is not below the field's prime"
    if y in _SMALL_ORDER_Y:
        return "public key is of small order"
    x_squared = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    if x_squared and pow(x_squared, (_P - 1) // 2, _P) != 1:
        return "public key is not a point of the curve"
    if x_squared == 0 and sign_bit:
        return "public key is not canonical: x is zero and its sign bit is set"
    return None
