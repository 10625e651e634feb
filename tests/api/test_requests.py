"""Frames on the node's socket, and the queries and replies that they carry, in msgpack and in JSON."""

import json
from collections.abc import Iterator
from enum import IntEnum
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.limits import REQUEST_BYTES_MAX
from api.objects import FieldFault, from_object, from_params, schema, to_object
from api.reads import READS, Reads
from api.reads.accounts import HoldingReply
from api.requests import (
    BodyKind,
    FrameError,
    FrameReader,
    Request,
    Response,
    decode_request,
    decode_response,
    request_frame,
    response_frame,
)
from ledger.terms import Terms
from ledger.terms.cash import Cash
from ledger.terms.discount import Discount
from primitives.codec import CodecError, pack, unpack

HOLDING_GET, INSTRUMENT_GET = Reads.holding_get, Reads.instrument_get
MESSAGES = sorted(
    {kind for read in READS.values() for kind in (read.query, read.reply)}, key=lambda kind: kind.__name__
)


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Any value of a field's type, up to its bounds."""
    bounds: dict[str, int] = {}
    if get_origin(hint) is Annotated:
        hint, *metas = get_args(hint)
        for meta in metas:
            found = {"ge": meta.ge, "le": meta.le, "min": meta.min_length, "max": meta.max_length}
            bounds |= {name: bound for name, bound in found.items() if bound is not None}
    least = bounds.get("min", 0)
    sizes = {"min_size": least, "max_size": max(least, min(bounds.get("max", 8), 40))}
    if get_origin(hint) in (Union, UnionType):
        return st.one_of(*(st.none() if each is NoneType else values(each) for each in get_args(hint)))
    if get_origin(hint) is tuple:
        return st.lists(
            values(get_args(hint)[0]), min_size=sizes["min_size"], max_size=max(1, sizes["min_size"])
        ).map(tuple)
    if issubclass(hint, msgspec.Struct):
        return structs(hint)
    if issubclass(hint, IntEnum):
        return st.sampled_from(list(hint))
    return {
        int: st.integers(bounds.get("ge", 0), bounds.get("le", 2**64 - 1)),
        bool: st.booleans(),
        str: st.text(**sizes),
        bytes: st.binary(**sizes),
    }[hint]


def structs(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind, include_extras=True)
    return st.builds(kind, **{name: values(hints[name]) for name in kind.__struct_fields__})


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_every_query_and_reply_comes_back_from_msgpack_and_from_json(
    kind: type[msgspec.Struct], data: st.DataObject
) -> None:
    message = data.draw(structs(kind))

    assert unpack(pack(message), kind, REQUEST_BYTES_MAX) == message
    assert from_object(json.loads(json.dumps(to_object(message))), kind) == message


def test_base64_of_hex_digits_alone_is_hex_only_where_people_type_it() -> None:
    """`aab0` is three bytes in base64 and two in hex."""
    question = Reads.tx_submit.question(chain=bytes(32), tx=b"i\xa6\xf4")
    written = to_object(question)

    assert written["tx"] == "aab0"
    assert from_object(written, Reads.tx_submit.query) == question
    assert from_params(written, Reads.tx_submit.query) == Reads.tx_submit.question(bytes(32), b"\xaa\xb0")


def test_amounts_are_decimal_strings_and_bytes_lower_case_hex() -> None:
    reply = HoldingReply(
        height=1, holding=2, account=3, instrument=4, code="PKR", balance=2**64 - 1, locked=0, frozen=False
    )

    assert to_object(reply) == {
        "height": 1,
        "holding": 2,
        "account": 3,
        "instrument": 4,
        "code": "PKR",
        "balance": "18446744073709551615",
        "locked": "0",
        "frozen": False,
    }
    asked = to_object(Reads.signer_get.question(signer=b"\xab" * 32))
    assert asked == {"signer": "ab" * 32, "asked_ms": None, "signature": None}


def test_parameters_with_an_unknown_field_are_refused_and_replies_with_one_are_read() -> None:
    with pytest.raises(FieldFault) as fault:
        from_params({"holding": 1, "holdings": 2}, HOLDING_GET.query)

    assert (fault.value.field, fault.value.value) == ("holdings", "2")
    assert from_object({"holding": 1, "holdings": 2}, HOLDING_GET.query) == HOLDING_GET.question(holding=1)


@pytest.mark.parametrize(
    "balance", [5, "05", "-1", "+5", "5.0", "1e3", " 5", "", "٥", str(2**64), None, True]
)
def test_an_amount_that_is_not_a_canonical_decimal_string_is_refused(balance: object) -> None:
    fields = {"holding": 2, "account": 3, "instrument": 4, "code": "PKR", "locked": "0", "frozen": False}

    with pytest.raises(FieldFault) as fault:
        from_object(fields | {"height": 1, "balance": balance}, HoldingReply)

    assert fault.value.field == "balance"


def test_a_record_is_named_by_index_or_by_its_name() -> None:
    assert from_params({"instrument": 5}, INSTRUMENT_GET.query) == INSTRUMENT_GET.question(instrument=5)
    assert from_params({"instrument": "PKR"}, INSTRUMENT_GET.query) == INSTRUMENT_GET.question(
        instrument="PKR"
    )
    with pytest.raises(FieldFault):
        from_params({"instrument": [5]}, INSTRUMENT_GET.query)


def test_the_schema_says_what_is_required_and_what_a_field_may_be() -> None:
    described = schema(Reads.proposal_list.query)

    assert described["required"] == []
    assert described["properties"]["limit"] == {"type": "integer", "minimum": 1, "maximum": 1000}
    assert "open" in described["properties"]["status"]["anyOf"][0]["enum"]
    assert schema(Reads.tx_submit.query)["required"] == ["chain", "tx"]


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_frames_come_back_whole_however_the_stream_is_cut(size: int) -> None:
    requests = [Request(number, "tx_get", b"x" * number) for number in range(40)]
    responses = [Response(number, BodyKind.REFUSED, b"y" * number) for number in range(40)]
    inbound, outbound = FrameReader(1000), FrameReader(1000)

    heard = [
        body for part in pieces(b"".join(map(request_frame, requests)), size) for body in inbound.feed(part)
    ]
    told = [
        body
        for part in pieces(b"".join(map(response_frame, responses)), size)
        for body in outbound.feed(part)
    ]

    assert [decode_request(body) for body in heard] == requests
    assert [decode_response(body) for body in told] == responses


@pytest.mark.parametrize("length", [0, 1001, 2**32 - 1])
def test_a_frame_outside_the_limit_is_refused_before_it_is_received(length: int) -> None:
    with pytest.raises(FrameError):
        FrameReader(1000).feed(length.to_bytes(4, "big"))


def test_a_request_that_no_node_would_take_is_not_made() -> None:
    with pytest.raises(FrameError):
        request_frame(Request(1, "tx_submit", bytes(REQUEST_BYTES_MAX)))


@pytest.mark.parametrize(
    "body",
    [b"", b"\x93\x01\xa1q\xc4\x00\x00", b"\x92\x01\xa1q", b"\x93\xff\xa1q\xc4\x00", b"\x93\x01\xa0\xc4\x00"],
)
def test_a_request_that_is_not_of_its_schema_is_refused(body: bytes) -> None:
    with pytest.raises(CodecError):
        decode_request(body)


# --- variants of terms


class Issue(msgspec.Struct, array_like=True, frozen=True):
    """Something with terms."""

    terms: Terms


BILL = {"variant": "discount", "face_minor": 500_000, "issue_day": 1, "maturity_day": 85, "yield_e6": 7}


def test_a_variant_is_an_object_that_names_itself() -> None:
    issue = Issue(Discount(500_000, 1, 85, 7))
    assert to_object(issue) == {"terms": BILL}
    assert from_params({"terms": BILL}, Issue) == from_object({"terms": BILL}, Issue) == issue
    assert from_params({"terms": {"variant": "cash"}}, Issue) == Issue(Cash())


@pytest.mark.parametrize(
    ("terms", "field", "rule"),
    [
        ({**BILL, "variant": "perpetual"}, "terms.variant", "must be one of cash, discount"),
        ({name: BILL[name] for name in BILL if name != "variant"}, "terms.variant", "must be one of"),
        ({**BILL, "variant": ["discount"]}, "terms.variant", "must be one of"),
        ({**BILL, "coupon": 1}, "terms.coupon", "unknown field"),
        ({**BILL, "face_minor": 0}, "terms.face_minor", "must be 1 to"),
        ({"variant": "cash", "face_minor": 1}, "terms.face_minor", "unknown field"),
        ([2, 500_000, 1, 85, 7], "terms", "must be an object"),
    ],
)
def test_a_variant_that_is_none_is_refused_by_its_field(terms: Any, field: str, rule: str) -> None:
    with pytest.raises(FieldFault) as found:
        from_params({"terms": terms}, Issue)
    assert found.value.field == field
    assert rule in found.value.rule


def test_the_schema_of_variants_says_which_is_which() -> None:
    described = schema(Issue)["properties"]["terms"]["anyOf"]
    assert [each["properties"]["variant"] for each in described] == [{"const": "cash"}, {"const": "discount"}]
    assert all(each["required"][0] == "variant" for each in described)
