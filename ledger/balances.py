"""The only writers of balances, locked amounts and supplies: each writes down what it moves as a posting.

Callers have checked what they ask for. What would break an invariant raises InvariantError, except that a
supply past its bound is refused.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from ledger.codes import Code, InvariantError, Refused
from ledger.limits import AMOUNT_MAX
from ledger.postings import Movement
from ledger.rows import NO_ROW, Holding
from ledger.state import State
from ledger.tables import Indices

Columns = npt.NDArray[Any]


def available(holding: Holding) -> int:
    """What may leave the holding: its balance but for what is locked."""
    return holding.balance - holding.locked


def move(state: State, movement: Movement, source: int, target: int, amount: int) -> None:
    """Move an amount between two holdings of one instrument; the supply stays as it is."""
    _debit(state, source, amount)
    _credit(state, target, amount)
    state.stream.post(movement, source, target, amount)


def move_many(state: State, movement: Movement, sources: Indices, targets: Indices, amounts: Columns) -> None:
    """Move many amounts whose order has been shown not to matter or to succeed.

    Sums run modulo 2**64 and end exact, since every final balance is at most 2**63 - 1.
    """
    state.stream.post_many(movement, sources, targets, amounts)
    state.holdings.subtract_at("balance", sources, amounts)
    state.holdings.add_at("balance", targets, amounts)


def mint(state: State, movement: Movement, holding: int, amount: int) -> None:
    """Create units in `holding`, raising its instrument's supply. Raises Refused(supply_exceeded)."""
    index = int(state.holdings.field(holding, "instrument"))
    instrument = state.instruments[index]
    if instrument.supply + amount > AMOUNT_MAX:
        raise Refused(Code.SUPPLY_EXCEEDED, "amount", amount, instrument.supply)
    state.instruments.replace(index, replace(instrument, supply=instrument.supply + amount))
    _credit(state, holding, amount)
    state.stream.post(movement, NO_ROW, holding, amount)


def burn(state: State, movement: Movement, holding: int, amount: int) -> None:
    """Destroy available units of `holding`, lowering its instrument's supply."""
    index = int(state.holdings.field(holding, "instrument"))
    instrument = state.instruments[index]
    _debit(state, holding, amount)
    state.instruments.replace(index, replace(instrument, supply=instrument.supply - amount))
    state.stream.post(movement, holding, NO_ROW, amount)


def burn_all(state: State, movement: Movement, holdings: Indices) -> None:
    """Destroy everything in these different holdings, none empty, of one instrument; nothing is locked."""
    units = state.holdings.column("balance")[holdings]
    instruments = np.unique(state.holdings.column("instrument")[holdings]).tolist()
    if len(instruments) != 1 or state.holdings.column("locked")[holdings].any():
        raise InvariantError(f"holdings of instruments {instruments}, or with units locked, are not burnt")
    instrument = state.instruments[instruments[0]]
    state.stream.post_many(movement, holdings, NO_ROW, units)
    state.holdings.set_column("balance", holdings, 0)
    supply = instrument.supply - sum(units.tolist())
    state.instruments.replace(instruments[0], replace(instrument, supply=supply))


def lock(state: State, holding: int, amount: int) -> None:
    """Set `amount` of the balance aside."""
    row = state.holdings[holding]
    if amount > available(row):
        raise InvariantError(f"holding {holding}: locking {amount} of {available(row)}")
    state.holdings.set_field(holding, "locked", row.locked + amount)
    state.stream.post(Movement.LOCK, holding, holding, amount)


def unlock(state: State, holding: int, amount: int) -> None:
    """Release `amount` that was set aside."""
    row = state.holdings[holding]
    if amount > row.locked:
        raise InvariantError(f"holding {holding}: unlocking {amount} of {row.locked}")
    state.holdings.set_field(holding, "locked", row.locked - amount)
    state.stream.post(Movement.UNLOCK, holding, holding, amount)


def _credit(state: State, holding: int, amount: int) -> None:
    balance = int(state.holdings.field(holding, "balance")) + amount
    if amount < 0 or balance > AMOUNT_MAX:
        raise InvariantError(f"holding {holding}: a credit of {amount} leaves {balance}")
    state.holdings.set_field(holding, "balance", balance)


def _debit(state: State, holding: int, amount: int) -> None:
    row = state.holdings[holding]
    if not 0 <= amount <= available(row):
        raise InvariantError(f"holding {holding}: a debit of {amount} of {available(row)} available")
    state.holdings.set_field(holding, "balance", row.balance - amount)
