"""A whole ledger behind a real gateway, without consensus: what is submitted is in a block a moment later."""

import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import trio

from api.reads.running import NodeHealthReply, ProofReply, ReceiptReply
from api.sources import Submission
from client.wallet import Wallet
from ledger.admission import check_envelope, check_signers
from ledger.genesis import Genesis
from ledger.transactions import Transaction
from ledger.window import check as check_window
from node.door import check_payable, check_roles, share_of
from node.local import serve_local
from node.mempool import Mempool
from node.ports import Commits, Committed
from node.proofs import ValidatorChanges, place_of, prove, receipt_at, start_proof
from node.running import reading
from node.view import Archive, View
from node.waiting import Commitments
from testing.front import HEALTHY, Front, connected, gateway
from testing.keys import key
from testing.little_chain import LittleChain, make_genesis

T = TypeVar("T")


class OneNode:
    """The services of a node whose blocks are decided by nobody but itself."""

    def __init__(self, little: LittleChain) -> None:
        self.little = little
        self.commitments = Commitments(little.chain.height)
        self.lose_pool()
        self._archive = Archive(little.blocks, little.index)
        self._work = trio.Event()
        self.paused = False  # no blocks while it is set

    def lose_pool(self) -> None:
        """Forget what waits, as a node that restarts does."""
        self.mempool = Mempool(
            check=self._check,
            share_of=lambda signer: share_of(self.little.chain.published.state, signer),
            is_committed=lambda identity: self._archive.find(identity) is not None,
            still_open=self._still_open,
        )

    async def run(self) -> None:
        """Commit what waits, then one empty block, which certifies its state."""
        while True:
            await self._work.wait()
            self._work = trio.Event()
            await trio.sleep(0.01)
            if self.paused:
                continue
            waiting = list(self.mempool.ordered(1000))
            self.commit(waiting)
            self.commit([])

    def commit(self, transactions: list[Transaction]) -> None:
        block = self.little.build(*transactions)
        certificate = self.little.certify(block)
        applied = self.little.chain.apply(block, certificate)
        commit = Committed(block, certificate, applied, self.little.chain.publish())
        listeners: tuple[Commits, ...] = (self.mempool, self.commitments, self._archive)
        for listener in listeners:
            listener.committed(commit)

    def wake(self) -> None:
        self._work.set()

    def wallet(self, name: str) -> Wallet:
        """The wallet of a key of LittleChain, by the chain's own clock."""
        return Wallet(
            key(name), self.little.replica.genesis_hash, valid_s=60, clock=lambda: self.little.now_ms / 1000
        )

    def view(self) -> View:
        published = self.little.chain.published
        return View(published.state, self._archive, published.header, published.genesis_hash, "mof", "test")

    def submit(self, raw: bytes) -> tuple[Submission, Transaction]:
        taken = self.mempool.submit(raw, ours=True)
        self.wake()
        return taken

    def waiting(self, tx_id: bytes) -> Transaction | None:
        return self.mempool.get(tx_id)

    async def in_thread(self, work: Callable[[], T]) -> T:
        return await reading(work)

    async def wait_committed(self, tx_id: bytes, timeout_s: float) -> bool:
        return await self.commitments.wait_transaction(tx_id, timeout_s)

    async def wait_height(self, height: int, timeout_s: float) -> bool:
        self.wake()
        return await self.commitments.wait_height(height, timeout_s)

    async def prove(self, table: str, record: int) -> ProofReply:
        started = start_proof(self.little.replica, table, record)
        return await prove(started, self.little.blocks, self.wait_height)

    async def receipt(self, tx_id: bytes) -> ReceiptReply:
        return await self.receipt_at(*place_of(tx_id, self.little.blocks))

    async def receipt_at(self, block: int, position: int) -> ReceiptReply:
        return await receipt_at((block, position), self.little.blocks, self._set_changes, self.wait_height)

    async def _set_changes(self) -> tuple[bytes, ValidatorChanges]:
        return self.little.replica.genesis_hash, self.little.replica.validator_changes()

    def health(self) -> NodeHealthReply:
        return HEALTHY

    def _check(self, transaction: Transaction, verified: bool, crowded: bool) -> None:
        shown = self.little.chain.published
        check_signers(shown.state, transaction)
        check_roles(shown.state, transaction)
        if crowded:
            check_payable(shown.state, transaction)
        check_envelope(
            shown.state, transaction, shown.genesis_hash, self.little.now_ms, shown.rules, verified
        )

    def _still_open(self, signer: int, sequence: int) -> bool:
        row = self.little.chain.published.state.signers[signer]
        return not check_window(row.highest, row.bitmap, sequence)


@asynccontextmanager
async def one_node(genesis: Genesis | None = None, **limits: Any) -> AsyncIterator[tuple[OneNode, Front]]:
    """A node with a fresh ledger, and the gateway before it."""
    with tempfile.TemporaryDirectory(prefix="mohur-") as folder:
        little = LittleChain(Path(folder), genesis or make_genesis())
        try:
            node = OneNode(little)
            path = Path(folder, "node.sock")
            async with trio.open_nursery() as nursery:
                await nursery.start(serve_local, path, node)
                nursery.start_soon(node.run)
                async with gateway(path, **limits) as front:
                    await connected(front)
                    yield node, front
                nursery.cancel_scope.cancel()
        finally:
            little.close()
