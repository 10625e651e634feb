"""Performs what the engine asks for: signs and says, builds and checks, and keeps what is decided.

Each effect is done where it stands in the order; what it feeds back is heard after the last of them. The key
and the disk are reached through `run_sync`, off the event loop.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from consensus.engine import Engine
from consensus.events import (
    BlockBuilt,
    Broadcast,
    BuildBlock,
    CertificateReceived,
    CheckBlock,
    Commit,
    Diverged,
    Effect,
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
)
from consensus.messages import Certificate, Proposal, Vote
from node.blockcache import BlockCache
from node.examiner import Examiner
from node.inputlog import InputLog
from node.pace import Pace
from node.ports import Application, SigningFailed
from node.replica import Replica, StateDivergence
from node.running import RunSync
from node.signer import Signer
from node.timers import Timers
from node.verifier import timely_from
from storage.errors import DoubleSignRefused
from wire.messages import Message, certificate_message, proposal_message, vote_message

log = structlog.get_logger("consensus")


class Mouth(Protocol):
    """What the host says something through."""

    def broadcast(self, message: Message) -> None:
        """Queue a message for every peer; never waits."""


class Host:
    """The hands of one engine."""

    def __init__(
        self,
        *,
        engine: Engine,
        application: Application,
        examiner: Examiner,
        pace: Pace,
        replica: Replica,
        blocks: BlockCache,
        inputs: InputLog,
        timers: Timers,
        signer: Signer | None,
        mouth: Mouth,
        now_ms: Callable[[], int],
        run_sync: RunSync,
    ) -> None:
        """A host without a signer says nothing; `now_ms` is UTC."""
        self._engine = engine
        self._application = application
        self._examiner = examiner
        self._pace = pace
        self._replica = replica
        self._blocks = blocks
        self._inputs = inputs
        self._timers = timers
        self._signer = signer
        self._mouth = mouth
        self._now_ms = now_ms
        self._run_sync = run_sync
        self.silent_to = 0  # no signature up to this height: see Driver._compare_with_signer
        self.decided: Commit | None = None  # until the driver has committed it

    @property
    def position(self) -> int | None:
        """Our position in the validator set of the next height, or None."""
        if self._signer is None:
            return None
        keys = [member.public_key for member in self._replica.validators]
        return keys.index(self._signer.public_key) if self._signer.public_key in keys else None

    async def perform(self, effect: Effect) -> list[Input]:
        """Do one effect; returns what it feeds back. Raises StateDivergence, and StorageError."""
        match effect:
            case Persist():
                height = self._engine.height
                await self._inputs.persist(height, self._blocks.of_height(height))
            case SignVote(vote=vote):
                return await self._sign_vote(vote)
            case SignProposal(proposal=proposal):
                return await self._sign_proposal(proposal)
            case Broadcast(message=message):
                self._say(message)
            case ScheduleTimeout():
                fired = TimeoutFired(effect.step, effect.height, effect.round)
                self._timers.start(fired, effect.duration_ms)
            case BuildBlock():
                return self._build(effect)
            case CheckBlock(height=height, value=value):
                return self._check(height, value)
            case Commit():
                self.decided = effect
            case ReportEvidence(evidence=evidence):
                fault = self._replica.add_evidence(evidence)
                log.warning("equivocation", evidence=str(evidence), kept=fault is None, fault=fault)
            case Redeliver(inputs=inputs):
                return self._still_true(inputs)
            case Diverged(height=height, value=value):
                raise self._divergence(height, value)
        return []

    async def _sign_vote(self, vote: Vote) -> list[Input]:
        if self._signer is None or vote.height <= self.silent_to:
            return []
        try:
            signed = await self._run_sync(self._signer.sign_vote, vote)
        except (DoubleSignRefused, SigningFailed) as error:
            log.warning("silent in this step", reason=str(error))
            return []
        self._say(signed)
        return [VoteReceived(signed)]

    async def _sign_proposal(self, proposal: Proposal) -> list[Input]:
        block = self._blocks.get(proposal.value)
        if self._signer is None or block is None or proposal.height <= self.silent_to:
            return []
        try:
            signed = await self._run_sync(self._signer.sign_proposal, proposal)
        except (DoubleSignRefused, SigningFailed) as error:
            log.warning("silent in this step", reason=str(error))
            return []
        self._say(signed)
        timely = timely_from(block, signed, self._now_ms(), self._replica.parameters)
        return [ProposalReceived(signed, timely)]

    def _say(self, message: Proposal | Vote | Certificate) -> None:
        match message:
            case Vote():
                self._mouth.broadcast(vote_message(message))
            case Certificate():
                self._mouth.broadcast(certificate_message(message))
            case Proposal():
                block = self._blocks.get(message.value)
                if block is not None:
                    self._mouth.broadcast(proposal_message(message, block.raw))

    def _build(self, effect: BuildBlock) -> list[Input]:
        position = self.position
        if position is None:
            return []
        cost_max = self._pace.limit(self._replica.parameters.block_cost, effect.round)
        block = self._application.build(self._now_ms(), position, cost_max)
        state = self._engine.state
        self._blocks.put(block, (state.locked_value, state.valid_value))
        return [BlockBuilt(effect.height, effect.round, block.value)]

    def _still_true(self, inputs: Sequence[Input]) -> list[Input]:
        """Early inputs as they hold now: their blocks came with them, but a restart loses those of a height
        that had not begun. Such a proposal is heard when it is said again."""
        said: list[Input] = []
        for early in inputs:
            if isinstance(early, CertificateReceived):
                here = self._blocks.get(early.certificate.value) is not None
                said.append(CertificateReceived(early.certificate, here))
            elif not isinstance(early, ProposalReceived) or self._blocks.get(early.proposal.value):
                said.append(early)
        return said

    def _check(self, height: int, value: bytes) -> list[Input]:
        """Our verdict on a block, if it is known at once."""
        block = self._blocks.get(value)
        if block is None:
            log.error("a block to be checked is not at hand", height=height, value=value.hex())
            return []
        verdict = self._examiner.check(height, block)
        return [] if verdict is None else [verdict]

    def _divergence(self, height: int, value: bytes) -> StateDivergence:
        block = self._blocks.get(value)
        if block is None:
            return StateDivergence(height, "the decided block is not at hand", {"value": value.hex()})
        return self._application.divergence(block)
