"""Reads of the stream: every posting and every event, in order, from wherever a reader stopped."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from api.declare import read_log
from api.fields import PAGE_DEFAULT, Cursor, Decimal, Height, Index, Limit, Shown
from api.sources import View
from ledger.events import EVENT, RECORD
from ledger.postings import AGENDA, BLOCK, Movement, StreamRows, posting_rows
from ledger.rows import NO_ROW
from ledger.state import TABLES


class PostingView(Shown, frozen=True):
    """One movement; `row` is its number in its block. Its cause is the transaction at `position` of the
    block, or the row `due` of the agenda that fell due, or, with neither, the block itself. `from_holding` is
    None for what is created, `to_holding` for what is destroyed; what is locked or unlocked stays in one."""

    block: Height
    row: int
    position: int | None
    due: Index | None
    movement: Movement
    from_holding: Index | None
    to_holding: Index | None
    amount: Decimal


class PostingListReply(Shown, frozen=True):
    """A page of postings. The next page begins at `next_block` and `next_row`: at the end of the chain too,
    where `more` is false and what follows is still to come."""

    height: Height
    items: tuple[PostingView, ...]
    next_block: Height
    next_row: Cursor
    more: bool


class EventView(Shown, frozen=True):
    """One change: `field` of record `index` of `table` was `old` and is `new`; the field `record` goes from 0
    to 1 when it is new, and from 1 to 1 when it is written anew. So many as `after` postings of the block
    come before it; the cause is as of a posting."""

    block: Height
    row: int
    position: int | None
    due: Index | None
    after: int
    table: str
    field: str
    index: Index
    old: Decimal
    new: Decimal


class EventListReply(Shown, frozen=True):
    """A page of events, with where the next one begins, as of postings."""

    height: Height
    items: tuple[EventView, ...]
    next_block: Height
    next_row: Cursor
    more: bool


class StreamReads:
    """The stream of postings and events."""

    @read_log
    def posting_list(
        view: View, from_block: Height = 1, from_row: Cursor = 0, limit: Limit = PAGE_DEFAULT
    ) -> PostingListReply:
        """Every movement of the chain in order, from a row of a block on.

        Whoever follows the chain asks again from `next_block` and `next_row`, and misses nothing.
        """
        parts = view.archive.blocks.postings_from(from_block, from_row, view.height, limit + 1)
        items = [item for part in parts for item in posting_views(part)]
        place, more = _next(view, from_block, from_row, [(item.block, item.row) for item in items], limit)
        return PostingListReply(
            height=view.height, items=tuple(items[:limit]), next_block=place[0], next_row=place[1], more=more
        )

    @read_log
    def event_list(
        view: View, from_block: Height = 1, from_row: Cursor = 0, limit: Limit = PAGE_DEFAULT
    ) -> EventListReply:
        """Every change of a record that is watched, in order, from a row of a block on."""
        parts = view.archive.blocks.events_from(from_block, from_row, view.height, limit + 1)
        items = [item for part in parts for item in _event_views(part)]
        place, more = _next(view, from_block, from_row, [(item.block, item.row) for item in items], limit)
        return EventListReply(
            height=view.height, items=tuple(items[:limit]), next_block=place[0], next_row=place[1], more=more
        )


def cause_of(cause: int) -> dict[str, int | None]:
    """The position or the row of the agenda that a cause stands for."""
    return {
        "position": cause if cause < AGENDA else None,
        "due": cause - AGENDA if AGENDA <= cause < BLOCK else None,
    }


def posting_views(part: StreamRows) -> Iterator[PostingView]:
    """These postings as they are shown."""
    for number, (cause, movement, _, source, target, amount) in enumerate(posting_rows(part.rows).tolist()):
        yield PostingView(
            block=part.height,
            row=part.first + number,
            movement=Movement(movement),
            from_holding=None if source == NO_ROW else source,
            to_holding=None if target == NO_ROW else target,
            amount=amount,
            **cause_of(cause),
        )


def _event_views(part: StreamRows) -> Iterator[EventView]:
    rows: Any = np.frombuffer(part.rows, EVENT).tolist()
    for number, (cause, after, table, field, index, old, new) in enumerate(rows):
        spec = TABLES[table]
        yield EventView(
            block=part.height,
            row=part.first + number,
            after=after,
            table=spec.name,
            field="record" if field == RECORD else spec.watched_fields[field - 1],
            index=index,
            old=old,
            new=new,
            **cause_of(cause),
        )


def _next(
    view: View, block: int, row: int, found: list[tuple[int, int]], limit: int
) -> tuple[tuple[int, int], bool]:
    """Where the next page begins, and whether anything is there yet."""
    if len(found) > limit:
        return found[limit], True
    return ((view.height + 1, 0) if block <= view.height else (block, row)), False
