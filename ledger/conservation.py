"""Nothing is created or lost: after every block each instrument's balances sum to its supply.

A block is checked by what its journal says changed, so the price is that of the block, not of the ledger;
`check_all` sums every holding and is what an audit and a load from disk use. Both sum 32-bit halves.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from ledger import terms
from ledger.codes import InvariantError
from ledger.documents import FundingDebit
from ledger.state import State
from ledger.tables import ColumnWas, DocumentWas, FieldWas, Mark, RowsWere
from ledger.terms import Act

_LOW_HALF = np.uint64(0xFFFFFFFF)
_HALF_BITS = np.uint64(32)

Columns = npt.NDArray[Any]


def check_block(state: State, mark: Mark) -> None:
    """Assert that since the savepoint `mark` the balances of each instrument changed as its supply did, and
    that no holding has more locked than it holds. Raises InvariantError."""
    _check_cash(state, mark)
    touched, before = _balances_before(state, mark)
    after = state.holdings.column("balance")[touched]
    if bool((state.holdings.column("locked")[touched] > after).any()):
        raise InvariantError("a holding has more locked than its balance")
    instruments = state.holdings.column("instrument")[touched]
    sums_before, sums_after = _sums(instruments, before), _sums(instruments, after)
    supplies_before: dict[int, int] = {}
    for entry in state.journal.since(mark):
        if isinstance(entry, DocumentWas) and entry.table is state.instruments:
            supplies_before.setdefault(entry.number, 0 if entry.old is None else entry.old.supply)
    for instrument in sorted(sums_after.keys() | supplies_before.keys()):
        supply = state.instruments[instrument].supply
        supply_change = supply - supplies_before.get(instrument, supply)
        balance_change = sums_after.get(instrument, 0) - sums_before.get(instrument, 0)
        if supply_change != balance_change:
            raise InvariantError(
                f"instrument {instrument}: balances change by {balance_change}, its supply by {supply_change}"
            )


def _check_cash(state: State, mark: Mark) -> None:
    """Assert that since `mark` the supply of each cash changed as what is outstanding of its debits did."""
    supplies: dict[int, int] = {}
    debits: dict[int, int] = {}
    for entry in state.journal.since(mark):
        if not isinstance(entry, DocumentWas):
            continue
        if entry.table is state.instruments:
            supplies.setdefault(entry.number, 0 if entry.old is None else entry.old.supply)
        elif entry.table is state.debits:
            debits.setdefault(entry.number, 0 if entry.old is None else _outstanding(entry.old))
    changes: dict[int, int] = {}
    for number, before in debits.items():
        instrument = state.debits[number].instrument
        changes[instrument] = changes.get(instrument, 0) + _outstanding(state.debits[number]) - before
    for number, before in supplies.items():
        if terms.may(state.instruments[number].terms, Act.FUND):
            changes[number] = changes.get(number, 0) - (state.instruments[number].supply - before)
    for number, difference in changes.items():
        if difference:
            raise InvariantError(
                f"instrument {number}: its debits changed by {difference} more than its supply"
            )


def _outstanding(debit: FundingDebit) -> int:
    return debit.amount - debit.destroyed


def check_all(state: State) -> None:
    """Assert that all balances of each instrument sum to its supply, and that the supply of cash is what is
    outstanding of its debits. Raises InvariantError."""
    sums = _sums(state.holdings.column("instrument"), state.holdings.column("balance"))
    unknown = sums.keys() - set(range(len(state.instruments)))
    if unknown:
        raise InvariantError(f"holdings of instruments that do not exist: {sorted(unknown)}")
    for index, instrument in enumerate(state.instruments):
        if sums.get(index, 0) != instrument.supply:
            raise InvariantError(
                f"instrument {index}: balances sum to {sums.get(index, 0)}, its supply is {instrument.supply}"
            )
        if not terms.may(instrument.terms, Act.FUND):
            continue
        funded = sum(_outstanding(debit) for debit in state.debits if debit.instrument == index)
        if funded != instrument.supply:
            raise InvariantError(
                f"instrument {index}: {funded} of its debits is out, its supply is {instrument.supply}"
            )


def _balances_before(state: State, mark: Mark) -> tuple[Columns, Columns]:
    """Every holding whose balance was written since `mark` or that is new, and what it held at `mark`."""
    indices: list[Columns] = []
    balances: list[Columns] = []
    single_indices: list[int] = []
    single_balances: list[int] = []

    def gather_singles() -> None:
        indices.append(np.array(single_indices, np.int64))
        balances.append(np.array(single_balances, np.uint64))
        single_indices.clear()
        single_balances.clear()

    count_before = len(state.holdings)
    for entry in state.journal.since(mark):
        match entry:
            case FieldWas(table, index, "balance", old) if table is state.holdings:
                single_indices.append(index)
                single_balances.append(old)
            case ColumnWas(table, written, "balance", olds) if table is state.holdings:
                gather_singles()
                indices.append(written)
                balances.append(olds)
            case RowsWere(table, count) if table is state.holdings:
                count_before = min(count_before, count)
    gather_singles()
    touched, first = np.unique(np.concatenate(indices), return_index=True)  # the first write of each
    before = np.concatenate(balances)[first]
    old_ones = touched < count_before
    new = np.arange(count_before, len(state.holdings), dtype=np.int64)
    return (
        np.concatenate((touched[old_ones], new)),
        np.concatenate((before[old_ones], np.zeros(len(new), np.uint64))),
    )


def _sums(instruments: Columns, amounts: Columns) -> dict[int, int]:
    """The exact sum of `amounts` for each instrument."""
    if len(amounts) == 0:
        return {}
    if amounts.dtype != np.uint64:
        raise InvariantError(f"amounts of {amounts.dtype}, must be uint64")
    order = np.argsort(instruments, kind="stable")
    ordered, sorted_amounts = instruments[order], amounts[order]
    starts = np.flatnonzero(np.concatenate((np.ones(1, np.bool_), ordered[1:] != ordered[:-1])))
    low = np.add.reduceat(sorted_amounts & _LOW_HALF, starts).tolist()
    high = np.add.reduceat(sorted_amounts >> _HALF_BITS, starts).tolist()
    names = ordered[starts].tolist()
    return {name: (top << 32) + bottom for name, top, bottom in zip(names, high, low, strict=True)}
