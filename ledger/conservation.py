"""Nothing is created or lost: what moves is the fold of postings, and balances are the fold of all blocks.

A block is checked by its postings alone: each moves within one instrument, and supplies change by what is
created and destroyed. `Fold` adds up every posting from genesis on and compares with the balances that the
ledger holds, as an audit does; `check_all` sums every holding against its supply. All sums are exact: of
32-bit halves, or modulo 2**64 where the end is known to be below.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from ledger import terms
from ledger.codes import InvariantError
from ledger.documents import FundingDebit
from ledger.postings import Form, forms_of, posting_rows
from ledger.state import State
from ledger.tables import DocumentWas, Mark
from ledger.terms import Act

_LOW_HALF = np.uint64(0xFFFFFFFF)
_HALF_BITS = np.uint64(32)

Columns = npt.NDArray[Any]


def check_block(state: State, mark: Mark) -> None:
    """Assert that the postings of the block so far conserve every instrument, that supplies changed by them
    since the savepoint `mark`, and that no holding has more locked than it holds. Raises InvariantError."""
    _check_cash(state, mark)
    rows = posting_rows(state.stream.postings())
    _check_sides(state, rows)
    created = supply_changes(state, rows)
    before: dict[int, int] = {}
    for entry in state.journal.since(mark):
        if isinstance(entry, DocumentWas) and entry.table is state.instruments:
            before.setdefault(entry.number, 0 if entry.old is None else entry.old.supply)
    for instrument in sorted(created.keys() | before.keys()):
        supply = state.instruments[instrument].supply
        change = supply - before.get(instrument, supply)
        if change != created.get(instrument, 0):
            raise InvariantError(
                f"instrument {instrument}: its postings create {created.get(instrument, 0)},"
                f" its supply changes by {change}"
            )


def supply_changes(state: State, rows: Columns) -> dict[int, int]:
    """What these postings create less what they destroy, by instrument."""
    forms = forms_of(rows)
    changes: dict[int, int] = {}
    for form, side, sign in ((Form.CREATES, "to", 1), (Form.DESTROYS, "from", -1)):
        chosen = forms == form
        if chosen.any():
            instruments = state.holdings.column("instrument")[rows[side][chosen]]
            for instrument, amount in _sums(instruments, rows["amount"][chosen]).items():
                changes[instrument] = changes.get(instrument, 0) + sign * amount
    return changes


class Fold:
    """The sum of all postings since genesis: each holding's balance and locked amount, each supply."""

    def __init__(self) -> None:
        self.supplies: dict[int, int] = {}
        self.moves = 0  # postings from one holding to another
        self._balances = np.zeros(0, np.uint64)
        self._locked = np.zeros(0, np.uint64)

    def add(self, state: State, postings: bytes) -> None:
        """Add the postings of one block, after which `state` stands, and compare every holding that they
        name. Raises InvariantError naming the holding, what was counted and what the ledger says."""
        rows = posting_rows(postings)
        missing = len(state.holdings) - len(self._balances)
        if missing:
            self._balances = np.concatenate((self._balances, np.zeros(missing, np.uint64)))
            self._locked = np.concatenate((self._locked, np.zeros(missing, np.uint64)))
        forms = forms_of(rows)
        moving = forms == Form.MOVES
        self.moves += int(np.count_nonzero(moving))
        touched = []
        for column, side, chosen, change in (
            (self._balances, "from", moving | (forms == Form.DESTROYS), np.subtract),
            (self._balances, "to", moving | (forms == Form.CREATES), np.add),
            (self._locked, "to", forms == Form.LOCKS, np.add),
            (self._locked, "to", forms == Form.UNLOCKS, np.subtract),
        ):
            if chosen.any():
                named = rows[side][chosen].astype(np.int64)
                change.at(column, named, rows["amount"][chosen])
                touched.append(named)
        for named in touched:
            self._compare(state, named)
        for instrument, amount in supply_changes(state, rows).items():
            self.supplies[instrument] = self.supplies.get(instrument, 0) + amount

    def compare(self, state: State) -> None:
        """Compare every holding and every supply. Raises InvariantError as `add` does."""
        if len(self._balances) != len(state.holdings):
            raise InvariantError(f"{len(self._balances)} holdings counted, there are {len(state.holdings)}")
        self._compare(state, np.arange(len(state.holdings)))
        for index, instrument in enumerate(state.instruments):
            if self.supplies.get(index, 0) != instrument.supply:
                raise InvariantError(
                    f"instrument {index}: {self.supplies.get(index, 0)} was created and not destroyed,"
                    f" its supply is {instrument.supply}"
                )

    def _compare(self, state: State, holdings: Columns) -> None:
        for name, counted in (("balance", self._balances), ("locked", self._locked)):
            differ = np.flatnonzero(counted[holdings] != state.holdings.column(name)[holdings])
            if len(differ):
                holding = int(holdings[differ[0]])
                raise InvariantError(
                    f"holding {holding}: {name} counted {counted[holding]}, the ledger says"
                    f" {state.holdings.field(holding, name)}"
                )


def _check_sides(state: State, rows: Columns) -> None:
    """Assert that each posting moves within one instrument and leaves no more locked than there is."""
    forms = forms_of(rows)
    sources, targets = rows["from"], rows["to"]
    instruments = state.holdings.column("instrument")
    both = forms == Form.MOVES
    if not both.all():
        sources, targets = sources[both], targets[both]
    if bool((instruments[sources] != instruments[targets]).any()):
        raise InvariantError("a posting moves from one instrument into another")
    locked, balances = state.holdings.column("locked"), state.holdings.column("balance")
    for side, chosen in (("from", forms != Form.CREATES), ("to", forms == Form.LOCKS)):
        named = rows[side] if chosen.all() else rows[side][chosen]
        if bool((locked[named] > balances[named]).any()):
            raise InvariantError("a holding has more locked than its balance")


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
