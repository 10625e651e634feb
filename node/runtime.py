"""One node: the driver, its peers, its pool and its sync put together, and the questions a gateway may ask.

`Node.run` owns every task. What it stands on (stores, transport, clock, how blocking calls run) is handed in,
so that tests run many nodes in one process under a mock clock, and `node.app` runs one over TLS and disks.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import structlog
import trio

from api.limits import UNSEEN_BLOCKS
from api.outlook import standing, survival, unseen
from api.reads.running import NodeHealthReply, PeerView, ProofReply, ReceiptReply
from api.refusals import Declined, said
from api.sources import Sighting, Submission
from ledger import window
from ledger.admission import check_envelope, check_signers
from ledger.codes import Code, Refused
from ledger.documents import NodeRole
from ledger.release import newest
from ledger.transactions import Transaction
from node.attendance import Attendance
from node.chain import Chain
from node.door import check_payable, check_roles, share_of
from node.driver import Driver
from node.gossip import Gossip
from node.health import HealthFacts, verdict
from node.inbox import Heard
from node.indexing import Indexer
from node.intake import Intake
from node.limits import REPLY_BYTES_MAX
from node.membership import Membership, Roots
from node.mempool import Mempool
from node.peers import Peer, Peers, Transport
from node.ports import Commits, Committed
from node.proofs import ValidatorChanges, place_of, prove, receipt_at, start_proof
from node.published import Published
from node.readiness import Readiness
from node.running import RunSync, reading
from node.signer import Signer
from node.sync import Sync
from node.view import Archive, View
from node.waiting import Commitments
from storage.errors import StorageCorrupt
from storage.wal import WriteAheadLog
from wire.limits import MESSAGE_TRANSACTIONS_BYTES_MAX, MESSAGE_TRANSACTIONS_MAX
from wire.messages import (
    CertificateMessage,
    Message,
    ProposalMessage,
    Status,
    SyncRequest,
    SyncResponse,
    Transactions,
    VoteMessage,
)

STATUS_S = 1.0
SYNC_S = 0.05
LAG_STATUS_MS = 200  # between two hints to a peer that lags
GOSSIP_S = 0.002  # transactions wait so long for company
REGOSSIP_S = 1.0  # between two looks at what must be told again
FIRST_CONTACT_S = 1.0  # a starting node waits so long to hear where the others are
INTAKE_SLICE = 32  # transactions checked between two turns of the event loop
QUEUED_SLICE = 256  # transactions queued between two turns of the event loop

log = structlog.get_logger("node")

T = TypeVar("T")


class Node:
    """A validator, or an observer when it has no signer."""

    def __init__(
        self,
        *,
        name: str,
        version: str,
        chain: Chain,
        archive: Archive,
        wal: WriteAheadLog,
        signer: Signer | None,
        transport: Transport,
        roots: Callable[[], Roots],
        dials: Iterable[str],
        now_ms: Callable[[], int],
        run_sync: RunSync,
        jitter: random.Random,
        mempool_transactions: int,
        mempool_bytes: int,
        checkpoint_blocks: int,
        connections_max: int,
    ) -> None:
        """`roots` are each institution's roots (DER) under which its nodes' certificates may stand now;
        `dials` are the nodes that we connect to."""
        self.name = name
        self._version = version
        self._chain = chain
        self._now_ms = now_ms
        self._run_sync = run_sync
        self._checkpoint_blocks = checkpoint_blocks
        self._checkpoint_due = trio.Event()
        self._archive = archive
        self._indexer = Indexer(chain.published, archive.blocks, archive.movements, run_sync)
        self._base = archive.blocks.base()
        self._committed_at_ms = now_ms()
        self._hinted_ms: dict[str, int] = {}
        self._contact, self._gossip = trio.Event(), trio.Event()
        self._intake, self._told = Intake(), Gossip()
        self.commitments = Commitments(chain.height)
        self.readiness = Readiness(name)
        self.attendance = Attendance(chain.published)
        self.sync = Sync(chain.height, chain.published.powers)
        self.mempool = self._pool(mempool_transactions, mempool_bytes)
        self._membership = Membership(lambda: chain.published, roots, lambda: self.sync.is_behind(now_ms()))
        self.peers = Peers(
            name=name,
            genesis_hash=chain.published.genesis_hash,
            transport=transport,
            dials=dials,
            fault_of=self._membership.fault_of,
            height=lambda: chain.published.height,
            handler=self,
            jitter=jitter,
            connections_max=connections_max,
        )
        self.driver = Driver(
            chain=chain,
            wal=wal,
            signer=signer,
            mempool=self.mempool,
            sync=self.sync,
            surroundings=self,
            now_ms=now_ms,
            run_sync=run_sync,
        )
        # Who hears of every block, in this order (node.ports.Commits): append yours before the node runs.
        self.listeners: list[Commits] = [self.sync, self.mempool, self.commitments, self.readiness]
        self.listeners += [archive, self._indexer, self.attendance]

    @property
    def published(self) -> Published:
        """What this node shows of the chain, after the last block executed."""
        return self._chain.published

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until cancelled. Raises what the driver raises when the node must stop."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.peers.run)
            nursery.start_soon(self._tell_status)
            nursery.start_soon(self._tell_transactions)
            nursery.start_soon(self._tell_again)
            nursery.start_soon(self._request_blocks)
            nursery.start_soon(self._take_in)
            nursery.start_soon(self._save_checkpoints)
            nursery.start_soon(self._indexer.run)
            task_status.started()
            self._note_contact()
            with trio.move_on_after(FIRST_CONTACT_S):
                await self._contact.wait()
            await self.driver.run()

    # --- peers (node.peers.PeerHandler) -------------------------------------------------------------------

    def joined(self, peer: Peer) -> None:
        self._membership.joined(peer.identity)
        self.readiness.said(peer.name, peer.knows)
        self.sync.claimed(peer.name, peer.status.height)
        peer.say(self._status())
        for batch in _batches(self.mempool.ours()):
            peer.say(batch)
        self._note_contact()

    async def heard(self, peer: Peer, message: Message) -> None:
        match message:
            case VoteMessage() | ProposalMessage() | CertificateMessage():
                self.sync.claimed(peer.name, max(peer.status.height, message.height - 1))
                if isinstance(message, VoteMessage):
                    self.attendance.heard(peer.name, message)
                await self.driver.hear(Heard(peer.name, message, self._now_ms()))
            case Transactions():
                await self._queue(peer.name, message.transactions)
            case Status():
                self.sync.claimed(peer.name, message.height)
            case SyncRequest():
                peer.say(await self._run_sync(self._past, message))
            case SyncResponse():
                fault = self.sync.received(peer.name, message, self._now_ms())
                if fault is not None:
                    peer.close(fault)
                self.driver.wake()

    async def _queue(self, peer: str, transactions: tuple[bytes, ...]) -> None:
        """Put what a peer has sent into its line, a slice at a time."""
        for start in range(0, len(transactions), QUEUED_SLICE):
            dropped = self._intake.put(peer, transactions[start : start + QUEUED_SLICE])
            if dropped:
                log.debug("transactions dropped", peer=peer, count=dropped)
            await trio.lowlevel.checkpoint()

    def left(self, peer: Peer) -> None:
        self._membership.left(peer.identity)
        self._intake.left(peer.name)
        self.sync.left(peer.name)
        self._hinted_ms.pop(peer.name, None)

    def _part(self) -> None:
        """End the connections of those who may be no peers any more since the block just committed."""
        for peer in list(self.peers.connected.values()):
            reason = self._membership.parting(peer.identity)
            if reason is not None:
                peer.close(reason)

    # --- what the driver calls (node.driver.Surroundings) -------------------------------------------------

    def broadcast(self, message: Message) -> None:
        self.peers.broadcast(message)

    def misbehaved(self, peer: str, reason: str) -> None:
        connected = self.peers.connected.get(peer)
        log.warning("peer misbehaved", peer=peer, reason=reason)
        if connected is not None:
            connected.close(reason)

    def lags(self, peer: str) -> None:
        now = self._now_ms()
        connected = self.peers.connected.get(peer)
        if connected is not None and now - self._hinted_ms.get(peer, 0) >= LAG_STATUS_MS:
            self._hinted_ms[peer] = now
            connected.say(self._status())

    def committed(self, commit: Committed) -> None:
        self._base = self._base or commit.applied.height
        self._committed_at_ms = self._now_ms()
        for listener in self.listeners:
            listener.committed(commit)
        self._part()
        if self._chain.checkpoint_due(self._checkpoint_blocks):
            self._checkpoint_due.set()

    # --- questions (node.local.Services) ------------------------------------------------------------------

    def view(self) -> View:
        """The state after the last executed block."""
        return View(
            self.published.state,
            self._archive,
            self.published.header,
            self.published.genesis_hash,
            self.name,
            self._version,
            min(UNSEEN_BLOCKS, self.attendance.blocks_since()),
            self._seen,
        )

    def _seen(self, name: str) -> Sighting:
        """What this node has seen of another, or of itself."""
        peer, voted = self.peers.connected.get(name), self.attendance.voted(name)
        if name == self.name:
            return Sighting(True, self.published.height, voted)
        if peer is None:
            return Sighting(voted=voted)
        return Sighting(True, self._height_of(peer), voted, peer.identity.root)

    def _height_of(self, peer: Peer) -> int:
        return max(peer.status.height, self.sync.claim_of(peer.name))

    def submit(self, raw: bytes) -> tuple[Submission, Transaction]:
        """Take in a client's transaction and tell the peers. Raises Refused or Declined."""
        submission, transaction = self.mempool.submit(raw, ours=True)
        if submission is Submission.ACCEPTED:
            self._gossip.set()
            self.driver.wake()
        return submission, transaction

    def waiting(self, tx_id: bytes) -> Transaction | None:
        return self.mempool.get(tx_id)

    async def in_thread(self, work: Callable[[], T]) -> T:
        return await reading(work)

    async def wait_committed(self, tx_id: bytes, timeout_s: float) -> bool:
        return await self.commitments.wait_transaction(tx_id, timeout_s)

    async def wait_height(self, height: int, timeout_s: float) -> bool:
        return await self.commitments.wait_height(height, timeout_s)

    async def prove(self, table: str, record: int) -> ProofReply:
        """The proof of a record as it stands, once the next block has certified it. Raises Declined."""
        started = await self.driver.between_blocks(lambda chain: start_proof(chain.replica, table, record))
        return await prove(started, self._archive.blocks, self.wait_height)

    async def receipt(self, tx_id: bytes) -> ReceiptReply:
        """The receipt of a transaction, once the block after its own is there. Raises Declined."""
        return await self.receipt_at(*place_of(tx_id, self._archive.blocks))

    async def receipt_at(self, block: int, position: int) -> ReceiptReply:
        """The receipt of whatever stands, or does not, at a position of a block. Raises Declined."""
        return await receipt_at((block, position), self._archive.blocks, self._set_changes, self.wait_height)

    async def _set_changes(self) -> tuple[bytes, ValidatorChanges]:
        changes = await self.driver.between_blocks(lambda chain: chain.replica.validator_changes())
        return self.published.genesis_hash, changes

    def health(self) -> NodeHealthReply:
        """Whether the chain advances, and if not, whose votes are missing."""
        now = self._now_ms()
        published, engine = self.published, self.driver.engine
        missing = engine.missing_voters if self.driver.started else ()
        syncing = self.sync.is_behind(now)
        facts = HealthFacts(
            height=published.height,
            round=engine.round,
            step=engine.step_name,
            last_block_age_ms=max(0, now - self._committed_at_ms),
            idle_ms=published.parameters.idle_ms,
            syncing=syncing,
            target=self.sync.target(now),
            connected=len(self.peers.connected),
            missing=[published.voters[position] for position in missing],
        )
        judged = verdict(facts)
        view = self.view()
        silent = unseen(view)
        return NodeHealthReply(
            height=facts.height,
            node=self.name,
            advancing=judged.advancing,
            reason=judged.reason,
            syncing=syncing,
            voting=self.driver.started and self.driver.position is not None and not syncing,
            round=facts.round,
            last_block_age_ms=facts.last_block_age_ms,
            missing=tuple(facts.missing),
            peers=self._peer_views(),
            mempool_transactions=len(self.mempool),
            mempool_bytes=self.mempool.bytes_held,
            version=published.version,
            knows=newest(),
            upgrade=self.readiness.upgrade(published),
            survives=survival(view, published.state.nodes),
            unseen=silent,
            standing=standing(view, silent),
        )

    def _peer_views(self) -> tuple[PeerView, ...]:
        views = []
        for node in self.published.nodes:
            if node.name != self.name and node.role is not NodeRole.RETIRED:
                peer = self.peers.connected.get(node.name)
                height = 0 if peer is None else self._height_of(peer)
                views.append(
                    PeerView(
                        name=node.name,
                        institution=node.institution,
                        connected=peer is not None,
                        height=height,
                        claims=0 if peer is None else peer.claims,
                    )
                )
        return tuple(views)

    # --- tasks --------------------------------------------------------------------------------------------

    async def _tell_status(self) -> None:
        while True:
            self.peers.broadcast(self._status())
            await trio.sleep(STATUS_S)

    async def _tell_transactions(self) -> None:
        while True:
            await self._gossip.wait()
            await trio.sleep(GOSSIP_S)
            self._gossip = trio.Event()
            taken = self.mempool.take_gossip()
            self._told.told(taken, trio.current_time())
            for batch in _batches(taken):
                self.peers.broadcast(batch)

    async def _tell_again(self) -> None:
        while True:
            await trio.sleep(REGOSSIP_S)
            again = self._told.again(lambda raw: self.mempool.decoded(raw) is not None, trio.current_time())
            for batch in _batches(again):
                self.peers.broadcast(batch)

    async def _request_blocks(self) -> None:
        while True:
            for name, request in self.sync.requests(self._now_ms()):
                peer = self.peers.connected.get(name)
                if peer is not None:
                    peer.say(request)
            self.driver.wake_if_held()
            await trio.sleep(SYNC_S)

    async def _take_in(self) -> None:
        """Check peers' transactions, a slice at a time, so that votes are never behind them."""
        while True:
            for peer, raw in await self._intake.take(INTAKE_SLICE):
                self._take_in_one(peer, raw)
            if len(self.mempool):
                self.driver.wake()
            await trio.lowlevel.checkpoint()

    def _take_in_one(self, peer: str, raw: bytes) -> None:
        """An honest peer has checked what it sends as we do: what we refuse shortens its turns, and what no
        time and no other state explains ends its connection."""
        try:
            submission, _ = self.mempool.submit(raw, ours=False)
        except Declined as declined:
            log.debug("a peer's transaction declined", peer=peer, reason=declined.code.word)
        except Refused as refused:
            self._intake.fine(peer)
            if refused.code in (Code.BAD_SIGNATURE, Code.MALFORMED):
                self._intake.left(peer)
                self.misbehaved(peer, f"a transaction: {refused.code.word}: {said(refused).rule}")
            log.debug("a peer's transaction refused", peer=peer, reason=refused.code.word)
        else:
            if submission is Submission.COMMITTED:
                self._intake.fine(peer)

    async def _save_checkpoints(self) -> None:
        """Copy what changed between two blocks, write it beside consensus."""
        while True:
            await self._checkpoint_due.wait()
            taken = await self.driver.between_blocks(Chain.take_checkpoint)
            await self._run_sync(self._chain.save_checkpoint, taken)
            self._checkpoint_due = trio.Event()

    def _note_contact(self) -> None:
        """With so many nodes in touch that a height could be decided, it is known where the chain stands."""
        if 3 * (len(self.peers.connected) + 1) > 2 * len(self.published.validators):
            self._contact.set()

    # --- small answers ------------------------------------------------------------------------------------

    def _status(self) -> Status:
        return Status(self.published.height, self.driver.engine.round, self._base)

    def _past(self, request: SyncRequest) -> SyncResponse:
        """Decided blocks from the log, as many as asked for and as fit a response."""
        blocks = self._archive.blocks
        found: list[tuple[bytes, bytes]] = []
        size = 0
        for height in range(request.first, request.first + request.count):
            try:
                block, certificate = blocks.block(height), blocks.certificate(height)
            except StorageCorrupt as error:
                log.error("a block that a peer asked for", reason=str(error))  # others have it; we go on
                break
            if block is None or certificate is None:
                break
            size += len(block) + len(certificate)
            if found and size > REPLY_BYTES_MAX:
                break
            found.append((block, certificate))
        return SyncResponse(request.first, tuple(found))

    def _pool(self, count_max: int, bytes_max: int) -> Mempool:
        return Mempool(
            check=self._check,
            share_of=lambda signer: share_of(self.published.state, signer),
            is_committed=lambda identity: self._archive.find(identity) is not None,
            still_open=self._still_open,
            count_max=count_max,
            bytes_max=bytes_max,
        )

    def _check(self, transaction: Transaction, verified: bool, crowded: bool) -> None:
        shown = self.published
        check_signers(shown.state, transaction)
        check_roles(shown.state, transaction)
        if crowded:
            check_payable(shown.state, transaction)
        time_ms = max(self._now_ms(), shown.time_ms + 1)
        check_envelope(shown.state, transaction, shown.genesis_hash, time_ms, shown.rules, verified)

    def _still_open(self, signer: int, sequence: int) -> bool:
        record = self.published.state.signers[signer]
        code = window.check(record.highest, record.bitmap, sequence)
        return code in (Code.OK, Code.SEQUENCE_AHEAD)


def _batches(transactions: Sequence[bytes]) -> Iterable[Transactions]:
    """The transactions in messages of bounded size."""
    batch: list[bytes] = []
    size = 0
    for raw in transactions:
        if batch and (
            size + len(raw) > MESSAGE_TRANSACTIONS_BYTES_MAX or len(batch) == MESSAGE_TRANSACTIONS_MAX
        ):
            yield Transactions(tuple(batch))
            batch, size = [], 0
        batch.append(raw)
        size += len(raw)
    if batch:
        yield Transactions(tuple(batch))
