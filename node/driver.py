"""Hosts the consensus engine: logs every input, performs every effect in order, executes what is decided.

One task does all of it, so that the order of things is the order of this file. Peers' messages come through a
bounded inbox and are verified here, against their own height's validator set, before the engine hears them.
Inputs wait in memory until a `Persist` asks for them to be durable: then they and the blocks seen so far are
one write to the log. Disk and signer are reached through `run_sync`, off the event loop.
"""

import heapq
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import structlog
import trio

from consensus.encoding import decode_certificate, decode_input, encode_input
from consensus.engine import Engine
from consensus.errors import VerificationError
from consensus.events import (
    BlockBuilt,
    BlockChecked,
    Broadcast,
    BuildBlock,
    CertificateReceived,
    CheckBlock,
    Commit,
    Diverged,
    Effect,
    HeightStarted,
    Input,
    Persist,
    ProposalReceived,
    Redeliver,
    ReportEvidence,
    ScheduleTimeout,
    SignProposal,
    SignVote,
    TimeoutFired,
    VoteReceived,
    WorkAvailable,
)
from consensus.messages import Certificate, Proposal, Vote, VoteType
from consensus.timing import is_timely
from consensus.verification import verify_certificate, verify_proposal, verify_vote
from node.blockcache import BlockCache
from node.chain import AppliedBlock, Chain, StateDivergence
from node.limits import BLOCKS_OF_PEER_MAX, INBOX_MAX, SEEN_MAX, VOTES_OF_PEER_MAX
from node.mempool import Mempool
from node.ports import Committed, SigningFailed
from node.sealed import SealedBlock, open_block
from node.signer import Signer
from node.sync import Downloaded, Sync
from node.translation import timing_of
from primitives.codec import CodecError
from storage.errors import DoubleSignRefused, StorageCorrupt
from storage.wal import WriteAheadLog
from wire.messages import (
    CertificateMessage,
    Message,
    ProposalMessage,
    VoteMessage,
    certificate_message,
    certificate_of,
    proposal_message,
    proposal_of,
    vote_message,
    vote_of,
)

FORGET_EVERY = 16  # heights between two cuts of the write-ahead log

log = structlog.get_logger("consensus")

T = TypeVar("T")


class RunSync(Protocol):
    """Runs a blocking call: in a worker thread in a node, inline under a test's clock."""

    def __call__(self, call: Callable[..., T], *args: Any) -> Awaitable[T]: ...


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


@dataclass(frozen=True, slots=True)
class Heard:
    """A peer's consensus message and when it came, in milliseconds of our clock."""

    peer: str
    message: VoteMessage | ProposalMessage | CertificateMessage
    received_ms: int


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
        self._chain = chain
        self._wal = wal
        self._signer = signer
        self._mempool = mempool
        self._sync = sync
        self._surroundings = surroundings
        self._now_ms = now_ms
        self._run_sync = run_sync
        self._send, self._inbox = trio.open_memory_channel[Heard | None](INBOX_MAX)
        self._votes_of: dict[str, trio.Semaphore] = {}  # the room that each peer has left in the inbox
        self._blocks_of: dict[str, trio.Semaphore] = {}
        self._woken = False
        self._blocks = BlockCache()
        self._unlogged: list[bytes] = []
        self._logged: set[bytes] = set()  # values whose blocks are in the log of this height
        self._timers: list[tuple[float, int, TimeoutFired]] = []
        self._timers_made = 0
        self._seen: set[tuple[Any, ...]] = set()
        self._silent_to = 0  # no signature up to this height: see _compare_with_signer
        self._decided: Commit | None = None
        self._executed: trio.Event | None = None  # while a block is being executed

    # --- what the node asks -------------------------------------------------------------------------------

    async def hear(self, heard: Heard) -> None:
        """Queue a peer's message; waits while the peer's share of the inbox is full, so that a flood waits in
        its own connection, and neither grows our memory nor stands before the votes of others."""
        room = self._room_of(heard)
        await room.acquire()
        try:
            await self._send.send(heard)
        except BaseException:
            room.release()
            raise

    def _room_of(self, heard: Heard) -> trio.Semaphore:
        if isinstance(heard.message, ProposalMessage):
            return self._blocks_of.setdefault(heard.peer, trio.Semaphore(BLOCKS_OF_PEER_MAX))
        return self._votes_of.setdefault(heard.peer, trio.Semaphore(VOTES_OF_PEER_MAX))

    def wake(self) -> None:
        """Transactions wait, or sync has something: look."""
        if not self._woken:
            with suppress(trio.WouldBlock):  # a full inbox is looked at anyway
                self._send.send_nowait(None)
                self._woken = True

    def wake_if_held(self) -> None:
        """If the height has not been started because others are ahead, see whether they still are."""
        if not self.started:
            self.wake()

    async def quiet(self) -> None:
        """Return once no block is being executed: the state stands still until the caller next waits."""
        while self._executed is not None:
            await self._executed.wait()

    @property
    def started(self) -> bool:
        """Whether the engine works on the height after the last executed one; it does not while we sync."""
        return self.engine.height == self._chain.height + 1

    @property
    def position(self) -> int | None:
        """Our position in the validator set of the next height, or None."""
        if self._signer is None:
            return None
        keys = [member.public_key for member in self._chain.replica.validators]
        return keys.index(self._signer.public_key) if self._signer.public_key in keys else None

    # --- the loop -----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Resume from the log and go on until cancelled. Raises StateDivergence, StorageError when the disk
        fails, and UnknownVersion before a height that needs other software: then the node stops."""
        await self._resume()
        while True:
            await self._settle()
            heard: Heard | None = None
            with trio.move_on_at(self._timers[0][0] if self._timers else float("inf")):
                heard = await self._inbox.receive()
            if heard is None:
                self._woken = False
            else:
                self._room_of(heard).release()
                await self._take(heard)
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
        entries = await self._run_sync(self._wal.read, height)
        if not entries:
            await self._compare_with_signer()
            return
        try:
            inputs = [decode_input(entry) for entry in entries]
        except CodecError as error:
            raise StorageCorrupt("wal", f"height {height}", str(error)) from error
        for said in inputs:
            self.engine.step(said)
        for value, raw in (await self._run_sync(self._wal.blocks, height)).items():
            if value not in self.engine.values:
                continue
            try:
                self._blocks.put(open_block(raw))
            except (CodecError, VerificationError) as error:
                raise StorageCorrupt("wal", f"height {height} value {value.hex()}", str(error)) from error
            self._logged.add(value)
        await self._compare_with_signer()
        log.info("resumed from the log", height=height, round=self.engine.round, inputs=len(inputs))
        await self._carry_out(self.engine.resume())

    async def _compare_with_signer(self) -> None:
        """A signature is never ahead of its log. If it is, the log was lost, and with it what we have locked:
        then a new vote in that height could break the promise of an old one."""
        if self._signer is None:
            return
        signed = await self._run_sync(self._signer.last)
        if signed > (self.engine.height, self.engine.round, int(self.engine.state.step)):
            self._silent_to = signed[0]
            if self._silent_to > self._chain.height:
                log.error("the log is behind the signer: silent in this height", height=self._silent_to)

    async def _fire_due(self) -> None:
        now = trio.current_time()
        while self._timers and self._timers[0][0] <= now:
            _, _, fired = heapq.heappop(self._timers)
            if fired.height == self.engine.height and self.started:
                await self._step(fired)

    async def _catch_up(self) -> None:
        """Apply, one after the other, the decided blocks that sync has brought."""
        while True:
            self._chain.replica.require_known()
            height = self._chain.height + 1
            item = self._sync.take(height)
            if item is None:
                return
            try:
                block, certificate = self._proved(height, item)
            except (CodecError, VerificationError) as error:
                self._sync.distrust(item.peer, self._now_ms())
                self._surroundings.misbehaved(item.peer, f"block {height} of sync: {error}")
                return
            await self._commit(block, certificate)

    def _proved(self, height: int, item: Downloaded) -> tuple[SealedBlock, Certificate]:
        """The block of `height` and the certificate that proves it was decided."""
        block = open_block(item.block)
        certificate = decode_certificate(item.certificate)
        decided = (VoteType.PRECOMMIT, height, block.value)
        if (certificate.type, certificate.height, certificate.value) != decided:
            raise VerificationError("its certificate is not a commit of this block")
        verify_certificate(
            certificate, self._chain.replica.validators_at(height), self._chain.replica.genesis_hash
        )
        return block, certificate

    # --- peers' messages ----------------------------------------------------------------------------------

    async def _take(self, heard: Heard) -> None:
        """Verify a message of this height or the next, and let the engine hear it."""
        message = heard.message
        height = message.height
        if height <= self._chain.height:
            self._surroundings.lags(heard.peer)
            return
        if not self.started or height > self.engine.height + 1:
            return
        key = (type(message), *_identity(message))
        here = not isinstance(message, ProposalMessage) or self._holds(message.value)
        if key in self._seen and here:
            return
        validators = self._chain.replica.validators_at(height)
        genesis_hash = self._chain.replica.genesis_hash
        said: Input
        try:
            match message:
                case VoteMessage():
                    vote = vote_of(message)
                    verify_vote(vote, validators, genesis_hash)
                    said = VoteReceived(vote)
                case CertificateMessage():
                    certificate = certificate_of(message)
                    verify_certificate(certificate, validators, genesis_hash)
                    said = CertificateReceived(certificate, self._holds(certificate.value))
                case ProposalMessage():
                    proposal = proposal_of(message)
                    verify_proposal(proposal, validators, genesis_hash)
                    held = self._hold(proposal, message.block)
                    said = ProposalReceived(proposal, self._timely(held, proposal, heard.received_ms))
        except (VerificationError, CodecError) as error:
            self._surroundings.misbehaved(heard.peer, str(error))
            return
        if len(self._seen) >= SEEN_MAX:
            self._seen.clear()
        self._seen.add(key)
        await self._step(said)
        if isinstance(said, ProposalReceived):
            self._blocks.keep_only(self.engine.values)

    def _holds(self, value: bytes) -> bool:
        return self._blocks.get(value) is not None

    def _hold(self, proposal: Proposal, raw: bytes) -> SealedBlock:
        """The proposal's block, kept if it is new. Raises CodecError or VerificationError if these are not
        the bytes of the proposed value."""
        held = self._blocks.get(proposal.value)
        if held is None:
            held = open_block(raw)
            if held.value != proposal.value:
                raise VerificationError("the block is not the one that the proposal names")
            if held.height != proposal.height:
                raise VerificationError(
                    f"the block is of height {held.height}, its proposal of {proposal.height}"
                )
            self._keep(held)
        return held

    def _keep(self, held: SealedBlock) -> None:
        state = self.engine.state
        self._blocks.put(held, (state.locked_value, state.valid_value))

    def _timely(self, held: SealedBlock, proposal: Proposal, received_ms: int) -> bool:
        """Whether a fresh block came in time, and from the proposer that it names.

        The name is judged here, not with the block: it is a fact of the proposal, and a block that others
        decide on must be valid or not for everyone alike.
        """
        parameters = self._chain.replica.parameters
        return held.header.proposer == proposal.proposer and is_timely(
            held.header.time_ms,
            received_ms,
            parameters.precision_ms,
            parameters.message_delay_ms,
            proposal.round,
        )

    # --- inputs and effects -------------------------------------------------------------------------------

    async def _step(self, first: Input) -> None:
        """Log and step an input, perform its effects, and go on with what they feed back."""
        pending: deque[Input] = deque((first,))
        while pending and self._decided is None:
            said = pending.popleft()
            self._unlogged.append(encode_input(said))
            for effect in self.engine.step(said):
                pending.extend(await self._perform(effect))
        await self._commit_decided()

    async def _carry_out(self, effects: list[Effect]) -> None:
        """Perform effects that no input of now caused."""
        pending: list[Input] = []
        for effect in effects:
            pending.extend(await self._perform(effect))
        for said in pending:
            await self._step(said)
        await self._commit_decided()

    async def _perform(self, effect: Effect) -> list[Input]:
        match effect:
            case Persist():
                await self._persist()
            case SignVote(vote=vote):
                return await self._sign_vote(vote)
            case SignProposal(proposal=proposal):
                return await self._sign_proposal(proposal)
            case Broadcast(message=message):
                self._say(message)
            case ScheduleTimeout():
                self._timers_made += 1
                fired = TimeoutFired(effect.step, effect.height, effect.round)
                at = trio.current_time() + effect.duration_ms / 1000
                heapq.heappush(self._timers, (at, self._timers_made, fired))
            case BuildBlock():
                return self._build(effect)
            case CheckBlock(height=height, value=value):
                valid = self._is_valid(value)
                return [] if valid is None else [BlockChecked(height, value, valid)]
            case Commit():
                self._decided = effect
            case ReportEvidence(evidence=evidence):
                fault = self._chain.replica.add_evidence(evidence)
                log.warning("equivocation", evidence=str(evidence), kept=fault is None, fault=fault)
            case Redeliver(inputs=inputs):
                return self._still_true(inputs)
            case Diverged(height=height, value=value):
                raise self._divergence(height, value)
        return []

    async def _persist(self) -> None:
        """Make the inputs so far, and every block of this height seen so far, durable in one write."""
        height = self.engine.height
        fresh = [held for held in self._blocks.of_height(height) if held.value not in self._logged]
        if not self._unlogged and not fresh:
            return
        entries, self._unlogged = self._unlogged, []
        await self._run_sync(self._wal.append, height, entries, {held.value: held.raw for held in fresh})
        self._logged.update(held.value for held in fresh)

    async def _sign_vote(self, vote: Vote) -> list[Input]:
        if self._signer is None or vote.height <= self._silent_to:
            return []
        try:
            signed = await self._run_sync(self._signer.sign_vote, vote)
        except (DoubleSignRefused, SigningFailed) as error:
            log.warning("silent in this step", reason=str(error))
            return []
        self._say(signed)
        return [VoteReceived(signed)]

    async def _sign_proposal(self, proposal: Proposal) -> list[Input]:
        held = self._blocks.get(proposal.value)
        if self._signer is None or held is None or proposal.height <= self._silent_to:
            return []
        try:
            signed = await self._run_sync(self._signer.sign_proposal, proposal)
        except (DoubleSignRefused, SigningFailed) as error:
            log.warning("silent in this step", reason=str(error))
            return []
        self._say(signed)
        return [ProposalReceived(signed, self._timely(held, signed, self._now_ms()))]

    def _say(self, message: Proposal | Vote | Certificate) -> None:
        match message:
            case Vote():
                self._surroundings.broadcast(vote_message(message))
            case Certificate():
                self._surroundings.broadcast(certificate_message(message))
            case Proposal():
                held = self._blocks.get(message.value)
                if held is not None:
                    self._surroundings.broadcast(proposal_message(message, held.raw))

    def _build(self, effect: BuildBlock) -> list[Input]:
        replica = self._chain.replica
        position = self.position
        if position is None:
            return []
        block = replica.build_block(
            self._now_ms(),
            self._mempool.ordered(replica.parameters.acts_quota),
            replica.outstanding_evidence(),
            position,
            self._mempool.verified.__contains__,
        )
        self._keep(block)
        return [BlockBuilt(effect.height, effect.round, block.value)]

    def _still_true(self, inputs: Sequence[Input]) -> list[Input]:
        """Early inputs as they hold now: their blocks came with them, but a restart loses those of a height
        that had not begun. Such a proposal is heard when it is said again."""
        said: list[Input] = []
        for early in inputs:
            if isinstance(early, CertificateReceived):
                said.append(CertificateReceived(early.certificate, self._holds(early.certificate.value)))
            elif not isinstance(early, ProposalReceived) or self._holds(early.proposal.value):
                said.append(early)
        return said

    def _is_valid(self, value: bytes) -> bool | None:
        """Our verdict on a block; None, which is no verdict, when it is not at hand."""
        held = self._blocks.get(value)
        if held is None:
            log.error("a block to be checked is not at hand", height=self.engine.height, value=value.hex())
            return None
        fault = self._chain.replica.check_block(
            held, None, self._mempool.verified.__contains__, self._mempool.decoded
        )
        if fault is not None:
            log.warning("block is not valid", height=self.engine.height, value=value.hex(), fault=fault)
        return fault is None

    def _divergence(self, height: int, value: bytes) -> StateDivergence:
        held = self._blocks.get(value)
        replica = self._chain.replica
        if held is None:
            return StateDivergence(height, "the decided block is not at hand", {"value": value.hex()})
        fault = replica.header_fault(held.header)
        if fault is None:
            fault = replica.check_block(held, None, self._mempool.verified.__contains__)
        return StateDivergence(height, fault or "our check refused the block", replica.dump(held.header))

    # --- heights ------------------------------------------------------------------------------------------

    async def _commit_decided(self) -> None:
        decided, self._decided = self._decided, None
        if decided is None:
            return
        held = self._blocks.get(decided.value)
        if held is None:
            log.warning("decided block is not at hand: it comes by sync", height=decided.height)
            return
        await self._commit(held, decided.certificate)

    async def _commit(self, block: SealedBlock, certificate: Certificate) -> None:
        """Block and certificate durable, then executed, then the log advances."""
        height = block.height
        applied = await self._execute(block, certificate)
        self._unlogged.clear()
        self._logged.clear()
        self._timers.clear()
        self._seen.clear()
        self._decided = None
        self._blocks.forget_to(height)
        self._surroundings.committed(Committed(block, certificate, applied, self._chain.publish()))
        if height % FORGET_EVERY == 0:
            await self._run_sync(self._wal.forget_below, height + 1)
        log.debug("committed", height=height, transactions=len(block.transactions), round=certificate.round)

    async def _execute(self, block: SealedBlock, certificate: Certificate) -> AppliedBlock:
        """Off the event loop, while everyone who reads the state waits in `quiet`."""
        self._executed = trio.Event()
        try:
            return await self._run_sync(self._chain.apply, block, certificate)
        finally:
            self._executed.set()
            self._executed = None

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


def _identity(message: VoteMessage | ProposalMessage | CertificateMessage) -> tuple[Any, ...]:
    """What makes two messages the same; the block that comes with a proposal is not part of it."""
    match message:
        case VoteMessage():
            return (
                message.type,
                message.height,
                message.round,
                message.value,
                message.validator,
                message.signature,
            )
        case ProposalMessage():
            return (message.height, message.round, message.value, message.pol_round, message.signature)
        case CertificateMessage():
            return (message.type, message.height, message.round, message.value)
