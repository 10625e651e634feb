"""Tags keep hashes of different kinds apart; what is hashed is pinned."""

import hashlib

import pytest

from primitives import hashing
from primitives.hashing import HASH_BYTES, ZERO_HASH, tagged_hash

TAGS = {name: value for name, value in vars(hashing).items() if name.isupper() and isinstance(value, bytes)}
del TAGS["ZERO_HASH"]


def test_no_tag_is_a_prefix_of_another() -> None:
    for name, tag in TAGS.items():
        for other_name, other in TAGS.items():
            assert name == other_name or not other.startswith(tag), f"{name} is a prefix of {other_name}"


@pytest.mark.parametrize("tag", TAGS.values(), ids=TAGS.keys())
def test_a_tag_names_the_project_and_the_protocol_version_and_ends_in_nul(tag: bytes) -> None:
    assert tag.startswith(b"mohur/1/")
    assert tag.endswith(b"\0")
    assert tag.count(b"\0") == 1


def test_a_tagged_hash_is_sha_256_of_the_tag_and_the_parts() -> None:
    assert tagged_hash(hashing.TX, b"ab", b"c") == hashlib.sha256(b"mohur/1/tx\0abc").digest()
    assert len(ZERO_HASH) == HASH_BYTES == 32


def test_the_hash_of_every_tag_is_pinned() -> None:
    """A tag is protocol: renaming one makes another chain."""
    assert {name: tagged_hash(tag, b"body").hex()[:16] for name, tag in TAGS.items()} == {
        "TX": "d70c81efbf81f3a3",
        "TX_FULL": "f0f12a64b346af09",
        "PREVOTE": "fe000210487079c3",
        "PRECOMMIT": "237c4bb95a60aaf9",
        "PROPOSAL": "8d501ec471624713",
        "HEADER": "39404e7f3a26c77a",
        "LEAF": "0114bdba07372a3f",
        "NODE": "dcce175327b2ff69",
        "TABLE": "7a2acac9b786a9cc",
        "STATE": "1cd12f0d2adb5b68",
        "TX_LIST": "4cd1cab117d0329d",
        "EVIDENCE_LIST": "f11d66b5f6aad70e",
        "RESULT_LIST": "d4372f42c34cfb4e",
        "POSTING_LIST": "3ead4c863c77e4ba",
        "EVENT_LIST": "dcd5ec358d991f23",
        "RESULTS": "cc4cef5928173f1b",
        "HELLO": "d41e899582cf0daf",
        "GENESIS": "108ac529d20f1879",
        "VALIDATORS": "3d250b34fbb84f9e",
        "PARAMS": "81151a8597d762f7",
        "CHECKSUM": "560ac4e28f317c4c",
        "WINDOW": "9178cf022eeab644",
        "ENROL": "937f2cfb0f103921",
        "ACT": "a850e68d08abf90b",
    }
