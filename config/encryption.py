"""Private keys as encrypted PKCS#8, by scrypt: each guess at a passphrase costs 16 MiB and 30 ms or more.

`cryptography` reads this form and writes only PBKDF2 with 2,048 rounds, so it is put together here: PBES2
(RFC 8018) with scrypt (RFC 7914, section 7) and AES-256-CBC. The cost is OpenSSL's own default, the highest
that `openssl pkey` opens without being told to.
"""

import base64
import os

from cryptography.hazmat.primitives import padding, serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from config.limits import SCRYPT_BLOCK, SCRYPT_COST, SCRYPT_LANES

SALT_BYTES = 16
KEY_BYTES = 32
BLOCK_BYTES = 16
PBES2 = bytes.fromhex("06092a864886f70d01050d")
SCRYPT = bytes.fromhex("06092b06010401da47040b")
AES_256_CBC = bytes.fromhex("060960864801650304012a")
INTEGER, OCTETS, SEQUENCE = 0x02, 0x04, 0x30
LINE = 64  # characters of base64 in a line of PEM


def encrypted_pem(private_key: Ed25519PrivateKey | EllipticCurvePrivateKey, passphrase: bytes) -> bytes:
    """The key in PEM, which whoever has the passphrase reads, and nobody else."""
    plain = private_key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    salt, start = os.urandom(SALT_BYTES), os.urandom(BLOCK_BYTES)
    kdf = Scrypt(salt=salt, length=KEY_BYTES, n=SCRYPT_COST, r=SCRYPT_BLOCK, p=SCRYPT_LANES)
    padder = padding.PKCS7(8 * BLOCK_BYTES).padder()
    padded = padder.update(plain) + padder.finalize()
    encryptor = Cipher(algorithms.AES(kdf.derive(passphrase)), modes.CBC(start)).encryptor()
    costs = [_integer(number) for number in (SCRYPT_COST, SCRYPT_BLOCK, SCRYPT_LANES)]
    stretching = _der(SEQUENCE, SCRYPT, _der(SEQUENCE, _der(OCTETS, salt), *costs))
    scheme = _der(SEQUENCE, stretching, _der(SEQUENCE, AES_256_CBC, _der(OCTETS, start)))
    sealed = _der(OCTETS, encryptor.update(padded) + encryptor.finalize())
    text = base64.b64encode(_der(SEQUENCE, _der(SEQUENCE, PBES2, scheme), sealed))
    lines = [text[at : at + LINE] for at in range(0, len(text), LINE)]
    name = b"ENCRYPTED PRIVATE KEY"
    return b"\n".join([b"-----BEGIN " + name + b"-----", *lines, b"-----END " + name + b"-----", b""])


def _integer(number: int) -> bytes:
    return _der(INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def _der(tag: int, *parts: bytes) -> bytes:
    """One value of DER: tag, length, content."""
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content
