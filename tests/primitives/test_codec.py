"""The strict encoding: one encoding per value, everything else refused, and errors that name the field."""

import hashlib
import math
import struct
from enum import IntEnum
from typing import Annotated, Any

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from primitives.codec import CodecError, builtins, convert, decode, encode, pack, unpack
from primitives.limits import CODEC_DEPTH_MAX

ROOMY = 1 << 20

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.binary(max_size=300)
    | st.text(max_size=300)
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=20).map(tuple), max_leaves=40)


def nested(depth: int) -> Any:
    value: Any = None
    for _ in range(depth):
        value = (value,)
    return value


@given(values)
def test_every_value_survives_the_round_trip(value: Any) -> None:
    assert decode(encode(value), ROOMY) == value


@given(values)
def test_the_encoding_is_msgpack_that_any_library_reads(value: Any) -> None:
    assert msgpack.unpackb(encode(value), raw=False, use_list=False) == value


@given(st.binary(max_size=64))
def test_whatever_decodes_encodes_back_to_the_same_bytes(data: bytes) -> None:
    try:
        value = decode(data, ROOMY)
    except CodecError:
        return
    assert encode(value) == data


@given(values, st.data())
def test_no_proper_prefix_of_an_encoding_decodes(value: Any, data: st.DataObject) -> None:
    encoded = encode(value)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(CodecError):
        decode(encoded[:cut], ROOMY)


def longer_integers(value: int) -> list[bytes]:
    """Every msgpack integer format that can hold `value`, shortest or not."""
    formats: list[bytes] = []
    if 0 <= value < 128:
        formats.append(bytes([value]))
    if -32 <= value < 0:
        formats.append(struct.pack("b", value))
    for code, letter, low, high in (
        (0xCC, "B", 0, 2**8),
        (0xCD, ">H", 0, 2**16),
        (0xCE, ">I", 0, 2**32),
        (0xCF, ">Q", 0, 2**64),
        (0xD0, "b", -(2**7), 2**7),
        (0xD1, ">h", -(2**15), 2**15),
        (0xD2, ">i", -(2**31), 2**31),
        (0xD3, ">q", -(2**63), 2**63),
    ):
        if low <= value < high:
            formats.append(bytes([code]) + struct.pack(letter, value))
    return formats


@pytest.mark.parametrize(
    "value",
    [
        *(0, 1, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63, 2**64 - 1),
        *(-1, -32, -33, -128, -129, -32768, -32769, -(2**31), -(2**31) - 1, -(2**63)),
    ],
)
def test_an_integer_has_one_format(value: int) -> None:
    shortest, *others = sorted(longer_integers(value), key=len)
    assert decode(shortest, ROOMY) == value
    for data in others:
        with pytest.raises(CodecError, match="canonical"):
            decode(data, ROOMY)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\xd9\x01a", id="str 8 for a fixstr"),
        pytest.param(b"\xda\x00\x01a", id="str 16 for a fixstr"),
        pytest.param(b"\xdb\x00\x00\x00\x01a", id="str 32 for a fixstr"),
        pytest.param(b"\xda\x00\x20" + b"a" * 32, id="str 16 for a str 8"),
        pytest.param(b"\xc5\x00\x01a", id="bin 16 for a bin 8"),
        pytest.param(b"\xc6\x00\x00\x00\x01a", id="bin 32 for a bin 8"),
        pytest.param(b"\xdc\x00\x01\xc0", id="array 16 for a fixarray"),
        pytest.param(b"\xdd\x00\x00\x00\x01\xc0", id="array 32 for a fixarray"),
        pytest.param(b"\x91\xcc\x01", id="long integer inside an array"),
    ],
)
def test_a_longer_format_of_the_same_value_is_refused(data: bytes) -> None:
    assert msgpack.unpackb(data, raw=False) is not None
    with pytest.raises(CodecError, match="canonical"):
        decode(data, ROOMY)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(msgpack.packb(1.5), id="float 64"),
        pytest.param(b"\xca\x3f\x80\x00\x00", id="float 32"),
        pytest.param(msgpack.packb(math.nan), id="not a number"),
        pytest.param(b"\x80", id="empty map"),
        pytest.param(b"\x81\xa1a\x01", id="map"),
        pytest.param(b"\x81\x01\x01", id="map with an integer key"),
        pytest.param(b"\x91\x81\xa1a\x01", id="map inside an array"),
        pytest.param(b"\xd4\x01\x00", id="extension"),
        pytest.param(b"\xd6\xff\x00\x00\x00\x00", id="timestamp"),
        pytest.param(b"\xc1", id="the code that is never used"),
        pytest.param(b"\xa1\xff", id="text that is not UTF-8"),
        pytest.param(b"\xa3\xed\xa0\x80", id="a lone surrogate"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x01\x01", id="a trailing byte"),
        pytest.param(b"\xc0\xc0", id="a trailing value"),
        pytest.param(b"\xdd\xff\xff\xff\xff", id="an array that claims four billion items"),
        pytest.param(b"\xc6\xff\xff\xff\xff", id="bytes that claim four gigabytes"),
        pytest.param(b"\x91" * 100_000 + b"\xc0", id="very deep nesting"),
    ],
)
def test_bytes_without_a_value_here_are_refused(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode(data, ROOMY)


def test_nesting_is_allowed_to_the_limit_and_not_beyond() -> None:
    assert decode(encode(nested(CODEC_DEPTH_MAX)), ROOMY) == nested(CODEC_DEPTH_MAX)
    with pytest.raises(CodecError, match=f"deeper than {CODEC_DEPTH_MAX}"):
        encode(nested(CODEC_DEPTH_MAX + 1))
    with pytest.raises(CodecError, match=f"deeper than {CODEC_DEPTH_MAX}"):
        decode(b"\x91" * (CODEC_DEPTH_MAX + 1) + b"\xc0", ROOMY)


def test_a_value_of_the_maximum_size_decodes_and_one_byte_more_does_not() -> None:
    data = encode(bytes(100))
    assert decode(data, len(data)) == bytes(100)
    with pytest.raises(CodecError, match=f"{len(data)} bytes, the limit is {len(data) - 1}"):
        decode(data, len(data) - 1)


class Colour(IntEnum):
    RED = 1


@pytest.mark.parametrize(
    "value",
    [
        *(1.0, math.inf, {}, {"a": 1}, {1}, bytearray(b"a"), memoryview(b"a")),
        *(2**64, -(2**63) - 1, "\ud800", Colour.RED, object, (1, [2.0])),
    ],
    ids=ascii,
)
def test_a_value_without_an_encoding_is_refused(value: Any) -> None:
    with pytest.raises(CodecError):
        encode(value)


def test_lists_and_tuples_encode_alike() -> None:
    assert encode([1, [b"a", "b"]]) == encode((1, (b"a", "b")))


# --- schemas --------------------------------------------------------------------------------------------


class Row(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    amount: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
    memo: Annotated[bytes, msgspec.Meta(max_length=4)]


class Order(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    name: str
    rows: tuple[Row, ...]
    pair: tuple[int, Row]
    colour: Colour | None


ORDER = Order("a", (Row(1, b"x"), Row(2, b"")), (7, Row(3, b"y")), Colour.RED)


def test_a_struct_survives_the_round_trip() -> None:
    assert unpack(pack(ORDER), Order, ROOMY) == ORDER
    assert pack(ORDER) == encode(("a", ((1, b"x"), (2, b"")), (7, (3, b"y")), 1))


def test_builtins_are_what_decode_returns() -> None:
    assert encode(builtins(ORDER)) == encode(decode(pack(ORDER), ROOMY))


@pytest.mark.parametrize(
    ("value", "place", "rule"),
    [
        ((1, (), (7, (1, b"")), 1), "name", "Expected `str`, got `int`"),
        (("a", ((0, b""),), (7, (1, b"")), 1), "rows.0.amount", ">= 1"),
        (("a", ((1, b""), (2**63, b"")), (7, (1, b"")), 1), "rows.1.amount", "<= 9223372036854775807"),
        (("a", ((1, b"12345"),), (7, (1, b"")), 1), "rows.0.memo", "length <= 4"),
        (("a", (), (7, (0, b"")), 1), "pair.1.amount", ">= 1"),
        (("a", (), (7, (1, b"")), 2), "colour", "Invalid enum value"),
        (("a", ((1, b"", 0),), (7, (1, b"")), 1), "rows.0", "at most length 2"),
    ],
)
def test_a_refusal_names_the_field_and_the_rule(value: Any, place: str, rule: str) -> None:
    with pytest.raises(CodecError) as refusal:
        convert(value, Order)
    assert str(refusal.value).startswith(f"{place}: ")
    assert rule in str(refusal.value)


@pytest.mark.parametrize("value", [(), ("a",), ("a", (), (7, (1, b""))), 5, b"", None])
def test_another_number_of_fields_is_refused(value: Any) -> None:
    with pytest.raises(CodecError):
        convert(value, Order)


@pytest.mark.parametrize("value", ["YWI=", "", 1, None, (1, 2), True])
def test_only_bytes_are_taken_for_bytes(value: Any) -> None:
    """msgspec would take text as base64: a second encoding of the same field."""
    with pytest.raises(CodecError):
        convert(value, bytes)


@pytest.mark.parametrize("value", [True, "1", b"1", None])
def test_only_an_integer_is_taken_for_an_integer(value: Any) -> None:
    with pytest.raises(CodecError):
        convert(value, int)


def test_the_encoding_is_pinned() -> None:
    """An accidental change of encoding changes this hash of 20,000 encodings."""
    pinned = hashlib.sha256()
    for number in range(20_000):
        seed = hashlib.sha256(number.to_bytes(4, "big")).digest()
        word = int.from_bytes(seed[:8], "big") >> (number % 64)
        text = seed.hex()[: number % 65]
        pinned.update(encode((word, -(word >> 1), seed[: number % 33], text, number % 2 == 0, None)))
        pinned.update(encode(tuple(seed[: number % 20])))
    assert pinned.hexdigest() == "a510eaca72add7a7226aa4fd3f3b4e9b1c2772287cafcb7d3d8b25a020a6dc3e"
