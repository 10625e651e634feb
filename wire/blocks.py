"""Blocks and their headers: the bytes that are proposed, hashed, stored and synced.

A block is encode([header, transactions, evidence]); its id is the hash of the header alone. The commit
certificate is not part of it: any valid one serves. A header begins with the version of the protocol that its
block follows, and that version says how the rest of it is laid out.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ledger.release import FIRST, newest
from primitives.codec import CodecError, builtins, convert, decode, encode, first_length
from primitives.hashing import EVIDENCE_LIST, HEADER, TX_LIST, tagged_hash
from primitives.merkle import list_root
from wire.limits import BLOCK_BYTES_CAP, HEADER_BYTES_MAX

Hash = Annotated[bytes, Meta(min_length=32, max_length=32)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]

_BLOCK_HEAD = b"\x93"  # msgpack: an array of three
_BIN_WIDTHS = {b"\xc4": 1, b"\xc5": 2, b"\xc6": 4}  # of the length after the head of a byte string


class Header(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The header of a block; times are integer milliseconds of UTC.

    `version` is that of the protocol, `genesis_hash` the chain's identity. `state_root` and `results_root`
    are those after `executed_height` (now height - 1); `validators_hash` is that of this height's validator
    set, `next_validators_hash` that of the next height's.
    """

    version: Count
    genesis_hash: Hash
    height: Count
    time_ms: Count
    parent: Hash
    proposer: Count
    txs_root: Hash
    evidence_root: Hash
    executed_height: Count
    state_root: Hash
    results_root: Hash
    validators_hash: Hash
    next_validators_hash: Hash
    params_hash: Hash

    def hash(self) -> bytes:
        """The block's id, 32 bytes."""
        return tagged_hash(HEADER, self.encoded())

    def encoded(self) -> bytes:
        return encode(builtins(self))


# The layouts of headers, by the first version of the protocol that has them.
LAYOUTS: dict[int, type[Header]] = {FIRST: Header}


def layout_of(version: int) -> type[Header]:
    """The layout of the headers of a version. Raises CodecError if this software does not know it."""
    if not FIRST <= version <= newest():
        raise CodecError(f"version: {version}, this software knows {FIRST} to {newest()}")
    return LAYOUTS[max(first for first in LAYOUTS if first <= version)]


def decode_header(data: bytes) -> Header:
    """The header encoded by `data`. Raises CodecError."""
    return _header(decode(data, HEADER_BYTES_MAX))


def _header(fields: Any) -> Header:
    if type(fields) is not tuple or not fields or type(fields[0]) is not int:
        raise CodecError("header: must be an array that begins with its version")
    try:
        return convert(fields, layout_of(fields[0]))
    except CodecError as error:
        raise CodecError(f"header.{error}") from error


class Block(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A header, the full bytes of every transaction, and the encodings of the evidence."""

    header: Header
    transactions: tuple[bytes, ...]
    evidence: tuple[bytes, ...]

    def encoded(self) -> bytes:
        return encode(builtins(self))


@dataclass(frozen=True, slots=True)
class BlockBounds:
    """What bytes may hold before they are looked at any closer: bytes, transactions, pieces of evidence."""

    block_bytes: int
    transactions: int
    evidence: int


ANY = BlockBounds(BLOCK_BYTES_CAP, BLOCK_BYTES_CAP, BLOCK_BYTES_CAP)  # whatever the parameters are


def decode_block(data: bytes) -> Block:
    """The block encoded by `data`. Raises CodecError; roots are not yet compared (`roots_fault`)."""
    return decode_within(data, ANY)


def decode_within(data: bytes, bounds: BlockBounds) -> Block:
    """As `decode_block`, and refuses a list of more than `bounds` by its head, before any item is read."""
    header, at = _outline(data, bounds)
    transactions, at = _items(data, at, bounds.transactions, "transactions")
    evidence, at = _items(data, at, bounds.evidence, "evidence")
    if at != len(data):
        raise CodecError(f"block: {len(data) - at} bytes after its end")
    return Block(header, transactions, evidence)


def header_within(data: bytes, bounds: BlockBounds) -> Header:
    """The header of the block encoded by `data`, whose size and number of transactions are within `bounds`:
    all that is read of it is its beginning. Raises CodecError."""
    header, at = _outline(data, bounds)
    _list_head(data, at, bounds.transactions, "transactions")
    return header


def _outline(data: bytes, bounds: BlockBounds) -> tuple[Header, int]:
    """The header, and where the transactions begin."""
    if len(data) > bounds.block_bytes:
        raise CodecError(f"encoding is {len(data)} bytes, the limit is {bounds.block_bytes}")
    if data[:1] != _BLOCK_HEAD:
        raise CodecError(f"block: must be an array of {', '.join(Block.__struct_fields__)}")
    end = 1 + first_length(data[1 : 1 + HEADER_BYTES_MAX])
    return decode_header(data[1:end]), end


def _items(data: bytes, at: int, most: int, name: str) -> tuple[tuple[bytes, ...], int]:
    """The byte strings of the list that begins at `at`, and where it ends; one encoding of each, as
    `primitives.codec` has it, but walked by its heads: nothing is built of what is no byte string."""
    count, at = _list_head(data, at, most, name)
    items = []
    for number in range(count):
        width = _BIN_WIDTHS.get(data[at : at + 1])
        if width is None:
            raise CodecError(f"block.{name}.{number}: must be bytes")
        start = at + 1 + width
        size = int.from_bytes(data[at + 1 : start], "big")
        if start + size > len(data) or (width > 1 and size < 1 << 4 * width):
            raise CodecError(f"block.{name}.{number}: cut short, or not the shortest encoding")
        items.append(data[start : start + size])
        at = start + size
    return tuple(items), at


def _list_head(data: bytes, at: int, most: int, name: str) -> tuple[int, int]:
    """How many items the list that begins at `at` has, at most `most`, and where the first one begins."""
    first = data[at : at + 1]
    if b"\x90" <= first <= b"\x9f":
        count, start = first[0] - 0x90, at + 1
    elif first in (b"\xdc", b"\xdd"):
        start = at + (3 if first == b"\xdc" else 5)
        count = int.from_bytes(data[at + 1 : start], "big")
        if start > len(data) or count < (1 << 4 if first == b"\xdc" else 1 << 16):
            raise CodecError(f"block.{name}: cut short, or not the shortest encoding")
    else:
        raise CodecError(f"block.{name}: must be a list")
    if count > most:
        raise CodecError(f"block.{name}: {count}, at most {most}")
    return count, start


def roots_fault(block: Block) -> str | None:
    """What in the block's body contradicts its own header, or None."""
    if list_root(TX_LIST, block.transactions) != block.header.txs_root:
        return "txs_root does not commit to the transactions"
    if list_root(EVIDENCE_LIST, block.evidence) != block.header.evidence_root:
        return "evidence_root does not commit to the evidence"
    return None
