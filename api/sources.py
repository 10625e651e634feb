"""What reads stand on: the node's published view, its block log, and what only a running node can do.

`node/` implements these; a test may. Nothing here says how.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from ledger.execution import Result
from ledger.postings import StreamRows
from ledger.state import StateView
from ledger.transactions import Transaction
from wire.blocks import Header

T = TypeVar("T")

if TYPE_CHECKING:
    from api.reads.running import NodeHealthReply, ProofReply, ReceiptReply


class Part(NamedTuple):
    """So many consecutive postings, from `row` of `height` on."""

    height: int
    row: int
    rows: int


class Moving(NamedTuple):
    """A stretch of the log that moves a holding: what it had before, the parts in which it moves, and the
    last height that has postings."""

    last: int
    balance: int
    locked: int
    parts: tuple[Part, ...]


class Movements(Protocol):
    """Which postings move a holding, up to the height `last`; the postings after it are few."""

    last: int

    def moving(self, holding: int, height: int) -> Iterator[Moving]:
        """The stretches that move a holding, in order, from that which holds `height` on."""

    def takeovers(self, holding: int) -> Sequence[tuple[int, int, int, int]]:
        """Where a holding was taken over by another instrument: holding, height, postings of the block before
        it, and the instrument that it belonged to until then."""


class Log(Protocol):
    """The block log. Each method may be called from a worker thread; heights that are pruned are None."""

    def base(self) -> int:
        """The first height that is kept."""

    def block(self, height: int) -> bytes | None:
        """The encoding of the block of `height`."""

    def certificate(self, height: int) -> bytes | None:
        """The encoding of the commit certificate of the block of `height`."""

    def postings_from(self, height: int, row: int, last: int, rows_max: int) -> list[StreamRows]:
        """Postings from `row` of `height` on, to the end of height `last`, at most `rows_max` of them."""

    def events_from(self, height: int, row: int, last: int, rows_max: int) -> list[StreamRows]:
        """Events from `row` of `height` on, to the end of height `last`, at most `rows_max` of them."""

    def first_posting_of(self, height: int, position: int) -> int:
        """The number of the first posting that the transaction at `position`, or one after it, caused."""

    def transaction_id(self, height: int, position: int) -> bytes | None:
        """The id of the transaction at `position` of the block of `height`."""

    def time_ms(self, height: int) -> int | None:
        """The time in the header of the block of `height`."""


class Archive(Protocol):
    """Transactions in blocks whose results are stored."""

    @property
    def blocks(self) -> Log:
        """The log itself."""

    def index(self) -> AbstractContextManager[Movements]:
        """The index of movements as it stands. Raises Declined while a node still makes it."""

    def find(self, tx_id: bytes) -> tuple[int, int] | None:
        """The height and position of a transaction, or None."""

    def is_decoded(self, height: int) -> bool:
        """Whether `transaction` of that block is told at once, without reading the log."""

    def results(self, height: int) -> tuple[Result, ...]:
        """The results of the block of `height`, in the order of its transactions. Raises Refused if they are
        not stored. May be called from a worker thread."""

    def transaction(self, height: int, position: int) -> tuple[bytes, Result]:
        """The bytes and the result of a transaction that `find` found. Raises Refused if they are pruned.
        May be called from a worker thread."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a node has itself seen of another: whether it is connected, the height it told of last, the height
    of its newest vote that came (0: none), and the root (DER) that issued its certificate."""

    connected: bool = False
    height: int = 0
    voted: int = 0
    root: bytes = b""


class View(Protocol):
    """The state after the block of `height`, and the log: all that most reads need."""

    @property
    def state(self) -> StateView:
        """The tables as they stood after that block. They never change."""

    @property
    def archive(self) -> Archive:
        """The block log."""

    @property
    def header(self) -> Header | None:
        """The header of the block of `height`; None before the first."""

    @property
    def genesis_hash(self) -> bytes:
        """The identity of the chain."""

    @property
    def node(self) -> str:
        """The name of the node that answers."""

    @property
    def version(self) -> str:
        """The release that the node runs."""

    @property
    def watched_blocks(self) -> int:
        """For how many of the last blocks the node has looked out for votes, at most UNSEEN_BLOCKS."""

    def seen(self, node: str) -> Sighting:
        """What the node that answers has seen of another, or of itself."""

    @property
    def height(self) -> int:
        """The height of the last block executed; 0 before the first."""

    @property
    def time_ms(self) -> int:
        """The header's time; that of the genesis before the first block."""

    @property
    def ledger_time_ms(self) -> int:
        """The time by which everything on the ledger is judged."""


class Submission(Enum):
    """What became of a transaction that was not refused."""

    ACCEPTED = auto()
    PENDING = auto()  # this very transaction waits already
    COMMITTED = auto()  # it is in a block


class Services(Protocol):
    """What only a running node can do. Whatever is not `async` is short and happens on the event loop."""

    def view(self) -> View:
        """The state after the last executed block."""

    def submit(self, raw: bytes) -> tuple[Submission, Transaction]:
        """Take in a client's transaction. Raises Refused."""

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Do off the event loop what reads and decodes whole blocks."""

    def waiting(self, tx_id: bytes) -> Transaction | None:
        """The transaction of that id in the mempool."""

    async def wait_committed(self, tx_id: bytes, timeout_s: float) -> bool:
        """Wait until a block with that transaction has been executed and its results stored."""

    async def prove(self, table: str, record: int) -> "ProofReply":
        """The proof of a record as it stands, once the next block has certified it. Raises Declined."""

    async def receipt(self, tx_id: bytes) -> "ReceiptReply":
        """The receipt of a transaction, once the block after its own is there. Raises Declined."""

    async def receipt_at(self, block: int, position: int) -> "ReceiptReply":
        """The receipt of whatever stands, or does not, at a position of a block. Raises Declined."""

    def health(self) -> "NodeHealthReply":
        """Whether the chain advances, and if not, whose votes are missing."""
