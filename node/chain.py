"""The chain on disk and in memory: every block durable before it is executed, checkpoints, and recovery.

Blocks and certificates are the truth; the stored state is a checkpoint that saves replaying them all. The
order is always: block and certificate durable, then executed, then (in the node) the WAL advances.
"""

from dataclasses import dataclass

from consensus.encoding import encode_certificate
from consensus.errors import VerificationError
from consensus.messages import Certificate
from ledger.codes import InvariantError
from ledger.genesis import Genesis, genesis_hash
from ledger.state import Changes, State
from node.published import Published, publish
from node.replica import AppliedBlock, Memory, Replica, StateDivergence
from node.sealed import SealedBlock, open_block
from primitives.codec import CodecError, pack, unpack
from storage.blocks import BlockStore
from storage.errors import StorageCorrupt, StorageError
from storage.limits import META_BYTES_MAX
from storage.state import StateStore
from wire.blocks import Header

__all__ = ["AppliedBlock", "Chain", "OtherChain", "StateDivergence"]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What one checkpoint writes."""

    height: int
    changes: Changes
    meta: bytes


class OtherChain(Exception):
    """The stored chain began with another genesis than the one given."""


class Chain:
    """A replica with its stores. `replica` is the driver's alone; everyone else reads `published`."""

    def __init__(self, replica: Replica, blocks: BlockStore, states: StateStore, saved_height: int) -> None:
        self.replica = replica
        self._blocks = blocks
        self._states = states
        self._saved_height = saved_height
        self._unsaved: Changes | None = None
        self._header: Header | None = None  # of the last block executed
        self.published: Published = publish(replica, None)

    @classmethod
    def open(cls, genesis: Genesis, blocks: BlockStore, states: StateStore) -> "Chain":
        """The chain as the stores have it: the last checkpoint and the blocks after it, every root compared.

        Raises OtherChain when the checkpoint is not of this genesis, StorageCorrupt naming what does not fit,
        and StateDivergence when a stored block contradicts the state that leads to it.
        """
        replica, saved_height = _restore(genesis, states)
        chain = cls(replica, blocks, states, saved_height)
        if saved_height > blocks.height():
            raise StorageCorrupt(
                "state", f"the checkpoint of height {saved_height}", "its block is not stored"
            )
        if saved_height:
            chain._header = chain._stored(saved_height).header
        for height in range(saved_height + 1, blocks.height() + 1):
            chain._replay(height)
        chain.publish()
        return chain

    @property
    def height(self) -> int:
        """The last height executed."""
        return self.replica.height

    def apply(self, block: SealedBlock, certificate: Certificate) -> AppliedBlock:
        """Make a decided block durable, execute it, keep its results.

        Raises StateDivergence before anything is stored if the block contradicts our state; StorageError
        (StorageFull) when the disk fails: then open the chain anew.
        """
        fault = self.replica.decided_fault(block)
        if fault is None:
            self._blocks.append(block.height, block.raw, encode_certificate(certificate))
        applied = self.replica.execute(block)
        self._keep(applied, block.header.time_ms)
        self._header = block.header
        return applied

    def publish(self) -> Published:
        """Show the chain as it is now; call it between two blocks."""
        self.published = publish(self.replica, self._header)
        return self.published

    @property
    def saved_height(self) -> int:
        """The height of the last checkpoint."""
        return self._saved_height

    def checkpoint_due(self, blocks: int) -> bool:
        """Whether so many blocks were executed since the last checkpoint."""
        return self.height - self._saved_height >= blocks

    def take_checkpoint(self) -> "Checkpoint":
        """Everything that changed since the last checkpoint, copied while the state stands still."""
        self._unsaved = _merged(self._unsaved, self.replica.state.drain_changes())
        return Checkpoint(self.height, self._unsaved, pack(self.replica.memory()))

    def save_checkpoint(self, taken: "Checkpoint") -> None:
        """Write a checkpoint, off the event loop and one at a time: none is taken before it is saved. One
        that fails loses nothing, the next one includes it."""
        if taken.height > self._saved_height:
            self._states.save(taken.height, taken.changes, taken.meta)
            self._saved_height = taken.height
        self._unsaved = None

    def checkpoint(self) -> None:
        """Save the state of this height."""
        if self.height > self._saved_height:
            self.save_checkpoint(self.take_checkpoint())

    def _stored(self, height: int) -> SealedBlock:
        stored = self._blocks.block(height)
        if stored is None:
            raise StorageCorrupt("blocks", f"height {height}", "it is missing")
        try:
            return open_block(stored)
        except (CodecError, VerificationError) as error:
            raise StorageCorrupt("blocks", f"height {height}", str(error)) from error

    def _replay(self, height: int) -> None:
        self.replica.require_known()
        block = self._stored(height)
        applied = self.replica.execute(block)
        self._header = block.header
        results = self._blocks.results(height)
        if results is None:
            self._keep(applied, block.header.time_ms)
            return
        for name, stored, ours in (
            ("results", results, applied.results_bytes),
            ("postings", self._blocks.postings(height), applied.postings),
            ("events", self._blocks.events(height), applied.events),
        ):
            if stored != ours:
                raise StorageCorrupt(
                    "blocks", f"{name} of height {height}", "replaying the block gives others"
                )

    def _keep(self, applied: AppliedBlock, time_ms: int) -> None:
        """Store what executing a block gave, all of it or nothing."""
        self._blocks.put_results(
            applied.height,
            applied.results_bytes,
            list(applied.transaction_ids),
            time_ms=time_ms,
            postings=applied.postings,
            events=applied.events,
        )


def _restore(genesis: Genesis, states: StateStore) -> tuple[Replica, int]:
    """The replica of the last checkpoint and its height; of genesis, and 0, if there is none."""
    loaded = states.load()
    if loaded is None:
        return Replica.at_genesis(genesis), 0
    height, meta, source = loaded
    try:
        state = State.load(source)  # first, for it says whether this software is too old for the rest
        memory = unpack(meta, Memory, META_BYTES_MAX)
        root = state.root()
    except (CodecError, InvariantError, StorageError) as error:
        if isinstance(error, StorageCorrupt):
            raise
        raise StorageCorrupt("state", f"the checkpoint of height {height}", str(error)) from error
    if memory.genesis_hash != genesis_hash(genesis):
        raise OtherChain(
            f"the stored chain is that of the genesis {memory.genesis_hash.hex()}, "
            f"the genesis file is {genesis_hash(genesis).hex()}"
        )
    if memory.height != height or root != memory.state_root:
        raise StorageCorrupt(
            "state", f"the checkpoint of height {height}", "its root is not the one recorded"
        )
    return Replica(genesis, state, memory), height


def _merged(older: Changes | None, newer: Changes) -> Changes:
    """Both changes as one, the newer winning."""
    if older is None:
        return newer
    documents = {(table, index): value for table, index, value in (*older.documents, *newer.documents)}
    pages = {(table, page): value for table, page, value in (*older.pages, *newer.pages)}
    return Changes(
        [(table, index, value) for (table, index), value in documents.items()],
        [(table, page, value) for (table, page), value in pages.items()],
        newer.counts,
    )
