"""Statements: what holdings had, each movement with its cause and its counterparty, and what they have.

A page walks along what moves each holding (`api.walking`) from the place where the page begins and from what
the holding had there, so that the length of the chain and the age of the period cost nothing.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Annotated, NamedTuple

import numpy as np
from msgspec import Meta

from api.declare import read_log
from api.fields import PAGE_DEFAULT, Decimal, Hash, Height, Index, Limit, Milliseconds, Shown
from api.limits import STATEMENT_HOLDINGS_MAX, STATEMENT_ROWS_MAX
from api.reads.stream import cause_of
from api.refusals import Declined
from api.showing import shown
from api.sources import Log, View
from api.walking import Columns, Entry, Ground, Place, Walk
from ledger.codes import Code
from ledger.postings import AGENDA, Form, Movement
from ledger.rows import NO_ROW
from ledger.state import StateView

StatementCursor = Annotated[str, Meta(min_length=1, max_length=48)]


class Direction(IntEnum):
    """What a movement does to the holding whose statement it stands in."""

    IN = 1
    OUT = 2
    LOCKED = 3
    UNLOCKED = 4


class MovementView(Shown, frozen=True):
    """A movement of a holding; `balance` and `locked` are what it had after it. Its cause is the transaction
    `tx_id`, the row `due` of the agenda, or the block itself. `counterparty` is the other holding, and
    `counterparty_account` whose it is; None for what is created, destroyed, locked and unlocked."""

    block: Height
    row: int
    time_ms: Milliseconds
    tx_id: Hash | None
    due: Index | None
    movement: Movement
    direction: Direction
    amount: Decimal
    counterparty: Index | None
    counterparty_account: Index | None
    balance: Decimal
    locked: Decimal


class StatementView(Shown, frozen=True):
    """A holding's statement, or the part of it in this page: what it had of the instrument before the first
    movement, the movements, and what it had after the last one. `ended`: the block in which the empty holding
    was taken over by another instrument, with which a statement of its own begins."""

    holding: Index
    account: Index
    instrument: Index
    code: str
    opening_balance: Decimal
    opening_locked: Decimal
    movements: tuple[MovementView, ...]
    closing_balance: Decimal
    closing_locked: Decimal
    ended: Height | None


class StatementReply(Shown, frozen=True):
    """A page of statements from `from_block` to `to_block`, both within. The same question with `next_cursor`
    asks for the next page, in which the last holding of this one may go on."""

    height: Height
    from_block: Height
    to_block: Height
    items: tuple[StatementView, ...]
    next_cursor: StatementCursor | None


class BalanceView(Shown, frozen=True):
    """What a holding had at the end of a block in which something of it moved."""

    block: Height
    balance: Decimal
    locked: Decimal


class HoldingHistoryReply(Shown, frozen=True):
    """A page of a holding's balances, with what it had before the first block; `next_block` is where the
    next page begins, None at the end."""

    height: Height
    holding: Index
    opening_balance: Decimal
    opening_locked: Decimal
    items: tuple[BalanceView, ...]
    next_block: Height | None


class StatementReads:
    """What moved, by holding."""

    @read_log
    def statement_get(
        view: View,
        holding: Index | None = None,
        account: Index | None = None,
        vasp: Index | None = None,
        from_block: Height | None = None,
        to_block: Height | None = None,
        from_ms: Milliseconds | None = None,
        to_ms: Milliseconds | None = None,
        cursor: StatementCursor | None = None,
        limit: Limit = PAGE_DEFAULT,
    ) -> StatementReply:
        """The statement of one holding, of every holding of an account, or of all accounts of a VASP.

        From and to a block, or a time of blocks, both within; without them, from the first block to the last.
        Holdings come by index, and those of an account or VASP that had nothing and moved nothing are left
        out. A holding counts towards `limit` as a movement does; a page may have fewer and still not be the
        last one.
        """
        asked = _asked(view, holding, account, vasp)
        first, last = _Bounds(from_block, to_block, from_ms, to_ms).heights(view)
        page = _Page(first, last, limit, keep_idle=holding is not None)
        following = _draw_up(view, asked, page, _place_of(cursor))
        return StatementReply(
            height=view.height,
            from_block=first,
            to_block=last,
            items=tuple(_statement(view, draft) for draft in page.drafts),
            next_cursor=None if following is None else "-".join(map(str, following)),
        )

    @read_log
    def holding_history(
        view: View,
        holding: Index,
        from_block: Height = 1,
        to_block: Height | None = None,
        limit: Limit = PAGE_DEFAULT,
    ) -> HoldingHistoryReply:
        """What a holding had at the end of each block in which something of it moved."""
        asked = _asked(view, holding, None, None)
        first, last = _Bounds(from_block, to_block, None, None).heights(view)
        with view.archive.index() as index:
            walk = Walk(Ground(view, index, asked), holding, (first, 0))
            opening = walk.balance, walk.locked
            items: dict[int, BalanceView] = {}
            while (place := walk.next_place()) is not None and place[0] <= last:
                if place[0] not in items and len(items) == limit:
                    break
                walk.take()
                items[place[0]] = shown(BalanceView, walk, block=place[0])
        return HoldingHistoryReply(
            height=view.height,
            holding=holding,
            opening_balance=opening[0],
            opening_locked=opening[1],
            items=tuple(items.values()),
            next_block=None if place is None or place[0] > last else place[0],
        )


class _Bounds(NamedTuple):
    from_block: int | None
    to_block: int | None
    from_ms: int | None
    to_ms: int | None

    def heights(self, view: View) -> Place:
        """The first and the last height that lie within. Raises Declined if the log does not reach back."""
        log, head = view.archive.blocks, view.height
        kept = range(max(log.base(), 1), head + 1)
        first, last = self.from_block, self.to_block
        if first is None:
            first = kept.start
            if self.from_ms is not None:
                first += bisect_left(kept, self.from_ms, key=lambda height: _time_ms(log, height))
        if last is None:
            last = head
            if self.to_ms is not None:
                last = kept.start - 1
                last += bisect_right(kept, self.to_ms, key=lambda height: _time_ms(log, height))
        if first < kept.start:
            raise Declined(
                Code.NOT_FOUND, "from_block", first, f"this node keeps blocks from {kept.start} on"
            )
        return first, min(last, head)


@dataclass(slots=True)
class _Draft:
    """A statement on its way: the balance and the locked amount at both ends, and the movements between."""

    holding: int
    instrument: int
    opening: tuple[int, int]
    closing: tuple[int, int]
    entries: list[Entry]
    ended: int | None = None


@dataclass(slots=True)
class _Page:
    """A page on its way, and the room that is left in it."""

    first: int
    last: int
    room: int
    keep_idle: bool
    drafts: list[_Draft] = field(default_factory=list)


def _asked(view: View, holding: int | None, account: int | None, vasp: int | None) -> Columns:
    """The holdings asked for, ascending."""
    state = view.state
    if [holding, account, vasp].count(None) != 2:
        raise Declined(Code.MALFORMED, "holding", "", "ask for one of holding, account and vasp")
    if holding is not None:
        state.holdings.require(holding, "holding")
        return np.array([holding], np.int64)
    if account is not None:
        return np.array(sorted(_of_account(state, account)), np.int64)
    state.vasps.require(vasp or 0, "vasp")
    theirs = state.accounts.column("vasp") == vasp
    return np.flatnonzero(theirs[state.holdings.column("account")])


def _of_account(state: StateView, account: int) -> Iterator[int]:
    index = state.accounts.require(account, "account").first_holding
    while index != NO_ROW:
        yield index
        index = state.holdings[index].next_holding


def _place_of(cursor: str | None) -> tuple[int, int, int] | None:
    """The holding, the height and the row at which a page begins."""
    if cursor is None:
        return None
    parts = cursor.split("-")
    if len(parts) != 3 or not all(part.isascii() and part.isdecimal() for part in parts):
        raise Declined(Code.MALFORMED, "cursor", cursor, "must be a next_cursor of this question")
    holding, height, row = map(int, parts)
    return holding, height, row


def _draw_up(
    view: View, asked: Columns, page: _Page, start: tuple[int, int, int] | None
) -> tuple[int, int, int] | None:
    """Fill the page; where the next one begins."""
    holding, *rest = (0, page.first, 0) if start is None else start
    low = int(np.searchsorted(asked, holding))
    looked = asked[low : low + STATEMENT_HOLDINGS_MAX].tolist()
    with view.archive.index() as index:
        ground = Ground(view, index, asked[low : low + STATEMENT_HOLDINGS_MAX])
        for each in looked:
            begin = (rest[0], rest[1]) if each == holding else (page.first, 0)
            if ground.rows_read > STATEMENT_ROWS_MAX:
                return each, *begin
            following = _draw_up_one(view, ground, page, each, max(begin, (page.first, 0)))
            if following is not None:
                return each, *following
    if low + len(looked) < len(asked):
        return int(asked[low + len(looked)]), page.first, 0
    return None


def _draw_up_one(view: View, ground: Ground, page: _Page, holding: int, begin: Place) -> Place | None:
    """Add a holding's statements from `begin` on, one for each instrument that it belonged to; where it goes
    on if the page is full before."""
    walk = Walk(ground, holding, begin)
    beyond = page.last + 1, 0
    now = int(view.state.holdings.field(holding, "instrument"))
    for end, instrument in [*ground.takeovers(holding), (None, now)]:
        if end is not None and end <= begin:
            continue
        if begin >= beyond and begin != (page.first, 0):
            break
        if page.room <= 0:
            return begin
        until = beyond if end is None else min(end, beyond)
        draft = _Draft(holding, instrument, (walk.balance, walk.locked), (0, 0), [])
        while (place := walk.next_place()) is not None and place < until and len(draft.entries) < page.room:
            draft.entries.append(walk.take())
        draft.closing = walk.balance, walk.locked
        whole = place is None or place >= until
        if whole and end is not None and end < beyond:
            draft.ended = end[0]
        if draft.entries or page.keep_idle or any(draft.opening):
            page.drafts.append(draft)
            page.room -= 1 + len(draft.entries)
        if not whole:
            return place
        begin = until
    return None


def _statement(view: View, draft: _Draft) -> StatementView:
    state = view.state
    return shown(
        StatementView,
        draft,
        account=int(state.holdings.field(draft.holding, "account")),
        code=state.instruments[draft.instrument].code,
        opening_balance=draft.opening[0],
        opening_locked=draft.opening[1],
        movements=tuple(_movement(view, entry) for entry in draft.entries),
        closing_balance=draft.closing[0],
        closing_locked=draft.closing[1],
    )


def _movement(view: View, entry: Entry) -> MovementView:
    log = view.archive.blocks
    match entry.movement.form:
        case Form.LOCKS:
            direction = Direction.LOCKED
        case Form.UNLOCKS:
            direction = Direction.UNLOCKED
        case _:
            direction = Direction.IN if entry.incoming else Direction.OUT
    other = None if entry.other == NO_ROW else entry.other
    return shown(
        MovementView,
        entry,
        block=entry.height,
        time_ms=_time_ms(log, entry.height),
        tx_id=log.transaction_id(entry.height, entry.cause) if entry.cause < AGENDA else None,
        due=cause_of(entry.cause)["due"],
        direction=direction,
        counterparty=other,
        counterparty_account=None if other is None else int(view.state.holdings.field(other, "account")),
    )


def _time_ms(log: Log, height: int) -> int:
    time_ms = log.time_ms(height)
    if time_ms is None:
        raise Declined(Code.NOT_FOUND, "block", height, "this node no longer keeps it")
    return time_ms
