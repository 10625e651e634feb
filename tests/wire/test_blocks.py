"""Blocks: the id is the header's hash alone, the roots bind the body, and decoding is strict."""

import hashlib
import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from primitives.codec import CodecError, convert, decode, encode
from primitives.hashing import EVIDENCE_LIST, TX_LIST
from primitives.merkle import list_root
from wire.blocks import (
    Block,
    BlockBounds,
    Header,
    decode_block,
    decode_header,
    decode_within,
    header_within,
    roots_fault,
)
from wire.limits import BLOCK_BYTES_CAP

TRANSACTIONS = (b"first", b"second")
EVIDENCE = (b"double vote",)


def header(**changes: object) -> Header:
    base = Header(
        version=1,
        genesis_hash=bytes([7]) * 32,
        height=7,
        time_ms=1_700_000_000_123,
        parent=bytes([1]) * 32,
        proposer=2,
        txs_root=list_root(TX_LIST, TRANSACTIONS),
        evidence_root=list_root(EVIDENCE_LIST, EVIDENCE),
        executed_height=6,
        state_root=bytes([2]) * 32,
        results_root=bytes([3]) * 32,
        validators_hash=bytes([4]) * 32,
        next_validators_hash=bytes([5]) * 32,
        params_hash=bytes([6]) * 32,
    )
    return msgspec.structs.replace(base, **changes)


def test_a_block_survives_the_round_trip() -> None:
    block = Block(header(), TRANSACTIONS, EVIDENCE)
    assert decode_block(block.encoded()) == block
    assert decode_header(header().encoded()) == header()


@given(st.lists(st.binary(max_size=60), max_size=20), st.lists(st.binary(max_size=60), max_size=5))
def test_any_body_survives_the_round_trip_under_its_roots(
    transactions: list[bytes], evidence: list[bytes]
) -> None:
    head = header(txs_root=list_root(TX_LIST, transactions), evidence_root=list_root(EVIDENCE_LIST, evidence))
    block = decode_block(Block(head, tuple(transactions), tuple(evidence)).encoded())
    assert roots_fault(block) is None
    assert block.transactions == tuple(transactions)


@pytest.mark.parametrize("field", Header.__struct_fields__)
def test_every_field_of_the_header_is_in_the_blocks_id(field: str) -> None:
    value = getattr(header(), field)
    match value:
        case int():
            other: object = value + 1
        case bytes():
            other = value[:-1] + b"\xff"
        case _:
            other = value + "x"
    assert header(**{field: other}).hash() != header().hash()


def test_the_blocks_id_is_pinned() -> None:
    assert header().hash().hex() == "0de768c632f5c3898186061d541b82d4bf7997a08bc26cc2250ec8958e5253c0"
    encoded = encode(msgspec.structs.astuple(header()))
    assert header().hash() == hashlib.sha256(b"mohur/1/header\0" + encoded).digest()


@pytest.mark.parametrize(
    ("transactions", "evidence", "fault"),
    [
        ((b"first",), EVIDENCE, "txs_root does not commit to the transactions"),
        ((b"second", b"first"), EVIDENCE, "txs_root does not commit to the transactions"),
        ((*TRANSACTIONS, b""), EVIDENCE, "txs_root does not commit to the transactions"),
        (TRANSACTIONS, (), "evidence_root does not commit to the evidence"),
        (TRANSACTIONS, EVIDENCE, None),
    ],
)
def test_a_body_that_contradicts_its_header_is_named(
    transactions: tuple[bytes, ...], evidence: tuple[bytes, ...], fault: str | None
) -> None:
    assert roots_fault(Block(header(), transactions, evidence)) == fault


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("height", -1, "header.height: Expected `int` >= 0"),
        ("height", 2**63, "header.height: Expected `int` <= 9223372036854775807"),
        ("version", 2, "header.version: 2, this software knows 1 to 1"),
        ("genesis_hash", bytes(33), "header.genesis_hash: Expected `bytes` of length <= 32"),
        ("parent", bytes(31), "header.parent: Expected `bytes` of length >= 32"),
        ("state_root", bytes(33), "header.state_root: Expected `bytes` of length <= 32"),
        ("state_root", "A" * 44, "header.state_root: Expected `bytes`, got `str`"),
        ("time_ms", None, "header.time_ms: Expected `int`, got `null`"),
    ],
)
def test_a_header_outside_its_schema_is_refused_by_field(field: str, value: object, rule: str) -> None:
    with pytest.raises(CodecError) as refusal:
        decode_block(Block(header(**{field: value}), (), ()).encoded())
    assert str(refusal.value) == rule


def test_a_header_with_a_field_more_or_less_is_refused() -> None:
    fields = msgspec.structs.astuple(header())
    for wrong in (fields[:-1], (*fields, 0)):
        with pytest.raises(CodecError, match="header"):
            decode_block(encode((wrong, (), ())))


def test_a_block_above_the_limit_is_refused_before_it_is_read() -> None:
    data = Block(header(), (bytes(2000),), ()).encoded()
    with pytest.raises(CodecError, match=f"the limit is {len(data) - 1}"):
        decode_within(data, BlockBounds(len(data) - 1, 1, 0))
    assert decode_within(data, BlockBounds(len(data), 1, 0)) == decode_block(data)
    with pytest.raises(CodecError, match=f"the limit is {BLOCK_BYTES_CAP}"):
        decode_block(bytes(BLOCK_BYTES_CAP + 1))


def test_trailing_bytes_after_a_block_are_refused() -> None:
    with pytest.raises(CodecError):
        decode_block(Block(header(), (), ()).encoded() + b"\xc0")


def _by_the_codec(data: bytes) -> Block:
    """What the strict codec and the schema make of the same bytes."""
    head, *lists = convert(
        decode(data, BLOCK_BYTES_CAP), tuple[tuple[object, ...], tuple[bytes, ...], tuple[bytes, ...]]
    )
    return Block(decode_header(encode(head)), lists[0], lists[1])


@given(
    st.lists(st.sampled_from([b"", bytes(3), bytes(255), bytes(256), bytes(65_536)]), max_size=18),
    st.integers(0, 400),
    st.binary(max_size=3),
    st.integers(0, 3),
)
def test_a_body_walked_by_its_heads_is_what_the_codec_says(
    items: list[bytes], place: int, patch: bytes, cut: int
) -> None:
    """Whole, changed anywhere, and cut: the same block, or no block for both."""
    data = bytearray(Block(header(), tuple(items), (b"proof",)).encoded())
    start = len(data) - 1 - place % min(len(data), 300) if place % 2 else 300 + place
    data[start : start + len(patch)] = patch
    raw = bytes(data[: len(data) - cut])
    try:
        expected: Block | None = _by_the_codec(raw)
    except CodecError:
        expected = None
    try:
        walked: Block | None = decode_block(raw)
    except CodecError:
        walked = None
    assert walked == expected


@pytest.mark.parametrize("count", [0, 15, 16, 65_535, 65_536])
def test_lists_of_every_head_are_walked(count: int) -> None:
    data = Block(header(), (b"",) * count, ()).encoded()
    assert decode_block(data) == _by_the_codec(data)


@pytest.mark.parametrize(
    "body",
    [
        b"\xdc\x00\x01\xc4\x00" + b"\x90",  # a longer head of the list than needed
        b"\xdd\x00\x00\x00\x01\xc4\x00" + b"\x90",
        b"\x91\xc5\x00\x01\x00" + b"\x90",  # of the item
        b"\x91\xc6\x00\x00\x00\x01\x00" + b"\x90",
        b"\x91\xa1a" + b"\x90",  # text
        b"\x91\x01" + b"\x90",
        b"\x91\xc4" + b"\x90",
        b"\x92\xc4\x00" + b"\x90",
        b"\xc0" + b"\x90",
        b"\x90",
        b"\x90\x90\x90",
    ],
)
def test_a_body_that_is_not_the_one_encoding_is_refused(body: bytes) -> None:
    data = b"\x93" + header().encoded() + body
    with pytest.raises(CodecError):
        decode_block(data)
    with pytest.raises(CodecError):
        _by_the_codec(data)


def test_lists_without_end_are_refused_by_their_heads() -> None:
    """Millions of empty transactions in a block that has the size: not one of them is built."""
    many = (
        b"\x93"
        + header().encoded()
        + b"\xdd"
        + (2_000_000).to_bytes(4, "big")
        + b"\xc4\x00" * 2_000_000
        + b"\x90"
    )
    bounds = BlockBounds(len(many), 2_500, 4)
    tracemalloc.start()
    try:
        for read in (header_within, decode_within):
            with pytest.raises(CodecError, match="2000000, at most 2500"):
                read(many, bounds)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()
    with pytest.raises(CodecError, match="the limit is"):
        header_within(many, BlockBounds(len(many) - 1, 2_500, 4))
    proofs = Block(header(), (), (b"",) * 5).encoded()
    assert header_within(proofs, bounds) == header()
    with pytest.raises(CodecError, match="5, at most 4"):
        decode_within(proofs, bounds)
