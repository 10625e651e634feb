"""What a node shows to its readers: the state after its last block, and its block log. Nothing here waits."""

from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from threading import Lock

from api.refusals import Declined
from api.sources import Sighting
from ledger.codes import Code
from ledger.execution import Result
from ledger.state import StateView
from node.limits import DECODED_BLOCKS_MAX, DECODED_BYTES_MAX
from node.ports import Committed
from primitives.codec import convert, decode
from storage.blocks import BlockStore
from storage.index import IndexReader, MovementIndex
from storage.limits import RESULTS_BYTES_MAX
from wire.blocks import Header, decode_block


class Archive:
    """The block log, with the last few blocks of ordinary size decoded: most questions are about them."""

    def __init__(self, blocks: BlockStore, movements: MovementIndex) -> None:
        self.blocks = blocks
        self.movements = movements
        self._lock = Lock()
        self._decoded: OrderedDict[int, tuple[tuple[bytes, ...], tuple[Result, ...]]] = OrderedDict()

    def committed(self, commit: Committed) -> None:
        """Keep what is decoded already (node.ports.Commits)."""
        self._keep(commit.block.height, (commit.block.transactions, commit.applied.results))

    def is_decoded(self, height: int) -> bool:
        """Whether a transaction of that block is told at once."""
        return height in self._decoded

    def index(self) -> AbstractContextManager[IndexReader]:
        """The index of movements as it stands, for one read."""
        return self.movements.reading()

    def find(self, tx_id: bytes) -> tuple[int, int] | None:
        """The height and position of a transaction whose results are stored, or None."""
        return self.blocks.find_transaction(tx_id)

    def results(self, height: int) -> tuple[Result, ...]:
        """The results of the block of `height`, in the order of its transactions. Raises Declined if they are
        not stored."""
        stored = self.blocks.results(height)
        if stored is None:
            raise Declined(Code.NOT_FOUND, "block", height, "its results are not stored yet")
        return convert(decode(stored, RESULTS_BYTES_MAX), tuple[Result, ...])

    def transaction(self, height: int, position: int) -> tuple[bytes, Result]:
        """The bytes and the result of a transaction that `find` found. Raises Declined if they are pruned."""
        decoded = self._decoded.get(height)
        if decoded is None:
            stored = self.blocks.block(height)
            if stored is None:
                raise Declined(Code.NOT_FOUND, "block", height, "this node no longer keeps it")
            decoded = decode_block(stored).transactions, self.results(height)
            self._keep(height, decoded)
        return decoded[0][position], decoded[1][position]

    def _keep(self, height: int, decoded: tuple[tuple[bytes, ...], tuple[Result, ...]]) -> None:
        """Keep a block beside the others, unless it is large: then it is read again when it is asked for."""
        if sum(map(len, decoded[0])) > DECODED_BYTES_MAX:
            return
        with self._lock:
            self._decoded[height] = decoded
            if len(self._decoded) > DECODED_BLOCKS_MAX:
                self._decoded.popitem(last=False)


@dataclass(frozen=True, slots=True)
class View:
    """What there is to read: the state after the block of `header` (None before the first), and the log."""

    state: StateView
    archive: Archive
    header: Header | None
    genesis_hash: bytes
    node: str
    version: str
    watched_blocks: int = 0
    look: Callable[[str], Sighting] = lambda node: Sighting()  # by itself a view has seen nobody

    def seen(self, node: str) -> Sighting:
        return self.look(node)

    @property
    def height(self) -> int:
        return 0 if self.header is None else self.header.height

    @property
    def time_ms(self) -> int:
        """Header time of the last block; that of the genesis before the first."""
        return self.state.chain_record.genesis_ms if self.header is None else self.header.time_ms

    @property
    def ledger_time_ms(self) -> int:
        return self.time_ms + self.state.chain_record.clock_offset_ms
