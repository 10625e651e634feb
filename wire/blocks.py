"""Blocks and their headers: the bytes that are proposed, hashed, stored and synced.

A block is encode([header, transactions, evidence]); its id is the hash of the header alone. The commit
certificate is not part of it: any valid one serves. A header begins with the version of the protocol that its
block follows, and that version says how the rest of it is laid out.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ledger.release import FIRST, newest
from primitives.codec import CodecError, builtins, convert, decode, encode
from primitives.hashing import EVIDENCE_LIST, HEADER, TX_LIST, tagged_hash
from primitives.merkle import list_root
from wire.limits import BLOCK_BYTES_CAP, HEADER_BYTES_MAX

Hash = Annotated[bytes, Meta(min_length=32, max_length=32)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]


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


def decode_block(data: bytes, size_max: int = BLOCK_BYTES_CAP) -> Block:
    """The block encoded by `data`. Raises CodecError; roots are not yet compared (`roots_fault`)."""
    fields = decode(data, size_max)
    if type(fields) is not tuple or len(fields) != len(Block.__struct_fields__):
        raise CodecError(f"block: must be an array of {', '.join(Block.__struct_fields__)}")
    transactions, evidence = (convert(items, tuple[bytes, ...]) for items in fields[1:])
    return Block(_header(fields[0]), transactions, evidence)


def roots_fault(block: Block) -> str | None:
    """What in the block's body contradicts its own header, or None."""
    if list_root(TX_LIST, block.transactions) != block.header.txs_root:
        return "txs_root does not commit to the transactions"
    if list_root(EVIDENCE_LIST, block.evidence) != block.header.evidence_root:
        return "evidence_root does not commit to the evidence"
    return None
