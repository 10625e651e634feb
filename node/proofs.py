"""Makes proofs, of one record and of one transaction; what a block led to is certified by the next header.

A record is proven in two steps: `start_proof` takes what must be taken while the state stands still, so the
driver runs it between two blocks; once the next block is stored, `finish_proof` adds its header and
certificate, and every change of validators since genesis. `prove` waits for that.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from api.proofs import PROOF_VERSION, Certified, Included, Receipt, RecordProof, SetChange
from api.reads.proposals import CONFIDENTIAL_ACTS
from api.reads.running import ProofReply, ReceiptReply
from api.refusals import Declined
from consensus.messages import Validator
from ledger.codes import Code
from ledger.execution import Result
from ledger.kind import Lane
from ledger.postings import stream_roots
from ledger.proofs import StateProof, leaf_of, prove_record
from ledger.rows import Role
from ledger.state import TABLES, State
from ledger.tables import LEAF_ROWS, ColumnarTable, DocumentTable
from ledger.transactions import decode_transaction
from node.limits import PROOF_S_MAX
from node.replica import Replica
from node.running import reading
from primitives.codec import convert, decode, pack
from primitives.merkle import ARITY, list_path, list_top
from storage.blocks import BlockStore
from storage.errors import StorageError
from storage.limits import RESULTS_BYTES_MAX
from wire.blocks import decode_block

ValidatorChanges = tuple[tuple[int, tuple[Validator, ...]], ...]  # of the set: first height in force, set


@dataclass(frozen=True, slots=True)
class StartedProof:
    """The proof of a record after the block of `height`, waiting for the header that certifies it."""

    height: int
    genesis_hash: bytes
    record: int
    state: StateProof
    changes: ValidatorChanges


def start_proof(replica: Replica, table: str, index: int) -> StartedProof:
    """Take from the state as it is the proof of record `index` of the table of this name, or that there is
    none. Raises Declined if the state has no such table, or if the proof would show what is not served."""
    state = replica.state
    found = next((each for each in state.tables if each.name == table), None)
    if found is None:
        raise Declined(Code.NOT_FOUND, "table", table, "names no table of the state")
    if index < len(found) and _is_confidential(state, found, index):
        rule = "its proof would show, by hashes beside it, whose officers acted: that is not served"
        raise Declined(Code.NOT_AUTHORISED, "record", index, rule)
    proof = prove_record(state, found, index)
    return StartedProof(replica.height, replica.genesis_hash, index, proof, replica.validator_changes())


def _is_confidential(state: State, table: DocumentTable[Any] | ColumnarTable[Any], index: int) -> bool:
    """Whether one of the leaves that the proof shows, one as bytes and 15 beside it as hashes, which can be
    guessed, tells which officer acted: a freeze or a lift, or an officer's window."""
    first = leaf_of(table, index) // ARITY * ARITY
    if table.number == state.proposals.number:
        shown = state.proposals[first : first + ARITY]
        return any(proposal.act in CONFIDENTIAL_ACTS for proposal in shown)
    if table.number == state.signers.number:
        last = min(len(table), (first + ARITY) * LEAF_ROWS)
        return any(state.signers.field(row, "role") == Role.OFFICER for row in range(first * LEAF_ROWS, last))
    return False


def finish_proof(started: StartedProof, blocks: BlockStore) -> bytes | None:
    """The encoded proof, or None while the block that certifies it is not yet stored. Reads only the store,
    so it may run in a worker thread. Raises StorageError when an older block that it needs is gone."""
    certifying = started.height + 1
    if blocks.height() < certifying:
        return None
    proof = RecordProof(
        PROOF_VERSION,
        started.genesis_hash,
        started.record,
        _changes(blocks, started.changes, certifying),
        _certified(blocks, certifying),
        started.state,
    )
    return pack(proof)


async def prove(
    started: StartedProof, blocks: BlockStore, wait_height: Callable[[int, float], Awaitable[bool]]
) -> ProofReply:
    """The proof, once `wait_height` says that the next block has certified it. Raises Declined."""
    certified = await wait_height(started.height + 1, PROOF_S_MAX)
    proof = await reading(finish_proof, started, blocks) if certified else None
    if proof is None:
        rule = f"no block after {started.height} has certified this state within {PROOF_S_MAX:g} s"
        raise Declined(Code.WRONG_STATUS, "record", started.record, rule)
    return ProofReply(
        height=blocks.height(),
        table=TABLES[started.state.table].name,
        record=started.record,
        exists=started.state.leaf is not None,
        proven_height=started.height,
        proof=proof,
    )


def make_receipt(
    blocks: BlockStore, genesis_hash: bytes, changes: ValidatorChanges, height: int, position: int
) -> ReceiptReply:
    """The receipt of the transaction at `position` of the block of `height`, or that it has none there.
    Raises Declined if the node does not keep the block, the transaction is an act of officers, or the block
    is not yet certified by the next. Reads only the store."""
    if blocks.height() <= height:
        rule = f"no block after {height} has certified what became of it within {PROOF_S_MAX:g} s"
        raise Declined(Code.WRONG_STATUS, "block", height, rule)
    block, results = blocks.block(height), blocks.results(height)
    if block is None or results is None:
        raise Declined(Code.NOT_FOUND, "block", height, "this node does not keep it")
    body = decode_block(block)
    encoded = [pack(result) for result in convert(decode(results, RESULTS_BYTES_MAX), tuple[Result, ...])]
    entry = None
    if position < len(encoded):
        raw = body.transactions[position]
        if decode_transaction(raw).definition.lane is Lane.ACTS:
            raise Declined(Code.NOT_FOUND, "position", position, "acts of officers have no receipts")
        entry = Included(
            raw,
            list_path(body.transactions, position),
            encoded[position],
            list_path(encoded, position),
            *stream_roots(blocks.postings(height), blocks.events(height)),
        )
    receipt = Receipt(
        PROOF_VERSION,
        genesis_hash,
        position,
        len(encoded),
        *list_top(body.transactions),
        entry,
        body.header.encoded(),
        _changes(blocks, changes, height + 1),
        _certified(blocks, height + 1),
    )
    return ReceiptReply(
        height=blocks.height(),
        block=height,
        position=position,
        exists=entry is not None,
        receipt=pack(receipt),
    )


def place_of(tx_id: bytes, blocks: BlockStore) -> tuple[int, int]:
    """The height and position of a transaction. Raises Declined if it is in no block that the node keeps."""
    place = blocks.find_transaction(tx_id)
    if place is None:
        raise Declined(Code.NOT_FOUND, "tx_id", tx_id, "this node has not seen it in a block")
    return place


async def receipt_at(
    place: tuple[int, int],
    blocks: BlockStore,
    facts: Callable[[], Awaitable[tuple[bytes, ValidatorChanges]]],
    wait_height: Callable[[int, float], Awaitable[bool]],
) -> ReceiptReply:
    """What `make_receipt` says once the block after the place's own is there; `facts` are then the chain's
    identity and the changes of its validators. A block far ahead is not waited for. Raises Declined."""
    height, position = place
    if height <= blocks.height():
        await wait_height(height + 1, PROOF_S_MAX)
    genesis_hash, changes = await facts()
    return await reading(make_receipt, blocks, genesis_hash, changes, height, position)


def _changes(blocks: BlockStore, changes: ValidatorChanges, last: int) -> tuple[SetChange, ...]:
    return tuple(
        SetChange(
            _certified(blocks, first - 1), tuple((member.public_key, member.power) for member in members)
        )
        for first, members in changes
        if first <= last
    )


def _certified(blocks: BlockStore, height: int) -> Certified:
    block, certificate = blocks.block(height), blocks.certificate(height)
    if block is None or certificate is None:
        raise StorageError(f"blocks: height {height}, which a proof needs, is not stored")
    return Certified(decode_block(block).header.encoded(), certificate)
