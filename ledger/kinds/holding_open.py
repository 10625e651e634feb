"""Kind 4, `holding_open`: opens empty holdings, one for each account and instrument.

A finished holding of the account - empty, its instrument redeemed a week ago - is taken over for the new one.

Signed by the accounts' VASP, or by the owner for an own self-custody account. `rows` are 8 bytes each:
account u4, instrument u4, little-endian. All rows open or none. Client money holds cash alone. Returns the
holdings' indices. Codes: stage_not_reached, frozen, malformed, not_found, not_authorised, wrong_status,
instrument_mismatch, already_exists, limit_exceeded.
"""

from typing import Annotated

import numpy as np
from msgspec import Meta

from ledger import parameters, rights, terms
from ledger.codes import Code, Refused
from ledger.cost import Cost, packed
from ledger.documents import InstrumentStatus, Target
from ledger.kind import Context, Kind, Lane, Signers
from ledger.limits import HOLDING_OPEN_ROWS_MAX, HOLDINGS_PER_ACCOUNT_MAX
from ledger.lists import held_twice, open_all, walk
from ledger.rows import CLOSED, NO_ROW, AccountType
from ledger.schema import Payload

ROW = np.dtype([("account", "<u4"), ("instrument", "<u4")])


class HoldingOpen(Payload, frozen=True):
    rows: Annotated[bytes, Meta(min_length=ROW.itemsize, max_length=HOLDING_OPEN_ROWS_MAX * ROW.itemsize)]


def check(ctx: Context, payload: HoldingOpen) -> None:
    state, vasp = ctx.state, ctx.signing_vasp()
    if len(payload.rows) % ROW.itemsize:
        raise Refused(Code.MALFORMED, "rows", len(payload.rows), ROW.itemsize)
    if vasp != NO_ROW:
        record = state.vasps[vasp]
        if record.frozen:
            raise Refused(Code.FROZEN, "vasp", Target.VASP)
        rights.require(record, rights.HOLDING_OPEN, parameters.names(state, "aml_registered_services"))
    pairs = _pairs(payload)
    wrong: Refused | None = None
    for number, (account, instrument) in enumerate(pairs):
        try:
            _check_row(ctx, number, account, instrument)
        except Refused as refused:
            wrong, pairs = refused, pairs[:number]
            break
    _check_lists(ctx, pairs)  # what is wrong with an earlier row comes first
    if wrong is not None:
        raise wrong


def _check_row(ctx: Context, number: int, account: int, instrument: int) -> None:
    """All that is asked of one row but what its account holds already."""
    state, vasp = ctx.state, ctx.signing_vasp()
    row = state.accounts.require(account, "rows[].account", number)
    paper = state.instruments.require(instrument, "rows[].instrument", number)
    if not (row.vasp == vasp if vasp != NO_ROW else row.owner == ctx.signer + 1):
        raise Refused(Code.NOT_AUTHORISED, "rows[].account", account, number)
    if row.flags & CLOSED:
        raise Refused(Code.WRONG_STATUS, "rows[].account", account, number)
    if row.type == AccountType.CLIENT_MONEY and not terms.may(paper.terms, terms.Act.PAY):
        raise Refused(Code.INSTRUMENT_MISMATCH, "rows[].instrument", instrument, number)
    if paper.status is InstrumentStatus.REDEEMED:
        raise Refused(Code.WRONG_STATUS, "rows[].instrument", instrument, number)


def _check_lists(ctx: Context, pairs: list[tuple[int, int]]) -> None:
    """Refuse a second holding of one instrument, and more holdings than an account may have."""
    if not pairs:
        return
    accounts = {account: number for number, account in enumerate(sorted({account for account, _ in pairs}))}
    lists = walk(ctx.state, np.array(list(accounts), np.int64), ctx.time_ms)
    owners = np.array([accounts[account] for account, _ in pairs], np.int64)
    instruments = np.array([instrument for _, instrument in pairs], np.int64)
    held = held_twice(ctx.state, lists, owners, instruments)
    counts = np.bincount(lists.owners[~lists.finished], minlength=len(accounts)).tolist()
    for number, (account, instrument) in enumerate(pairs):
        owner = accounts[account]
        if (owner, instrument) in held:
            raise Refused(Code.ALREADY_EXISTS, "rows[].instrument", instrument, number, account)
        held.add((owner, instrument))
        counts[owner] += 1
        most = _most(ctx, account)
        if counts[owner] > most:
            raise Refused(Code.LIMIT_EXCEEDED, "rows[].account", account, number, most)


def _most(ctx: Context, account: int) -> int:
    """How many holdings the signer may bring an account to: a VASP leaves room to an owner with a key."""
    own = ctx.signing_vasp() == NO_ROW
    kept = ctx.state.accounts.field(account, "type") != AccountType.SELF_CUSTODY
    return HOLDINGS_PER_ACCOUNT_MAX if own or kept else HOLDINGS_PER_ACCOUNT_MAX // 2


def apply(ctx: Context, payload: HoldingOpen) -> tuple[int, ...]:
    return open_all(ctx.state, _pairs(payload), ctx.time_ms)


def _pairs(payload: HoldingOpen) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = np.frombuffer(payload.rows, ROW).tolist()
    return pairs


KIND = Kind(
    4,
    "holding_open",
    Lane.TRANSFERS,
    Signers.HOLDER,
    HoldingOpen,
    check,
    apply,
    Cost(60, (packed(40, "rows", ROW.itemsize),)),
)
