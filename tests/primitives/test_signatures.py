"""One verifier for the network: the ZIP-215 vectors, what enrolment refuses, and what a signature covers."""

import time

import ed25519_zebra
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from primitives import signatures, zip215
from primitives.signatures import KeyFault, enrolment_fault, public_key_of, self_test, sign, verify

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC_KEY = public_key_of(KEY)

# As published with ZIP-215: the eight points of small order, then their other encodings.
SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]
VECTORS = zip215.vectors()


def openssl_verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def test_the_small_order_encodings_computed_are_those_published() -> None:
    assert {encoding.hex() for encoding in zip215.small_order_encodings()} == set(SMALL_ORDER)
    assert [encoding.hex() for encoding in zip215.small_order_encodings()[8:]] != SMALL_ORDER[:6]


@pytest.mark.parametrize("key", SMALL_ORDER)
def test_zip_215_accepts_every_small_order_key_with_every_small_order_r(key: str) -> None:
    for point in SMALL_ORDER:
        assert verify(bytes.fromhex(key), b"Zcash", bytes.fromhex(point) + bytes(32))


@pytest.mark.parametrize("vector", VECTORS[196:], ids=lambda vector: vector.name)
def test_the_verdict_on_a_crafted_signature_is_that_of_zip_215(vector: zip215.Vector) -> None:
    assert verify(vector.public_key, vector.message, vector.signature) is vector.valid


def test_the_vectors_hold_the_196_of_zip_215_and_refusals_too() -> None:
    small = [(vector.public_key, vector.signature[:32]) for vector in VECTORS[:196] if vector.valid]
    assert len(set(small)) == 14 * 14
    assert sum(1 for vector in VECTORS if not vector.valid) >= 15


def test_this_installation_passes_its_own_self_test_at_once() -> None:
    started = time.perf_counter()
    assert self_test() is None
    assert time.perf_counter() - started < 0.5  # about 12 ms; the bound only catches a change of order


def test_the_self_test_names_what_another_verifier_does_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSL accepts other signatures than ZIP-215: that is why the network has one verifier."""
    monkeypatch.setattr(signatures, "verify", openssl_verify)
    fault = self_test()
    assert fault is not None
    assert "not ZIP-215, which accepts: A 01000000" in fault


def test_openssl_differs_even_on_signatures_of_an_ordinary_key() -> None:
    """So refusing odd keys at enrolment alone would not keep two verifiers together."""
    ordinary = [vector for vector in VECTORS if vector.name.startswith("ordinary key")]
    assert any(
        verify(vector.public_key, vector.message, vector.signature)
        != openssl_verify(vector.public_key, vector.message, vector.signature)
        for vector in ordinary
    )


def test_a_verifier_that_accepts_everything_fails_the_self_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signatures, "verify", lambda *_: True)
    assert "which refuses" in (self_test() or "")


@pytest.mark.parametrize("key", SMALL_ORDER)
def test_no_key_of_small_order_is_enrolled(key: str) -> None:
    assert enrolment_fault(bytes.fromhex(key)) is not None


@pytest.mark.parametrize("y", range(19))
@pytest.mark.parametrize("sign_bit", [0, 1])
def test_no_key_that_is_not_canonical_is_enrolled(y: int, sign_bit: int) -> None:
    key = (y + zip215.P | sign_bit << 255).to_bytes(32, "little")
    assert enrolment_fault(key) is KeyFault.NOT_CANONICAL


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_no_key_of_another_length_is_enrolled(length: int) -> None:
    assert enrolment_fault(bytes(length)) is KeyFault.LENGTH


@settings(max_examples=300)
@given(st.binary(min_size=32, max_size=32))
def test_a_key_off_the_curve_is_not_enrolled_and_one_on_it_is(key: bytes) -> None:
    y = int.from_bytes(key, "little") & (2**255 - 1)
    on_curve = any(
        (-x * x + y * y - 1 - zip215.D * x * x * y * y) % zip215.P == 0
        for x in [zip215.square_root((y * y - 1) * pow(zip215.D * y * y + 1, zip215.P - 2, zip215.P))]
        if x is not None
    )
    fault = enrolment_fault(key)
    assert (fault is None) == on_curve or y >= zip215.P or key.hex() in SMALL_ORDER
    if not on_curve:
        assert fault is KeyFault.NOT_ON_CURVE


@settings(max_examples=100)
@given(st.binary(min_size=32, max_size=32))
def test_every_key_that_is_generated_can_be_enrolled(seed: bytes) -> None:
    assert enrolment_fault(public_key_of(Ed25519PrivateKey.from_private_bytes(seed))) is None


@settings(max_examples=200)
@given(st.binary(max_size=100), st.integers(0, 511))
def test_a_signature_verifies_and_no_bent_one_does(message: bytes, bit: int) -> None:
    signature = sign(KEY, message)
    bent = bytearray(signature)
    bent[bit // 8] ^= 1 << (bit % 8)
    assert verify(PUBLIC_KEY, message, signature)
    assert not verify(PUBLIC_KEY, message, bytes(bent))
    assert not verify(PUBLIC_KEY, message + b"\0", signature)


@settings(max_examples=300)
@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=70))
def test_verify_never_raises(public_key: bytes, message: bytes, signature: bytes) -> None:
    assert verify(public_key, message, signature) is False


@settings(max_examples=300)
@given(st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64))
def test_verify_never_raises_on_noise_of_the_right_length(public_key: bytes, signature: bytes) -> None:
    assert verify(public_key, b"", signature) in (True, False)


def test_our_signatures_are_those_of_the_verifiers_own_library() -> None:
    assert sign(KEY, b"message") == ed25519_zebra.ed_sign(bytes(range(32)), b"message")


def test_thousands_of_keys_are_looked_at_in_one_block() -> None:
    keys = [number.to_bytes(32, "little") for number in range(10**70, 10**70 + 500)]
    started = time.process_time()
    for key in keys:
        enrolment_fault(key)
    fast = time.process_time() - started
    started = time.process_time()
    for key in keys:
        pow(int.from_bytes(key, "little"), zip215.P - 2, zip215.P)
    assert fast < 1.5 * (time.process_time() - started)  # the rule as written takes two powers in the field
