"""Everything that goes into the engine and comes out of it.

Inputs are facts: whoever feeds them has already verified signatures (`consensus.verification`). Every input
is recorded in the write-ahead log before it is stepped, so that replaying the log rebuilds the engine.
Effects are performed in order, and what they feed back is stepped after the last of them; nothing after a
`Persist` may leave the node before the log, with the bytes of every block seen so far, is durable.
"""

from dataclasses import dataclass
from enum import IntEnum

from consensus.messages import Certificate, Evidence, Proposal, Validator, Vote


class TimeoutStep(IntEnum):
    """What a timeout waits for."""

    START = 0  # the idle interval before round 0 of a height
    PROPOSE = 1
    PREVOTE = 2
    PRECOMMIT = 3
    RESEND = 4  # say again what a stuck round may lack


@dataclass(frozen=True, slots=True)
class Timing:
    """Timeouts in milliseconds, from the parameters in ledger state (the same on every validator).

    A timeout of round r lasts base + r * delta.
    """

    propose_ms: int
    propose_delta_ms: int
    prevote_ms: int
    prevote_delta_ms: int
    precommit_ms: int
    precommit_delta_ms: int
    resend_ms: int
    idle_ms: int


# --- inputs ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HeightStarted:
    """Height `height` begins with its validator set; `me` is our position in it, or None for an observer.

    `work` says that a block is wanted at once (transactions wait, or the last block was not empty);
    otherwise round 0 starts on `WorkAvailable`, on the first message of this height, or after `idle_ms`.
    """

    height: int
    validators: tuple[Validator, ...]
    me: int | None
    timing: Timing
    work: bool


@dataclass(frozen=True, slots=True)
class WorkAvailable:
    """Transactions wait to be ordered at `height`."""

    height: int


@dataclass(frozen=True, slots=True)
class ProposalReceived:
    """A verified proposal, ours too; its block's bytes are at hand. `timely` is the verdict of
    `consensus.timing.is_timely` on arrival; it counts only when the POL round is -1."""

    proposal: Proposal
    timely: bool


@dataclass(frozen=True, slots=True)
class VoteReceived:
    """A verified vote, ours too."""

    vote: Vote


@dataclass(frozen=True, slots=True)
class CertificateReceived:
    """A verified certificate, applied whole. A commit certificate decides once its block is at hand;
    `with_block` says that the block's bytes came along, so that no proposal is needed."""

    certificate: Certificate
    with_block: bool = False


@dataclass(frozen=True, slots=True)
class TimeoutFired:
    """A timeout that was scheduled has run out; stale ones are ignored."""

    step: TimeoutStep
    height: int
    round: int


@dataclass(frozen=True, slots=True)
class BlockBuilt:
    """The answer to `BuildBlock`: our node can propose `value`; its bytes are at hand."""

    height: int
    round: int
    value: bytes


@dataclass(frozen=True, slots=True)
class BlockChecked:
    """The answer to `CheckBlock`: whether the block is valid against our own state."""

    height: int
    value: bytes
    valid: bool


Input = (
    HeightStarted
    | WorkAvailable
    | ProposalReceived
    | VoteReceived
    | CertificateReceived
    | TimeoutFired
    | BlockBuilt
    | BlockChecked
)


# --- effects --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Persist:
    """Make the log up to here, and the block of `value` if given, durable before the effects that follow."""

    value: bytes | None


@dataclass(frozen=True, slots=True)
class SignProposal:
    """Sign this proposal, feed it back as `ProposalReceived`, and broadcast it with its block."""

    proposal: Proposal


@dataclass(frozen=True, slots=True)
class SignVote:
    """Sign this vote, feed it back as `VoteReceived`, and broadcast it."""

    vote: Vote


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Send again something already signed: a proposal (with its block), a vote or a certificate."""

    message: Proposal | Vote | Certificate


@dataclass(frozen=True, slots=True)
class ScheduleTimeout:
    """Feed back `TimeoutFired(step, height, round)` after `duration_ms`."""

    step: TimeoutStep
    height: int
    round: int
    duration_ms: int


@dataclass(frozen=True, slots=True)
class BuildBlock:
    """We propose in this round and have no valid value: build a block and answer with `BlockBuilt`."""

    height: int
    round: int


@dataclass(frozen=True, slots=True)
class CheckBlock:
    """Check the block of `value` against our state and answer with `BlockChecked`."""

    height: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Commit:
    """The height is decided: store block and certificate, execute, and start the next height."""

    height: int
    value: bytes
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class ReportEvidence:
    """A validator said two things at once: put it into a block."""

    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Redeliver:
    """Log and step these inputs, in order, as if they came now: they came before their height began.

    They are not applied at once because the log of the new height must hold them too.
    """

    inputs: tuple[Input, ...]


@dataclass(frozen=True, slots=True)
class Diverged:
    """A quorum has committed a block that our own check calls invalid: our state differs from the
    network's. Halt, with a forensic dump."""

    height: int
    value: bytes
    certificate: Certificate


Effect = (
    Persist
    | SignProposal
    | SignVote
    | Broadcast
    | ScheduleTimeout
    | BuildBlock
    | CheckBlock
    | Commit
    | ReportEvidence
    | Redeliver
    | Diverged
)
