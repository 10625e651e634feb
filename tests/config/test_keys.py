"""Private keys on disk: encrypted, for their owner alone, and every refusal names the file and the rule."""

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from config.keys import (
    KeyFileError,
    load_key,
    load_public_key,
    new_key,
    parse_public_key,
    read_passphrase,
    save_key,
)
from config.limits import SCRYPT_BLOCK, SCRYPT_COST, SCRYPT_LANES
from primitives.signatures import public_key_of, sign, verify

PASSPHRASE = b"correct horse battery"
# openssl pkcs8 -topk8 -scrypt, of the private key 00 01 .. 1f
SCRYPT = """\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGTME8GCSqGSIb3DQEFDTBCMCEGCSsGAQQB2kcECzAUBAisLVRVD5ATVAICQAAC
AQgCAQEwHQYJYIZIAWUDBAEqBBBkbc4Wo6/nxY0XdqrFl5n1BEAUVcCZoZqJp8nk
seDvqle52/9Nynjx9LHpM5t/om6PPE3UDrT+ZbNYAaiOv9Lbrr05mYUpQgVZptwg
v4t1g+qm
-----END ENCRYPTED PRIVATE KEY-----
"""


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "officer.pem"
    new_key(path, PASSPHRASE)
    return path


def test_a_saved_key_signs_after_it_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "officer.pem"
    public_key = new_key(path, PASSPHRASE)
    assert verify(public_key, b"act", sign(load_key(path, PASSPHRASE), b"act"))


def test_the_public_key_is_read_without_a_passphrase(key_file: Path) -> None:
    expected = public_key_of(load_key(key_file, PASSPHRASE))
    assert load_public_key(key_file) == expected
    assert load_public_key(key_file.with_suffix(".pub")) == expected


def test_the_file_is_encrypted_pkcs8_that_only_its_owner_may_read(key_file: Path) -> None:
    assert key_file.read_text().startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert key_file.stat().st_mode & 0o777 == 0o600


def test_a_key_file_that_others_may_read_is_refused(key_file: Path) -> None:
    key_file.chmod(0o640)
    with pytest.raises(KeyFileError, match=r"officer\.pem: mode 0640 lets others read it: must be 0600"):
        load_key(key_file, PASSPHRASE)


def test_a_wrong_passphrase_is_refused(key_file: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot be decrypted: wrong passphrase or a damaged file"):
        load_key(key_file, b"another passphrase")


def test_an_unencrypted_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plain.pem"
    path.write_bytes(
        Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="is not encrypted"):
        load_key(path, PASSPHRASE)


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p256.pem"
    path.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(PASSPHRASE),
        )
    )
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="must be an Ed25519 key"):
        load_key(path, PASSPHRASE)


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"absent\.pem: cannot be read: No such file"):
        load_key(tmp_path / "absent.pem", PASSPHRASE)


def test_a_key_is_never_overwritten(key_file: Path) -> None:
    before = key_file.read_bytes()
    with pytest.raises(KeyFileError, match="exists already"):
        new_key(key_file, PASSPHRASE)
    assert key_file.read_bytes() == before


def test_a_short_passphrase_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="passphrase of 5 bytes, must be 12 to"):
        save_key(tmp_path / "a.pem", Ed25519PrivateKey.generate(), b"short")
    assert not (tmp_path / "a.pem").exists()


def test_a_scrypt_file_of_openssl_is_read(tmp_path: Path) -> None:
    path = tmp_path / "scrypt.pem"
    path.write_text(SCRYPT)
    path.chmod(0o600)
    assert load_key(path, PASSPHRASE).private_bytes_raw() == bytes(range(32))


def test_a_key_is_kept_by_scrypt_at_the_stated_cost_and_openssl_opens_it(key_file: Path) -> None:
    dump = openssl("asn1parse", "-in", str(key_file))
    opened = openssl("pkey", "-in", str(key_file), "-passin", f"pass:{PASSPHRASE.decode()}", "-pubout")

    assert ":scrypt" in dump
    assert [f":{number:02X}\n" in dump for number in (SCRYPT_COST, SCRYPT_BLOCK, SCRYPT_LANES)] == [True] * 3
    assert opened.startswith("-----BEGIN PUBLIC KEY-----")


def openssl(*arguments: str) -> str:
    return subprocess.run(("openssl", *arguments), capture_output=True, text=True, check=True).stdout


def test_no_two_files_of_one_key_share_a_salt(tmp_path: Path) -> None:
    private_key = Ed25519PrivateKey.generate()
    for name in ("a", "b"):
        save_key(tmp_path / f"{name}.pem", private_key, PASSPHRASE)
    first, second = ((tmp_path / f"{name}.pem").read_text().splitlines() for name in ("a", "b"))
    assert first[1:3] != second[1:3]


def test_a_file_of_an_earlier_release_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.pem"
    private_key = Ed25519PrivateKey.generate()
    path.write_bytes(
        private_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(PASSPHRASE),
        )
    )
    path.chmod(0o600)
    assert public_key_of(load_key(path, PASSPHRASE)) == public_key_of(private_key)


def test_a_public_half_that_is_there_already_leaves_no_private_one(tmp_path: Path) -> None:
    (tmp_path / "a.pub").write_text("another's")
    with pytest.raises(KeyFileError, match=r"a\.pub: exists already"):
        new_key(tmp_path / "a.pem", PASSPHRASE)
    assert not (tmp_path / "a.pem").exists()


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("zz", "must be 64 hex digits"),
        ("00" * 31, "must be 64 hex digits"),
        ("00" * 32, "small order"),
        ("ff" * 32, "not canonical"),
    ],
)
def test_a_public_key_that_may_not_be_enrolled_is_refused(text: str, rule: str) -> None:
    with pytest.raises(KeyFileError, match=rule):
        parse_public_key(text, "officers[0]")


def test_the_passphrase_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "passphrase"
    path.write_bytes(PASSPHRASE + b"\nsecond line\n")
    path.chmod(0o600)
    assert read_passphrase(path, {}) == PASSPHRASE


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_passphrase_file_with_a_byte_order_mark_is_named(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "passphrase"
    path.write_bytes((PASSPHRASE.decode() + "\r\n").encode(encoding))
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="byte order mark"):
        read_passphrase(path, {})


def test_a_passphrase_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "passphrase"
    path.write_bytes(PASSPHRASE)
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match="mode 0644"):
        read_passphrase(path, {})


def test_without_a_file_the_passphrase_is_the_environments() -> None:
    assert read_passphrase(None, {"MOHUR_PASSPHRASE": "correct horse battery"}) == PASSPHRASE
    with pytest.raises(KeyFileError, match="MOHUR_PASSPHRASE"):
        read_passphrase(None, {})
