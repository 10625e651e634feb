"""Keeps the index of movements: a segment whenever enough has moved, and on start whatever is missing.

A listener to commits. Where the segments end depends on the log alone: an index made anew is the same. It is
derived: whatever is wrong with it, it is thrown away and made again beside the node, which says so.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import structlog
import trio

from ledger.events import EVENT_BYTES
from ledger.postings import POSTING_BYTES, StreamRows, posting_rows
from node.limits import UNINDEXED_ROWS_MAX
from node.ports import Committed
from node.published import Published
from node.running import RunSync
from storage.blocks import BlockStore
from storage.errors import StorageCorrupt
from storage.index import MovementIndex
from storage.segments import Balances, make_segment

COUNTED_HEIGHTS = 64  # whose postings are counted back in one turn of a thread

log = structlog.get_logger("node")


class _Moved(NamedTuple):
    """What one block wrote down."""

    height: int
    postings: bytes
    events: bytes

    @property
    def rows(self) -> int:
        return len(self.postings) // POSTING_BYTES + len(self.events) // EVENT_BYTES


class Indexer:
    """Makes the index of one node; `committed` is called on the event loop, the work is done beside it."""

    def __init__(
        self, published: Published, blocks: BlockStore, index: MovementIndex, run_sync: RunSync
    ) -> None:
        self._blocks = blocks
        self._index = index
        self._run_sync = run_sync
        self._due = trio.Event()
        if index.began_anew is not None:
            log.warning("index of movements is thrown away", reason=index.began_anew)
        self._told: deque[_Moved] = deque()  # blocks after those that are read from the log
        self._rows = 0
        self._balances = Balances()
        self._balanced: int | None = None  # the height after which holdings had `_balances`
        self._known = published  # up to its height the log is to be read
        self._behind = True

    def committed(self, commit: Committed) -> None:
        applied = commit.applied
        if applied.height != self._last_told() + 1 or self._rows > UNINDEXED_ROWS_MAX:
            self._known = commit.published  # what we did not hear, or could not keep, is in the log
            self._told.clear()
            self._rows = 0
            self._behind = True
        else:
            self._tell(_Moved(applied.height, applied.postings, applied.events))
        if self._behind or self._is_due():
            self._due.set()

    async def run(self) -> None:
        """Keep the index for as long as the node runs."""
        while True:
            await self.catch_up()
            await self._due.wait()

    async def catch_up(self) -> None:
        """Make every segment that is due."""
        self._due = trio.Event()
        try:
            while self._behind:
                await self._read_log()
            while self._is_due():
                taken = next(self._segments(self._told))
                await self._run_sync(self._append, taken)
                for moved in taken:
                    self._told.popleft()
                    self._rows -= moved.rows
        except StorageCorrupt as error:
            log.error("index of movements is corrupt", reason=str(error))
            await self._run_sync(self._index.clear)
            self._behind = True
            self._due.set()

    def _last_told(self) -> int:
        return self._told[-1].height if self._told else self._known.height

    def _tell(self, moved: _Moved) -> None:
        self._told.append(moved)
        self._rows += moved.rows

    def _is_due(self) -> bool:
        shape = self._index.shape
        return self._rows >= shape.rows or len(self._told) >= shape.heights

    def _segments(self, moves: Iterable[_Moved]) -> Iterator[list[_Moved]]:
        """These blocks, cut where segments end; what is left at the end is no segment yet."""
        shape, segment, rows = self._index.shape, list[_Moved](), 0
        for moved in moves:
            segment.append(moved)
            rows += moved.rows
            if rows >= shape.rows or len(segment) >= shape.heights:
                yield segment
                segment, rows = [], 0

    async def _read_log(self) -> None:
        """Bring the index to what the log had at the last height that was not told, however far that is."""
        known, began = self._known, time.monotonic()
        start = await self._run_sync(self._begin, known)
        if self._balanced != start - 1:
            await self._count_back(start, known)
        waiting, first = self._segments(self._logged(start, known.height)), start
        while known is self._known and (taken := await self._run_sync(next, waiting, None)) is not None:
            await self._run_sync(self._append, taken)
            start = taken[-1].height + 1
        if start > first:
            seconds = round(time.monotonic() - began, 3)
            log.info("index of movements made", from_height=first, to_height=start - 1, seconds=seconds)
        rest: list[_Moved] = await self._run_sync(list, self._logged(start, known.height))
        if known is self._known:
            self._told.extendleft(reversed(rest))
            self._rows += sum(moved.rows for moved in rest)
            self._behind = False

    def _begin(self, known: Published) -> int:
        """The first height that is not in the index, which is thrown away if it is of another log."""
        last, base = self._index.last(), self._blocks.base()
        if last > known.height or last + 1 < base:
            log.warning("index of movements is of another log", index=last, height=known.height)
            self._index.clear()
            last = 0
        return max(last + 1, base)

    async def _count_back(self, start: int, known: Published) -> None:
        """Find out what holdings had before the height `start`: before the first one nothing, else what they
        have in `known` less what moved since; so many heights at a time, as a node must be able to stop."""
        self._balances = Balances()
        if start > 1:
            holdings = known.state.holdings
            self._balances = Balances(holdings.column("balance"), holdings.column("locked"))
            for first in range(start, known.height + 1, COUNTED_HEIGHTS):
                last = min(first + COUNTED_HEIGHTS - 1, known.height)
                await self._run_sync(self._take_back, first, last)
        self._balanced = start - 1

    def _take_back(self, first: int, last: int) -> None:
        for moved in self._logged(first, last):
            self._balances.move(posting_rows(moved.postings), -1)

    def _logged(self, first: int, last: int) -> Iterator[_Moved]:
        for height in range(first, last + 1):
            yield _Moved(height, self._blocks.postings(height), self._blocks.events(height))

    def _append(self, moves: list[_Moved]) -> None:
        postings = [StreamRows(moved.height, 0, moved.postings) for moved in moves if moved.postings]
        events = [StreamRows(moved.height, 0, moved.events) for moved in moves if moved.events]
        self._balanced = None
        content = make_segment(moves[0].height, moves[-1].height, postings, events, self._balances)
        self._index.append(content)
        self._balanced = moves[-1].height
