"""What validators say to each other: proposals, votes, certificates and evidence, as plain values.

A value is known here only by its id, the 32-byte hash of a block's header; None is the nil value. A
`validator` is a position in the validator set of the message's height. Times are integer milliseconds.
"""

from dataclasses import dataclass
from enum import IntEnum

NO_POL = -1  # the paper's validRound and proposal's vr when there is none


class VoteType(IntEnum):
    """The two voting steps of a round."""

    PREVOTE = 1
    PRECOMMIT = 2


@dataclass(frozen=True, slots=True)
class Vote:
    """One validator's vote for a value, or for nil, in one step of one round."""

    type: VoteType
    height: int
    round: int
    value: bytes | None
    validator: int
    signature: bytes = b""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposer's offer of a value for a round; `pol_round` is the round of the polka it rests on, or -1."""

    height: int
    round: int
    value: bytes
    pol_round: int
    proposer: int
    signature: bytes = b""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A quorum's votes of one type for one value in one round: a polka (PREVOTE) or a commit (PRECOMMIT).

    `signatures` are (validator, signature) in ascending order of validator.
    """

    type: VoteType
    height: int
    round: int
    value: bytes
    signatures: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True, slots=True)
class VoteEquivocation:
    """Two different signed votes of one validator in one step of one round; `first.value` sorts first
    (nil before any value)."""

    first: Vote
    second: Vote


@dataclass(frozen=True, slots=True)
class ProposalEquivocation:
    """Two different signed proposals of one proposer for one round."""

    first: Proposal
    second: Proposal


Evidence = VoteEquivocation | ProposalEquivocation


@dataclass(frozen=True, slots=True)
class Validator:
    """A member of a validator set."""

    public_key: bytes
    power: int
