"""Replays one validator's chain from genesis and believes nothing that is stored.

Every transaction's signatures, every commit certificate against its height's validators, every link and root,
every policy (by executing again), every result, posting and event; conservation of every instrument; and
every balance, locked amount and supply against the sum of all postings since genesis. The first fault is
named with its height.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from consensus.encoding import decode_certificate
from consensus.errors import VerificationError
from consensus.messages import VoteType
from consensus.verification import verify_certificate
from ledger import conservation, restrictions
from ledger.codes import InvariantError
from ledger.genesis import Genesis
from ledger.release import UnknownVersion
from ledger.state import State
from node.replica import AppliedBlock, Memory, Replica, StateDivergence
from node.sealed import SealedBlock, open_block
from primitives.codec import CodecError, unpack
from storage.blocks import BlockStore
from storage.errors import StorageError
from storage.limits import META_BYTES_MAX
from storage.state import StateStore


@dataclass(frozen=True, slots=True)
class AuditFault:
    """The first thing that is wrong, and the height at which it is."""

    height: int
    what: str

    def __str__(self) -> str:
        return f"height {self.height}: {self.what}"


@dataclass(frozen=True, slots=True)
class AuditedInstrument:
    """An instrument as it stands at the end: its supply, which its holdings sum to."""

    code: str
    supply: int
    holdings: int


@dataclass(slots=True)
class AuditReport:
    """What was replayed, and the first fault, None if there is none."""

    chain: str
    genesis_hash: str
    height: int = 0  # the last one that is proven
    transactions: int = 0
    refused: int = 0  # transactions whose result is a refusal
    signatures: int = 0  # of transactions and in certificates
    movements: int = 0
    checkpoint_height: int | None = None
    state_root: str = ""
    instruments: tuple[AuditedInstrument, ...] = ()
    fault: AuditFault | None = None

    @property
    def ok(self) -> bool:
        return self.fault is None


class _Found(Exception):
    """A fault at the height being audited."""


def audit(
    directory: Path, genesis: Genesis, progress: Callable[[int, int], None] = lambda height, last: None
) -> AuditReport:
    """Audit the data directory of a node, which may be running. `progress` is told (height, last height).

    Raises StorageError when there is no chain to read, InvariantError when `genesis` is none.
    """
    replica = Replica.at_genesis(genesis)
    report = AuditReport(genesis.chain, replica.genesis_hash.hex())
    checkpoint: Memory | None = None
    blocks = BlockStore(directory / "blocks", readonly=True)
    try:
        try:
            checkpoint = _checkpoint(directory / "state")
        except _Found as found:
            report.fault = AuditFault(0, str(found))
            return report
        report.checkpoint_height = None if checkpoint is None else checkpoint.height
        fold = conservation.Fold()
        last = blocks.height()
        for height in range(1, last + 1):
            try:
                _audit_height(blocks, replica, fold, height, report)
                if checkpoint is not None and checkpoint.height == height:
                    _compare_checkpoint(checkpoint, replica)
                if height == last:
                    fold.compare(replica.state)
                    conservation.check_all(replica.state)
                    restrictions.check_all(replica.state)
            except (_Found, StorageError, InvariantError, UnknownVersion) as error:
                report.fault = AuditFault(height, str(error))
                return report
            report.height = height
            progress(height, last)
    finally:
        blocks.close()
    if checkpoint is not None and checkpoint.height > last:
        report.fault = AuditFault(
            checkpoint.height, f"the state is a checkpoint of this height, the last block is {last}"
        )
    report.movements = fold.moves
    report.state_root = replica.state_root.hex()
    report.instruments = _instruments(replica.state)
    return report


def _audit_height(
    blocks: BlockStore, replica: Replica, fold: conservation.Fold, height: int, report: AuditReport
) -> None:
    """Everything that one block says, against everything before it. Raises what `audit` catches."""
    replica.require_known()
    block = _block(blocks, height)
    fault = replica.check_block(block, lambda full_hash: False)
    if fault is not None:
        raise _Found(f"block: {fault}")
    report.signatures += _check_certificate(blocks, replica, block)
    transactions = block.decoded()
    applied = _execute(replica, block)
    _check_results(blocks, applied)
    fold.add(replica.state, applied.postings)
    report.transactions += len(transactions)
    report.refused += sum(1 for result in applied.results if result.code)
    report.signatures += sum(len(transaction.signatures) for transaction in transactions)


def _block(blocks: BlockStore, height: int) -> SealedBlock:
    stored = blocks.block(height)
    if stored is None:
        raise _Found("block: it is missing")
    try:
        return open_block(stored)
    except (CodecError, VerificationError) as error:
        raise _Found(f"block: {error}") from error


def _check_certificate(blocks: BlockStore, replica: Replica, block: SealedBlock) -> int:
    """How many signatures the block's certificate holds, all of them valid."""
    height = block.header.height
    stored = blocks.certificate(height)
    if stored is None:
        raise _Found("certificate: it is missing")
    try:
        certificate = decode_certificate(stored)
        verify_certificate(certificate, replica.validators_at(height), replica.genesis_hash)
    except (CodecError, VerificationError) as error:
        raise _Found(f"certificate: {error}") from error
    if certificate.type is not VoteType.PRECOMMIT:
        raise _Found("certificate: of prevotes, a commit needs precommits")
    if (certificate.height, certificate.value) != (height, block.value):
        raise _Found("certificate: of another block")
    return len(certificate.signatures)


def _execute(replica: Replica, block: SealedBlock) -> AppliedBlock:
    try:
        return replica.execute(block)
    except StateDivergence as error:
        raise _Found(f"block: {error.fault}") from error


def _check_results(blocks: BlockStore, applied: AppliedBlock) -> None:
    """Results, stream and index as stored; a crash, or a running node, may lack those of the last block."""
    stored = blocks.results(applied.height)
    if stored is None:
        if applied.height < blocks.height():
            raise _Found("results: they are missing")
        return
    if stored != applied.results_bytes:
        raise _Found("results: executing the block gives others than those stored")
    for name, kept, ours in (
        ("postings", blocks.postings(applied.height), applied.postings),
        ("events", blocks.events(applied.height), applied.events),
    ):
        if kept != ours:
            raise _Found(f"{name}: executing the block gives others than those stored")
    for position, transaction_id in enumerate(applied.transaction_ids):
        if blocks.find_transaction(transaction_id) != (applied.height, position):
            raise _Found(f"index: transaction {transaction_id.hex()} is not found at position {position}")


def _checkpoint(path: Path) -> Memory | None:
    """What the stored state says of itself, with the state read whole; None if there is no checkpoint."""
    if not (path / "data.mdb").is_file():
        return None
    states = StateStore(path, readonly=True)
    try:
        while (loaded := states.load()) is not None:
            height, meta, source = loaded
            try:
                memory, root = unpack(meta, Memory, META_BYTES_MAX), State.load(source).root()
            except (StorageError, CodecError, InvariantError) as error:
                if states.height() == height:  # else the running node has saved a newer one meanwhile
                    raise _Found(f"the state's checkpoint of height {height}: {error}") from error
                continue
            if states.height() != height:
                continue
            if memory.height != height or memory.state_root != root:
                raise _Found(f"the state's checkpoint of height {height}: its root is not the one recorded")
            return memory
        return None
    except StorageError as error:
        raise _Found(str(error)) from error
    finally:
        states.close()


def _compare_checkpoint(checkpoint: Memory, replica: Replica) -> None:
    ours = replica.memory()
    for name in Memory.__struct_fields__:
        if getattr(ours, name) != getattr(checkpoint, name):
            raise _Found(f"the state's checkpoint: its {name} is not that of the blocks")


def _instruments(state: State) -> tuple[AuditedInstrument, ...]:
    held = state.holdings.column("instrument")[state.holdings.column("balance") > 0]
    return tuple(
        AuditedInstrument(instrument.code, instrument.supply, int((held == index).sum()))
        for index, instrument in enumerate(state.instruments)
    )
