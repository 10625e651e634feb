"""What a block did, in order: each movement of units as a posting, each change of a status as an event.

A posting names both of its sides, so it conserves what it moves by its form alone. Balances, locked amounts
and supplies are the fold of all postings from genesis on (`ledger.conservation`). `ledger.balances` writes
postings, the tables themselves write events, of the fields that `ledger.events` watches. Both lists are rows
of fixed width in one string of bytes each: an accepted batch costs two copies of its columns.
"""

import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ledger.codes import InvariantError
from ledger.events import EVENT, EVENT_BYTES
from ledger.limits import AMOUNT_MAX
from ledger.rows import NO_ROW
from primitives.hashing import EVENT_LIST, POSTING_LIST, RESULT_LIST, RESULTS, tagged_hash
from primitives.merkle import list_root

POSTING = np.dtype(
    [
        ("cause", "<u4"),
        ("movement", "<u2"),
        ("reserved", "<u2"),
        ("from", "<u4"),  # or NO_ROW: out of nothing, raising the supply
        ("to", "<u4"),  # or NO_ROW: into nothing, lowering the supply
        ("amount", "<u8"),
    ]
)
POSTING_BYTES = POSTING.itemsize
CHUNK_ROWS = 256  # rows of either list that are hashed together

# A cause below AGENDA is the position of a transaction in the block; from there on it is a row of the agenda
# that fell due, but for BLOCK: what the block itself brings, as evidence.
AGENDA = 2**31
BLOCK = 2**32 - 1

_FORM_BITS = 5  # a movement's form is its number divided by 32
_POSTING = struct.Struct("<IHHIIQ")
_EVENT = struct.Struct("<IIHHIQQ")

Column = npt.NDArray[Any]


class Movement(IntEnum):
    """What kind of movement a posting is; `form` says what it does to the sides it names."""

    # from one holding to another of the same instrument
    TRANSFER = 1
    DELIVERY = 2  # units of an offer to the account for which it is taken
    PAYMENT = 3  # the cash that is paid for them
    FUNDING = 4  # cash of the treasury into a redemption pool
    REDEMPTION = 5  # face, from the pool to who held the units
    REFUND = 6  # what the pool has left, back to the treasury
    # from nothing
    ISSUE = 32
    # into nothing
    DESTRUCTION = 64  # cash whose funding debit is reversed
    CANCELLATION = 65  # units of an offer that nobody took
    RETIREMENT = 66  # units that are redeemed
    # set aside within one holding, and released
    LOCK = 96
    UNLOCK = 128

    @property
    def form(self) -> "Form":
        return Form(self >> _FORM_BITS)


class Form(IntEnum):
    """What a posting does, by the number of its movement divided by 32."""

    MOVES = 0
    CREATES = 1  # `from` is NO_ROW
    DESTROYS = 2  # `to` is NO_ROW
    LOCKS = 3  # `from` and `to` are the same holding; its balance stays
    UNLOCKS = 4


class StreamMark(NamedTuple):
    """How long both lists were."""

    postings: int
    events: int


class StreamRows(NamedTuple):
    """Consecutive postings, or events, of one height; `first` is the number of the first one in its block."""

    height: int
    first: int
    rows: bytes


class Stream:
    """Collects what one block does; `cause` is who is doing it."""

    __slots__ = ("_events", "_postings", "cause")

    def __init__(self) -> None:
        self._postings = bytearray()
        self._events = bytearray()
        self.cause = BLOCK

    def begin_due(self, row: int) -> None:
        """From here on this row of the agenda, which fell due, is the cause."""
        self.cause = AGENDA + row

    def begin_transaction(self, position: int) -> None:
        """From here on the transaction at `position` of the block is the cause."""
        self.cause = position

    def post(self, movement: Movement, source: int, target: int, amount: int) -> None:
        """Write down one movement."""
        if not 1 <= amount <= AMOUNT_MAX:
            raise InvariantError(f"a posting of {amount}")
        _check_form(movement, source, target)
        self._postings += _POSTING.pack(self.cause, movement, 0, source, target, amount)

    def post_many(
        self, movement: Movement, sources: Column | int, targets: Column | int, amounts: Column
    ) -> None:
        """Write down many movements of one kind, in order; one side may be the same for all."""
        if len(amounts) == 0:
            return
        if amounts.dtype != np.uint64 or int(amounts.min()) < 1 or int(amounts.max()) > AMOUNT_MAX:
            raise InvariantError("postings of amounts that are none")
        if movement.form is Form.CREATES or movement.form is Form.DESTROYS:
            _check_form(
                movement,
                sources if isinstance(sources, int) else 0,
                targets if isinstance(targets, int) else 0,
            )
        rows = np.zeros(len(amounts), POSTING)
        rows["cause"] = self.cause
        rows["movement"] = movement
        rows["from"] = sources
        rows["to"] = targets
        rows["amount"] = amounts
        self._postings += rows.data.cast("B")

    def note(self, table: int, field: int, index: int, old: int, new: int) -> None:
        """Write down that `field` of record `index` of a table was `old` and is `new`."""
        self._events += _EVENT.pack(
            self.cause, len(self._postings) // POSTING_BYTES, table, field, index, old, new
        )

    def note_many(
        self, table: int, field: int, indices: Column, olds: Column | int, news: Column | int
    ) -> None:
        """Write down the same of many records, in order."""
        rows = np.zeros(len(indices), EVENT)
        rows["cause"] = self.cause
        rows["after"] = len(self._postings) // POSTING_BYTES
        rows["table"] = table
        rows["field"] = field
        rows["index"] = indices
        rows["old"] = olds
        rows["new"] = news
        self._events += rows.data.cast("B")

    def mark(self) -> StreamMark:
        return StreamMark(len(self._postings), len(self._events))

    def undo(self, mark: StreamMark) -> None:
        """Take back what was written since `mark`."""
        if mark.postings > len(self._postings) or mark.events > len(self._events):
            raise InvariantError("a savepoint after the end of the stream")
        del self._postings[mark.postings :]
        del self._events[mark.events :]

    def postings(self) -> bytes:
        """Every posting of the block so far."""
        return bytes(self._postings)

    def events(self) -> bytes:
        """Every event of the block so far."""
        return bytes(self._events)

    def clear(self) -> None:
        """Another block begins."""
        self._postings = bytearray()
        self._events = bytearray()
        self.cause = BLOCK


def posting_rows(postings: bytes) -> Column:
    """Postings as columns, read only. Raises InvariantError if the bytes are not whole rows."""
    if len(postings) % POSTING_BYTES:
        raise InvariantError(f"{len(postings)} bytes are no postings")
    return np.frombuffer(postings, POSTING)


def forms_of(rows: Column) -> Column:
    """The form of each posting's movement."""
    forms: Column = rows["movement"] >> np.uint16(_FORM_BITS)
    return forms


def results_root(results: Sequence[bytes], postings: bytes, events: bytes) -> bytes:
    """What a header's results_root commits to: the encoded results, the postings and the events."""
    return joined_root(list_root(RESULT_LIST, results), *stream_roots(postings, events))


def stream_roots(postings: bytes, events: bytes) -> tuple[bytes, bytes]:
    """The roots of a block's postings and of its events."""
    return (
        list_root(POSTING_LIST, chunks(postings, POSTING_BYTES)),
        list_root(EVENT_LIST, chunks(events, EVENT_BYTES)),
    )


def joined_root(results: bytes, postings: bytes, events: bytes) -> bytes:
    """The results_root over the roots of the three lists."""
    return tagged_hash(RESULTS, results, postings, events)


def chunks(rows: bytes, width: int) -> list[bytes]:
    """Rows of `width` bytes in pieces of CHUNK_ROWS rows, the last one perhaps shorter."""
    size = CHUNK_ROWS * width
    return [rows[at : at + size] for at in range(0, len(rows), size)]


def _check_form(movement: Movement, source: int, target: int) -> None:
    match movement.form:
        case Form.MOVES:
            wrong = NO_ROW in (source, target) or source == target
        case Form.CREATES:
            wrong = source != NO_ROW or target == NO_ROW
        case Form.DESTROYS:
            wrong = source == NO_ROW or target != NO_ROW
        case Form.LOCKS | Form.UNLOCKS:
            wrong = source != target or source == NO_ROW
    if wrong:
        raise InvariantError(f"a posting {movement.name} from {source} to {target}")
