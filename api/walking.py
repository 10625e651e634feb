"""Walking along what moves a holding from any place of the log on: what it had there, each movement after it.

The index of movements says where a holding moves and what it had before; the postings after the last segment
of the index, the tail, are looked through for all the holdings of a page at once, and what these had before
the tail is what they have now less what moved in it.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from api.limits import PARTS_KEPT_MAX, TAIL_HEIGHTS_MAX, TAIL_ROWS_MAX
from api.refusals import Declined
from api.sources import Log, Movements, Part, View
from ledger.codes import Code, InvariantError
from ledger.events import EVENT_BYTES
from ledger.postings import POSTING, Form, Movement, StreamRows, forms_of, posting_rows
from ledger.rows import NO_ROW
from ledger.transfers import taken_over

Columns = npt.NDArray[Any]
Place = tuple[int, int]  # a height, and the number of a posting in its block

SCAN_ROWS = 65_536  # postings or events that are looked at together


class Entry(NamedTuple):
    """One movement of a holding; `other` is the other side, balance and locked amount are after it."""

    height: int
    row: int
    cause: int
    movement: Movement
    incoming: bool
    other: int
    amount: int
    balance: int
    locked: int


class Placed(NamedTuple):
    """Postings with their places."""

    heights: Columns
    numbers: Columns
    rows: Columns

    def chosen(self, which: Columns | slice) -> "Placed":
        return Placed(self.heights[which], self.numbers[which], self.rows[which])

    def before(self, place: Place) -> int:
        """How many of them come before a place."""
        low, high = np.searchsorted(self.heights, (place[0], place[0] + 1)).tolist()
        return int(low) + int(np.searchsorted(self.numbers[low:high], place[1]))


NO_ROWS = Placed(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, POSTING))


class Run(NamedTuple):
    """Movements of one holding, in order, and what it had before the first of them."""

    balance: int
    locked: int
    found: Placed


class Ground:
    """What the walks of one page stand on: the log, the index, and the tail of those holdings."""

    def __init__(self, view: View, index: Movements, holdings: Columns) -> None:
        """Raises Declined while the node still makes its index."""
        self.head = view.height
        self.rows_read = 0
        self._log: Log = view.archive.blocks
        self._index = index
        self._state = view.state
        self._parts: dict[Part, Placed] = {}
        self._mask = np.zeros(len(view.state.holdings) + 1, bool)  # the last one stands for NO_ROW
        self._mask[holdings] = True
        if self.head - index.last > TAIL_HEIGHTS_MAX:
            raise self._unready()
        self._tail, self._owners, self._which = self._read_tail()
        self._taken: dict[int, list[tuple[Place, int]]] = {}
        if index.last < self.head:
            self._read_takeovers()

    def now(self, holding: int) -> tuple[int, int]:
        """The balance and the locked amount at the view's height."""
        row = self._state.holdings[holding]
        return row.balance, row.locked

    def takeovers(self, holding: int) -> list[tuple[Place, int]]:
        """Where a holding was taken over, and the instrument that it belonged to until then."""
        known = [
            ((height, row), instrument)
            for _, height, row, instrument in self._index.takeovers(holding)
            if height <= self.head
        ]
        return known + self._taken.get(holding, [])

    def runs(self, holding: int, height: int) -> Iterator[Run]:
        """Its movements in the stretches of the index from that of `height` on, then those of the tail.

        Each begins with what the one before it ended with. Raises InvariantError if the index says otherwise.
        """
        carried: tuple[int, int] | None = None
        for moving in self._index.moving(holding, height):
            balance, locked = moving.balance, moving.locked
            _check_carried(holding, moving.last, carried, (balance, locked))
            for part in moving.parts:
                rows = self._part(part, moving.last)
                sides = (rows.rows["from"] == holding) | (rows.rows["to"] == holding)
                found = rows.chosen(np.flatnonzero(sides))
                yield Run(balance, locked, found)
                changes = _changes(found.rows, holding)
                balance += int(changes[0].sum())
                locked += int(changes[1].sum())
            carried = balance, locked
        start, end = np.searchsorted(self._owners, (holding, holding + 1)).tolist()
        if start < end:
            found = self._tail.chosen(self._which[start:end])
            balances, locks = _changes(found.rows, holding)
            balance, locked = self.now(holding)
            balance, locked = balance - int(balances.sum()), locked - int(locks.sum())
            _check_carried(holding, self.head, carried, (balance, locked))
            yield Run(balance, locked, found)

    def _part(self, part: Part, last: int) -> Placed:
        rows = self._parts.get(part)
        if rows is None:
            if len(self._parts) >= PARTS_KEPT_MAX:
                self._parts.clear()
            rows = _joined(self._log.postings_from(part.height, part.row, last, part.rows))
            self._parts[part] = rows
            self.rows_read += part.rows
        return rows

    def _read_tail(self) -> tuple[Placed, Columns, Columns]:
        """The postings of the tail that move a holding of the page; and for each of these holdings, in their
        order, which of the postings do."""
        nobody, budget = len(self._mask) - 1, TAIL_ROWS_MAX
        found = [NO_ROWS]
        height, row = self._index.last + 1, 0
        while height <= self.head and (parts := self._log.postings_from(height, row, self.head, SCAN_ROWS)):
            rows = _joined(parts)
            budget -= len(rows.rows)
            if budget < 0:
                raise self._unready()
            sides = [self._mask[np.minimum(rows.rows[side], nobody)] for side in ("from", "to")]
            found.append(rows.chosen(np.flatnonzero(sides[0] | sides[1])))
            height, row = int(rows.heights[-1]), int(rows.numbers[-1]) + 1
        tail = Placed(*(np.concatenate(columns) for columns in zip(*found, strict=True)))
        sides = [tail.rows[side] for side in ("from", "to")]
        gives = np.flatnonzero(self._mask[np.minimum(sides[0], nobody)])
        takes = np.flatnonzero(self._mask[np.minimum(sides[1], nobody)] & (sides[0] != sides[1]))
        which = np.concatenate((gives, takes))
        owners = np.concatenate((sides[0][gives], sides[1][takes]))
        order = np.lexsort((which, owners))
        return tail, owners[order], which[order]

    def _read_takeovers(self) -> None:
        height, row = self._index.last + 1, 0
        nobody = len(self._mask) - 1
        while parts := self._log.events_from(height, row, self.head, SCAN_ROWS):
            for part in parts:
                found = taken_over(part.rows)
                for event in found[self._mask[np.minimum(found["index"], nobody)]]:
                    place = (part.height, int(event["after"]))
                    self._taken.setdefault(int(event["index"]), []).append((place, int(event["old"])))
                height, row = part.height, part.first + len(part.rows) // EVENT_BYTES

    def _unready(self) -> Declined:
        rule = (
            f"this node still makes its index of movements, which is at block {self._index.last}: try again"
        )
        return Declined(Code.LIMIT_EXCEEDED, "block", self.head, rule)


def _check_carried(
    holding: int, height: int, carried: tuple[int, int] | None, begun: tuple[int, int]
) -> None:
    if carried is not None and carried != begun:
        raise InvariantError(
            f"index of movements: holding {holding} had {carried} by its movements, and {begun} before those"
            f" up to height {height}: stop the node, delete its folder `index`, and start it"
        )


class Walk:
    """One holding's movements from a place on; `balance` and `locked` are what it has before the next one.
    Those after the view's height may be among them."""

    def __init__(self, ground: Ground, holding: int, begin: Place) -> None:
        self._holding = holding
        self._ground = ground
        begin = min(begin, (ground.head + 1, 0))  # the index may be younger than the view
        self._runs = ground.runs(holding, begin[0])
        self._found, self._at = NO_ROWS, 0
        self._changes: tuple[Columns, Columns]
        self.balance = self.locked = 0
        self._load(begin)

    def next_place(self) -> Place | None:
        """Where the next movement is; None after the last one."""
        if self._at == len(self._found.rows):
            return None
        return int(self._found.heights[self._at]), int(self._found.numbers[self._at])

    def take(self) -> Entry:
        """The next movement, behind which the walk then stands."""
        at = self._at
        cause, number, _, source, target, amount = self._found.rows[at].tolist()
        incoming = target == self._holding
        self.balance += int(self._changes[0][at])
        self.locked += int(self._changes[1][at])
        height, row = int(self._found.heights[at]), int(self._found.numbers[at])
        other = NO_ROW if source == target else source if incoming else target
        entry = Entry(
            height, row, cause, Movement(number), incoming, other, amount, self.balance, self.locked
        )
        self._at += 1
        if self._at == len(self._found.rows):
            self._load((height, row + 1))
        return entry

    def _load(self, begin: Place) -> None:
        """Stand before the first movement from `begin` on."""
        for balance, locked, found in self._runs:
            changes = _changes(found.rows, self._holding)
            skipped = found.before(begin)
            self.balance = balance + int(changes[0][:skipped].sum())
            self.locked = locked + int(changes[1][:skipped].sum())
            if skipped < len(found.rows):
                self._found, self._at = found, skipped
                self._changes = changes
                return
        self._found, self._at = NO_ROWS, 0
        self.balance, self.locked = self._ground.now(self._holding)


def _changes(rows: Columns, holding: int) -> tuple[Columns, Columns]:
    """What these postings change of the holding's balance and of its locked amount."""
    amounts = rows["amount"].astype(np.int64)
    forms = forms_of(rows)
    locking = (forms == Form.LOCKS).astype(np.int64) - (forms == Form.UNLOCKS)
    signed = np.where(rows["to"] == holding, amounts, -amounts)
    return np.where(locking != 0, 0, signed), locking * amounts


def _joined(parts: list[StreamRows]) -> Placed:
    """These postings as columns with their places."""
    rows = [posting_rows(part.rows) for part in parts]
    if not rows:
        return NO_ROWS
    lengths = [len(each) for each in rows]
    return Placed(
        np.repeat(np.array([part.height for part in parts], np.int64), lengths),
        np.concatenate(
            [np.arange(part.first, part.first + len(each)) for part, each in zip(parts, rows, strict=True)]
        ),
        np.concatenate(rows) if len(rows) > 1 else rows[0],
    )
