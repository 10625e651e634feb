"""Segments of the log: which holdings a stretch of postings moves, in which parts of it, and what they had.

A segment is so many whole heights. Its postings are cut into PARTS parts of equal length; a holding that
moves in it has a mask that says in which ones, and the balance and the locked amount that it had before it.
No posting is copied and nothing is sorted: that is why it costs next to nothing (docs/decisions/0020).
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ledger.postings import Form, StreamRows, forms_of, posting_rows
from ledger.transfers import taken_over

PARTS = 64  # bits of a mask
NOTHING = np.zeros(0, np.int64)

Columns = npt.NDArray[Any]


class Takeover(NamedTuple):
    """An empty holding was taken over: after so many postings of the block it belongs to another instrument,
    before them it belonged to `instrument`."""

    holding: int
    height: int
    row: int
    instrument: int


class Touched(NamedTuple):
    """The holdings that move in a segment, ascending, with their masks and what they had before it."""

    holdings: Columns
    masks: Columns
    balances: Columns
    locked: Columns


class Content(NamedTuple):
    """A segment from height `first` to `last`: the heights that have postings, how many the segment has at
    the end of each, who moves in it, and who was taken over."""

    first: int
    last: int
    heights: Columns
    ends: Columns
    touched: Touched
    takeovers: list[Takeover]


class Balances:
    """What every holding has after some height; postings move it on, or back."""

    def __init__(self, balances: Columns = NOTHING, locked: Columns = NOTHING) -> None:
        self.balances = balances.astype(np.int64)
        self.locked = locked.astype(np.int64)

    def reserve(self, count: int) -> None:
        """Holdings that are new have nothing."""
        missing = count - len(self.balances)
        if missing > 0:
            self.balances = np.concatenate((self.balances, np.zeros(missing, np.int64)))
            self.locked = np.concatenate((self.locked, np.zeros(missing, np.int64)))

    def move(self, rows: Columns, sign: int = 1) -> None:
        """Add these postings, or with -1 take them back."""
        forms = forms_of(rows)
        plain = forms == Form.MOVES
        every = bool(plain.all())
        for form, side, totals, change in (
            (Form.CREATES, "to", self.balances, sign),
            (Form.DESTROYS, "from", self.balances, -sign),
            (Form.LOCKS, "from", self.locked, sign),
            (Form.UNLOCKS, "from", self.locked, -sign),
        ):
            if not every:
                _add(totals, rows[forms == form], side, change)
        moved = rows if every else rows[plain]
        _add(self.balances, moved, "to", sign)
        _add(self.balances, moved, "from", -sign)


def _add(totals: Columns, rows: Columns, side: str, sign: int) -> None:
    where, amounts = rows[side].astype(np.intp), rows["amount"].astype(np.int64)
    if sign > 0:
        np.add.at(totals, where, amounts)
    else:
        np.subtract.at(totals, where, amounts)


def make_segment(
    first: int, last: int, postings: list[StreamRows], events: list[StreamRows], before: Balances
) -> Content:
    """The segment of these heights with all of their postings and events; `before` is moved on over it."""
    pieces = [posting_rows(part.rows) for part in postings]
    lengths: dict[int, int] = {}
    for part, rows in zip(postings, pieces, strict=True):
        lengths[part.height] = lengths.get(part.height, 0) + len(rows)
    count = max(map(_holdings_in, pieces), default=0)
    before.reserve(count)
    masks = _masks(pieces, sum(lengths.values()), count)
    holdings = np.flatnonzero(masks)
    touched = Touched(
        holdings.astype(np.uint32), masks[holdings], before.balances[holdings], before.locked[holdings]
    )
    for rows in pieces:
        before.move(rows)
    return Content(
        first,
        last,
        np.array([*lengths], np.uint64),
        np.cumsum([*lengths.values()], dtype=np.uint32),
        touched,
        [found for part in events for found in takeovers(part)],
    )


def _holdings_in(rows: Columns) -> int:
    """So many holdings there are at least: one more than the greatest that these postings name."""
    if len(rows) == 0:
        return 0
    # NO_ROW, the greatest number of all, becomes 0 here.
    return max(int((rows[side] + np.uint32(1)).max()) for side in ("from", "to"))


def part_rows(rows: int) -> int:
    """How many postings one part of a segment of so many has; the last one may have fewer."""
    return max(1, -(-rows // PARTS))


def _masks(pieces: list[Columns], total: int, count: int) -> Columns:
    """The mask of every holding. Eight bits of it at a time, so that what is written stays in the cache, and
    a block at a time, so that no other copy of the postings is made."""
    planes = np.zeros((PARTS // 8, count + 1), np.uint8)  # the last column stands for NO_ROW
    size, begin = part_rows(total), 0
    for rows in pieces:
        sides = [np.minimum(rows[side], count).astype(np.intp) for side in ("from", "to")]
        end = begin + len(rows)
        for part in range(begin // size, -(-end // size)):
            plane, bit = planes[part // 8], np.uint8(1 << part % 8)
            for side in sides:
                moving = side[max(part * size - begin, 0) : (part + 1) * size - begin]
                plane[moving] |= bit
        begin = end
    return np.ascontiguousarray(planes[:, :count].T).view("<u8").reshape(count)


def takeovers(part: StreamRows) -> list[Takeover]:
    """Where holdings were taken over, among these events."""
    found = taken_over(part.rows)
    columns = (found[name].tolist() for name in ("index", "after", "old"))
    return [Takeover(index, part.height, row, old) for index, row, old in zip(*columns, strict=True)]
