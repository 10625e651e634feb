"""Makes proofs, of one holding and of one transaction; what a block led to is certified by the next header.

A holding is proven in two steps: `start_proof` takes what must be taken while the state stands still, so the
driver runs it between two blocks; once the next block is stored, `finish_proof` adds its header and
certificate, and every change of validators since genesis. `prove` waits for that.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from api.proofs import PROOF_VERSION, Certified, Claim, HoldingProof, Receipt, SetChange
from api.refusals import Declined
from consensus.messages import Validator
from ledger.codes import Code
from ledger.execution import Result
from ledger.kind import Lane
from ledger.postings import stream_roots
from ledger.proofs import StateProof, prove_holding
from ledger.transactions import decode_transaction
from node.limits import PROOF_S_MAX
from node.replica import Replica
from primitives.codec import convert, decode, pack
from primitives.merkle import list_path
from storage.blocks import BlockStore
from storage.errors import StorageError
from storage.limits import RESULTS_BYTES_MAX
from wire.blocks import decode_block

Changes = tuple[tuple[int, tuple[Validator, ...]], ...]  # of the set: first height in force, set


@dataclass(frozen=True, slots=True)
class StartedProof:
    """The proof of a holding after the block of `height`, waiting for the header that certifies it."""

    height: int
    genesis_hash: bytes
    claim: Claim
    state: StateProof
    changes: Changes


def start_proof(replica: Replica, index: int) -> StartedProof:
    """Take the proof of holding `index` from the state as it is. Raises Refused(not_found)."""
    state = prove_holding(replica.state, index)
    row = replica.state.holdings[index]
    claim = Claim(replica.height, index, row.account, row.instrument, row.balance, row.locked, row.flags)
    return StartedProof(replica.height, replica.genesis_hash, claim, state, replica.validator_changes())


def finish_proof(started: StartedProof, blocks: BlockStore) -> bytes | None:
    """The encoded proof, or None while the block that certifies it is not yet stored. Reads only the store,
    so it may run in a worker thread. Raises StorageError when an older block that it needs is gone."""
    certifying = started.height + 1
    if blocks.height() < certifying:
        return None
    proof = HoldingProof(
        PROOF_VERSION,
        started.genesis_hash,
        started.claim,
        _changes(blocks, started.changes, certifying),
        _certified(blocks, certifying),
        started.state,
    )
    return pack(proof)


_reading = trio.CapacityLimiter(2)


async def prove(
    started: StartedProof, blocks: BlockStore, wait_height: Callable[[int, float], Awaitable[bool]]
) -> bytes:
    """The encoded proof, once `wait_height` says that the next block has certified it. Raises Declined."""
    certified = await wait_height(started.height + 1, PROOF_S_MAX)
    proof = (
        await trio.to_thread.run_sync(finish_proof, started, blocks, limiter=_reading) if certified else None
    )
    if proof is None:
        rule = f"no block after {started.height} has certified this state within {PROOF_S_MAX:g} s"
        raise Declined(Code.WRONG_STATUS, "holding", started.claim.holding, rule)
    return proof


def make_receipt(
    blocks: BlockStore, genesis_hash: bytes, changes: Changes, tx_id: bytes
) -> tuple[int, bytes]:
    """The height of the transaction, and its encoded receipt. Raises Declined if it is in no block that the
    node keeps, is an act of officers, or is not yet certified. Reads only the store."""
    place = blocks.find_transaction(tx_id)
    if place is None:
        raise Declined(Code.NOT_FOUND, "tx_id", tx_id, "this node has not seen it in a block")
    height, position = place
    if blocks.height() <= height:
        rule = f"no block after {height} has certified what became of it within {PROOF_S_MAX:g} s"
        raise Declined(Code.WRONG_STATUS, "tx_id", tx_id, rule)
    block, results = blocks.block(height), blocks.results(height)
    if block is None or results is None:
        raise Declined(Code.NOT_FOUND, "tx_id", tx_id, "this node no longer keeps its block")
    body = decode_block(block)
    raw = body.transactions[position]
    if decode_transaction(raw).definition.lane is Lane.ACTS:
        raise Declined(Code.NOT_FOUND, "tx_id", tx_id, "acts of officers have no receipts")
    encoded = [pack(result) for result in convert(decode(results, RESULTS_BYTES_MAX), tuple[Result, ...])]
    receipt = Receipt(
        PROOF_VERSION,
        genesis_hash,
        position,
        len(encoded),
        raw,
        list_path(body.transactions, position),
        encoded[position],
        list_path(encoded, position),
        *stream_roots(blocks.postings(height), blocks.events(height)),
        body.header.encoded(),
        _changes(blocks, changes, height + 1),
        _certified(blocks, height + 1),
    )
    return height, pack(receipt)


async def receipt_of(
    tx_id: bytes,
    blocks: BlockStore,
    facts: Callable[[], Awaitable[tuple[bytes, Changes]]],
    wait_height: Callable[[int, float], Awaitable[bool]],
) -> tuple[int, bytes]:
    """What `make_receipt` says once the block after the transaction's own is there; `facts` are then the
    chain's identity and the changes of its validators. Raises Declined."""
    place = blocks.find_transaction(tx_id)
    if place is not None:
        await wait_height(place[0] + 1, PROOF_S_MAX)
    genesis_hash, changes = await facts()
    return await trio.to_thread.run_sync(make_receipt, blocks, genesis_hash, changes, tx_id, limiter=_reading)


def _changes(blocks: BlockStore, changes: Changes, last: int) -> tuple[SetChange, ...]:
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
