"""Drives consensus of one node: what peers say, what time does and what sync brings, one after the other.

One task does all of it, so that the order of things is the order of this file. It hears the inbox, lets the
verifier judge, notes inputs in their log, steps the engine, and lets the host perform what comes back. Disk
and signer are reached through `run_sync`, off the event loop.
"""

from collections import deque
from collections.abc import Callable
from typing import Protocol, TypeVar

import structlog
import trio

from consensus.engine import Engine
from consensus.errors import VerificationError
from consensus.events import BlockChecked, Effect, HeightStarted, Input, ProposalReceived, WorkAvailable
from consensus.messages import Certificate
from node.application import LedgerApplication
from node.blockcache import BlockCache
from node.chain import Chain
from node.examiner import Examiner, Finding, Opened, Proposed, Unfit
from node.handover import HandOver
from node.host import Host
from node.inbox import Heard, Inbox
from node.inputlog import InputLog
from node.mempool import Mempool
from node.pace import Pace
from node.ports import Application, Committed
from node.running import RunSync
from node.sealed import SealedBlock
from node.signer import Signer
from node.sync import Sync
from node.timers import Timers
from node.translation import timing_of
from node.verifier import Said, Verifier
from primitives.codec import CodecError
from storage.wal import WriteAheadLog
from wire.messages import Message

log = structlog.get_logger("consensus")

T = TypeVar("T")


class Surroundings(Protocol):
    """What the driver needs of the node around it. None of these waits."""

    def broadcast(self, message: Message) -> None:
        """Queue a message for every peer."""
        ...

    def misbehaved(self, peer: str, reason: str) -> None:
        """Hear that a peer said what no honest node says."""
        ...

    def lags(self, peer: str) -> None:
        """Hear that a peer speaks of a height that we have decided."""
        ...

    def committed(self, commit: Committed) -> None:
        """Hear that a block was executed, its results are stored, and what the node shows is that of this
        block."""
        ...


class Driver:
    """Consensus of one node, from start to cancellation."""

    def __init__(
        self,
        *,
        chain: Chain,
        wal: WriteAheadLog,
        signer: Signer | None,
        mempool: Mempool,
        sync: Sync,
        surroundings: Surroundings,
        now_ms: Callable[[], int],
        run_sync: RunSync,
    ) -> None:
        """`now_ms` is UTC in milliseconds; a node without a signer follows without voting."""
        self.engine = Engine()
        self.inbox = Inbox()
        self._chain = chain
        self._signer = signer
        self._mempool = mempool
        self._sync = sync
        self._surroundings = surroundings
        self._now_ms = now_ms
        self._run_sync = run_sync
        self._application: Application = LedgerApplication(chain, mempool)
        self._blocks = BlockCache()
        self._verifier = Verifier(chain.replica, self._blocks)
        self._examiner = Examiner(
            open=self._verifier.open,
            check=self._application.check,
            is_wanted=lambda proposal: self._is_of_use(ProposalReceived(proposal, timely=False)),
            is_quiet=lambda: self.inbox.is_quiet,
            wake=self.inbox.wake,
            run_sync=run_sync,
        )
        self._inputs = InputLog(wal, run_sync)
        self._timers = Timers()
        self._pace = Pace()
        self._host = Host(
            engine=self.engine,
            application=self._application,
            examiner=self._examiner,
            pace=self._pace,
            replica=chain.replica,
            blocks=self._blocks,
            inputs=self._inputs,
            timers=self._timers,
            signer=signer,
            mouth=surroundings,
            now_ms=now_ms,
            run_sync=run_sync,
        )
        self._handover = HandOver(chain, self.inbox.wake)

    # --- what the node asks -------------------------------------------------------------------------------

    async def hear(self, heard: Heard) -> None:
        """Queue a peer's message; waits while the peer's share of the inbox is full."""
        await self.inbox.put(heard)

    def wake(self) -> None:
        """Look again: transactions wait, or sync has something."""
        self.inbox.wake()

    def wake_if_held(self) -> None:
        """If the height has not been started because others are ahead, see whether they still are."""
        if not self.started:
            self.wake()

    async def between_blocks(self, work: Callable[[Chain], T]) -> T:
        """What `work` makes of the live chain, while it stands still; it must be short. Raises what it
        raises."""
        return await self._handover.do(work)

    @property
    def started(self) -> bool:
        """Whether the engine works on the height after the last executed one; it does not while we sync."""
        return self.engine.height == self._chain.height + 1

    @property
    def position(self) -> int | None:
        """Our position in the validator set of the next height, or None."""
        return self._host.position

    # --- the loop -----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Resume from the log and go on until cancelled. Raises StateDivergence, StorageError when the disk
        fails, and UnknownVersion before a height that needs other software: then the node stops."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._examiner.run)
            await self._resume()
            while True:
                await self._settle()
                self._examiner.look()
                heard = await self.inbox.take(self._timers.next_s)
                if heard is not None:
                    await self._hear(heard)
                for finding in self._examiner.take():
                    await self._hear_finding(finding)
                await self._fire_due()

    async def _settle(self) -> None:
        """Apply what sync has brought, and start the next height unless others decided it long ago."""
        while True:
            await self._catch_up()
            if not self.started and not self._sync.is_behind(self._now_ms()):
                await self._start_height()
            elif self.started and self.engine.step_name == "new_height" and len(self._mempool):
                await self._step(WorkAvailable(self.engine.height))
            else:
                return

    async def _resume(self) -> None:
        """Rebuild the engine from the log of the height under way, and go on where it stood."""
        self._chain.replica.require_known()
        height = self._chain.height + 1
        inputs = await self._inputs.inputs(height)
        for said in inputs:
            self.engine.step(said)
        if inputs:
            for block in await self._inputs.blocks(height, self.engine.values):
                self._blocks.put(block)
        await self._compare_with_signer()
        if inputs:
            log.info("resumed from the log", height=height, round=self.engine.round, inputs=len(inputs))
            await self._carry_out(self.engine.resume())

    async def _compare_with_signer(self) -> None:
        """A signature is never ahead of its log. If it is, the log was lost, and with it what we have locked:
        then a new vote in that height could break the promise of an old one."""
        if self._signer is None:
            return
        signed = await self._run_sync(self._signer.last)
        if signed > (self.engine.height, self.engine.round, int(self.engine.state.step)):
            self._host.silent_to = signed[0]
            if signed[0] > self._chain.height:
                log.error("the log is behind the signer: silent in this height", height=signed[0])

    async def _fire_due(self) -> None:
        now_s = trio.current_time()
        while (fired := self._timers.take_due(now_s)) is not None:
            if fired.height == self.engine.height and self.started:
                await self._step(fired)

    async def _catch_up(self) -> None:
        """Apply, one after the other, the decided blocks that sync has brought."""
        while True:
            self._handover.run()
            self._chain.replica.require_known()
            height = self._chain.height + 1
            item = self._sync.take(height)
            if item is None:
                return
            try:
                block, certificate = await self._run_sync(self._verifier.proved, height, item)
            except (CodecError, VerificationError) as error:
                self._sync.distrust(item.peer, self._now_ms())
                self._surroundings.misbehaved(item.peer, f"block {height} of sync: {error}")
                return
            await self._commit(block, certificate)

    async def _hear(self, heard: Heard) -> None:
        """Verify a message of this height or the next, and let the engine hear it."""
        height = heard.message.height
        if height <= self._chain.height:
            self._surroundings.lags(heard.peer)
            return
        if not self.started or height > self.engine.height + 1 or self._verifier.is_known(heard):
            return
        if not self._is_of_use(self._verifier.said(heard)):
            return
        try:
            said = self._verifier.verified(heard)
        except (VerificationError, CodecError) as error:
            if isinstance(error, VerificationError) or height == self.engine.height:
                self._surroundings.misbehaved(heard.peer, str(error))
            return  # what a block of the next height may hold, the one before it may change
        if isinstance(said, Proposed):
            found = self._examiner.open(said)
            if found is not None:
                await self._hear_finding(found)
        else:
            await self._hear_said(said)

    async def _hear_finding(self, found: Finding) -> None:
        """Go on with what was found of a block, unless its height was decided meanwhile."""
        match found:
            case BlockChecked():
                await self._step(found)
            case Opened(proposed=proposed):
                if proposed.proposal.height > self._chain.height:
                    state = self.engine.state
                    needed = (state.locked_value, state.valid_value)
                    await self._hear_said(self._verifier.opened(found, needed))
            case Unfit(proposed=proposed, reason=reason):
                if proposed.proposal.height == self.engine.height:
                    self._surroundings.misbehaved(proposed.heard.peer, reason)

    async def _hear_said(self, said: Said) -> None:
        await self._step(said)
        if isinstance(said, ProposalReceived):
            self._blocks.keep_only(self.engine.values)
            self._examiner.keep_only(self.engine.values)

    def _is_of_use(self, said: Said) -> bool:
        """Whether the engine would remember anything of a message, or has lost the block that comes with it:
        asked before signatures, which are dear, and blocks, which are dearer."""
        if self.engine.has_use(said):
            return True
        value = said.proposal.value if isinstance(said, ProposalReceived) else None
        return value in self.engine.values and self._blocks.get(value) is None

    # --- inputs and effects -------------------------------------------------------------------------------

    async def _step(self, first: Input) -> None:
        """Log and step an input, perform its effects, and go on with what they feed back."""
        pending: deque[Input] = deque((first,))
        while pending and self._host.decided is None:
            said = pending.popleft()
            if isinstance(said, ProposalReceived) and said.proposal.height == self.engine.height:
                self._pace.heard(said.proposal.round)
            if self.engine.remembers(said):
                self._inputs.note(said)
            for effect in self.engine.step(said):
                pending.extend(await self._host.perform(effect))
        await self._commit_decided()

    async def _carry_out(self, effects: list[Effect]) -> None:
        """Perform effects that no input of now caused."""
        pending: list[Input] = []
        for effect in effects:
            pending.extend(await self._host.perform(effect))
        for said in pending:
            await self._step(said)
        await self._commit_decided()

    # --- heights ------------------------------------------------------------------------------------------

    async def _commit_decided(self) -> None:
        decided, self._host.decided = self._host.decided, None
        if decided is None:
            return
        block = self._blocks.get(decided.value)
        if block is None:
            log.warning("decided block is not at hand: it comes by sync", height=decided.height)
            return
        await self._commit(block, decided.certificate)

    async def _commit(self, block: SealedBlock, certificate: Certificate) -> None:
        """Block and certificate durable, then executed, then the log advances."""
        height = block.height
        await self._examiner.stand_still()
        applied = await self._run_sync(self._application.execute, block, certificate)  # off the event loop
        self._timers.clear()
        self._pace.decided(certificate.round, applied.work)
        self._verifier.clear()
        self._host.decided = None
        self._blocks.forget_to(height)
        self._surroundings.committed(Committed(block, certificate, applied, self._chain.publish()))
        await self._inputs.advance(height)
        log.debug("committed", height=height, transactions=len(block.transactions), round=certificate.round)

    async def _start_height(self) -> None:
        replica = self._chain.replica
        await self._step(
            HeightStarted(
                height=self._chain.height + 1,
                validators=replica.validators,
                me=self.position,
                timing=timing_of(replica.parameters),
                work=replica.last_work or len(self._mempool) > 0,
            )
        )
