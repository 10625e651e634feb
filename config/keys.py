"""Ed25519 private keys in files: encrypted PKCS#8 PEM, mode 0600, the public key beside it in hex.

Nodes, officers, VASPs and self-custody clients keep their keys in this one form. `NAME.pem` holds the private
key, `NAME.pub` the public key as 64 hex digits: what is handed to others, readable without a passphrase.
Where there is a `NAME.chain` it holds the genesis hash of the only chain that the key signs for.
The encryption is PBES2 with AES-256 and scrypt (`config.encryption`). Files of earlier releases, with
OpenSSL's 2,048 rounds of PBKDF2, are read all the same, as is what `openssl pkcs8 -topk8` writes.
"""

import codecs
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from config.encryption import encrypted_pem
from config.limits import KEY_FILE_BYTES_MAX, PASSPHRASE_BYTES_MAX, PASSPHRASE_BYTES_MIN
from primitives.hashing import HASH_BYTES
from primitives.signatures import PUBLIC_KEY_BYTES, enrolment_fault, public_key_of

PRIVATE_SUFFIX = ".pem"
PUBLIC_SUFFIX = ".pub"
CHAIN_SUFFIX = ".chain"
FILE_MODE = 0o600
PASSPHRASE_VARIABLE = "MOHUR_PASSPHRASE"


class KeyFileError(Exception):
    """A key or passphrase file that cannot be used. The text names the file and the rule."""


def new_key(path: Path, passphrase: bytes) -> bytes:
    """Draw a key, write `path` and its public half beside it; the public key. Never overwrites."""
    private_key = Ed25519PrivateKey.generate()
    save_key(path, private_key, passphrase)
    return public_key_of(private_key)


def save_key(path: Path, private_key: Ed25519PrivateKey, passphrase: bytes) -> None:
    """Write `private_key` encrypted to `path` (mode 0600, durable) and the public key beside it.

    Raises KeyFileError if either file exists, or the passphrase is outside its limits.
    """
    if path.suffix != PRIVATE_SUFFIX:
        raise KeyFileError(f"{path}: the name of a key file must end in {PRIVATE_SUFFIX}")
    if os.path.lexists(public_path(path)):
        raise KeyFileError(f"{public_path(path)}: exists already: a key is never overwritten")
    text = encrypted_pem(private_key, checked_passphrase(passphrase))
    write_private(path, text)
    write_new(public_path(path), public_key_of(private_key).hex().encode() + b"\n", 0o644)


def load_key(path: Path, passphrase: bytes) -> Ed25519PrivateKey:
    """The private key in `path`.

    Raises KeyFileError if the file is missing, readable by others, not encrypted, not Ed25519, or if the
    passphrase is wrong.
    """
    private_key = load_private_pem(path, passphrase)
    if not isinstance(private_key, Ed25519PrivateKey):
        raise KeyFileError(f"{path}: holds a {type(private_key).__name__}, must be an Ed25519 key")
    return private_key


def load_private_pem(path: Path, passphrase: bytes) -> object:
    """The private key, of whatever type, in an encrypted PEM file that only its owner may read."""
    text = read_private(path)
    try:
        return serialization.load_pem_private_key(text, checked_passphrase(passphrase))
    except TypeError as error:
        raise KeyFileError(f"{path}: is not encrypted: a private key is kept encrypted PKCS#8") from error
    except UnsupportedAlgorithm as error:
        raise KeyFileError(f"{path}: is of an unknown kind: {error}") from error
    except ValueError as error:
        if b"-----BEGIN ENCRYPTED PRIVATE KEY-----" not in text:
            raise KeyFileError(f"{path}: is not a private key in encrypted PKCS#8 PEM") from error
        raise KeyFileError(f"{path}: cannot be decrypted: wrong passphrase or a damaged file") from error


def load_public_key(path: Path) -> bytes:
    """The public key, 32 bytes, beside the private key file `path`, or in `path` itself if it is a .pub.

    Needs no passphrase. Raises KeyFileError if it is missing or not 64 hex digits of a usable key.
    """
    place = path if path.suffix == PUBLIC_SUFFIX else public_path(path)
    try:
        text = place.read_bytes()[:KEY_FILE_BYTES_MAX].decode("ascii").strip()
    except OSError as error:
        raise KeyFileError(f"{place}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise KeyFileError(f"{place}: is not a public key: not ASCII text") from error
    return parse_public_key(text, str(place))


def parse_public_key(text: str, place: str) -> bytes:
    """The key that 64 hex digits write, if it may be enrolled; `place` names it in the error."""
    try:
        key = bytes.fromhex(text)
    except ValueError as error:
        raise KeyFileError(
            f"{place}: is not a public key: must be {2 * PUBLIC_KEY_BYTES} hex digits"
        ) from error
    if len(key) != PUBLIC_KEY_BYTES or len(text) != 2 * PUBLIC_KEY_BYTES:
        raise KeyFileError(f"{place}: is not a public key: must be {2 * PUBLIC_KEY_BYTES} hex digits")
    fault = enrolment_fault(key)
    if fault is not None:
        raise KeyFileError(f"{place}: {fault.rule}")
    return key


def public_path(path: Path) -> Path:
    return path.with_suffix(PUBLIC_SUFFIX)


def load_pin(path: Path) -> bytes | None:
    """The genesis hash of the one chain that the key in `path` signs for, from `NAME.chain` beside it; None
    if it is pinned to none. Raises KeyFileError if the file is not one, or others may write to it."""
    place = path.with_suffix(CHAIN_SUFFIX)
    if not os.path.lexists(place):
        return None
    text = read_private(place)
    try:
        pinned = bytes.fromhex(text.decode("ascii").strip())
    except ValueError:
        pinned = b""
    if len(pinned) != HASH_BYTES:
        raise KeyFileError(f"{place}: is not a genesis hash: must be {2 * HASH_BYTES} hex digits")
    return pinned


def pin_chain(path: Path, genesis_hash: bytes) -> None:
    """Let the key in `path` sign for that chain and no other from now on. Raises KeyFileError if there is no
    such key, or it is pinned to another."""
    if not path.is_file():
        raise KeyFileError(f"{path}: there is no such key file")
    require_pin(path, genesis_hash)
    if load_pin(path) is None:
        write_private(path.with_suffix(CHAIN_SUFFIX), genesis_hash.hex().encode() + b"\n")


def require_pin(path: Path, genesis_hash: bytes) -> None:
    """Raise KeyFileError if the key in `path` is pinned to another chain."""
    pinned = load_pin(path)
    if pinned is not None and pinned != genesis_hash:
        raise KeyFileError(
            f"{path}: signs for the chain with genesis {pinned.hex()} alone, not for {genesis_hash.hex()}"
        )


def read_passphrase(file: Path | None, environment: Mapping[str, str]) -> bytes:
    """The passphrase: the first line of `file` if one is named, else the environment's MOHUR_PASSPHRASE.

    Raises KeyFileError if there is neither, or the file is readable by others.
    """
    if file is not None:
        first = read_private(file).split(b"\n", 1)[0].rstrip(b"\r")
        if first.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise KeyFileError(f"{file}: begins with a byte order mark, which is no part of a passphrase")
        return checked_passphrase(first, str(file))
    value = environment.get(PASSPHRASE_VARIABLE)
    if value is None:
        raise KeyFileError(
            f"no passphrase: name a file with it that only its owner may read, or set {PASSPHRASE_VARIABLE}"
        )
    return checked_passphrase(value.encode("utf-8"), PASSPHRASE_VARIABLE)


def checked_passphrase(passphrase: bytes, place: str = "passphrase") -> bytes:
    """Returns `passphrase` if its length is within the limits; raises KeyFileError otherwise."""
    if not PASSPHRASE_BYTES_MIN <= len(passphrase) <= PASSPHRASE_BYTES_MAX:
        raise KeyFileError(
            f"{place}: passphrase of {len(passphrase)} bytes, must be "
            f"{PASSPHRASE_BYTES_MIN} to {PASSPHRASE_BYTES_MAX}"
        )
    return passphrase


def read_private(path: Path) -> bytes:
    """The bytes of a file that nobody but its owner may read. Raises KeyFileError otherwise."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise KeyFileError(f"{path}: is not a regular file")
            if status.st_mode & 0o077:
                raise KeyFileError(
                    f"{path}: mode {stat.S_IMODE(status.st_mode):04o} lets others read it: "
                    f"must be {FILE_MODE:04o} (chmod 600 {path})"
                )
            if status.st_size > KEY_FILE_BYTES_MAX:
                raise KeyFileError(f"{path}: is {status.st_size} bytes, the limit is {KEY_FILE_BYTES_MAX}")
            return file.read()
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be read: {error.strerror}") from error


def write_private(path: Path, content: bytes) -> None:
    """Write a new file that only its owner may read; durable when this returns."""
    write_new(path, content, FILE_MODE)


def write_new(path: Path, content: bytes, mode: int) -> None:
    """Write a file that must not exist yet, and make it and its name durable."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError as error:
        raise KeyFileError(f"{path}: exists already: a key is never overwritten") from error
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be written: {error.strerror}") from error
