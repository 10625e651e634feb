"""Verifies receipts offline: that a transaction stands in a block of the chain, and what became of it; or
that the block has none at that position.

The block after the transaction's own is vouched for as every proof's header is (`client.verification`). It
names the transaction's block as its parent, and commits to the results.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from api.limits import PROOF_BYTES_MAX
from api.proofs import Included, Receipt
from client.trust import TRUSTING_MS, Trust
from client.verification import (
    ProofRefused,
    Vouched,
    decoded_header,
    opened,
    require_fresh,
    require_recent,
    vouched,
)
from ledger.codes import Refused
from ledger.execution import Result
from ledger.postings import joined_root
from ledger.transactions import Transaction, decode_transaction
from primitives.codec import CodecError, unpack
from primitives.hashing import RESULT_LIST, TX_LIST
from primitives.merkle import list_root_of, list_root_shown
from wire.blocks import Header


@dataclass(frozen=True, slots=True)
class VerifiedReceipt:
    """Transaction `position` of the `count` in the block of `height`, with its id and header time, and its
    result; both are None if the block has none there. `by` is the block after it."""

    height: int
    time_ms: int
    block_id: bytes
    position: int
    count: int
    transaction: Transaction | None
    result: Result | None
    by: Vouched


def verify_receipt(
    receipt_bytes: bytes,
    trust: Trust,
    *,
    now_ms: int,
    max_age_ms: int | None = None,
    least_height: int = 0,
    trusting_ms: int | None = TRUSTING_MS,
) -> VerifiedReceipt:
    """What `receipt_bytes` proves to one who trusts `trust` at `now_ms`, his own clock's UTC in milliseconds.

    What a block did stays done, so a receipt need not be young; otherwise ages and heights are asked for as
    in `verify_proof`. A receipt of a height before that of `trust` is refused. Raises ProofRefused.
    """
    require_fresh(trust, now_ms, trusting_ms)
    receipt = opened(receipt_bytes, Receipt, trust)
    after, by = vouched(receipt.changes, receipt.certified, trust, now_ms)
    header = decoded_header(receipt.header)
    if after.parent != header.hash():
        raise ProofRefused(f"header: the certified header {after.height} does not follow it")
    require_recent(now_ms - header.time_ms, max_age_ms, header.height, least_height)
    if list_root_of(TX_LIST, receipt.count, receipt.depth, receipt.top) != header.txs_root:
        raise ProofRefused("count: it does not lead to the block's txs_root")
    transaction, result = None, None
    if receipt.entry is not None:
        transaction, result = _entered(receipt, receipt.entry, header, after)
    elif receipt.position < receipt.count:
        raise ProofRefused(f"entry: none is shown, yet the block has {receipt.count} transactions")
    return VerifiedReceipt(
        header.height,
        header.time_ms,
        header.hash(),
        receipt.position,
        receipt.count,
        transaction,
        result,
        by,
    )


def _entered(receipt: Receipt, entry: Included, header: Header, after: Header) -> tuple[Transaction, Result]:
    if after.executed_height != header.height:
        raise ProofRefused(f"certified: it shows the results of height {after.executed_height}")
    in_block = _shown(receipt, TX_LIST, entry.transaction, entry.transaction_path, "transaction")
    if in_block != header.txs_root:
        raise ProofRefused("transaction: it does not lead to the block's txs_root")
    results = _shown(receipt, RESULT_LIST, entry.result, entry.result_path, "result")
    if joined_root(results, entry.postings_root, entry.events_root) != after.results_root:
        raise ProofRefused("result: it does not lead to the results_root")
    try:
        return decode_transaction(entry.transaction), unpack(entry.result, Result, PROOF_BYTES_MAX)
    except (CodecError, Refused) as error:
        raise ProofRefused(f"transaction or result: {error}") from error


def _shown(receipt: Receipt, domain: bytes, item: bytes, path: Sequence[bytes], part: str) -> bytes:
    try:
        return list_root_shown(domain, receipt.count, receipt.position, item, path)
    except ValueError as error:
        raise ProofRefused(f"{part}: {error}") from error
