"""What falls due by time alone, at the beginning of every block: expiry, offers' ends, maturity, redemption.

A security whose day has come is MATURED_UNPAID until its pool holds the face of all of it; then, at the
beginning of the first block that finds it so, every holder is paid in full at once.
"""

import numpy as np
from msgspec.structs import replace

from ledger import proposals
from ledger.codes import InvariantError
from ledger.documents import Instrument, InstrumentStatus, OfferStatus
from ledger.positions import unlock
from ledger.rows import FROZEN
from ledger.state import State
from ledger.transfers import burn, move, open_holdings


def begin_block(state: State, height: int, time_ms: int) -> None:
    """Everything that is due at ledger time `time_ms`, in this order."""
    proposals.expire(state, height, time_ms)
    for index in state.chain_record.open_offers:
        if time_ms >= state.offers[index].closes_ms:
            _close_offer(state, index)
    for index in state.chain_record.live_securities:
        instrument = state.instruments[index]
        if instrument.status is InstrumentStatus.ACTIVE and time_ms >= instrument.maturity_ms:
            instrument = replace(instrument, status=InstrumentStatus.MATURED_UNPAID)
            state.instruments.replace(index, instrument)
        if instrument.status is InstrumentStatus.MATURED_UNPAID and _is_payable(state, instrument):
            _redeem(state, index, time_ms)


def redemption_due(instrument: Instrument) -> int:
    """What the pool must hold before every holder is paid: the face of all units, in minor units of cash."""
    return instrument.supply * instrument.face_minor


def _close_offer(state: State, index: int) -> None:
    """Cancel the units that nobody took."""
    offer = state.offers[index]
    unsold = offer.units - offer.taken
    if unsold:
        holding = state.instruments[offer.instrument].treasury_holding
        unlock(state, holding, unsold)
        burn(state, holding, unsold)
    state.offers.replace(index, replace(offer, cancelled=unsold, status=OfferStatus.CLOSED))
    chain = state.chain_record
    still_open = tuple(other for other in chain.open_offers if other != index)
    state.chain.replace(0, replace(chain, open_offers=still_open))


def _is_payable(state: State, instrument: Instrument) -> bool:
    """Whether the pool suffices and nothing stands still: no freeze of the market, the security, its cash
    or its pool. A freeze of a holder does not keep the others waiting."""
    pool = state.holdings[instrument.pool_cash]
    pool_flags = pool.flags | int(state.accounts.field(pool.account, "flags"))
    if state.chain_record.market_frozen or instrument.frozen or pool_flags & FROZEN:
        return False
    return not state.instruments[instrument.cash].frozen and pool.balance >= redemption_due(instrument)


def _redeem(state: State, index: int, time_ms: int) -> None:
    """Pay every holder the face of what it holds, and end the security.

    A frozen holder - the account, or the holding itself - is paid into frozen cash. What the pool has left
    goes back to the treasury.
    """
    instrument = state.instruments[index]
    holdings, accounts = state.holdings, state.accounts
    holders = np.flatnonzero((holdings.column("instrument") == index) & (holdings.column("balance") > 0))
    holders = holders.astype(np.int64)
    if holdings.column("locked")[holders].any():
        raise InvariantError(f"instrument {index}: units are locked at redemption")
    units = holdings.column("balance")[holders]
    owners = holdings.column("account")[holders].astype(np.int64)
    frozen = ((holdings.column("flags")[holders] | accounts.column("flags")[owners]) & FROZEN) != 0
    targets = _cash_holdings(state, owners, instrument.cash)
    # No product passes 2**63: the face of the whole supply was checked against AMOUNT_MAX at issue.
    payments = units * np.uint64(instrument.face_minor)
    if payments.dtype != np.uint64 or units.dtype != np.uint64:
        raise InvariantError(f"instrument {index}: payments are {payments.dtype}")
    due = redemption_due(instrument)
    if sum(payments.tolist()) != due:
        raise InvariantError(
            f"instrument {index}: holders are due {sum(payments.tolist())}, the supply {due}"
        )
    pool = state.holdings[instrument.pool_cash]
    holdings.set_column("balance", holders, 0)
    holdings.set_field(instrument.pool_cash, "balance", pool.balance - due)
    holdings.add_at("balance", targets, payments)
    to_freeze = targets[frozen]
    holdings.set_column("flags", to_freeze, holdings.column("flags")[to_freeze] | np.uint32(FROZEN))
    if pool.balance > due:
        move(state, instrument.pool_cash, instrument.treasury_cash, pool.balance - due)
    state.instruments.replace(
        index, replace(instrument, supply=0, status=InstrumentStatus.REDEEMED, redeemed_ms=time_ms)
    )
    chain = state.chain_record
    live = tuple(other for other in chain.live_securities if other != index)
    state.chain.replace(0, replace(chain, live_securities=live))


def _cash_holdings(
    state: State, owners: np.typing.NDArray[np.int64], cash: int
) -> np.typing.NDArray[np.int64]:
    """Each owner's holding of `cash`, opened where there is none."""
    positions = np.flatnonzero(state.holdings.column("instrument") == cash).astype(np.int64)
    found = np.full(len(state.accounts), -1, np.int64)
    found[state.holdings.column("account")[positions].astype(np.int64)] = positions
    missing = owners[found[owners] < 0]
    found[missing] = open_holdings(state, missing, cash)
    return found[owners]
