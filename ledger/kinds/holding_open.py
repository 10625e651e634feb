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
from ledger.documents import InstrumentStatus
from ledger.kind import Context, Kind, Lane, Signers
from ledger.limits import HOLDING_OPEN_ROWS_MAX, HOLDINGS_PER_ACCOUNT_MAX
from ledger.rows import CLOSED, NO_ROW, AccountType
from ledger.schema import Payload
from ledger.transfers import is_finished, open_holding

ROW = np.dtype([("account", "<u4"), ("instrument", "<u4")])


class HoldingOpen(Payload, frozen=True):
    rows: Annotated[bytes, Meta(min_length=ROW.itemsize, max_length=HOLDING_OPEN_ROWS_MAX * ROW.itemsize)]


def check(ctx: Context, payload: HoldingOpen) -> None:
    state, vasp = ctx.state, ctx.signing_vasp()
    if len(payload.rows) % ROW.itemsize:
        raise Refused(Code.MALFORMED, "rows", len(payload.rows), f"must be rows of {ROW.itemsize} bytes")
    if vasp != NO_ROW:
        record = state.vasps[vasp]
        if record.frozen:
            raise Refused(Code.FROZEN, "vasp", record.name, "the VASP is frozen")
        rights.require(record, rights.HOLDING_OPEN, parameters.names(state, "aml_registered_services"))
    held: dict[int, set[int]] = {}
    for number, (account, instrument) in enumerate(_pairs(payload)):
        field = f"rows[{number}]"
        row = state.accounts.require(account, f"{field}.account")
        paper = state.instruments.require(instrument, f"{field}.instrument")
        if not (row.vasp == vasp if vasp != NO_ROW else row.owner == ctx.signer + 1):
            raise Refused(
                Code.NOT_AUTHORISED, f"{field}.account", account, "is opened by its own VASP or by its owner"
            )
        if row.flags & CLOSED:
            raise Refused(Code.WRONG_STATUS, f"{field}.account", account, "the account is closed")
        if row.type == AccountType.CLIENT_MONEY and not terms.may(paper.terms, terms.Act.PAY):
            raise Refused(
                Code.INSTRUMENT_MISMATCH, f"{field}.instrument", instrument, "client money is cash alone"
            )
        if paper.status is InstrumentStatus.REDEEMED:
            raise Refused(Code.WRONG_STATUS, f"{field}.instrument", paper.code, "has been redeemed")
        if account not in held:
            held[account] = {
                int(state.holdings.field(holding, "instrument"))
                for holding in state.holdings_of(account)
                if not is_finished(state, holding, ctx.time_ms)
            }
        if instrument in held[account]:
            raise Refused(
                Code.ALREADY_EXISTS,
                f"{field}.instrument",
                instrument,
                f"account {account} has a holding of it",
            )
        held[account].add(instrument)
        if len(held[account]) > HOLDINGS_PER_ACCOUNT_MAX:
            raise Refused(
                Code.LIMIT_EXCEEDED,
                f"{field}.account",
                account,
                f"at most {HOLDINGS_PER_ACCOUNT_MAX} holdings that are not finished",
            )


def apply(ctx: Context, payload: HoldingOpen) -> tuple[int, ...]:
    return tuple(
        open_holding(ctx.state, account, instrument, ctx.time_ms) for account, instrument in _pairs(payload)
    )


def _pairs(payload: HoldingOpen) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = np.frombuffer(payload.rows, ROW).tolist()
    return pairs


KIND = Kind(4, "holding_open", Lane.TRANSFERS, Signers.HOLDER, HoldingOpen, check, apply)
