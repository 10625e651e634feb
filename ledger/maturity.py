"""The end of a security: transfers close when its day has come, and every holder is paid at once.

A security whose day has come is MATURED_UNPAID until its pool holds the face of all units that others than
the treasury hold; then, at the beginning of the first block that finds it so, every holder is paid in full at
once. Until then its row of the agenda waits: funds, or the end of a freeze, wake it. What the treasury still
has of it was never sold, or came back: it owes that to itself, and the units are cancelled without cash.
"""

import numpy as np
from msgspec.structs import replace

from ledger import agenda, restrictions, terms
from ledger.agenda import Moment, Outcome, Progress
from ledger.balances import burn, burn_all, move, move_many
from ledger.codes import InvariantError
from ledger.documents import Instrument, InstrumentStatus
from ledger.postings import Movement
from ledger.rows import FROZEN
from ledger.state import Readable, State
from ledger.transfers import open_holdings

HOLDERS_PER_COST = 32  # holders whose payment costs as much as a document written


def mature(state: State, moment: Moment, index: int, detail: int) -> Outcome:
    """The day of maturity has begun."""
    matured = replace(state.instruments[index], status=InstrumentStatus.MATURED_UNPAID)
    state.instruments.replace(index, matured)
    return agenda.DONE


def redeem(state: State, moment: Moment, index: int, detail: int) -> Outcome:
    """Pay every holder if all can be paid, else wait."""
    if not _is_payable(state, state.instruments[index]):
        return agenda.WAITS
    return Outcome(Progress.DONE, 1 + _redeem(state, index, moment.time_ms) // HOLDERS_PER_COST)


def redemption_due(state: Readable, instrument: Instrument) -> int:
    """What the pool must hold before every holder is paid, in minor units of cash: the face of all units but
    the treasury's own."""
    own = int(state.holdings.field(instrument.treasury_holding, "balance"))
    return (instrument.supply - own) * terms.face_minor(instrument.terms)


def _is_payable(state: State, instrument: Instrument) -> bool:
    """Whether the pool suffices and nothing stands still: no freeze of the market, the security, its cash
    or its pool. A freeze of a holder does not keep the others waiting."""
    pool = state.holdings[instrument.pool_cash]
    pool_flags = pool.flags | int(state.accounts.field(pool.account, "flags"))
    if state.chain_record.market_frozen or instrument.frozen or pool_flags & FROZEN:
        return False
    return not state.instruments[instrument.cash].frozen and pool.balance >= redemption_due(state, instrument)


def _redeem(state: State, index: int, time_ms: int) -> int:
    """Pay every holder but the treasury the face of what it holds, and end the security; how many they are.

    What a frozen holding is paid stays held by the same freezes. What the pool has left goes back to the
    treasury.
    """
    instrument, holdings = state.instruments[index], state.holdings
    due = redemption_due(state, instrument)
    own = int(holdings.field(instrument.treasury_holding, "balance"))
    if own:
        burn(state, Movement.RETIREMENT, instrument.treasury_holding, own)
    holders = np.flatnonzero((holdings.column("instrument") == index) & (holdings.column("balance") > 0))
    holders = holders.astype(np.int64)
    units = holdings.column("balance")[holders]
    owners = holdings.column("account")[holders].astype(np.int64)
    frozen = np.flatnonzero(holdings.column("flags")[holders] & FROZEN).tolist()
    targets = _cash_holdings(state, owners, instrument.cash)
    # No product passes 2**63: the face of the whole supply was checked against AMOUNT_MAX at issue.
    payments = units * np.uint64(terms.face_minor(instrument.terms))
    if payments.dtype != np.uint64 or units.dtype != np.uint64:
        raise InvariantError(f"instrument {index}: payments are {payments.dtype}")
    if sum(payments.tolist()) != due:
        raise InvariantError(
            f"instrument {index}: holders are due {sum(payments.tolist())}, the pool owes {due}"
        )
    if len(holders):
        burn_all(state, Movement.RETIREMENT, holders)
    move_many(state, Movement.REDEMPTION, np.full(len(targets), instrument.pool_cash), targets, payments)
    for position in frozen:
        source, target, amount = int(holders[position]), int(targets[position]), int(payments[position])
        restrictions.hold_payment(state, source, target, amount, time_ms)
    rest = int(holdings.field(instrument.pool_cash, "balance"))
    if rest:
        move(state, Movement.REFUND, instrument.pool_cash, instrument.treasury_cash, rest)
    redeemed = replace(state.instruments[index], status=InstrumentStatus.REDEEMED, redeemed_ms=time_ms)
    state.instruments.replace(index, redeemed)
    return len(holders)


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
