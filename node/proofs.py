"""Makes the proof of one holding, in two steps: the state as it stands now is certified by the next header.

`start_proof` takes what must be taken while the state stands still, so the driver runs it between two blocks;
once the next block is stored, `finish_proof` adds its header and certificate, and every change of validators
since genesis. `prove` waits for that.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from api.proofs import PROOF_VERSION, Certified, Claim, HoldingProof, SetChange
from api.refusals import Declined
from consensus.messages import Validator
from ledger.codes import Code
from ledger.proofs import StateProof, prove_holding
from node.limits import PROOF_S_MAX
from node.replica import Replica
from primitives.codec import pack
from storage.blocks import BlockStore
from storage.errors import StorageError
from wire.blocks import decode_block


@dataclass(frozen=True, slots=True)
class StartedProof:
    """The proof of a holding after the block of `height`, waiting for the header that certifies it."""

    height: int
    genesis_hash: bytes
    claim: Claim
    state: StateProof
    changes: tuple[tuple[int, tuple[Validator, ...]], ...]


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
    changes = tuple(
        SetChange(
            _certified(blocks, first - 1), tuple((member.public_key, member.power) for member in members)
        )
        for first, members in started.changes
        if first <= certifying
    )
    proof = HoldingProof(
        PROOF_VERSION,
        started.genesis_hash,
        started.claim,
        changes,
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


def _certified(blocks: BlockStore, height: int) -> Certified:
    block, certificate = blocks.block(height), blocks.certificate(height)
    if block is None or certificate is None:
        raise StorageError(f"blocks: height {height}, which a proof needs, is not stored")
    return Certified(decode_block(block).header.encoded(), certificate)
