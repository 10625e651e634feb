"""Blocks and their headers: the bytes that are proposed, hashed, stored and synced.

A block is encode([header, transactions, evidence]); its id is the hash of the header alone. The commit
certificate is not part of it: any valid one serves.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from primitives.codec import builtins, convert, decode, encode
from primitives.hashing import HEADER, tagged_hash
from primitives.merkle import list_root
from wire.limits import BLOCK_BYTES_CAP

VERSION = 1

Hash = Annotated[bytes, Meta(min_length=32, max_length=32)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Header(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The header of a block; times are integer milliseconds of UTC.

    `state_root` and `results_root` are those after `executed_height` (now height - 1); `validators_hash` is
    that of this height's validator set, `next_validators_hash` that of the next height's.
    """

    version: Count
    chain: Annotated[str, Meta(min_length=1, max_length=32)]
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
        return tagged_hash(HEADER, encode(builtins(self)))


class Block(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A header, the full bytes of every transaction, and the encodings of the evidence."""

    header: Header
    transactions: tuple[bytes, ...]
    evidence: tuple[bytes, ...]

    def encoded(self) -> bytes:
        return encode(builtins(self))


def decode_block(data: bytes, size_max: int = BLOCK_BYTES_CAP) -> Block:
    """The block encoded by `data`. Raises CodecError; roots are not yet compared (`roots_fault`)."""
    return convert(decode(data, size_max), Block)


def roots_fault(block: Block) -> str | None:
    """What in the block's body contradicts its own header, or None."""
    if list_root(block.transactions) != block.header.txs_root:
        return "txs_root does not commit to the transactions"
    if list_root(block.evidence) != block.header.evidence_root:
        return "evidence_root does not commit to the evidence"
    return None
