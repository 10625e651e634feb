"""Statements: what holdings had, each movement with its cause and its counterparty, and what they have.

A statement is counted back from what a holding has now: its opening balance is that less what moved since. So
one pass over the stored stream from the first block asked for gives it, for one holding or for all of a
VASP's; it reads at most STATEMENT_ROWS_MAX postings.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec import Meta

from api.declare import read_log
from api.fields import PAGE_DEFAULT, Decimal, Hash, Height, Index, Limit, Milliseconds, Shown
from api.limits import STATEMENT_ROWS_MAX
from api.reads.stream import cause_of
from api.refusals import Declined
from api.showing import shown
from api.sources import Log, View
from ledger.codes import Code
from ledger.events import EVENT
from ledger.postings import AGENDA, POSTING, Form, Movement, posting_rows
from ledger.rows import NO_ROW
from ledger.state import NUMBERS, TABLES, StateView
from ledger.transactions import id_and_kind
from wire.blocks import decode_block

SCAN_ROWS = 65_536  # postings that are looked at together

StatementCursor = Annotated[str, Meta(min_length=1, max_length=48)]
Columns = npt.NDArray[Any]
Place = tuple[int, int]  # a height, and the number of a posting in its block

_HOLDINGS = NUMBERS["holdings"]
_INSTRUMENT = TABLES[_HOLDINGS].watch.fields.index("instrument") + 1
_FORM_BITS = 5  # a movement's form is its number divided by 32


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
        out. A holding counts towards `limit` as a movement does.
        """
        asked = _asked(view, holding, account, vasp)
        first, last = _Bounds(from_block, to_block, from_ms, to_ms).heights(view)
        start = _place_of(cursor)
        drafts, following = _drawn_up(view, asked, first, last, start, limit, keep_idle=holding is not None)
        _name(view.archive.blocks, drafts)
        return StatementReply(
            height=view.height,
            from_block=first,
            to_block=last,
            items=tuple(_statement(view.state, draft) for draft in drafts),
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
        return _history(view, asked, _Bounds(from_block, to_block, None, None), limit)


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


@dataclass(frozen=True, slots=True)
class _Asked:
    """The holdings asked for, by ascending index, and what they have at the view's height."""

    holdings: Columns
    instruments: Columns
    balances: Columns
    locked: Columns
    count: int  # of all holdings


@dataclass(slots=True)
class _Draft:
    """A statement before names are put to indices."""

    holding: int
    instrument: int
    opening: tuple[int, int]  # balance and locked
    closing: tuple[int, int]
    movements: list[dict[str, Any]]
    ended: int | None


def _asked(view: View, holding: int | None, account: int | None, vasp: int | None) -> _Asked:
    """What the state says of the holdings asked for."""
    state = view.state
    if [holding, account, vasp].count(None) != 2:
        raise Declined(Code.MALFORMED, "holding", "", "ask for one of holding, account and vasp")
    if holding is not None:
        state.holdings.require(holding, "holding")
        chosen = np.array([holding], np.int64)
    elif account is not None:
        chosen = np.array(sorted(_of_account(state, account)), np.int64)
    else:
        state.vasps.require(vasp or 0, "vasp")
        theirs = state.accounts.column("vasp") == vasp
        chosen = np.flatnonzero(theirs[state.holdings.column("account")])
    column = state.holdings.column
    return _Asked(
        chosen,
        column("instrument")[chosen],
        column("balance")[chosen],
        column("locked")[chosen],
        len(state.holdings),
    )


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


class _Entries:
    """Every movement of the holdings asked for since a height, by holding and then in order."""

    def __init__(self, log: Log, asked: _Asked, first: int, head: int) -> None:
        mask = np.zeros(asked.count + 1, bool)  # the last one stands for NO_ROW
        mask[asked.holdings] = True
        found: list[tuple[Columns, Columns, Columns]] = [
            (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, POSTING))
        ]
        for height, row, rows in _postings(log, first, head):
            sides = (np.minimum(rows[side], asked.count) for side in ("from", "to"))
            chosen = np.flatnonzero(mask[next(sides)] | mask[next(sides)])
            found.append((np.full(len(chosen), height), row + chosen, rows[chosen]))
        heights, numbers, rows = (np.concatenate(columns) for columns in zip(*found, strict=True))
        forms = rows["movement"] >> _FORM_BITS
        locks = (forms == Form.LOCKS) | (forms == Form.UNLOCKS)
        gives = np.flatnonzero(mask[np.minimum(rows["from"], asked.count)] & ~locks)
        takes = np.flatnonzero(mask[np.minimum(rows["to"], asked.count)])
        which = np.concatenate((gives, takes))
        holdings = np.concatenate((rows["from"][gives], rows["to"][takes])).astype(np.int64)
        order = np.lexsort((which, holdings))
        which = which[order]
        self.holdings = holdings[order]
        self.incoming = order >= len(gives)
        self.heights, self.numbers, self.rows = heights[which], numbers[which], rows[which]
        amounts = self.rows["amount"].astype(np.int64)
        form = self.rows["movement"] >> _FORM_BITS
        locking = (form == Form.LOCKS).astype(np.int64) - (form == Form.UNLOCKS)
        self.balance_changes = np.where(locking != 0, 0, np.where(self.incoming, amounts, -amounts))
        self.locked_changes = locking * amounts

    def of(self, holding: int) -> range:
        """Where the entries of a holding stand."""
        start, end = np.searchsorted(self.holdings, (holding, holding + 1)).tolist()
        return range(start, end)

    def place(self, at: int) -> Place:
        return int(self.heights[at]), int(self.numbers[at])


def _postings(log: Log, first: int, head: int) -> Iterator[tuple[int, int, Columns]]:
    """Every posting from a height to the head: height, number of the first one, rows. Raises Declined if
    they are more than one statement may take."""
    height, row, budget = first, 0, STATEMENT_ROWS_MAX
    while parts := log.postings_from(height, row, head, SCAN_ROWS):
        for part in parts:
            rows = posting_rows(part.rows)
            budget -= len(rows)
            yield part.height, part.first, rows
            height, row = part.height, part.first + len(rows)
        if budget < 0:
            rule = f"more than {STATEMENT_ROWS_MAX} movements since: ask from a later block"
            raise Declined(Code.LIMIT_EXCEEDED, "from_block", first, rule)


def _takeovers(log: Log, asked: _Asked, first: int, head: int) -> dict[int, list[tuple[Place, int]]]:
    """Where holdings asked for were taken over since `first`: the place, and the instrument before."""
    mask = np.zeros(asked.count + 1, bool)
    mask[asked.holdings] = True
    found: dict[int, list[tuple[Place, int]]] = {}
    height, row = first, 0
    while parts := log.events_from(height, row, head, SCAN_ROWS):
        for part in parts:
            rows: Columns = np.frombuffer(part.rows, EVENT)
            of_instruments = (rows["table"] == _HOLDINGS) & (rows["field"] == _INSTRUMENT)
            for event in rows[of_instruments & mask[np.minimum(rows["index"], asked.count)]]:
                place = (part.height, int(event["after"]))
                found.setdefault(int(event["index"]), []).append((place, int(event["old"])))
            height, row = part.height, part.first + len(rows)
    return found


def _drawn_up(
    view: View,
    asked: _Asked,
    first: int,
    last: int,
    start: tuple[int, int, int] | None,
    limit: int,
    *,
    keep_idle: bool,
) -> tuple[list[_Draft], tuple[int, int, int] | None]:
    """A page of statements, and where the next page begins."""
    log = view.archive.blocks
    entries = _Entries(log, asked, first, view.height)
    taken_over = _takeovers(log, asked, first, view.height)
    drafts: list[_Draft] = []
    room = limit
    from_holding, *rest = (0, first, 0) if start is None else start
    for position in range(int(np.searchsorted(asked.holdings, from_holding)), len(asked.holdings)):
        holding = int(asked.holdings[position])
        begin = (rest[0], rest[1]) if holding == from_holding else (first, 0)
        own = entries.of(holding)
        ends = [*taken_over.get(holding, ()), (None, int(asked.instruments[position]))]
        now = int(asked.balances[position]), int(asked.locked[position])
        for end, instrument in ends:
            if end is not None and end <= begin:
                continue
            if begin[0] > last and begin != (first, 0):
                break
            if room <= 0:
                return drafts, (holding, *begin)
            until = min(end, (last + 1, 0)) if end is not None else (last + 1, 0)
            low = bisect_left(own, begin, key=entries.place)
            high = max(low, bisect_left(own, until, key=entries.place))
            told = own[low : min(high, low + room)]
            draft = _draft(entries, holding, instrument, own, told, low, now)
            whole = low + len(told) == high
            if whole and end is not None and end < (last + 1, 0):
                draft.ended = end[0]
            if told or keep_idle or any(draft.opening):
                drafts.append(draft)
                room -= 1 + len(told)
            if not whole:
                return drafts, (holding, *entries.place(own[low + len(told)]))
            begin = until
    return drafts, None


def _draft(
    entries: _Entries,
    holding: int,
    instrument: int,
    own: range,
    told: range,
    low: int,
    now: tuple[int, int],
) -> _Draft:
    """The movements `told` of a holding's `own`, counted back from what it has now."""
    since = slice(own.start + low, own.stop)
    balance = now[0] - int(entries.balance_changes[since].sum())
    locked = now[1] - int(entries.locked_changes[since].sum())
    opening = balance, locked
    movements = []
    for at in told:
        balance += int(entries.balance_changes[at])
        locked += int(entries.locked_changes[at])
        movements.append(_movement(entries, at, balance, locked))
    return _Draft(holding, instrument, opening, (balance, locked), movements, None)


def _movement(entries: _Entries, at: int, balance: int, locked: int) -> dict[str, Any]:
    cause, number, _, source, target, amount = entries.rows[at].tolist()
    movement, incoming = Movement(number), bool(entries.incoming[at])
    match movement.form:
        case Form.LOCKS:
            direction, other = Direction.LOCKED, NO_ROW
        case Form.UNLOCKS:
            direction, other = Direction.UNLOCKED, NO_ROW
        case _:
            direction = Direction.IN if incoming else Direction.OUT
            other = source if incoming else target
    return {
        "block": int(entries.heights[at]),
        "row": int(entries.numbers[at]),
        "cause": cause,
        "movement": movement,
        "direction": direction,
        "amount": amount,
        "counterparty": None if other == NO_ROW else other,
        "balance": balance,
        "locked": locked,
    }


def _name(log: Log, drafts: list[_Draft]) -> None:
    """Give movements the times of their blocks and the ids of the transactions that caused them."""
    by_block: dict[int, list[dict[str, Any]]] = {}
    for draft in drafts:
        for movement in draft.movements:
            by_block.setdefault(movement["block"], []).append(movement)
    for height, movements in sorted(by_block.items()):
        block = decode_block(_kept(log, height))
        ids: dict[int, bytes] = {}
        for movement in movements:
            cause = movement.pop("cause")
            if cause < AGENDA and cause not in ids:
                ids[cause] = id_and_kind(block.transactions[cause])[0]
            movement["time_ms"] = block.header.time_ms
            movement["tx_id"] = ids.get(cause)
            movement["due"] = cause_of(cause)["due"]


def _statement(state: StateView, draft: _Draft) -> StatementView:
    def account_of(holding: int | None) -> int | None:
        return None if holding is None else int(state.holdings.field(holding, "account"))

    return shown(
        StatementView,
        draft,
        account=int(state.holdings.field(draft.holding, "account")),
        code=state.instruments[draft.instrument].code,
        opening_balance=draft.opening[0],
        opening_locked=draft.opening[1],
        movements=tuple(
            MovementView(counterparty_account=account_of(movement["counterparty"]), **movement)
            for movement in draft.movements
        ),
        closing_balance=draft.closing[0],
        closing_locked=draft.closing[1],
    )


def _history(view: View, asked: _Asked, bounds: _Bounds, limit: int) -> HoldingHistoryReply:
    first, last = bounds.heights(view)
    entries = _Entries(view.archive.blocks, asked, first, view.height)
    balance = int(asked.balances[0]) - int(entries.balance_changes.sum())
    locked = int(asked.locked[0]) - int(entries.locked_changes.sum())
    opening, next_block = (balance, locked), None
    items: dict[int, BalanceView] = {}
    for at, height in enumerate(entries.heights.tolist()):
        if height > last:
            break
        if height not in items and len(items) == limit:
            next_block = height
            break
        balance += int(entries.balance_changes[at])
        locked += int(entries.locked_changes[at])
        items[height] = BalanceView(block=height, balance=balance, locked=locked)
    return HoldingHistoryReply(
        height=view.height,
        holding=int(asked.holdings[0]),
        opening_balance=opening[0],
        opening_locked=opening[1],
        items=tuple(items.values()),
        next_block=next_block,
    )


def _time_ms(log: Log, height: int) -> int:
    return decode_block(_kept(log, height)).header.time_ms


def _kept(log: Log, height: int) -> bytes:
    stored = log.block(height)
    if stored is None:
        raise Declined(Code.NOT_FOUND, "block", height, "this node no longer keeps it")
    return stored
