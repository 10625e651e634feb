"""Transactions as bytes: sizes, strictness, and encodings pinned by hash."""

import random
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from msgspec import inspect

from ledger.codes import Code, Refused
from ledger.kind import Kind
from ledger.kinds import BY_NAME
from ledger.kinds.transfer import Transfer
from ledger.kinds.transfer_batch import TransferBatch
from ledger.limits import TRANSACTION_BYTES_MAX
from ledger.transactions import (
    assemble,
    decode_transaction,
    encode_body,
    id_and_kind,
    sign_input,
    transaction_id,
)
from ledger.words import words_of
from primitives.codec import encode
from primitives.hashing import TX, TX_FULL, tagged_hash

FIXTURES = Path(__file__).parent / "fixtures" / "transactions.txt"
SAMPLE_LENGTH_MAX = 64  # of a list, bytes or text; batches of packed rows longer than that add nothing


def transfer_bytes(signer: int, sequence: int, source: int, target: int, amount: int) -> bytes:
    body = encode_body(
        BY_NAME["transfer"], [signer], sequence, 1_800_000_000, Transfer(source, target, amount)
    )
    return assemble(body, [bytes(64)])


def refusal_of(raw: bytes) -> Refused:
    with pytest.raises(Refused) as refusal:
        decode_transaction(raw)
    return refusal.value


def test_a_transfer_takes_at_most_100_bytes_while_its_numbers_are_small() -> None:
    small = 2**32 - 2
    assert len(transfer_bytes(small, 2**16 - 1, small, small, 2**32 - 1)) <= 100


def test_a_transfer_never_takes_more_than_112_bytes() -> None:
    top = 2**32 - 2
    assert len(transfer_bytes(top, 2**32 - 1, top, top, 2**63 - 1)) <= 112


def test_a_row_of_a_batch_takes_16_bytes() -> None:
    def size(rows: int) -> int:
        body = encode_body(BY_NAME["transfer_batch"], [1], 1, 1_800_000_000, TransferBatch(bytes(16 * rows)))
        return len(assemble(body, [bytes(64)]))

    assert size(8_192) - size(8_191) == 16
    assert size(8_192) < TRANSACTION_BYTES_MAX


def test_decoding_gives_back_what_was_encoded() -> None:
    raw = transfer_bytes(7, 3, 1, 2, 500)
    tx = decode_transaction(raw)
    assert (tx.kind, tx.signers, tx.sequence, tx.valid_until) == (1, (7,), 3, 1_800_000_000)
    assert tx.payload == Transfer(1, 2, 500)
    assert tx.raw == raw
    assert tx.id == transaction_id(tx.body) == tagged_hash(TX, tx.body)
    assert tx.full_hash == tagged_hash(TX_FULL, raw)
    assert tx.definition is BY_NAME["transfer"]
    assert sign_input(b"g" * 32, tx.body) == TX + b"g" * 32 + tx.body


def body(*values: object) -> bytes:
    return encode(list(values))


SIXTY_FOUR = bytes(64)
MALFORMED: list[tuple[str, bytes, str]] = [
    ("not msgpack", b"\xc1", "transaction"),
    ("trailing byte", transfer_bytes(1, 1, 1, 2, 3) + b"\0", "transaction"),
    ("cut short", transfer_bytes(1, 1, 1, 2, 3)[:-1], "transaction"),
    ("not a pair", encode([b"", b"", b""]), "transaction"),
    ("body not bytes", encode(["", b""]), "transaction"),
    ("body not an array", encode([encode(5), b""]), "transaction"),
    ("no envelope", encode([encode([1]), b""]), "transaction"),
    ("one signer in a list", encode([body(1, 1, [1], 1, 9, 1, 2, 3), SIXTY_FOUR]), "transaction"),
    ("no signer", encode([body(1, 1, [], 1, 9, 1, 2, 3), b""]), "transaction"),
    ("17 signers", encode([body(1, list(range(17)), 1, 9, 1, 2, 3), SIXTY_FOUR * 17]), "transaction"),
    ("signers descend", encode([body(1, 1, [2, 1], 1, 9, 1, 2, 3), SIXTY_FOUR * 2]), "signers[1]"),
    ("signer twice", encode([body(1, 1, [1, 1], 1, 9, 1, 2, 3), SIXTY_FOUR * 2]), "signers[1]"),
    ("sequence 0", encode([body(1, 1, 1, 0, 9, 1, 2, 3), SIXTY_FOUR]), "transaction"),
    ("sequence of 33 bits", encode([body(1, 1, 1, 2**32, 9, 1, 2, 3), SIXTY_FOUR]), "transaction"),
    ("signature short", encode([body(1, 1, 1, 1, 9, 1, 2, 3), SIXTY_FOUR[1:]]), "signatures"),
    ("one signature too many", encode([body(1, 1, 1, 1, 9, 1, 2, 3), SIXTY_FOUR * 2]), "signatures"),
    ("a field missing", encode([body(1, 1, 1, 1, 9, 1, 2), SIXTY_FOUR]), "payload"),
    ("a field too many", encode([body(1, 1, 1, 1, 9, 1, 2, 3, 4), SIXTY_FOUR]), "payload"),
    ("amount 0", encode([body(1, 1, 1, 1, 9, 1, 2, 0), SIXTY_FOUR]), "amount"),
    ("amount of 64 bits", encode([body(1, 1, 1, 1, 9, 1, 2, 2**63), SIXTY_FOUR]), "amount"),
    ("amount is text", encode([body(1, 1, 1, 1, 9, 1, 2, "3"), SIXTY_FOUR]), "amount"),
    (
        "holding is the end of a list",
        encode([body(1, 1, 1, 1, 9, 2**32 - 1, 2, 3), SIXTY_FOUR]),
        "from_holding",
    ),
]


@pytest.mark.parametrize(
    ("raw", "field"), [case[1:] for case in MALFORMED], ids=[case[0] for case in MALFORMED]
)
def test_malformed_bytes_are_refused_and_the_field_is_named(raw: bytes, field: str) -> None:
    refusal = refusal_of(raw)
    assert (refusal.code, words_of(refusal).field) == (Code.MALFORMED, field)


def test_id_and_kind_are_those_of_the_whole_decoding() -> None:
    decoded = decode_transaction(transfer_bytes(1, 2, 3, 4, 5))
    assert id_and_kind(decoded.raw) == (decoded.id, "transfer")


def test_a_longer_encoding_of_the_same_number_is_refused() -> None:
    canonical = body(1, 1, 1, 1, 9, 1, 2, 3)
    longer = canonical[:-1] + b"\xcc\x03"
    assert refusal_of(encode([longer, SIXTY_FOUR])).code is Code.MALFORMED


def test_an_unknown_kind_is_refused() -> None:
    assert refusal_of(encode([body(1, 31, 1, 1, 9), SIXTY_FOUR])).code is Code.UNKNOWN_KIND


@pytest.mark.parametrize("version", [0, 2, 2**16 - 1])
def test_an_unknown_version_is_refused(version: int) -> None:
    refusal = refusal_of(encode([body(version, 1, 1, 1, 9, 1, 2, 3), SIXTY_FOUR]))
    assert (refusal.code, words_of(refusal).field) == (Code.UNKNOWN_VERSION, "version")


def test_a_transaction_above_256_kib_is_refused_unread() -> None:
    assert refusal_of(bytes(TRANSACTION_BYTES_MAX + 1)).code is Code.LIMIT_EXCEEDED


def _sample(shape: Any, draw: random.Random) -> Any:
    """A value that a field of this type may take: numbers of every length, short lists and texts."""
    match shape:
        case inspect.IntType(ge=int(low), le=int(high)):
            return low + draw.randrange(2 ** draw.randrange(1, 65)) % (high - low + 1)
        case inspect.BytesType(min_length=low, max_length=high):
            return draw.randbytes(_length(low, high, draw))
        case inspect.StrType(min_length=low, max_length=high):
            letters = draw.choice(("azAZ09-\u00e9", "09-\u0627\u06cc"))  # one script
            return "".join(draw.choice(letters) for _ in range(_length(low, high, draw)))
        case inspect.VarTupleType(item_type=item, min_length=low, max_length=high):
            return tuple(_sample(item, draw) for _ in range(_length(low, high, draw)))
        case inspect.EnumType(cls=members):
            return draw.choice(list(members))
        case inspect.UnionType(types=types):
            return _sample(draw.choice(types), draw)
        case inspect.StructType(cls=struct, fields=members):
            return struct(*(_sample(member.type, draw) for member in members))
    raise AssertionError(f"no sample of {shape}")


def _length(low: int | None, high: int | None, draw: random.Random) -> int:
    assert high is not None, "every list, text and string of bytes is bounded"
    return draw.randrange(low or 0, min(high, SAMPLE_LENGTH_MAX) + 1)


def _digest(kind: Kind) -> str:
    """A hash over 1,000 transactions of a kind, every one of which decodes to what was encoded."""
    digest, draw = sha256(), random.Random(kind.number)
    shape = inspect.type_info(kind.payload)
    for _ in range(1_000):
        payload = _sample(shape, draw)
        signers = sorted(draw.sample(range(2**20), draw.randrange(1, 4)))
        sequence = draw.randrange(1, 2**32)
        raw = assemble(
            encode_body(kind, signers, sequence, draw.randrange(2**32), payload),
            [draw.randbytes(64) for _ in signers],
        )
        tx = decode_transaction(raw)
        assert (tx.kind, tx.payload) == (kind.number, payload)
        assert (list(tx.signers), tx.sequence) == (signers, sequence)
        digest.update(raw + tx.id + tx.full_hash)
    return digest.hexdigest()


def _pinned() -> dict[int, str]:
    lines = (line.split() for line in FIXTURES.read_text().splitlines())
    return {int(number): digest for number, digest in lines}


def test_every_kind_has_its_encoding_pinned() -> None:
    assert list(_pinned()) == sorted(kind.number for kind in BY_NAME.values())


@pytest.mark.parametrize("kind", BY_NAME.values(), ids=BY_NAME)
def test_encodings_are_those_of_the_protocol(kind: Kind) -> None:
    """No encoding changes by accident: what is pinned changes only with a new kind number."""
    found = _digest(kind)
    assert _pinned().get(kind.number) == found, f"{FIXTURES.name}: {kind.number} {found}"
