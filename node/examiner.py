"""Opens and checks the blocks of proposals beside the event loop: one at a time, the doubted ones last.

What is small is done at once, for a thread would take longer than the work. All else waits its turn: a few
blocks of each peer, last those of a proposer who has proposed an invalid one, or of a peer who passed on what
is no block. What nobody waits for any more when its turn has come is left, and a check under way is given up
when its height is over.
"""

from collections.abc import Callable, Container
from dataclasses import dataclass

import structlog
import trio

from consensus.errors import VerificationError
from consensus.events import BlockChecked
from consensus.messages import Proposal
from node.doubts import Doubts
from node.inbox import Heard
from node.limits import DONE_HERE_BYTES_MAX, OPENINGS_OF_PEER_MAX
from node.ports import GivenUp
from node.running import RunSync
from node.sealed import SealedBlock
from primitives.codec import CodecError

log = structlog.get_logger("consensus")


@dataclass(frozen=True, slots=True)
class Proposed:
    """A proposal whose signature is good, and whose block was not opened yet."""

    heard: Heard
    proposal: Proposal
    proposer: bytes  # its public key
    raw: bytes


@dataclass(frozen=True, slots=True)
class Opened:
    """A proposal, and its block."""

    proposed: Proposed
    block: SealedBlock


@dataclass(frozen=True, slots=True)
class Unfit:
    """A proposal whose block is none, so that no honest node passes it on."""

    proposed: Proposed
    reason: str


@dataclass(frozen=True, slots=True)
class _Check:
    height: int
    value: bytes
    block: SealedBlock
    proposer: bytes
    term: int  # in which it was asked for


Finding = Opened | Unfit | BlockChecked


class Examiner:
    """The line of what is to be opened and checked, and whoever works on it."""

    def __init__(
        self,
        *,
        open: Callable[[bytes], SealedBlock],
        check: Callable[[SealedBlock, Callable[[], bool]], str | None],
        is_wanted: Callable[[Proposal], bool],
        is_quiet: Callable[[], bool],
        wake: Callable[[], None],
        run_sync: RunSync,
    ) -> None:
        """`open` and `check` are called off the event loop unless the block is small; `is_wanted` says
        whether a proposal is still of use, `is_quiet` that nobody else has said anything; `wake` is called
        when there is a finding to be taken."""
        self._open = open
        self._check = check
        self._is_wanted = is_wanted
        self._is_quiet = is_quiet
        self._wake = wake
        self._run_sync = run_sync
        self._line: list[Proposed | _Check] = []
        self._found: list[Finding] = []
        self._proposers: dict[bytes, bytes] = {}  # of the values at hand
        self._doubts = Doubts()
        self._term = 0  # a job that was begun in an earlier one is given up
        self._busy = False
        self._look = trio.Event()
        self._still = trio.Event()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            job = self._next()
            if job is None:
                await self._look.wait()
                self._look = trio.Event()
                continue
            self._busy, term = True, self._term
            try:
                finding = await self._done(job)
            finally:
                self._busy = False
                self._still.set()
                self._still = trio.Event()
            if finding is not None and term == self._term:
                self._found.append(finding)
                self._wake()

    def open(self, proposed: Proposed) -> Finding | None:
        """What the block of a proposal is found to be, if that is known at once; else it is found later, or
        never if its sender's share of the line is full: then it must be said again."""
        self._proposers[proposed.proposal.value] = proposed.proposer
        if self._is_small(proposed.raw) and not self._is_doubted(proposed):
            return self._opened(proposed)
        waiting = [job for job in self._line if isinstance(job, Proposed)]
        if sum(job.heard.peer == proposed.heard.peer for job in waiting) < OPENINGS_OF_PEER_MAX:
            self._line.append(proposed)
            self._look.set()
        return None

    def check(self, height: int, block: SealedBlock) -> BlockChecked | None:
        """The verdict on a block as that of `height`, if it is known at once; else it is found later."""
        job = _Check(height, block.value, block, self._proposers.get(block.value, b""), self._term)
        if self._is_small(block.raw) and not self._is_doubted(job):
            return self._checked(job)
        self._line.append(job)
        self._look.set()
        return None

    def take(self) -> list[Finding]:
        """What was found since this was asked last."""
        found, self._found = self._found, []
        return found

    def look(self) -> None:
        """Look again at what waits for a quiet moment, if anything does."""
        if self._line:
            self._look.set()

    def keep_only(self, values: Container[bytes]) -> None:
        """Forget whose every value but these was, and the checks that nobody waits for."""
        named = {job.proposal.value for job in self._line if isinstance(job, Proposed)}
        self._proposers = {
            value: proposer
            for value, proposer in self._proposers.items()
            if value in values or value in named
        }
        self._line = [job for job in self._line if isinstance(job, Proposed) or job.value in values]

    async def stand_still(self) -> None:
        """Give up whatever waits or is under way: the state that it would be compared with is about to
        change."""
        self._line.clear()
        self._found.clear()
        self._proposers.clear()
        self._term += 1
        while self._busy:
            await self._still.wait()

    # --- the work -----------------------------------------------------------------------------------------

    def _next(self) -> Proposed | _Check | None:
        """The first in line of a proposer that is not doubted; of one that is only when all is quiet."""
        for number, job in enumerate(self._line):
            if not self._is_doubted(job):
                return self._line.pop(number)
        return self._line.pop(0) if self._line and self._is_quiet() else None

    async def _done(self, job: Proposed | _Check) -> Finding | None:
        match job:
            case Proposed():
                if not self._is_wanted(job.proposal):
                    return None
                return await self._run_sync(self._opened, job)
            case _Check():
                return await self._run_sync(self._checked, job)

    def _opened(self, proposed: Proposed) -> Finding:
        try:
            return Opened(proposed, self._open(proposed.raw))
        except (CodecError, VerificationError) as error:
            self._doubts.add(proposed.heard.peer, proposed.proposal.height)  # what it sent nobody signed
            return Unfit(proposed, str(error))

    def _checked(self, job: _Check) -> BlockChecked | None:
        try:
            fault = self._check(job.block, lambda: job.term != self._term)
        except GivenUp:
            return None
        if fault is not None:
            log.warning("block is not valid", height=job.height, value=job.value.hex(), fault=fault)
            if job.proposer:
                self._doubts.add(job.proposer, job.height)
        return BlockChecked(job.height, job.value, fault is None)

    def _is_small(self, raw: bytes) -> bool:
        return len(raw) <= DONE_HERE_BYTES_MAX and not self._line and not self._busy

    def _is_doubted(self, job: Proposed | _Check) -> bool:
        match job:
            case Proposed(proposal=proposal, heard=heard):
                return any(self._doubts.holds(who, proposal.height) for who in (job.proposer, heard.peer))
            case _Check(height=height, proposer=proposer):
                return self._doubts.holds(proposer, height)
