"""The agenda: what time will do, one row each, taken in order of due time; and the index that finds the next.

Rule of order: rows fall due by `due_ms`; at one due time by the number of `what`, then by index. A row is
PENDING until its time has come and it is taken. What it asked for is then DONE, or it waits for something
other than time (WAITING) until that wakes it. `ledger.due` says what is done for each `what`.
"""

from enum import IntEnum
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ledger.codes import InvariantError
from ledger.limits import DUE_STALE_MAX
from ledger.rows import Due
from ledger.tables import ColumnarTable

if TYPE_CHECKING:
    from ledger.state import State


class What(IntEnum):
    """What time does. The numbers are protocol, and the rank of rows that fall due at one time."""

    PROPOSAL_EXPIRY = 1  # subject: the proposal
    OFFER_CLOSE = 2  # subject: the offer
    MATURITY = 3  # subject: the instrument
    REDEMPTION = 4  # subject: the instrument
    KEY_REPLACEMENT = 5  # subject: the signer of the VASP's new key


class Progress(IntEnum):
    """Where a row of the agenda stands."""

    PENDING = 1
    WAITING = 2
    DONE = 3
    CANCELLED = 4


class Moment(NamedTuple):
    """The block in which something falls due: its height and its ledger time."""

    height: int
    time_ms: int


class Outcome(NamedTuple):
    """What became of a row that was taken, and what it cost in units of a document written."""

    progress: Progress
    cost: int


DONE = Outcome(Progress.DONE, 1)
WAITS = Outcome(Progress.WAITING, 1)


def schedule(state: "State", due_ms: int, what: What, subject: int, detail: int = 0) -> int:
    """Put one row into the agenda; its index, which the subject keeps to cancel or wake it by."""
    row = state.agenda.append(Due(due_ms, what, Progress.PENDING, subject, detail, 0))
    state.due.add(row)
    return row


def cancel(state: "State", row: int, height: int) -> None:
    """Nothing will come of this row any more. Raises InvariantError if it is settled already."""
    if state.agenda.field(row, "progress") not in (Progress.PENDING, Progress.WAITING):
        raise InvariantError(f"row {row} of the agenda is settled: it cannot be cancelled")
    settle(state, row, Progress.CANCELLED, height)
    state.due.stale()


def wake(state: "State", row: int) -> None:
    """Hear that what this row waited for may have come: it is looked at again at the beginning of the next
    block."""
    if state.agenda.field(row, "progress") == Progress.WAITING:
        state.agenda.set_field(row, "progress", Progress.PENDING)
        state.due.add(row)


def wake_all(state: "State") -> None:
    """Wake every row that waits: for what changes rarely and may be what any of them waits for."""
    for row in np.flatnonzero(state.agenda.column("progress") == Progress.WAITING).tolist():
        wake(state, row)


def settle(state: "State", row: int, progress: Progress, height: int) -> None:
    """Write what became of a row."""
    state.agenda.set_field(row, "progress", progress)
    if progress is not Progress.WAITING:
        state.agenda.set_field(row, "settled", height)


class DueIndex:
    """Which pending row is due first: a heap of keys, derived from the table and never hashed.

    A key whose row is no longer pending, or never came to be, is stale: it is dropped when it comes up, and
    all of them together before they outnumber the others. So settled rows cost nothing, and whatever undoes a
    row need not look for its key; only keys that came up must be put back, since what was undone may have
    made them stale.
    """

    def __init__(self, table: ColumnarTable[Due]) -> None:
        self._table = table
        self._heap: list[int] = []
        self._taken: list[tuple[int, int]] = []  # (savepoint, key) of what came up, the earliest first
        self._stale = 0  # keys that are known to be stale, at most

    def __len__(self) -> int:
        return len(self._heap)

    def rebuild(self) -> None:
        """Find every pending row of the table again."""
        self._heap = [
            self._key(row)
            for row in np.flatnonzero(self._table.column("progress") == Progress.PENDING).tolist()
        ]
        heapify(self._heap)
        self._taken, self._stale = [], 0

    def pending(self) -> list[int]:
        """Every pending row in the order in which they will be taken."""
        return [_row(key) for key in sorted(set(self._heap)) if self._stands(key)]

    def add(self, row: int) -> None:
        """Put a row that has become pending in its place."""
        heappush(self._heap, self._key(row))

    def stale(self) -> None:
        """Count one more stale key."""
        self._stale += 1

    def take(self, until_ms: int, mark: int) -> int | None:
        """The pending row that is due first, at `until_ms` at the latest, or None; it is not given again.
        `mark` is the state's savepoint: undoing it brings the row back."""
        while self._heap and self._heap[0] >> 48 <= until_ms:
            key = heappop(self._heap)
            self._taken.append((mark, key))
            if self._stands(key):
                return _row(key)
        return None

    def undone(self, mark: int) -> None:
        """Everything written since the savepoint `mark` has been taken back."""
        while self._taken and self._taken[-1][0] >= mark:
            heappush(self._heap, self._taken.pop()[1])

    def settled(self) -> None:
        """Everything written so far is final: drop all stale keys once they may be most of the heap."""
        self._taken.clear()
        if self._stale > max(DUE_STALE_MAX, len(self._heap) // 2):
            self._heap = [key for key in self._heap if self._stands(key)]
            heapify(self._heap)
            self._stale = 0

    def _key(self, row: int) -> int:
        due_ms, what = self._table.field(row, "due_ms"), self._table.field(row, "what")
        return int(due_ms) << 48 | int(what) << 32 | row

    def _stands(self, key: int) -> bool:
        row = _row(key)
        if row >= len(self._table) or self._table.field(row, "progress") != Progress.PENDING:
            return False
        return self._key(row) == key


def _row(key: int) -> int:
    return key & 0xFFFFFFFF
