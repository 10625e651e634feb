"""Transactions: handing them in, and what became of them."""

from enum import IntEnum
from typing import Annotated

import trio
from msgspec import Meta

from api.declare import ask
from api.fields import PAGE_DEFAULT, Hash, Height, Index, Shown, TransactionBytes, WaitMs
from api.limits import SUBMIT_MANY_MAX
from api.reads.stream import PostingView, posting_views
from api.refusals import Declined, said
from api.showing import shown
from api.sources import Services, Submission, View
from ledger.codes import Code, Refused
from ledger.execution import Result
from ledger.kind import Lane
from ledger.transactions import Transaction, decode_transaction
from ledger.words import words

SUBMITS_PER_TURN = 64  # transactions of a tx_submitMany between two turns of the event loop
WAIT_MS_DEFAULT = 10_000


class TransactionStatus(IntEnum):
    """How far a transaction that this node knows has come."""

    PENDING = 1
    COMMITTED = 2


class TransactionResult(Shown, frozen=True):
    """What the ledger decided. `code` 0 is success; otherwise `name`, `field`, `value` and `rule` say why
    not. `created` are the indices of new records. `rows` holds one code for each row of a batch, and is
    empty when every row succeeded."""

    block: Height
    position: int
    code: int
    name: str
    field: str
    value: str
    rule: str
    created: tuple[int, ...]
    rows: tuple[int, ...]


class TxSubmitReply(Shown, frozen=True):
    """`accepted`: it waits for a block, or has been in one. `duplicate`: the node had it already; `result` is
    what became of it the first time, None while it waits. Only a result is final."""

    height: Height
    tx_id: Hash
    accepted: bool
    duplicate: bool
    result: TransactionResult | None


class RefusalView(Shown, frozen=True):
    """Why a transaction was not accepted."""

    code: int
    name: str
    field: str
    value: str
    rule: str


class SubmittedView(Shown, frozen=True):
    """What became of one transaction of several; `tx_id` is None if its bytes hold no transaction."""

    tx_id: Hash | None
    accepted: bool
    duplicate: bool
    result: TransactionResult | None
    refusal: RefusalView | None


class TxSubmitManyReply(Shown, frozen=True):
    """One item for each transaction, in the order given."""

    height: Height
    items: tuple[SubmittedView, ...]


class TxReply(Shown, frozen=True):
    """A transaction; `signers` and `sequence` are None for acts of officers, whose signatures their proposal
    shows. `movements` is what it moved, in order; of a large batch the first ones, and `next_row` is where in
    its block `posting_list` goes on."""

    height: Height
    tx_id: Hash
    status: TransactionStatus
    kind: str
    sequence: int | None
    valid_until: int
    signers: tuple[Index, ...] | None
    result: TransactionResult | None
    movements: tuple[PostingView, ...]
    next_row: int | None


class TransactionReads:
    """Handing in transactions, and what became of them."""

    @ask("tx_submit")
    async def tx_submit(node: Services, chain: Hash, tx: TransactionBytes) -> TxSubmitReply:
        """Hand in a signed transaction for the chain of that genesis hash; a resend is safe."""
        _check_chain(node, chain)
        submission, transaction = node.submit(tx)
        view = node.view()
        return TxSubmitReply(
            height=view.height,
            tx_id=transaction.id,
            accepted=True,
            duplicate=submission is not Submission.ACCEPTED,
            result=await _first_result(node, submission, transaction),
        )

    @ask("tx_submitMany")
    async def tx_submit_many(
        node: Services,
        chain: Hash,
        txs: Annotated[tuple[TransactionBytes, ...], Meta(min_length=1, max_length=SUBMIT_MANY_MAX)],
    ) -> TxSubmitManyReply:
        """Hand in several signed transactions, each of which stands for itself."""
        _check_chain(node, chain)
        items = []
        for position, raw in enumerate(txs):
            if position % SUBMITS_PER_TURN == 0:
                await trio.lowlevel.checkpoint()
            items.append(await _submitted(node, raw))
        return TxSubmitManyReply(height=node.view().height, items=tuple(items))

    @ask("tx_get")
    async def tx_get(node: Services, tx_id: Hash) -> TxReply:
        """A transaction that waits or is in a block, by its id."""
        return await _transaction(node, tx_id)

    @ask("tx_wait", waits=True)
    async def tx_wait(node: Services, tx_id: Hash, timeout_ms: WaitMs = WAIT_MS_DEFAULT) -> TxReply:
        """As tx_get, but wait up to `timeout_ms` for the transaction to be in a block."""
        if node.view().archive.find(tx_id) is None:
            await node.wait_committed(tx_id, timeout_ms / 1000)
        return await _transaction(node, tx_id)


def _check_chain(node: Services, chain: bytes) -> None:
    ours = node.view().genesis_hash
    if chain != ours:
        raise Declined(Code.WRONG_CHAIN, "chain", chain, f"this node serves the chain {ours.hex()}")


async def _submitted(node: Services, raw: bytes) -> SubmittedView:
    try:
        submission, transaction = node.submit(raw)
    except (Refused, Declined) as refused:
        why = shown(RefusalView, said(refused), code=int(refused.code), name=refused.code.word)
        return SubmittedView(tx_id=None, accepted=False, duplicate=False, result=None, refusal=why)
    return SubmittedView(
        tx_id=transaction.id,
        accepted=True,
        duplicate=submission is not Submission.ACCEPTED,
        result=await _first_result(node, submission, transaction),
        refusal=None,
    )


async def _first_result(
    node: Services, submission: Submission, transaction: Transaction
) -> TransactionResult | None:
    if submission is not Submission.COMMITTED:
        return None
    reply = await _committed(node, transaction.id)
    return None if reply is None else reply.result


async def _transaction(node: Services, tx_id: bytes) -> TxReply:
    reply = await _committed(node, tx_id)
    if reply is not None:
        return reply
    transaction = node.waiting(tx_id)
    if transaction is None:
        rule = "this node has not seen it in a block, nor does it wait for one here"
        raise Declined(Code.NOT_FOUND, "tx_id", tx_id, rule)
    return _tx_reply(node.view(), transaction, None)


async def _committed(node: Services, tx_id: bytes) -> TxReply | None:
    """The transaction of that id, if it is in a block of the view: one that is still being executed may be in
    the log already. Where the block has yet to be decoded, that is done in a thread."""
    view = node.view()
    place = view.archive.find(tx_id)
    if place is None or place[0] > view.height:
        return None
    if view.archive.is_decoded(place[0]):
        return _told(view, *place)
    return await node.in_thread(lambda: _told(view, *place))


def _told(view: View, height: int, position: int) -> TxReply:
    raw, result = view.archive.transaction(height, position)
    shown_result = _result(height, position, result)
    return _tx_reply(view, decode_transaction(raw), shown_result, *_moved(view, height, position))


def _moved(view: View, height: int, position: int) -> tuple[tuple[PostingView, ...], int | None]:
    """What the transaction moved, and where the rest is if that is much."""
    log = view.archive.blocks
    first = log.first_posting_of(height, position)
    parts = log.postings_from(height, first, height, PAGE_DEFAULT + 1)
    views = (item for part in parts for item in posting_views(part))
    found = tuple(item for item in views if item.position == position)
    if len(found) <= PAGE_DEFAULT:
        return found, None
    return found[:PAGE_DEFAULT], found[PAGE_DEFAULT].row


def _result(height: int, position: int, result: Result) -> TransactionResult:
    rows = tuple(int.from_bytes(result.rows[at : at + 2], "little") for at in range(0, len(result.rows), 2))
    name = Code(result.code).word
    field, value, rule = words(result.code, result.field, result.values)
    return shown(
        TransactionResult,
        result,
        block=height,
        position=position,
        name=name,
        field=field,
        value=value,
        rule=rule,
        rows=rows,
    )


def _tx_reply(
    view: View,
    transaction: Transaction,
    result: TransactionResult | None,
    movements: tuple[PostingView, ...] = (),
    next_row: int | None = None,
) -> TxReply:
    kind = transaction.definition
    is_act = kind.lane is Lane.ACTS
    if is_act and result is not None and result.field in ("signers", "sequence"):
        # Which officer signed is not told of an act, nor by its refusal.
        result = shown(TransactionResult, result, value="")
    return shown(
        TxReply,
        transaction,
        height=view.height,
        tx_id=transaction.id,
        status=TransactionStatus.PENDING if result is None else TransactionStatus.COMMITTED,
        kind=kind.name,
        sequence=None if is_act else transaction.sequence,
        signers=None if is_act else transaction.signers,
        result=result,
        movements=movements,
        next_row=next_row,
    )
