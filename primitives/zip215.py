"""Crafted Ed25519 signatures on which verifiers are known to disagree, and what ZIP-215 says of each.

Everything here is computed from the curve -x^2 + y^2 = 1 + d x^2 y^2 over the field of 2^255 - 19 (RFC 8032
section 5.1); nothing is copied, so that a slip of the pen cannot hide. ZIP-215 asks of a verifier: points are
decoded with y reduced and any sign of x = 0; s is below the group's order; the equation is multiplied by the
cofactor 8; the challenge hashes the bytes as sent.
"""

from dataclasses import dataclass
from hashlib import sha512

P = 2**255 - 19  # the field's prime
L = 2**252 + 27742317777372353535851937790883648493  # the order of the base point
D = -121665 * pow(121666, P - 2, P) % P

_MESSAGE = b"Zcash"
# RFC 8032 section 7.1, TEST 1: the key whose signatures are bent below.
_SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
_PUBLIC_KEY = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
_SIGNATURE = bytes.fromhex(
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
    "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
)


@dataclass(frozen=True, slots=True)
class Vector:
    """One signature and the verdict that every validator must reach."""

    name: str
    public_key: bytes
    message: bytes
    signature: bytes
    valid: bool


def square_root(square: int) -> int | None:
    """A root of `square` in the field, or None (RFC 8032 section 5.1.3, step 3)."""
    root = pow(square, (P + 3) // 8, P)
    if root * root % P == square % P:
        return root
    root = root * pow(2, (P - 1) // 4, P) % P
    return root if root * root % P == square % P else None


def small_order_y() -> tuple[int, ...]:
    """The y of the eight points whose order divides 8: 1 (the identity), -1 (order 2), 0 (order 4, twice),
    and two of order 8, each twice.

    Doubling a point of order 8 gives y = 0, so x^2 = -y^2, and the curve becomes d y^4 + 2 y^2 - 1 = 0.
    """
    root = square_root(1 + D)
    if root is None:
        raise ValueError("1 + d has no root: the curve's constants are wrong")
    inverse = pow(D, P - 2, P)
    candidates = [(-1 + root) * inverse % P, (-1 - root) * inverse % P]
    order_8 = [y for y in (square_root(candidate) for candidate in candidates) if y is not None]
    return (1, P - 1, 0, *sorted(value for y in order_8 for value in (y, P - y)))


def small_order_encodings() -> tuple[bytes, ...]:
    """The 14 byte strings that decode to a point of small order: 8 canonical, then 6 that are not.

    A y below 19 has a second encoding, y + p, and x = 0 can carry either sign.
    """
    canonical: list[bytes] = []
    bent: list[bytes] = []
    for y in small_order_y():
        x_is_zero = y in (1, P - 1)
        for sign in (0, 1):
            (bent if x_is_zero and sign else canonical).append(_encode(y, sign))
            if y + P < 2**255:
                bent.append(_encode(y + P, sign))
    return (*canonical, *bent)


def vectors() -> tuple[Vector, ...]:
    """Every vector: the 196 of ZIP-215 (each small-order key with each small-order R, s = 0), then crafted
    signatures of an ordinary key, then what must be refused."""
    encodings = small_order_encodings()
    accepted = [
        Vector(f"A {key.hex()}, R {point.hex()}, s = 0", key, _MESSAGE, point + bytes(32), True)
        for key in encodings
        for point in encodings
    ]
    accepted.append(Vector("RFC 8032 test 1", _PUBLIC_KEY, b"", _SIGNATURE, True))
    accepted += [
        Vector(
            f"ordinary key, R {point.hex()}, s = k a",
            _PUBLIC_KEY,
            _MESSAGE,
            point + _scalar_bytes(_response(point)),
            True,
        )
        for point in encodings
    ]
    return (*accepted, *_refused(encodings))


def _refused(encodings: tuple[bytes, ...]) -> list[Vector]:
    identity = encodings[0]
    off_curve = _off_curve()
    point, scalar = _SIGNATURE[:32], int.from_bytes(_SIGNATURE[32:], "little")
    refused = [
        Vector("s = L with small-order A and R", identity, _MESSAGE, identity + _scalar_bytes(L), False),
        Vector("s + L", _PUBLIC_KEY, b"", point + _scalar_bytes(scalar + L), False),
        Vector("s of 2^256 - 1", _PUBLIC_KEY, b"", point + b"\xff" * 32, False),
        Vector("s = 1 with small-order A and R", identity, _MESSAGE, identity + _scalar_bytes(1), False),
        Vector("another message", _PUBLIC_KEY, b"\0", _SIGNATURE, False),
        Vector("A off the curve", off_curve, _MESSAGE, identity + bytes(32), False),
        Vector("R off the curve", identity, _MESSAGE, off_curve + bytes(32), False),
    ]
    for bit in (0, 255, 256, 511):
        flipped = bytearray(_SIGNATURE)
        flipped[bit // 8] ^= 1 << (bit % 8)
        refused.append(Vector(f"bit {bit} flipped", _PUBLIC_KEY, b"", bytes(flipped), False))
    # The challenge must hash R as sent: these answer the challenge of the same point's canonical bytes.
    for bent in encodings[8:]:
        y = (int.from_bytes(bent, "little") & (2**255 - 1)) % P
        sign = 0 if y in (1, P - 1) else bent[31] >> 7
        response = _scalar_bytes(_response(_encode(y, sign)))
        refused.append(
            Vector(
                f"R {bent.hex()} with the canonical challenge", _PUBLIC_KEY, _MESSAGE, bent + response, False
            )
        )
    return refused


def _encode(y: int, sign: int) -> bytes:
    return (y | sign << 255).to_bytes(32, "little")


def _scalar_bytes(scalar: int) -> bytes:
    return scalar.to_bytes(32, "little")


def _response(point: bytes) -> int:
    """k a mod L for the key of RFC 8032 test 1, so that s B = k A: R then has only torsion to account for."""
    digest = sha512(_SEED).digest()
    secret = int.from_bytes(digest[:32], "little") & (2**254 - 8) | 2**254
    challenge = int.from_bytes(sha512(point + _PUBLIC_KEY + _MESSAGE).digest(), "little")
    return challenge * secret % L


def _off_curve() -> bytes:
    """The first y above 1 for which x^2 = (y^2 - 1) / (d y^2 + 1) has no root."""
    y = 2
    while square_root((y * y - 1) * pow(D * y * y + 1, P - 2, P) % P) is not None:
        y += 1
    return _encode(y, 0)
