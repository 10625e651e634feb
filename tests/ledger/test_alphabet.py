"""Texts on the ledger: what the frozen alphabet admits, compared with Unicode, and where it is asked."""

import unicodedata
from typing import Any

import pytest
from msgspec import inspect
from msgspec.structs import replace

from ledger import alphabet
from ledger.alphabet import RANGES, Script, fault
from ledger.codes import Code, Refused
from ledger.genesis import create_state
from ledger.kinds import BY_NAME
from ledger.transactions import decode_transaction, encode_body
from ledger.words import words_of
from primitives.codec import encode
from testing.ledger_network import make_genesis

LETTERS = [chr(point) for first, last, _ in RANGES for point in range(first, last + 1)]
FORBIDDEN = {
    "an escape sequence": "Bank\x1b[31m",
    "NUL": "Bank\0",
    "a new line": "Bank\nPKR",
    "a tab": "Bank\tPKR",
    "a control of C1": "Bank\x9b",
    "right-to-left override": "Bank\u202eRKP",
    "an isolate": "Bank\u2066PKR",
    "a zero-width space": "Ba\u200bnk",
    "a zero-width joiner": "Ba\u200dnk",
    "a byte order mark": "\ufeffBank",
    "a soft hyphen": "Ba\u00adnk",
    "a no-break space": "Bank\u00a0PKR",
    "a letter and its accent apart": "Cafe\u0301",
    "a Cyrillic look-alike": "B\u0430nk",
    "a Greek look-alike": "\u0392ank",
    "a full-width letter": "\uff22ank",
    "an Arabic double of an Urdu letter": "\u0643\u062a\u0627\u0628",
    "two scripts": "Bank \u0628\u06cc\u0646\u06a9",
    "an emoji": "Bank \U0001f600",
    "a private character": "Bank\ue000",
    "an unassigned one": "Bank\u0378",
    "a space before": " Bank",
    "a space after": "Bank ",
    "two spaces": "State  Bank",
}  # fmt: skip


@pytest.mark.parametrize("text", FORBIDDEN.values(), ids=FORBIDDEN)
def test_what_deceives_a_reader_is_refused(text: str) -> None:
    assert fault(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        "State Bank of Pakistan",
        "HTX Pakistan (Private) Ltd. No. 7/2026 & Co",
        "Société Générale, Zürich",
        "بینک دولت پاکستان",
        "پاکستان ورچوئل ایسٹس ریگولیٹری اتھارٹی ۲۰۲۶",
        "اسٹیٹ بینک (7)",
        "7",
        "",
    ],
)  # fmt: skip
def test_names_as_they_are_written_here_are_admitted(text: str) -> None:
    assert fault(text) is None


def test_ranges_ascend_and_do_not_touch_what_they_leave_out() -> None:
    points = [point for first, last, _ in RANGES for point in (first, last)]
    assert points == sorted(points)
    assert len(set(LETTERS)) == len(LETTERS) < 500


def test_every_character_is_printable_and_of_the_script_it_is_said_to_be() -> None:
    for first, last, script in RANGES:
        for point in range(first, last + 1):
            character, name = chr(point), unicodedata.name(chr(point))
            assert unicodedata.category(character)[0] in "LNPSZ", name
            assert (unicodedata.category(character) == "Zs") == (character == " "), name
            assert unicodedata.combining(character) == 0, name
            assert unicodedata.bidirectional(character) in {
                Script.COMMON: ("WS", "ON", "ET", "ES", "CS", "EN"),
                Script.LATIN: ("L",),
                Script.URDU: ("AL", "EN", "CS"),
            }[script], name  # fmt: skip
            assert name.startswith("LATIN ") == (script is Script.LATIN), name
            assert ("ARABIC" in name) == (script is Script.URDU), name


def test_every_text_of_the_alphabet_is_in_normal_form() -> None:
    """No character decomposes to another, none combines: whatever stands beside whatever stays as it is."""
    for character in LETTERS:
        assert unicodedata.normalize("NFC", character) == character
        assert unicodedata.normalize("NFKC", character) == character
    for first in LETTERS:
        pairs = "".join(first + second for second in LETTERS)
        assert unicodedata.normalize("NFC", pairs) == pairs


def _spoiled(type_: inspect.Type) -> Any:
    """A value of this type that encodes, whose texts are all forbidden."""
    match type_:
        case inspect.StrType():
            return "x\u202e"
        case inspect.IntType(ge=ge):
            return ge or 0
        case inspect.BytesType(min_length=length):
            return bytes(length or 0)
        case inspect.EnumType(cls=cls):
            return next(iter(cls)).value
        case inspect.BoolType():
            return False
        case inspect.VarTupleType(item_type=item):
            return [_spoiled(item)]
        case inspect.TupleType(item_types=items):
            return [_spoiled(item) for item in items]
        case inspect.StructType(fields=fields, tag=tag):
            values = [_spoiled(field.type) for field in fields]
            return values if tag is None else [tag, *values]
        case inspect.UnionType(types=types):
            return _spoiled(next((one for one in types if alphabet.has_texts(one)), types[0]))
    raise AssertionError(type_)


WITH_TEXTS = [
    kind for kind in BY_NAME.values() if alphabet.has_texts(inspect.type_info(kind.payload))
]  # fmt: skip


def test_kinds_with_texts_are_found() -> None:
    assert {"vasp_register", "vasp_subsidiary", "licence_apply", "parameter_set"} <= {
        kind.name for kind in WITH_TEXTS
    }
    assert "transfer_batch" not in {kind.name for kind in WITH_TEXTS}


@pytest.mark.parametrize("kind", WITH_TEXTS, ids=lambda kind: kind.name)
def test_no_kind_takes_a_text_outside_the_alphabet(kind: Any) -> None:
    """Whatever a payload's texts are called, and however deep they stand."""
    info = inspect.type_info(kind.payload)
    assert isinstance(info, inspect.StructType)
    values = [_spoiled(field.type) for field in info.fields]
    payload = kind.payload(*values)
    body = encode_body(kind, (0,), 1, 1, payload)
    with pytest.raises(Refused) as refused:
        decode_transaction(encode([body, bytes(64)]))
    assert refused.value.code is Code.MALFORMED
    assert "U+202E" in words_of(refused.value).rule


def test_titles_of_a_genesis_are_of_the_alphabet() -> None:
    genesis = make_genesis()
    first, *others = genesis.institutions
    bad = replace(genesis, institutions=(replace(first, title="Ministry\u202e"), *others))
    with pytest.raises(ValueError, match=r"institutions\.mof\.title: U\+202E"):
        create_state(bad)
