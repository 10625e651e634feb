"""Delivery versus payment: units of an offer against cash, row by row, both legs or neither.

A row that is refused leaves both of its balances as they were and does not touch the other rows.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from ledger import terms
from ledger.balances import available, move_many, unlock
from ledger.codes import Code, Refused
from ledger.documents import Instrument, Offer, OfferStatus
from ledger.kind import RowCodes
from ledger.limits import AMOUNT_MAX, TAKE_ROWS_MAX
from ledger.postings import Movement
from ledger.rows import CLOSED, AccountType
from ledger.state import State
from ledger.transfers import (
    Mover,
    check_custody,
    check_eligible,
    check_kyc,
    check_unfrozen,
)

TAKE_ROW = np.dtype([("security", "<u4"), ("cash", "<u4"), ("units", "<u8")])


def take_rows(data: bytes) -> npt.NDArray[Any]:
    """The rows of an offer_take. Raises Refused(malformed or limit_exceeded)."""
    width = TAKE_ROW.itemsize
    if not data or len(data) % width:
        raise Refused(Code.MALFORMED, "rows", len(data), width)
    if len(data) > TAKE_ROWS_MAX * width:
        raise Refused(Code.LIMIT_EXCEEDED, "rows", len(data) // width, TAKE_ROWS_MAX)
    return np.frombuffer(data, TAKE_ROW)


def check_offer(state: State, index: int, vasp: int, time_ms: int) -> None:
    """Refuse unless `vasp` may take the offer now."""
    offer = state.offers.require(index, "offer")
    if offer.vasps and vasp not in offer.vasps:
        raise Refused(Code.NOT_AUTHORISED, "offer", index)
    if offer.status is not OfferStatus.OPEN or not offer.opens_ms <= time_ms < offer.closes_ms:
        raise Refused(Code.OFFER_CLOSED, "offer", index, offer.opens_ms, offer.closes_ms)
    instrument = state.instruments[offer.instrument]  # not matured: no window reaches past maturity
    for holding_index, held in (
        (instrument.treasury_holding, instrument),
        (instrument.treasury_cash, state.instruments[instrument.cash]),
    ):
        holding = state.holdings[holding_index]
        check_unfrozen(state, holding, state.accounts[holding.account], held, "offer")


def settle_offer(state: State, mover: Mover, time_ms: int, index: int, rows: npt.NDArray[Any]) -> RowCodes:
    """Settle every row that the rules allow, as if one after another; each row's code.

    What the rows deliver and pay is moved at the end, for all rows: no row can name the treasury's holdings,
    and what earlier rows spent of a holding counts against later ones.
    """
    offer = state.offers[index]
    instrument = state.instruments[offer.instrument]
    codes = np.zeros(len(rows), np.uint16)
    spent: dict[int, int] = {}
    taken: list[tuple[int, int, int, int]] = []
    left = offer.units - offer.taken
    for number, (security, cash, units) in enumerate(rows.tolist()):
        try:
            cost = _check_row(
                state, mover, time_ms, offer, instrument, left, spent.get(cash, 0), security, cash, units
            )
        except Refused as refused:
            codes[number] = refused.code
            continue
        taken.append((security, cash, units, cost))
        spent[cash] = spent.get(cash, 0) + cost
        left -= units
    if taken:
        securities, payers, units, costs = (np.array(column) for column in zip(*taken, strict=True))
        ours = np.full(len(taken), instrument.treasury_holding)
        sold = offer.units - offer.taken - left
        unlock(state, instrument.treasury_holding, sold)
        move_many(state, Movement.DELIVERY, ours, securities, units.astype(np.uint64))
        ours = np.full(len(taken), instrument.treasury_cash)
        move_many(state, Movement.PAYMENT, payers, ours, costs.astype(np.uint64))
        state.offers.replace(index, replace(offer, taken=offer.taken + sold))
    return codes


def _check_row(
    state: State,
    mover: Mover,
    time_ms: int,
    offer: Offer,
    instrument: Instrument,
    left: int,
    spent: int,
    security: int,
    cash: int,
    units: int,
) -> int:
    """Refuse the row, or return what it costs; `left` units of the offer are not yet taken, `spent` of the
    cash holding is."""
    security_holding = state.holdings.require(security, "security")
    cash_holding = state.holdings.require(cash, "cash")
    if not 1 <= units <= AMOUNT_MAX:
        raise Refused(Code.MALFORMED, "units", units)
    if security_holding.instrument != offer.instrument:
        raise Refused(Code.INSTRUMENT_MISMATCH, "security", security, instrument.code)
    if cash_holding.instrument != instrument.cash:
        raise Refused(Code.INSTRUMENT_MISMATCH, "cash", cash, instrument.cash)
    buyer = state.accounts[security_holding.account]
    payer = state.accounts[cash_holding.account]
    check_custody(mover, buyer, "security", security)
    check_custody(mover, payer, "cash", cash)
    if buyer.type != AccountType.CUSTODIAL:
        raise Refused(Code.NOT_AUTHORISED, "security", security)
    if payer.type != AccountType.CLIENT_MONEY and cash_holding.account != security_holding.account:
        raise Refused(Code.NOT_AUTHORISED, "cash", cash)
    check_unfrozen(state, security_holding, buyer, instrument, "security")
    check_unfrozen(state, cash_holding, payer, state.instruments[instrument.cash], "cash")
    if (buyer.flags | payer.flags) & CLOSED:
        raise Refused(Code.WRONG_STATUS, "security", security)
    check_eligible(buyer, instrument, time_ms, "security")
    check_kyc(payer, time_ms, "cash")
    if units > left:
        raise Refused(Code.OFFER_EXHAUSTED, "units", units, left)
    cost = terms.cost_minor(instrument.terms, units, offer.price_e4)
    free = available(cash_holding) - spent
    if cost > free:
        raise Refused(Code.DVP_CASH_SHORT, "cash", cash, cost, free)
    return cost
