"""Whole nodes in one process: real engine, ledger and stores, memory streams, a mock clock, inline disk."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import trio

from ledger.genesis import (
    DEVELOPMENT,
    VALIDATOR,
    Genesis,
    GenesisInstitution,
    GenesisNode,
    default_policies,
    genesis_hash,
)
from ledger.kinds import BY_NAME
from ledger.release import UnknownVersion
from ledger.transactions import assemble, decode_transaction, encode_body, sign_input
from node.chain import Chain, StateDivergence
from node.peers import Transport
from node.runtime import Node
from node.signer import KeyInMemory, Signer
from node.view import Archive
from primitives.signatures import public_key_of, sign
from storage.blocks import BlockStore
from storage.environment import Faults
from storage.errors import StorageError
from storage.index import MovementIndex
from storage.signer import SignerStore
from storage.state import StateStore
from storage.wal import WriteAheadLog
from testing.keys import key
from testing.memory_network import MemoryNetwork
from wire.blocks import decode_block

INSTITUTIONS = ("mof", "sbp", "pvara", "secp", "fmu")
VALIDATORS = ("mof-1", "sbp-1", "pvara-1", "secp-1")
OFFICERS = 40  # of each institution; every one is a signer with a window of its own
GENESIS_MS = 1_700_000_000_000
MAP_BYTES = 2**30

T = TypeVar("T")


def new_genesis(**parameters: int) -> Genesis:
    """Five institutions, four of them with one validator each."""
    institutions = tuple(
        GenesisInstitution(
            name,
            name.upper(),
            name != "fmu",
            2,
            tuple(public_key_of(key(f"{name}-officer-{number}")) for number in range(OFFICERS)),
            b"root of " + name.encode(),
        )
        for name in INSTITUTIONS
    )
    nodes = tuple(
        GenesisNode(name, name.split("-")[0], public_key_of(key(name)), 1, VALIDATOR) for name in VALIDATORS
    )
    return Genesis(
        1,
        "testnet",
        DEVELOPMENT,
        GENESIS_MS,
        institutions,
        nodes,
        default_policies(),
        tuple(sorted(parameters.items())),
        "mof",
    )


async def run_inline(call: Callable[..., T], *args: Any) -> T:
    """Disk inline: under a mock clock a worker thread's time does not exist."""
    await trio.lowlevel.checkpoint()
    return call(*args)


@dataclass
class Running:
    """One node of a cluster while it runs."""

    node: Node
    chain: Chain
    blocks: BlockStore
    stores: list[Any]
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    stopped: trio.Event = field(default_factory=trio.Event)
    failure: BaseException | None = None

    @property
    def height(self) -> int:
        return self.chain.height


class Cluster:
    """Nodes by name, each with a folder that outlives it."""

    def __init__(self, folder: Path, nursery: trio.Nursery, genesis: Genesis | None = None) -> None:
        self.folder = folder
        self.genesis = genesis or new_genesis()
        self.genesis_hash = genesis_hash(self.genesis)
        self.network = MemoryNetwork()
        self.nodes: dict[str, Running] = {}
        self._nursery = nursery
        self._sequences: dict[int, int] = {}
        self._started_at = trio.current_time()

    def now_ms(self) -> int:
        """Real time of the simulated world."""
        return GENESIS_MS + 1000 + int((trio.current_time() - self._started_at) * 1000)

    async def start(
        self, *names: str, change: Callable[[Node, Chain], None] | None = None, faults: Faults | None = None
    ) -> None:
        """Start nodes; `change` may tamper with one before it runs, `faults` with its block log."""
        for name in names:
            await self._start(name, change, faults)

    async def _start(
        self, name: str, change: Callable[[Node, Chain], None] | None, faults: Faults | None
    ) -> None:
        folder = self.folder / name
        new = not folder.exists()
        blocks = BlockStore(folder / "blocks", map_bytes=MAP_BYTES, faults=faults)
        index = MovementIndex(folder / "index", self.genesis_hash, map_bytes=MAP_BYTES)
        states = StateStore(folder / "state", map_bytes=MAP_BYTES)
        wal = WriteAheadLog(folder / "wal", map_bytes=MAP_BYTES)
        signatures = SignerStore(folder / "signer", map_bytes=MAP_BYTES)
        if new:
            signatures.initialise(1)
        chain = Chain.open(self.genesis, blocks, states)
        institution = name.split("-")[0]
        transport: Transport = self.network.transport(name, institution)
        node = Node(
            name=name,
            version="test",
            chain=chain,
            archive=Archive(blocks, index),
            wal=wal,
            signer=Signer(KeyInMemory(key(name)), signatures, self.genesis_hash),
            transport=transport,
            roots=lambda: chain.published.roots,
            dials=[other for other in VALIDATORS if other > name],
            now_ms=self.now_ms,
            run_sync=run_inline,
            jitter=random.Random(name),
            mempool_transactions=10_000,
            mempool_bytes=2**24,
            checkpoint_blocks=10,
            connections_max=16,
        )
        if change is not None:
            change(node, chain)
        running = Running(node, chain, blocks, [blocks, states, wal, signatures, index])
        self.nodes[name] = running

        async def run(*, task_status: trio.TaskStatus[None]) -> None:
            try:
                with running.scope:
                    await node.run(task_status=task_status)
            except BaseExceptionGroup as group:
                _, others = group.split((StateDivergence, StorageError, UnknownVersion))
                if others is not None:
                    raise
                running.failure = _first(group)
            finally:
                for store in running.stores:
                    store.close()
                running.stopped.set()

        await self._nursery.start(run)

    async def kill(self, name: str) -> None:
        """Stop a node between two turns of the event loop, without any goodbye."""
        running = self.nodes.pop(name)
        running.scope.cancel()
        await running.stopped.wait()

    async def reached(self, height: int, *names: str, seconds: float = 60) -> None:
        """Wait until the nodes (all, unless named) have committed `height`."""
        with trio.fail_after(seconds):
            for name in names or tuple(self.nodes):
                node = self.nodes[name].node
                assert await node.wait_height(height, seconds), f"{name} is at {node.health()}"

    def act(self, signer: int = 0, advance_ms: int = 1) -> bytes:
        """A signed act of one officer: the development clock goes ahead."""
        return self.act_of([signer], "dev_advance_clock", advance_ms)

    def act_of(self, signers: Sequence[int], kind_name: str, *fields: object) -> bytes:
        """An act signed by these officers, in ascending order."""
        sequence = self._sequences.get(signers[0], 0) + 1
        self._sequences[signers[0]] = sequence
        kind = BY_NAME[kind_name]
        valid_until = self.now_ms() // 1000 + 600
        body = encode_body(kind, signers, sequence, valid_until, kind.payload(*fields))
        message = sign_input(self.genesis_hash, body)
        names = [f"{INSTITUTIONS[one // OFFICERS]}-officer-{one % OFFICERS}" for one in signers]
        return assemble(body, [sign(key(name), message) for name in names])

    async def commit(self, at: str, raw: bytes, seconds: float = 20) -> int:
        """Submit to one node and wait until that node has it in a block; its height."""
        node = self.nodes[at].node
        node.submit(raw)
        identity = decode_transaction(raw).id
        assert await node.wait_committed(identity, seconds), "not committed in time"
        found = self.nodes[at].blocks.find_transaction(identity)
        assert found is not None
        return found[0]

    def assert_agreement(self) -> None:
        """No two nodes have different blocks at a height, or different states at the same height."""
        everyone = list(self.nodes.values())
        for height in range(1, max(running.height for running in everyone) + 1):
            stored = {running.blocks.block(height) for running in everyone if running.height >= height}
            assert len(stored) == 1, f"different blocks at height {height}"
        roots: dict[int, set[bytes]] = {}
        for running in everyone:
            roots.setdefault(running.height, set()).add(running.chain.replica.state_root)
        assert all(len(found) == 1 for found in roots.values()), "different states"

    def proposers(self, name: str, first: int = 1) -> set[int]:
        """The positions that proposed the blocks which a node has from `first` on."""
        running = self.nodes[name]
        stored = [running.blocks.block(height) for height in range(first, running.height + 1)]
        return {decode_block(block).header.proposer for block in stored if block is not None}


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
