"""Transactions as bytes: sizes, strictness, and encodings pinned by hash."""

import random
from hashlib import sha256
from pathlib import Path

import pytest

from ledger.codes import Code, Refused
from ledger.kinds import BY_NAME
from ledger.kinds.account_open import AccountOpen, AccountRow
from ledger.kinds.account_update import AccountUpdate
from ledger.kinds.holding_open import HoldingOpen
from ledger.kinds.transfer import Transfer
from ledger.kinds.transfer_batch import TransferBatch
from ledger.schema import Payload
from ledger.transactions import (
    TRANSACTION_BYTES_MAX,
    assemble,
    decode_transaction,
    encode_body,
    sign_input,
    transaction_id,
)
from primitives.codec import encode
from primitives.hashing import TX, TX_FULL, tagged_hash

FIXTURES = Path(__file__).parent / "fixtures" / "transactions.txt"


def transfer_bytes(signer: int, sequence: int, source: int, target: int, amount: int) -> bytes:
    body = encode_body(1, [signer], sequence, 1_800_000_000, Transfer(source, target, amount))
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
        body = encode_body(2, [1], 1, 1_800_000_000, TransferBatch(bytes(16 * rows)))
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
    ("no signer", encode([body(1, [], 1, 9, 1, 2, 3), b""]), "transaction"),
    ("17 signers", encode([body(1, list(range(17)), 1, 9, 1, 2, 3), SIXTY_FOUR * 17]), "transaction"),
    ("signers descend", encode([body(1, [2, 1], 1, 9, 1, 2, 3), SIXTY_FOUR * 2]), "signers"),
    ("signer twice", encode([body(1, [1, 1], 1, 9, 1, 2, 3), SIXTY_FOUR * 2]), "signers"),
    ("sequence 0", encode([body(1, [1], 0, 9, 1, 2, 3), SIXTY_FOUR]), "transaction"),
    ("sequence of 33 bits", encode([body(1, [1], 2**32, 9, 1, 2, 3), SIXTY_FOUR]), "transaction"),
    ("signature short", encode([body(1, [1], 1, 9, 1, 2, 3), SIXTY_FOUR[1:]]), "signatures"),
    ("one signature too many", encode([body(1, [1], 1, 9, 1, 2, 3), SIXTY_FOUR * 2]), "signatures"),
    ("a field missing", encode([body(1, [1], 1, 9, 1, 2), SIXTY_FOUR]), "payload"),
    ("a field too many", encode([body(1, [1], 1, 9, 1, 2, 3, 4), SIXTY_FOUR]), "payload"),
    ("amount 0", encode([body(1, [1], 1, 9, 1, 2, 0), SIXTY_FOUR]), "amount"),
    ("amount of 64 bits", encode([body(1, [1], 1, 9, 1, 2, 2**63), SIXTY_FOUR]), "amount"),
    ("amount is text", encode([body(1, [1], 1, 9, 1, 2, "3"), SIXTY_FOUR]), "amount"),
    (
        "holding is the end of a list",
        encode([body(1, [1], 1, 9, 2**32 - 1, 2, 3), SIXTY_FOUR]),
        "from_holding",
    ),
]


@pytest.mark.parametrize(
    ("raw", "field"), [case[1:] for case in MALFORMED], ids=[case[0] for case in MALFORMED]
)
def test_malformed_bytes_are_refused_and_the_field_is_named(raw: bytes, field: str) -> None:
    refusal = refusal_of(raw)
    assert (refusal.code, refusal.field) == (Code.MALFORMED, field)


def test_a_longer_encoding_of_the_same_number_is_refused() -> None:
    canonical = body(1, [1], 1, 9, 1, 2, 3)
    longer = canonical[:-1] + b"\xcc\x03"
    assert refusal_of(encode([longer, SIXTY_FOUR])).code is Code.MALFORMED


def test_an_unknown_kind_is_refused() -> None:
    assert refusal_of(encode([body(31, [1], 1, 9), SIXTY_FOUR])).code is Code.UNKNOWN_KIND


def test_a_transaction_above_256_kib_is_refused_unread() -> None:
    assert refusal_of(bytes(TRANSACTION_BYTES_MAX + 1)).code is Code.LIMIT_EXCEEDED


def _samples(draw: random.Random) -> list[tuple[int, Payload]]:
    def index() -> int:
        return draw.randrange(2 ** draw.randrange(1, 32))

    row = AccountRow(
        0, draw.randbytes(32), draw.randrange(2**32), draw.randrange(1000), draw.randrange(256), b""
    )
    return [
        (1, Transfer(index(), index(), draw.randrange(1, 2 ** draw.randrange(1, 64)))),
        (2, TransferBatch(draw.randbytes(16 * draw.randrange(1, 9)))),
        (3, AccountOpen(tuple([row] * draw.randrange(1, 4)))),
        (4, HoldingOpen(draw.randbytes(8 * draw.randrange(1, 9)))),
        (5, AccountUpdate(index(), draw.randbytes(32), draw.randrange(2**32))),
    ]


def test_encodings_are_those_of_the_protocol() -> None:
    """A hash over 1,000 transactions of each kind, so that no encoding changes by accident."""
    found = []
    for position in range(5):
        digest, draw = sha256(), random.Random(position)
        for _ in range(1_000):
            kind, payload = _samples(draw)[position]
            signers = sorted(draw.sample(range(2**20), draw.randrange(1, 4)))
            sequence = draw.randrange(1, 2**32)
            raw = assemble(
                encode_body(kind, signers, sequence, draw.randrange(2**32), payload),
                [draw.randbytes(64) for _ in signers],
            )
            tx = decode_transaction(raw)
            assert (tx.kind, tx.payload, list(tx.signers), tx.sequence) == (kind, payload, signers, sequence)
            digest.update(raw + tx.id + tx.full_hash)
        found.append(f"{kind} {digest.hexdigest()}")
    assert found == FIXTURES.read_text().splitlines(), "\n".join(found)
