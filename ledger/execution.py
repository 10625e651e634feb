"""Executes blocks: every transaction gets a result, every sequence is used, nothing raises, all is conserved.

`apply_block` is the ledger's one entry for a decided block. It trusts that the block is valid (`admission`):
signatures and expiry are not looked at again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ledger import conservation, due, parameters, proposals, versions, window
from ledger.agenda import Moment
from ledger.codes import Code, Refused
from ledger.enrolment import check_in_use
from ledger.kind import Context
from ledger.postings import results_root
from ledger.state import State
from ledger.transactions import Transaction
from ledger.validators import VotingNode, count_offence, validator_set
from primitives.codec import pack


@dataclass(frozen=True, slots=True)
class Offence:
    """One proven equivocation: a node's index, and the height at which it signed two things."""

    node: int
    height: int


@dataclass(frozen=True, slots=True)
class BlockFacts:
    """What a block's header and evidence say to the ledger, as plain values."""

    height: int
    time_ms: int
    evidence: tuple[Offence, ...] = ()


class Result(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What became of one transaction: its code; for a refusal the field's number and the values that it
    quotes (0 and none for success); the indices of what it created; for a batch with refused rows each row's
    code (u2, little-endian)."""

    code: int
    field: int
    values: tuple[Any, ...]  # of codes.Plain: msgspec knows no union of text and bytes
    created: tuple[int, ...]
    rows: bytes


@dataclass(frozen=True, slots=True)
class BlockOutcome:
    """The results in order of the transactions; what moved and what changed, as rows (`ledger.postings`);
    the new validator set, or None if it stays as it was."""

    results: tuple[Result, ...]
    postings: bytes
    events: bytes
    validator_updates: tuple[VotingNode, ...] | None


def apply_block(state: State, facts: BlockFacts, transactions: Sequence[Transaction]) -> BlockOutcome:
    """Apply a decided block to `state`, and hash it. Raises InvariantError only, when the ledger contradicts
    itself, and UnknownVersion, when the block follows a version of the protocol that this software does not
    know; the state is then unusable."""
    mark = state.mark()
    validators = validator_set(state)
    time_ms = facts.time_ms + state.chain_record.clock_offset_ms
    versions.begin_block(state, facts.height, time_ms)
    parameters.hold(state)
    for offence in facts.evidence:
        count_offence(state, offence.node, offence.height)
    due.begin_block(state, Moment(facts.height, time_ms))
    results = []
    for position, tx in enumerate(transactions):
        state.stream.begin_transaction(position)
        results.append(execute(state, tx, facts.height, time_ms, facts.time_ms))
    parameters.release(state)
    conservation.check_block(state, mark)
    postings, events = state.stream.postings(), state.stream.events()
    state.rehash()
    now = validator_set(state)
    return BlockOutcome(tuple(results), postings, events, None if now == validators else now)


def execute(state: State, tx: Transaction, height: int, time_ms: int, header_time_ms: int) -> Result:
    """Use the transaction's sequence, then do what it says or refuse it whole. Never raises Refused."""
    mark = state.mark()
    try:
        _use_sequence(state, tx)
        mark = state.mark()  # the sequence stays used, whatever comes now
        ctx = Context(state, tx, height, time_ms, header_time_ms, versions.rules(state.version))
        created = _perform(ctx)
    except Refused as refusal:
        state.undo(mark)
        return Result(refusal.code, refusal.field_number, refusal.values, (), b"")
    return Result(Code.OK, 0, (), created, ctx.row_codes)


def outcome_root(outcome: BlockOutcome) -> bytes:
    """The results_root of the block that led to `outcome`."""
    return results_root([pack(result) for result in outcome.results], outcome.postings, outcome.events)


def _perform(ctx: Context) -> tuple[int, ...]:
    kind = ctx.tx.definition
    for signer in ctx.tx.signers:
        check_in_use(ctx.state, signer)  # it may have been retired earlier in this block
    ctx.authorise(kind)
    if kind.governed:
        return proposals.propose(ctx, kind, ctx.tx.payload)
    kind.check(ctx, ctx.tx.payload)
    return kind.apply(ctx, ctx.tx.payload)


def _use_sequence(state: State, tx: Transaction) -> None:
    for signer in tx.signers:
        if signer >= len(state.signers):
            raise Refused(Code.UNKNOWN_SIGNER, "signers", signer)
    first = tx.signers[0]
    highest, bitmap = state.signers.field(first, "highest"), state.signers.field(first, "bitmap")
    code = window.check(highest, bitmap, tx.sequence)
    if code is not Code.OK:
        raise Refused(code, "sequence", tx.sequence, highest)
    new_highest, new_bitmap = window.use(highest, bitmap, tx.sequence)
    state.signers.set_field(first, "bitmap", new_bitmap)
    if new_highest != highest:
        state.signers.set_field(first, "highest", new_highest)
