"""Verifies receipts offline: that a transaction stands in a block of the chain, and what became of it.

The block after the transaction's own is vouched for as every proof's header is (`client.verification`). It
names the transaction's block as its parent, and commits to the results.
"""

from dataclasses import dataclass

from api.limits import PROOF_BYTES_MAX
from api.proofs import PROOF_VERSION, Receipt
from client.trust import TRUSTING_MS, Trust
from client.verification import ProofRefused, decoded_header, led_to, require_fresh
from ledger.codes import Refused
from ledger.execution import Result
from ledger.postings import joined_root
from ledger.transactions import Transaction, decode_transaction
from primitives.codec import CodecError, unpack
from primitives.hashing import RESULT_LIST, TX_LIST
from primitives.merkle import list_root_shown


@dataclass(frozen=True, slots=True)
class VerifiedReceipt:
    """Transaction `position` of the block of `height`, whose header time is `time_ms`, and its result; the
    block after it was signed by `signers` of `validators`."""

    chain: str
    height: int
    time_ms: int
    block_id: bytes
    position: int
    transaction: Transaction
    result: Result
    signers: int
    validators: int


def verify_receipt(
    receipt_bytes: bytes, trust: Trust, *, now_ms: int, trusting_ms: int | None = TRUSTING_MS
) -> VerifiedReceipt:
    """What `receipt_bytes` proves to one who trusts `trust` at `now_ms`, his own clock's UTC in milliseconds.

    What a block did stays done, so a receipt has no greatest age; trust has, as in `verify_proof`. A receipt
    of a height before that of `trust` is refused. Raises ProofRefused.
    """
    require_fresh(trust, now_ms, trusting_ms)
    try:
        receipt = unpack(receipt_bytes, Receipt, PROOF_BYTES_MAX)
    except CodecError as error:
        raise ProofRefused(f"not a receipt: {error}") from error
    if receipt.version != PROOF_VERSION:
        raise ProofRefused(f"version: {receipt.version}, this verifier knows {PROOF_VERSION}")
    if receipt.genesis_hash != trust.genesis_hash:
        raise ProofRefused(
            f"genesis_hash: {receipt.genesis_hash.hex()}, the genesis given is {trust.genesis_hash.hex()}"
        )
    after, members, signers = led_to(receipt.changes, receipt.certified, trust)
    header = decoded_header(receipt.header)
    if after.parent != header.hash():
        raise ProofRefused(f"header: the certified header {after.height} does not follow it")
    if after.executed_height != header.height:
        raise ProofRefused(f"certified: it shows the results of height {after.executed_height}")
    in_block = _shown(receipt, TX_LIST, receipt.transaction, receipt.transaction_path, "transaction")
    if in_block != header.txs_root:
        raise ProofRefused("transaction: it does not lead to the block's txs_root")
    results = _shown(receipt, RESULT_LIST, receipt.result, receipt.result_path, "result")
    if joined_root(results, receipt.postings_root, receipt.events_root) != after.results_root:
        raise ProofRefused("result: it does not lead to the results_root")
    try:
        transaction = decode_transaction(receipt.transaction)
        result = unpack(receipt.result, Result, PROOF_BYTES_MAX)
    except (CodecError, Refused) as error:
        raise ProofRefused(f"transaction or result: {error}") from error
    return VerifiedReceipt(
        trust.chain,
        header.height,
        header.time_ms,
        header.hash(),
        receipt.position,
        transaction,
        result,
        signers,
        len(members),
    )


def _shown(receipt: Receipt, domain: bytes, item: bytes, path: tuple[bytes, ...], part: str) -> bytes:
    try:
        return list_root_shown(domain, receipt.count, receipt.position, item, path)
    except ValueError as error:
        raise ProofRefused(f"{part}: {error}") from error
